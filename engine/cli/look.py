"""The commands that only look: nothing here writes to the store or makes a file."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.cli import project
from engine.cli.console import (
    colour,
    print_json,
    print_parts,
    print_result,
    width,
)
from engine.cli.reading import load_reading, reading_history
from engine.clock import SystemClock
from engine.definitions import Found, find_all
from engine.errors import EngineError, UsageError
from engine.moments import instant, microseconds
from engine.params import described
from engine.reports import json_text, terminal
from engine.reports.lists import history_table, workflow_table
from engine.secrets import Secrets, masked
from engine.text import printable
from engine.zones import zone_named

if TYPE_CHECKING:
    from engine.model import Definition
    from engine.ports import Paths
    from store.pauses import Pause


def _has_store(paths: Paths) -> bool:
    """Whether there is a store to look at; all that it takes is loaded then."""
    from store.database import is_there, path_of

    there = is_there(path_of(paths.store_url))
    if there:
        load_reading()
    return there


# -- definitions ----------------------------------------------------------------------------------


def list_workflows(parsed: argparse.Namespace) -> int:
    """List the workflows of the project; a broken one is shown as broken."""
    paths = project.paths_of(parsed)
    folder = project.folder_of(parsed)
    secrets = project.secrets_of(paths)
    has_store = _has_store(paths)
    rows = [_listed(found, secrets.mask) for found in find_all(folder)]
    _add_runs(rows, paths if has_store else None, secrets)
    if parsed.json:
        print_json(rows)
        return 0
    if not rows:
        print_result(f"no workflow in {folder}")
        return 0
    now = SystemClock().utc()
    print_result(workflow_table(rows, now=now, width=width(), colour=colour()))
    return 0


def _listed(found: Found, mask: Callable[[str], str]) -> dict[str, Any]:
    definition = found.definition
    return {
        "name": found.name,
        "file": str(found.path),
        "steps": len(definition.steps) if definition else None,
        "schedule": definition.schedule if definition else None,
        "tz": definition.tz if definition else None,
        "next": _next(definition) if definition else None,
        "description": definition.description if definition else "",
        "params": {name: described(param) for name, param in definition.params.items()}
        if definition
        else {},
        "broken": mask(found.error.message) if found.error else None,
    }


def _next(definition: Definition) -> str | None:
    if not definition.schedule:
        return None
    from engine.schedule.firings import next_firing

    slot = next_firing(definition, SystemClock().utc())
    return f"{slot:%FT%TZ}" if slot else None


def _add_runs(rows: list[dict[str, Any]], paths: Paths | None, secrets: Secrets) -> None:
    """Add each workflow's last run, what a run of it usually takes, and its pause."""
    for row in rows:
        row |= {"last_run": None, "usual_s": None, "paused": None}
    if paths is None:
        return
    with reading_history(paths) as history:
        paused = history.pauses(microseconds(SystemClock().utc()))
        for row in rows:
            row["paused"] = masked(_pause(paused.get(row["name"])), secrets)
            runs = history.runs(workflow=row["name"], limit=1)
            if runs:
                shown = ("run_id", "status", "started_at", "only_steps")
                row["last_run"] = {key: runs[0][key] for key in shown}
                usual = history.usual_run(row["name"])
                row["usual_s"] = usual.usual_s if usual else None


def _pause(pause: Pause | None) -> dict[str, Any] | None:
    if pause is None:
        return None
    since, until = (at and f"{instant(at):%FT%TZ}" for at in pause.span)
    return {"by": pause.paused_by, "since": since, "until": until, "reason": pause.reason}


# -- runs -----------------------------------------------------------------------------------------


