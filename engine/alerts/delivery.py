"""Empties the store's outbox through the configured channels; never raises for delivery trouble.

One thread per channel sends, the caller's thread alone talks to the store. A slow channel holds
no other up, and nothing holds the caller longer than the deadline.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from engine.alert import AlertKind, AlertRow
from engine.alerts import content as contents
from engine.alerts import incidents
from engine.alerts.channels import Settings, channels, half_configured, has_bot, setting_of
from engine.alerts.content import Attachment, Content
from engine.alerts.fault import AlertError, reason
from engine.errors import EngineError
from engine.failpoints import failpoint
from engine.ports import Clock, Outbox
from engine.records import record

DEADLINE_S = 5.0
TRIES_MAX = 10
MARGIN_S = 0.1  # a sender's own deadline is this much earlier, so that its words are heard
LEAST_S = 0.2  # less is not worth a try

PAGE_BYTES_MAX = 1_000_000  # a bigger page is not attached; the mail says where the report lies
_WITH_PAGE = (AlertKind.RUN, AlertKind.OPENED, AlertKind.REMINDER)
PAGES_S = 1.0  # of the time of a delivery, to make pages in

Sender = Callable[["_Job", float], "_Sent"]
PageOf = Callable[[int], str | None]


@record
class DeliveryResult:
    """What a delivery came to: counts of alerts, and sentences for the console.

    `failed` ones are due again later; `given_up` ones are not.
    """

    sent: int = 0
    failed: int = 0
    given_up: int = 0
    warnings: tuple[str, ...] = ()


@record
class _Job:
    """`page` is the whole report as HTML, for a channel that takes files.

    `brief` makes of the content what is said in a thread; `thread` is where that is.
    """

    id: int
    channel: str
    content: Callable[[], Content]
    page: Attachment | None = None
    brief: Callable[[Content], Content] = lambda content: content
    incidents: tuple[int, ...] = ()
    thread: Mapping[str, Any] | None = None


@record
class _Sent:
    """What a channel has to say of what is sent, and where a thread begins with it."""

    notes: tuple[str, ...] = ()
    thread: Mapping[str, Any] | None = None


@record
class _Outcome:
    """How a job ended; `tried` is false where the channel was found blocked before its turn."""

    job: _Job
    error: str = ""
    hint: str = ""
    permanent: bool = False
    tried: bool = True
    sent: _Sent = _Sent()


def deliver(
    outbox: Outbox,
    settings: Settings,
    *,
    deadline_s: float = DEADLINE_S,
    clock: Clock,
    page: PageOf | None = None,
) -> DeliveryResult:
    """Claim what is due, send it, record what came of it, all by the deadline.

    With nothing configured nothing is claimed. After a channel's first failure that may pass, its
    other alerts are not tried now. An alert is given up after ten tries, or when sending it again
    cannot help. `page` makes the page of a run, if it is to go along with an email.
    """
    ends_at = clock.now() + deadline_s
    senders = _senders(settings)
    warnings = list(half_configured(settings))
    if not senders:
        return DeliveryResult(warnings=tuple(warnings))
    try:
        rows = {row.id: row for row in outbox.claim()}
        failpoint("alert-claimed")
    except Exception as error:  # noqa: BLE001 - alerts never fail a run, whatever the store does
        return DeliveryResult(warnings=(*warnings, f"alerts could not be read: {_said(error)}"))
    pages = _pages(rows.values(), page, clock) if page is not None and "email" in senders else {}
    jobs = [_job(row, pages.get(row.id)) for row in rows.values()]
    counts = {"sent": 0, "failed": 0, "given_up": 0}
    for outcome in _outcomes(jobs, senders, ends_at, clock):
        kind = _kind(outcome, rows[outcome.job.id])
        counts[kind] += 1
        warnings += _sentences(outcome, kind)
        try:
            _record(outbox, outcome, kind)
        except Exception as error:  # noqa: BLE001 - as above
            warnings.append(f"an alert could not be recorded as {kind}: {_said(error)}")
    return DeliveryResult(**counts, warnings=tuple(dict.fromkeys(warnings)))


def direct(
    settings: Settings, headline: str, body: str, *, deadline_s: float = DEADLINE_S, clock: Clock
) -> DeliveryResult:
    """Send a text on every configured channel without a store; nothing is tried again."""
    outcomes = _notify(
        settings, contents.of_notice(headline, body), clock.now() + deadline_s, clock
    )
    warnings = [*half_configured(settings)]
    for outcome in outcomes:
        warnings += _sentences(outcome, "given_up" if outcome.error else "sent")
    lost = sum(1 for outcome in outcomes if outcome.error)
    return DeliveryResult(len(outcomes) - lost, 0, lost, tuple(warnings))


def send_test(
    settings: Settings, host: str, *, deadline_s: float = DEADLINE_S, clock: Clock
) -> tuple[tuple[str, bool, str], ...]:
    """Send a test message on every configured channel; give (channel, sent, sentence) for each."""
    content = contents.of_notice(
        f"kahnban test message from {host}",
        f"This is a test, sent by hand at {clock.utc().astimezone():%Y-%m-%d %H:%M %Z}. "
        "Alerts about runs will arrive here.",
        status="test",
    )
    found = []
    for outcome in _notify(settings, content, clock.now() + deadline_s, clock):
        channel = outcome.job.channel
        if outcome.error:
            hint = f" ({outcome.hint})" if outcome.hint else ""
            found.append((channel, False, f"{channel}: not sent: {outcome.error}{hint}"))
        else:
            found.append((channel, True, "; ".join([f"{channel}: sent", *outcome.sent.notes])))
    order = channels(settings)
    return tuple(sorted(found, key=lambda entry: order.index(entry[0])))


def preload(settings: Settings) -> None:
    """Import what sending needs, so that an upgrade under a live run cannot mix versions."""
    from engine.alerts import slack  # noqa: F401 - imported for later

    if "slack" in channels(settings):
        from engine.alerts import blocks  # noqa: F401 - imported for later

        if has_bot(settings):
            from engine.alerts import slack_bot, web_api  # noqa: F401 - imported for later
        else:
            from engine.alerts import webhook  # noqa: F401 - imported for later
    if "email" in channels(settings):
        import email.policy  # noqa: F401 - imported for later
        import smtplib  # noqa: F401 - imported for later

        from engine.alerts import letter, mail  # noqa: F401 - imported for later


def _said(error: Exception) -> str:
    return str(error) if isinstance(error, EngineError) else reason(error)


def _job(row: AlertRow, page: Attachment | None) -> _Job:
    return _Job(
        *(row.id, row.channel, lambda: incidents.of_alert(row), page),
        *(lambda content: incidents.brief(row, content), row.incidents, row.thread),
    )


def _pages(rows: Iterable[AlertRow], page: PageOf, clock: Clock) -> dict[int, Attachment]:
    """Make the pages of emails, on the caller's thread; one that cannot be made holds none up."""
    ends_at = clock.now() + PAGES_S
    found = {}
    for row in rows:
        if row.channel == "email" and row.kind in _WITH_PAGE and clock.now() < ends_at:
            with contextlib.suppress(Exception):
                run = row.payload["run_id"]
                data = (page(run) or "").encode()
                if 0 < len(data) <= PAGE_BYTES_MAX:
                    found[row.id] = Attachment(f"run-{run}-{row.payload['workflow']}.html", data)
    return found


