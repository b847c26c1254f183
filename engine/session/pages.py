"""A run's page: its facts from the store, and the file beside its JSON report."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import engine
from engine import graph
from engine.errors import EngineError
from engine.reports.html.facts import Attempt, PageFacts, Value
from engine.reports.html.run_page import document_of
from engine.reports.run_report import write_whole
from engine.secrets import masked
from engine.session.changes import changes_since_last_good
from engine.session.reporting import PAGED_FROM, build_page, build_report, page_path
from engine.text import cut
from engine.zones import zone_named

if TYPE_CHECKING:
    from engine.reports.diff_words import Change
    from engine.session.environment import Environment
    from store.history import History
    from store.timeline import Head, Timeline

logger = logging.getLogger("engine.run")

STEPS_MAX = 1_000  # of a run with more than `PAGED_FROM`
PREVIEW_CHARS = 300
_TEXT_CODECS = ("json", "json+")


def facts_of(
    history: History,
    run_id: int,
    environment: Environment,
    report: Mapping[str, Any] | None = None,
    *,
    whole: int = PAGED_FROM,
    most: int = STEPS_MAX,
) -> PageFacts:
    """Gather all that the page of a run shows; `report` is its report, if it is at hand.

    Of a run with more than `whole` steps no more are read than the `most` that are worth a look.
    """
    places: dict[int, int] | None = None
    if history.count_steps(run_id) <= whole:
        report = report or build_report(history, run_id, environment)
        found = history.timeline(run_id)
    else:
        report = build_page(history, run_id, environment, most, whole=whole)
        names = [step["name"] for step in report["steps"]]
        positions = history.positions(run_id, names)
        places = {positions[name]: at for at, name in enumerate(names)}
        found = history.timeline(run_id, sorted(places))
    mask = environment.secrets.mask
    good: int | None = None
    changed: Sequence[Change] = ()
    if report["steps"] and len(report["steps"]) <= _compared_max(report):
        good, changed = changes_since_last_good(history, run_id)
    return PageFacts(
        report=masked(report, environment.secrets),
        attempts=_attempts(found, places),
        graph=_graph(report, found) if places is None else None,
        now=environment.clock.utc(),
        workers=found.workers,
        usual=history.usual_run(report["workflow"], before=run_id),
        values=[_value(head, mask) for head in found.values],
        values_in_all=found.values_in_all,
        good_run=good,
        changes=[mask(change.line) for change in changed],
        version=engine.__version__,
        zone=zone_named(report["zone"]),
    )


def _compared_max(report: Mapping[str, Any]) -> int:
    """How many steps a run may have to be compared: to compare 10,000 takes 0.3 s."""
    if "steps_in_all" in report:
        return 0
    return STEPS_MAX if report["status"] == "ok" else PAGED_FROM


def page_of(
    history: History,
    run_id: int,
    environment: Environment,
    report: Mapping[str, Any] | None = None,
) -> str:
    """Give the page of a run as one HTML file."""
    return document_of(facts_of(history, run_id, environment, report))


def write_page(report: dict[str, Any], history: History, environment: Environment) -> None:
    """Write the page of a run that has ended; what goes wrong is said, and fails nothing."""
    path = page_path(environment, report["run_id"], report["workflow"])
    try:
        write_whole([page_of(history, report["run_id"], environment, report)], path)
        report["page"] = str(path)
    except OSError as error:
        logger.warning("the page could not be written: %s", error.strerror or error)
    except EngineError as error:
        logger.warning("the page could not be written: %s", environment.secrets.mask(error.message))
    except Exception as error:  # noqa: BLE001 - the run has ended, and its outcome stands
        logger.warning("the page could not be written: %s", type(error).__name__)


def write_to(text: str, path: Path) -> None:
    """Write a page to a file of the caller's choice. Raises `OSError`."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)


def _attempts(found: Timeline, places: Mapping[int, int] | None) -> list[Attempt]:
    return [
        Attempt(
            each.position if places is None else places[each.position],
            each.number,
            each.outcome,
            _seconds(each.started_at),
            _seconds(each.finished_at),
            _seconds(each.retry_at),
        )
        for each in found.attempts
    ]


def _seconds(us: int | None) -> float | None:
    return None if us is None else us / 1e6


def _graph(report: Mapping[str, Any], found: Timeline) -> graph.Graph:
    names = [step["name"] for step in report["steps"]]
    return graph.build(names, [[names[up] for up in ups] for ups in found.upstreams])


def _value(head: Head, mask: Callable[[str], str]) -> Value:
    """Tell how a value begins; of what is no text, what it is."""
    if head.codec not in _TEXT_CODECS:
        return Value(head.step, mask(head.key), head.size_bytes, f"a table ({head.codec})")
    text = head.data.decode("utf-8", "replace")
    if len(head.data) == head.size_bytes and text.startswith('"'):
        with suppress(ValueError):  # damaged: shown as it is
            text = str(json.loads(text))
    return Value(head.step, mask(head.key), head.size_bytes, cut(mask(text), PREVIEW_CHARS))
