"""Which channels there are for alerts, and whether an outcome is one to tell of."""

from __future__ import annotations

from collections.abc import Callable

Settings = Callable[[str], str | None]


def should_alert(alert_on: str, status: str, previous: str | None) -> bool:
    """Decide whether a run that ended as `status` is told of, after one that ended `previous`.

    Incidents tell of runs that failed, and of the first ok one after such. `failure`: runs that
    were stopped, and the first ok one after such. `change`: an outcome other than the run
    before's; a first run counts as a change unless it is ok. A run `skipped` because another is on
    sends with `always` only. An unknown word sends: silence is the worse mistake.
    """
    if status == "failed":
        return False
    if status == "ok" and previous == "failed":
        return alert_on not in ("failure", "change")
    if alert_on == "failure":
        return status == "interrupted" or (status == "ok" and previous == "interrupted")
    if alert_on == "change":
        return status not in (previous or "ok", "skipped")
    return True


def channels(settings: Settings) -> tuple[str, ...]:
    """Name the channels that are configured."""
    found = []
    if has_bot(settings) or setting_of(settings, "SLACK_WEBHOOK_URL"):
        found.append("slack")
    if setting_of(settings, "SMTP_URL") and setting_of(settings, "MAIL_TO"):
        found.append("email")
    return tuple(found)


def half_configured(settings: Settings) -> tuple[str, ...]:
    """Give a sentence for each channel that lacks a setting."""
    found = []
    is_webhook = bool(setting_of(settings, "SLACK_WEBHOOK_URL"))
    lacking = "Slack has no threads" if is_webhook else "nothing is sent to Slack"
    for what, first, second in (
        ("no email is sent", "SMTP_URL", "MAIL_TO"),
        (lacking, "SLACK_BOT_TOKEN", "SLACK_CHANNEL"),
    ):
        is_there, also = bool(setting_of(settings, first)), bool(setting_of(settings, second))
        if is_there != also:
            there, missing = (first, second) if is_there else (second, first)
            found.append(f"{what}: {there} is set, but {missing} is not")
    return tuple(found)


def has_bot(settings: Settings) -> bool:
    """Whether Slack messages are a bot's, which keeps each incident in a thread."""
    return bool(setting_of(settings, "SLACK_BOT_TOKEN") and setting_of(settings, "SLACK_CHANNEL"))


def setting_of(settings: Settings, name: str) -> str:
    """Give what a setting says, empty where it is not there."""
    return (settings(name) or "").strip()