def _notify(settings: Settings, content: Content, ends_at: float, clock: Clock) -> list[_Outcome]:
    senders = _senders(settings)
    jobs = [_Job(number, channel, lambda: content) for number, channel in enumerate(senders)]
    return list(_outcomes(jobs, senders, ends_at, clock))


# -- the channels ---------------------------------------------------------------------------------


def _senders(settings: Settings) -> dict[str, Sender]:
    makers = {"slack": _slack_bot if has_bot(settings) else _slack, "email": _email}
    return {channel: makers[channel](settings) for channel in channels(settings)}


def _slack(settings: Settings) -> Sender:
    url = setting_of(settings, "SLACK_WEBHOOK_URL")
    hosts = setting_of(settings, "KAHNBAN_WEBHOOK_HOSTS").split(",")
    proxy = setting_of(settings, "KAHNBAN_WEBHOOK_PROXY") or None

    def send(job: _Job, deadline_s: float) -> _Sent:
        from engine.alerts import blocks, slack

        text, laid_out = blocks.render_slack(job.content())
        slack.send(url, text, laid_out, deadline_s=deadline_s, hosts=hosts, proxy=proxy)
        return _Sent()

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

    def send(job: _Job, deadline_s: float) -> _Sent:
        from engine.alerts import blocks

        content = job.content()
        reply = blocks.render_slack(job.brief(content)) if job.thread is not None else None
        begun, note = slack_bot.send(
            bot,
            blocks.render_slack(content),
            deadline_s=deadline_s,
            reply=reply,
            thread=job.thread,
        )
        return _Sent((note,) if note else (), begun)

    return send