def history(parsed: argparse.Namespace) -> int:
    """List earlier runs."""
    paths = project.paths_of(parsed)
    now = SystemClock().utc()
    since = None if parsed.since is None else _since(parsed.since, now)
    rows: list[dict[str, Any]] = []
    if _has_store(paths):
        with reading_history(paths) as past:
            if parsed.since and parsed.name:
                since = _since(parsed.since, now, zone_named(past.zone_name(parsed.name)))
            rows = past.runs(
                workflow=parsed.name,
                since=since,
                failed=parsed.failed,
                limit=min(parsed.limit, sys.maxsize),
            )
            usual = {name: past.usual_run(name) for name in {row["workflow"] for row in rows}}
            known = {name: found.usual_s for name, found in usual.items() if found}
            rows = [row | {"usual_s": known.get(row["workflow"])} for row in rows]
    rows = masked(rows, project.secrets_of(paths))
    if parsed.json:
        print_json(rows)
    elif rows:
        print_result(history_table(rows, now=now, width=width(), colour=colour()))
    else:
        of = f" of '{printable(parsed.name)}'" if parsed.name else ""
        print_result(f"no runs{of} to show")
    return 0


_AGE = re.compile(r"(\d{1,100})([dhm])\Z")


def _since(text: str, now: datetime, zone: tzinfo | None = None) -> str:
    """Give the UTC text of an age or of a date, which is one of the zone (else the machine's)."""
    match = _AGE.match(text)
    if match:
        unit = {"d": "days", "h": "hours", "m": "minutes"}[match[2]]
        try:
            return (now - timedelta(**{unit: int(match[1])})).strftime("%Y-%m-%dT%H:%M:%S")
        except OverflowError:
            return "0001-01-01T00:00:00"
    try:
        moment = datetime.fromisoformat(text)
        local = moment if moment.tzinfo else moment.replace(tzinfo=zone)
        utc = local.astimezone(UTC).replace(tzinfo=None)
    except (ValueError, OverflowError):  # no date, or none of the years that there are
        raise UsageError(
            f"--since {text!r} is neither an age nor a date", hint="write 7d, 12h, 30m, 2026-01-31"
        ) from None
    return utc.isoformat(timespec="seconds")


def show(parsed: argparse.Namespace) -> int:
    """Show one run, step by step."""
    now = SystemClock().utc()
    return _reported(
        parsed,
        lambda report: terminal.show(report, now=now, width=width(), colour=colour()),
    )


def report(parsed: argparse.Namespace) -> int:
    """Print a run's report as it stands at its end, or write its page."""
    if parsed.html is not None:
        return _write_page(parsed, parsed.html)

    def text(found: dict[str, Any]) -> str:
        table = terminal.table(found, width=width(), colour=colour())
        failure = terminal.failure(found, colour=colour())
        return f"{table}\n{failure}" if failure else table

    return _reported(parsed, text)


def _write_page(parsed: argparse.Namespace, file: str) -> int:
    from engine.session.pages import page_of, write_to

    load_reading()
    environment = project.environment_of(parsed)
    with reading_history(environment.paths) as past:
        page = page_of(past, past.find(parsed.run), environment)
    if file == "-":
        print_parts([page])
        return 0
    try:
        write_to(page, Path(file))
    except OSError as error:
        raise EngineError(
            f"cannot write '{file}': {(error.strerror or str(error)).lower()}",
            hint="name a file in a folder that this user can write in",
        ) from None
    print_result(f"page: {file}")
    return 0


def _reported(parsed: argparse.Namespace, text: Callable[[dict[str, Any]], str]) -> int:
    from engine.session.reporting import build_page, build_report

    load_reading()
    paths = project.paths_of(parsed)
    environment = project.environment_of(parsed)
    with reading_history(paths) as past:
        run_id = past.find(parsed.run)
        if parsed.json and parsed.limit is None:
            found = build_report(past, run_id, environment)
        else:
            most = min(parsed.limit or terminal.ROWS_MAX, sys.maxsize)
            found = build_page(past, run_id, environment, most)
    found = masked(found, environment.secrets)
    if parsed.json:
        print_parts(json_text(found))
    else:
        print_result(text(found))
    return 0
