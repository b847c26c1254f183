"""Sending in parallel: one thread per channel, which sends one alert after another.

A try that came to nothing is repeated once within the same delivery if it may go through by then.
What may have arrived the first time says so the second time.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from engine.alerts.content import Attachment, Content, repeated
from engine.alerts.fault import AlertError, reason
from engine.ports import Clock
from engine.records import record

MARGIN_S = 0.1  # a sender's own deadline is this much earlier, so that its words are heard
LEAST_S = 0.2  # less is not worth a try
DOUBTED_AFTER = 3  # tries in vain the next message is tried, too
AGAIN_S = 1.0  # between a try and the next, if nobody says how long

Sender = Callable[["Job", float], "Sent"]


@record
class Job:
    """`page` is the whole report as HTML, for a channel that takes files.

    `brief` makes of the content what is said in a thread; `thread` is where that is. `apart` are
    first messages elsewhere, and what they are to become. `tries` have been made before.
    """

    id: int
    channel: str
    content: Callable[[], Content]
    page: Attachment | None = None
    brief: Callable[[Content], Content] = lambda content: content
    incidents: tuple[int, ...] = ()
    thread: Mapping[str, Any] | None = None
    apart: Callable[[], Sequence[tuple[Content, Mapping[str, Any]]]] = tuple
    tries: int = 0


@record
class Sent:
    """What a channel has to say of what is sent, and where a thread begins with it."""

    notes: tuple[str, ...] = ()
    thread: Mapping[str, Any] | None = None


@record
class Outcome:
    """How a job ended; `tried` is false where the channel was found blocked before its turn.

    Of one that failed, `unknown` says that it may have arrived all the same, `again_s` after how
    long another try may go through.
    """

    job: Job
    error: str = ""
    hint: str = ""
    permanent: bool = False
    tried: bool = True
    unknown: bool = False
    again_s: float | None = None
    sent: Sent = Sent()


def outcomes(
    jobs: Sequence[Job], senders: dict[str, Sender], ends_at: float, clock: Clock
) -> Iterator[Outcome]:
    """Give each job's outcome as it comes; at the deadline, the rest as timed out."""
    pending = {job.id: job for job in jobs}
    begun: set[int] = set()
    results: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
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
        is_begun = job.id in begun
        yield Outcome(job, error="timed out", tried=is_begun, unknown=is_begun)


@record
class _Lane:
    """One channel's jobs, sent one after another in a thread of its own."""

    jobs: list[Job]
    begun: set[int]
    results: queue.SimpleQueue[Outcome]

    def run(self, send: Sender | None, ends_at: float, clock: Clock) -> None:
        """Send until the time is up or the channel is found blocked."""
        threads: dict[int, Mapping[str, Any]] = {}  # that have begun in this delivery
        blocked = "" if send else f"{self.jobs[0].channel} is not configured"
        is_doubted = False
        for job in self.jobs:
            left_s = ends_at - clock.now() - MARGIN_S
            if not blocked and left_s < LEAST_S:
                blocked = "no time was left"
            if blocked or send is None:
                self.results.put(Outcome(job, error=f"not tried: {blocked}", tried=False))
                continue
            self.begun.add(job.id)
            outcome = _tried(_threaded(job, threads), send, ends_at - MARGIN_S, clock)
            if outcome.sent.thread is not None:
                threads |= dict.fromkeys(job.incidents, outcome.sent.thread)
            if outcome.error and not outcome.permanent:
                blocked = "" if not is_doubted and _may_be_its_own(outcome) else outcome.error
            is_doubted = bool(outcome.error) and not outcome.permanent
            self.results.put(outcome)


def _may_be_its_own(outcome: Outcome) -> bool:
    """Whether it may be one message that a server does not take, tried as often as it was."""
    was_answered = outcome.unknown or outcome.again_s is None
    return outcome.job.tries >= DOUBTED_AFTER and was_answered


def _threaded(job: Job, threads: Mapping[int, Mapping[str, Any]]) -> Job:
    """Let a job reply to what was sent just now, if that told of all its incidents."""
    begun = [threads.get(incident) for incident in job.incidents]
    if not begun or begun[0] is None or any(thread is not begun[0] for thread in begun):
        return job
    return replace(job, thread=begun[0])


def _tried(job: Job, send: Sender, ends_at: float, clock: Clock) -> Outcome:
    """Send, and once more if that may help in time; marked if the first may have arrived."""
    first = _attempt(job, send, ends_at - clock.now())
    if first.permanent and job.page is not None:  # too large, or of a kind that nobody may send
        bare = _tried(replace(job, page=None), send, ends_at, clock)
        notes = (*bare.sent.notes, f"sent without the run's page: {first.error}")
        return bare if bare.error else replace(bare, sent=replace(bare.sent, notes=notes))
    if first.again_s is None or ends_at - clock.now() - first.again_s < LEAST_S:
        return first
    threading.Event().wait(first.again_s)
    if not first.unknown:
        return _attempt(job, send, ends_at - clock.now())
    job = replace(job, content=lambda: repeated(first.job.content()))
    return replace(_attempt(job, send, ends_at - clock.now()), unknown=True)


def _attempt(job: Job, send: Sender, left_s: float) -> Outcome:
    try:
        sent = send(job, left_s)
        if sent.thread is not None and len(job.incidents) > 1:
            sent = replace(sent, thread={**sent.thread, "many": True})  # not to be changed
        return Outcome(job, sent=sent)
    except AlertError as error:
        after_s = AGAIN_S if error.retry_after_s is None else error.retry_after_s
        return Outcome(
            *(job, str(error), error.hint, error.permanent),
            unknown=error.unknown,
            again_s=after_s if error.passing else None,
        )
    except Exception as error:  # noqa: BLE001 - a payload of any shape may come out of a store
        what = f"the message could not be made ({reason(error)})"
        return Outcome(job, error=what, permanent=True)