def _email(settings: Settings) -> Sender:
    url = setting_of(settings, "SMTP_URL")
    mail_from, mail_to = setting_of(settings, "MAIL_FROM"), setting_of(settings, "MAIL_TO")

    def send(job: _Job, deadline_s: float) -> _Sent:
        from engine.alerts import letter, mail

        content = job.content()
        number, first = mail.new_id(), str((job.thread or {}).get("message_id", ""))
        message = mail.Letter(
            mail_from or mail.sender(url),
            mail_to,
            content.headline,
            letter.render_plain(content),
            letter.render_html(content),
            job.page,
            number,
            first,
        )
        notes = mail.send(url, message, deadline_s=deadline_s)
        return _Sent(notes, None if first else {"message_id": number})

    return send


# -- sending in parallel --------------------------------------------------------------------------


def _outcomes(
    jobs: Sequence[_Job], senders: dict[str, Sender], ends_at: float, clock: Clock
) -> Iterator[_Outcome]:
    """Give each job's outcome as it comes; at the deadline, the rest as timed out."""
    pending = {job.id: job for job in jobs}
    begun: set[int] = set()
    results: queue.SimpleQueue[_Outcome] = queue.SimpleQueue()
    for channel in dict.fromkeys(job.channel for job in jobs):
        lane = _Lane([job for job in jobs if job.channel == channel], begun, results)
        send = senders.get(channel)
        threading.Thread(
            target=lane.run,
            args=(send, ends_at, clock),
            name=f"kahnban-alerts-{channel}",
            daemon=True,
        ).start()
    while pending:
        try:
            outcome = results.get(timeout=max(ends_at - clock.now(), 0.0))
        except queue.Empty:
            break
        del pending[outcome.job.id]
        yield outcome
    for job in pending.values():
        yield _Outcome(job, error="timed out", tried=job.id in begun)


@record
class _Lane:
    """One channel's jobs, sent one after another in a thread of its own."""

    jobs: list[_Job]
    begun: set[int]
    results: queue.SimpleQueue[_Outcome]

    def run(self, send: Sender | None, ends_at: float, clock: Clock) -> None:
        """Send until the time is up or the channel is found blocked."""
        threads: dict[int, Mapping[str, Any]] = {}  # that have begun in this delivery
        blocked = "" if send else f"{self.jobs[0].channel} is not configured"
        for job in self.jobs:
            left_s = ends_at - clock.now() - MARGIN_S
            if not blocked and left_s < LEAST_S:
                blocked = "no time was left"
            if blocked or send is None:
                self.results.put(_Outcome(job, error=f"not tried: {blocked}", tried=False))
                continue
            self.begun.add(job.id)
            outcome = _attempt(_threaded(job, threads), send, left_s)
            if outcome.sent.thread is not None:
                threads |= dict.fromkeys(job.incidents, outcome.sent.thread)
            if outcome.error and not outcome.permanent:
                blocked = outcome.error
            self.results.put(outcome)


def _threaded(job: _Job, threads: Mapping[int, Mapping[str, Any]]) -> _Job:
    found = threads.get(job.incidents[0]) if len(job.incidents) == 1 else None
    return job if found is None else replace(job, thread=found)


def _attempt(job: _Job, send: Sender, left_s: float) -> _Outcome:
    try:
        sent = send(job, left_s)
        if sent.thread is not None and len(job.incidents) > 1:
            sent = replace(sent, thread={**sent.thread, "many": True})  # not to be changed
        return _Outcome(job, sent=sent)
    except AlertError as error:
        return _Outcome(job, error=str(error), hint=error.hint, permanent=error.permanent)
    except Exception as error:  # noqa: BLE001 - a payload of any shape may come out of a store
        what = f"the message could not be made ({reason(error)})"
        return _Outcome(job, error=what, permanent=True)


# -- recording ------------------------------------------------------------------------------------


def _kind(outcome: _Outcome, row: AlertRow) -> str:
    if not outcome.error:
        return "sent"
    spent = outcome.tried and row.tries + 1 >= TRIES_MAX
    return "given_up" if outcome.permanent or spent else "failed"


def _record(outbox: Outbox, outcome: _Outcome, kind: str) -> None:
    if kind == "sent":
        failpoint("alert-sent")
        outbox.sent(outcome.job.id, outcome.sent.thread if outcome.job.incidents else None)
    else:
        outbox.failed(
            outcome.job.id, outcome.error, give_up=kind == "given_up", tried=outcome.tried
        )


def _sentences(outcome: _Outcome, kind: str) -> list[str]:
    channel = outcome.job.channel
    if kind == "sent":
        return [f"{channel}: {note}" for note in outcome.sent.notes]
    if not outcome.tried:
        return []  # the failure that blocked the channel has its own sentence
    hint = f" ({outcome.hint})" if outcome.hint else ""
    end = "given up" if kind == "given_up" else "will be tried again"
    return [f"{channel}: alert not sent, {end}: {outcome.error}{hint}"]
