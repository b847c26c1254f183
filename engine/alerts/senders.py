"""What sends on each channel, made from its settings."""

from __future__ import annotations

from engine.alerts import kinds
from engine.alerts.channels import Settings, channels, has_bot, setting_of
from engine.alerts.content import REPEATED
from engine.alerts.lanes import Job, Sender, Sent


def senders_of(settings: Settings) -> dict[str, Sender]:
    """Give what sends, by channel; nothing is imported or connected yet."""
    makers = {"slack": _slack_bot if has_bot(settings) else _slack, "email": _email}
    return {channel: makers[channel](settings) for channel in channels(settings)}


def _slack(settings: Settings) -> Sender:
    url = setting_of(settings, "SLACK_WEBHOOK_URL")
    hosts = setting_of(settings, "KAHNBAN_WEBHOOK_HOSTS").split(",")
    proxy = setting_of(settings, "KAHNBAN_WEBHOOK_PROXY") or None

    def send(job: Job, deadline_s: float) -> Sent:
        from engine.alerts import blocks, slack

        text, laid_out = blocks.render_slack(job.content())
        slack.send(url, text, laid_out, deadline_s=deadline_s, hosts=hosts, proxy=proxy)
        return Sent()

    return send


def _slack_bot(settings: Settings) -> Sender:
    from engine.alerts import slack_bot

    bot = slack_bot.Bot(
        setting_of(settings, "SLACK_BOT_TOKEN"),
        setting_of(settings, "SLACK_CHANNEL"),
        setting_of(settings, "KAHNBAN_SLACK_API") or slack_bot.API_URL,
        tuple(setting_of(settings, "KAHNBAN_WEBHOOK_HOSTS").split(",")),
        setting_of(settings, "KAHNBAN_WEBHOOK_PROXY") or None,
    )

    def send(job: Job, deadline_s: float) -> Sent:
        from engine.alerts import blocks

        content = job.content()
        reply = blocks.render_slack(job.brief(content)) if job.thread is not None else None
        many = (job.thread or {}).get("many", 0)
        if (
            job.thread is not None
            and many > len(job.incidents)
            and not slack_bot.goes_on(job.thread)
        ):
            content = kinds.all_over(content, many)
        begun, note = slack_bot.send(
            bot,
            blocks.render_slack(content),
            deadline_s=deadline_s,
            reply=reply,
            thread=job.thread,
            apart=[(blocks.render_slack(each), there) for each, there in job.apart()],
        )
        return Sent((note,) if note else (), begun)

    return send


def _email(settings: Settings) -> Sender:
    url = setting_of(settings, "SMTP_URL")
    mail_from, mail_to = setting_of(settings, "MAIL_FROM"), setting_of(settings, "MAIL_TO")

    def send(job: Job, deadline_s: float) -> Sent:
        from engine.alerts import letter, mail

        content = job.content()
        thread = job.thread or {}
        number, first = mail.new_id(), str(thread.get("message_id", ""))
        subject = content.headline.removesuffix(REPEATED)
        kept = f"Re: {thread['subject']}" if thread.get("subject") else subject
        mark = REPEATED if content.mark.endswith(REPEATED) else ""
        message = mail.Letter(
            mail_from or mail.sender(url),
            mail_to,
            kept + mark,  # mail programs put together what has one subject
            letter.render_plain(content),
            letter.render_html(content),
            job.page,
            number,
            first,
        )
        notes = mail.send(url, message, deadline_s=deadline_s)
        return Sent(notes, None if first else {"message_id": number, "subject": subject})

    return send
