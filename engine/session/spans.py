"""Spans of OpenTelemetry made of a run's rows, and their way to a collector.

Imported only where traces are wanted: it takes 0.15 s. Identifiers follow from what tells a run
from all others, so that a later run can link to this one's trace.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from hashlib import sha256
from http import HTTPStatus
from importlib import import_module
from typing import Any

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, Status, StatusCode, TraceFlags

import engine
from engine.model import AttemptOutcome, RunStatus
from engine.text import cut
from store.traced import Linked, RunName, Trace, TracedAttempt, TracedRun

for _later in ("requests.exceptions", "store.traced"):  # an exporter imports it as it is made
    import_module(_later)

Mask = Callable[[str], str]

TEXT_MAX = 1_000
_LOGGER = "opentelemetry.exporter.otlp.proto.http.trace_exporter"
_BAD = (AttemptOutcome.FAILED, AttemptOutcome.TIMED_OUT, AttemptOutcome.ABANDONED)


def send(trace: Trace, mask: Mask, *, timeout_s: float) -> str:
    """Send a trace to the collector that OTEL_… names; gives why that failed, or nothing.

    The exporter tells nobody why: it is noted by what it asks with, and taken from its log.
    """
    noted: list[str] = []
    logged: list[str] = []
    here = threading.get_ident()

    def is_of_another(line: logging.LogRecord) -> bool:
        if line.thread == here:
            logged.append(line.getMessage())
        return line.thread != here

    log = logging.getLogger(_LOGGER)
    log.addFilter(is_of_another)
    exporter = OTLPSpanExporter(timeout=timeout_s, session=_noting(noted))
    try:
        result = exporter.export(list(spans_of(trace, mask)))
    finally:
        exporter.shutdown()  # type: ignore[no-untyped-call]
        log.removeFilter(is_of_another)
    if result is SpanExportResult.SUCCESS and not noted:
        return ""
    return next(reversed(noted or logged), "no reason is given")


def _noting(noted: list[str]) -> Any:
    """Give a session of requests that notes what goes wrong, until it goes well.

    A redirection, which is not followed, is no error to the exporter, and loses the trace.
    """
    session = import_module("requests").Session()
    ask = session.request

    def request(**asked: Any) -> Any:
        try:
            answer = ask(**asked)
        except Exception as error:
            noted.append(_innermost(error))
            raise
        if answer.status_code < HTTPStatus.MULTIPLE_CHOICES:
            noted.clear()
        else:
            noted.append(f"the collector answered {answer.status_code} {answer.reason}")
        return answer

    session.request = request
    return session


def _innermost(error: BaseException) -> str:
    while (deeper := error.__cause__ or error.__context__) is not None:
        error = deeper
    return str(error) or type(error).__name__


def spans_of(trace: Trace, mask: Mask) -> Iterator[ReadableSpan]:
    """Give the span of a run, then one for each attempt, which is below it."""
    run = trace.run
    own = Resource({"service.name": "kahnban", "service.version": engine.__version__})
    resource = own.merge(Resource({"host.name": run.host})).merge(OTELResourceDetector().detect())
    scope = InstrumentationScope("kahnban", engine.__version__)
    above = _context(run.name)
    end = run.finished_at or run.started_at
    left_out = run.attempts - len(trace.attempts)
    yield ReadableSpan(
        name=mask(run.workflow),
        context=above,
        resource=resource,
        attributes=_of_run(run, mask)
        | ({"kahnban.attempts_left_out": left_out} if left_out else {}),
        links=[_link(link, mask) for link in trace.links],
        status=_status(run.status, mask(run.note)),
        start_time=run.started_at * 1000,
        end_time=end * 1000,
        instrumentation_scope=scope,
    )
    for attempt in trace.attempts:
        yield ReadableSpan(
            name=mask(attempt.step),
            context=_context(run.name, f"{attempt.step}\0{attempt.number}"),
            parent=above,
            resource=resource,
            attributes=_of_attempt(run, attempt, mask),
            status=_status(attempt.outcome, mask(attempt.error)),
            start_time=attempt.started_at * 1000,
            end_time=(attempt.finished_at or max(end, attempt.started_at)) * 1000,
            instrumentation_scope=scope,
        )


def _context(run: RunName, what: str = "") -> SpanContext:
    """Give the identifiers of a run's span, or of another one in its trace."""
    name = f"{run.host}\0{run.run_id}\0{run.workflow}\0{run.started_at}"
    trace_id = int.from_bytes(sha256(name.encode()).digest()[:16])
    span_id = int.from_bytes(sha256(f"{name}\0{what}".encode()).digest()[:8])
    return SpanContext(
        trace_id, span_id, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED)
    )


def _link(link: Linked, mask: Mask) -> Link:
    attributes: dict[str, str | int] = {
        "kahnban.run": link.run.run_id,
        "kahnban.workflow": mask(link.run.workflow),
        "kahnban.link": link.why,
    }
    if link.steps:
        attributes["kahnban.steps"] = link.steps
    return Link(_context(link.run), attributes)


def _of_run(run: TracedRun, mask: Mask) -> dict[str, str | int]:
    found: dict[str, str | int] = {
        "kahnban.workflow": mask(run.workflow),
        "kahnban.run": run.run_id,
        "kahnban.status": run.status,
        "kahnban.started_by": run.started_by,
        "kahnban.params": cut(mask(run.params), TEXT_MAX),
        "kahnban.note": cut(mask(run.note), TEXT_MAX),
    }
    counts = ("steps", "ok", "failed", "skipped", "cached", "attempts", "retries")
    found |= {f"kahnban.{name}": getattr(run, name) for name in counts}
    return {name: value for name, value in found.items() if value != ""}


def _of_attempt(run: TracedRun, attempt: TracedAttempt, mask: Mask) -> dict[str, str | int]:
    return {
        "kahnban.workflow": mask(run.workflow),
        "kahnban.run": run.run_id,
        "kahnban.step": mask(attempt.step),
        "kahnban.attempt": attempt.number,
        "kahnban.outcome": attempt.outcome,
    }


def _status(word: str, why: str) -> Status:
    """Give how it ended; what was stopped is neither well nor an error."""
    if word == RunStatus.OK:
        return Status(StatusCode.OK)
    if word in _BAD or word == RunStatus.FAILED:
        return Status(StatusCode.ERROR, cut(why, TEXT_MAX))
    return Status(StatusCode.UNSET)
