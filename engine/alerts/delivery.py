"""Empties the store's outbox through the configured channels; never raises for delivery trouble.

One thread per channel sends, the caller's thread alone talks to the store. A slow channel holds
no other up, and nothing holds the caller longer than the deadline.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable

from engine.alert import AlertKind, AlertRow, Failure
from engine.alerts import content as contents
from engine.alerts import kinds
from engine.alerts.channels import Settings, channels, half_configured, has_bot
from engine.alerts.content import Attachment, Content
from engine.alerts.fault import reason
from engine.alerts.lanes import Job, Outcome, outcomes
from engine.alerts.senders import senders_of
from engine.errors import EngineError
from engine.failpoints import failpoint
from engine.ports import Clock, Outbox
from engine.records import record

DEADLINE_S = 5.0
TRIES_MAX = 10
KEPT_S = 86_400.0  # at least: ten runs may all fall into one outage

PAGE_BYTES_MAX = 1_000_000  # a bigger page is not attached; the mail says where the report lies
_WITH_PAGE = (AlertKind.RUN, AlertKind.OPENED, AlertKind.REMINDER)
PAGES_S = 1.0  # of the time of a delivery, to make pages in

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

    def with_more(self, more: DeliveryResult) -> DeliveryResult:
        """Give what two deliveries came to."""
        counts = (self.sent + more.sent, self.failed + more.failed, self.given_up + more.given_up)
        return DeliveryResult(*counts, tuple(dict.fromkeys(self.warnings + more.warnings)))


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
    other alerts are not tried now, unless it may be one message that is not taken. An alert is
    given up after ten tries and a day, so that no outage of hours loses it, or when sending it
    again cannot help. `page` makes the page of a run, if it is to go along with an email.
    """
    ends_at = clock.now() + deadline_s
    senders = senders_of(settings)
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
    for outcome in outcomes(jobs, senders, ends_at, clock):
        row = rows[outcome.job.id]
        kind = _kind(outcome, row, is_gone=row.channel not in senders)
        counts[kind] += 1
        warnings += _sentences(outcome, kind)
        try:
            _record(outbox, outcome, kind, unknown=outcome.unknown or row.repeat)
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


def send_test(settings: Settings, host: str, *, clock: Clock) -> tuple[tuple[str, bool, str], ...]:
    """Send a test message on every configured channel; give (channel, sent, sentence) for each."""
    content = contents.of_notice(
        f"kahnban test message from {host}",
        f"This is a test, sent by hand at {clock.utc().astimezone():%Y-%m-%d %H:%M %Z}. "
        "Alerts about runs will arrive here.",
        status="test",
    )
    found = []
    for outcome in _notify(settings, content, clock.now() + DEADLINE_S, clock):
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

        from engine.alerts import letter, mail, smtp  # noqa: F401 - imported for later


def _said(error: Exception) -> str:
    return str(error) if isinstance(error, EngineError) else reason(error)


def _job(row: AlertRow, page: Attachment | None) -> Job:
    return Job(
        *(row.id, row.channel, lambda: kinds.of_alert(row), page),
        *(lambda content: kinds.brief(row, content), row.incidents, row.thread),
        lambda: kinds.of_those_apart(row),
        row.tries,
    )


def _pages(rows: Iterable[AlertRow], page: PageOf, clock: Clock) -> dict[int, Attachment]:
    """Make the pages of emails, on the caller's thread; one that cannot be made holds none up."""
    ends_at = clock.now() + PAGES_S
    found = {}
    for row in rows:
        if row.channel == "email" and _has_page(row) and clock.now() < ends_at:
            with contextlib.suppress(Exception):
                run = row.payload["run_id"]
                data = (page(run) or "").encode()
                if 0 < len(data) <= PAGE_BYTES_MAX:
                    found[row.id] = Attachment(f"run-{run}-{row.payload['workflow']}.html", data)
    return found


def _has_page(row: AlertRow) -> bool:
    """Whether it tells of one run, as a digest of that run's incidents does."""
    return row.kind in _WITH_PAGE or "report" in (row.payload.get("facts") or {})


def _notify(settings: Settings, content: Content, ends_at: float, clock: Clock) -> list[Outcome]:
    senders = senders_of(settings)
    jobs = [Job(number, channel, lambda: content) for number, channel in enumerate(senders)]
    return list(outcomes(jobs, senders, ends_at, clock))


# -- recording ------------------------------------------------------------------------------------


def _kind(outcome: Outcome, row: AlertRow, *, is_gone: bool) -> str:
    if not outcome.error:
        return "sent"
    spent = is_gone or (outcome.tried and row.tries + 1 >= TRIES_MAX)
    is_last = outcome.permanent or (spent and row.age_s >= KEPT_S)
    return "given_up" if is_last else "failed"


def _record(outbox: Outbox, outcome: Outcome, kind: str, *, unknown: bool) -> None:
    if kind == "sent":
        failpoint("alert-sent")
        outbox.sent(outcome.job.id, outcome.sent.thread if outcome.job.incidents else None)
    else:
        failure = Failure(outcome.error, outcome.tried, unknown=unknown, give_up=kind == "given_up")
        outbox.failed(outcome.job.id, failure)


def _sentences(outcome: Outcome, kind: str) -> list[str]:
    channel = outcome.job.channel
    if kind == "sent":
        return [f"{channel}: {note}" for note in outcome.sent.notes]
    if not outcome.tried:
        return []  # the failure that blocked the channel has its own sentence
    hint = f" ({outcome.hint})" if outcome.hint else ""
    end = "given up" if kind == "given_up" else "will be tried again"
    what = "it is not known whether an alert arrived" if outcome.unknown else "alert not sent"
    return [f"{channel}: {what}, {end}: {outcome.error}{hint}"]
