"""The commands that only look: nothing here writes to the store or makes a file."""

from __future__ import annotations

import argparse
import json
import os
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
from engine.params import described
from engine.reports import json_text, terminal
from engine.schedule.zones import known_zones
from engine.text import columns, human_time, only, pad, printable

if TYPE_CHECKING:
    from engine.model import Definition
    from engine.ports import Paths
    from store.pauses import Pause

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


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
    mask = project.secrets_of(paths).mask
    has_store = _has_store(paths)
    rows = [_listed(found, mask) for found in find_all(folder)]
    last, paused = _standing(paths, [row["name"] for row in rows]) if has_store else ({}, {})
    for row in rows:
        row["last_run"] = last.get(row["name"])
        row["paused"] = _pause(paused.get(row["name"]))
    if parsed.json:
        print_json(rows)
        return 0
    if not rows:
        print_result(f"no workflow in {folder}")
        return 0
    wide = max(columns(printable(row["name"])) for row in rows)
    for row in rows:
        print_result(_list_line(row, wide))
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


def _list_line(row: dict[str, Any], wide: int) -> str:
    name = pad(printable(row["name"]), wide)
    if row["broken"]:
        return f"{name}  broken: {printable(row['broken'].splitlines()[0])}"
    zone = known_zones({"": row["tz"]}).get("") if row["tz"] else None
    parts = [f"{row['steps']} step{'' if row['steps'] == 1 else 's'}"]
    if row["schedule"]:
        parts.append(printable(" ".join(filter(None, ("schedule", row["schedule"], row["tz"])))))
    if row["next"]:
        parts.append(f"next: {human_time(row['next'], SystemClock().utc(), zone)}")
    if row["paused"]:
        parts.append(_paused(row["paused"], zone))
    if row["last_run"]:
        last = row["last_run"]
        now = SystemClock().utc()
        bound = only(json.loads(last["only_steps"] or "[]"))
        status = f"{last['status']} ({bound})" if bound else last["status"]
        parts.append(f"last: {status}, {human_time(last['started_at'], now, zone)}")
    return f"{name}  {' · '.join(parts)}"


def _standing(paths: Paths, names: list[str]) -> tuple[dict[str, dict[str, Any]], dict[str, Pause]]:
    """Give the newest run of each workflow, and the pauses."""
    clock = SystemClock()
    with reading_history(paths) as history:
        paused = history.pauses(clock.stamp(clock.now()))
        found = {}
        for name in names:
            runs = history.runs(workflow=name, limit=1)
            if runs:
                shown = ("run_id", "status", "started_at", "only_steps")
                found[name] = {key: runs[0][key] for key in shown}
        return found, paused


def _pause(pause: Pause | None) -> dict[str, Any] | None:
    if pause is None:
        return None
    since, until = (at and f"{_EPOCH + timedelta(microseconds=at):%FT%TZ}" for at in pause.span)
    return {"by": pause.paused_by, "since": since, "until": until, "reason": pause.reason}


def _paused(pause: dict[str, Any], zone: tzinfo | None) -> str:
    until = human_time(pause["until"], SystemClock().utc(), zone) if pause["until"] else ""
    told = f"paused by {pause['by']}" + f" until {until}" * bool(until)
    return printable(f"{told}: {pause['reason']}" if pause["reason"] else told)


# -- runs -----------------------------------------------------------------------------------------


def history(parsed: argparse.Namespace) -> int:
    """List earlier runs."""
    paths = project.paths_of(parsed)
    now = SystemClock().utc()
    since = None if parsed.since is None else _since(parsed.since, now)
    rows: list[dict[str, Any]] = []
    zones: dict[str, tzinfo] = {}
    if _has_store(paths):
        with reading_history(paths) as past:
            zones = known_zones(past.zones())
            rows = past.runs(
                workflow=parsed.name,
                since=since,
                failed=parsed.failed,
                limit=min(parsed.limit, sys.maxsize),
            )
    if parsed.json:
        print_json(rows)
    elif rows:
        table = terminal.history_table(rows, now=now, zones=zones, width=width(), colour=colour())
        print_result(table)
    else:
        of = f" of '{printable(parsed.name)}'" if parsed.name else ""
        print_result(f"no runs{of} to show")
    return 0


_AGE = re.compile(r"(\d{1,100})([dhm])\Z")


def _since(text: str, now: datetime) -> str:
    match = _AGE.match(text)
    if match:
        unit = {"d": "days", "h": "hours", "m": "minutes"}[match[2]]
        try:
            return (now - timedelta(**{unit: int(match[1])})).strftime("%Y-%m-%dT%H:%M:%S")
        except OverflowError:
            return "0001-01-01T00:00:00"
    try:
        moment = datetime.fromisoformat(text)
        local = moment if moment.tzinfo else moment.astimezone()
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
        lambda report, tz: terminal.show(report, now=now, tz=tz, width=width(), colour=colour()),
    )


def report(parsed: argparse.Namespace) -> int:
    """Print a run's report as it stands at its end, or write its page."""
    if parsed.html is not None:
        return _write_page(parsed, parsed.html)

    def text(found: dict[str, Any], _: tzinfo | None) -> str:
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


def _reported(
    parsed: argparse.Namespace, text: Callable[[dict[str, Any], tzinfo | None], str]
) -> int:
    from engine.session.reporting import build_page, build_report
    from engine.session.zones import shown_zone

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
        zone = shown_zone(past, found["workflow"])
    if parsed.json:
        print_parts(json_text(found))
    else:
        print_result(text(found, zone))
    return 0


# -- logs -----------------------------------------------------------------------------------------


def logs(parsed: argparse.Namespace) -> int:
    """Print what the steps of a run logged and printed."""
    load_reading()
    paths = project.paths_of(parsed)
    with reading_history(paths) as past:
        run = past.run(past.find(parsed.run))
        folder = paths.home / "logs" / run["workflow"] / str(run["run_id"])
        found = _logs_in(folder, parsed.step)
        steps = {name for name, _ in found} | ({parsed.step} - {None})
        places = past.positions(run["run_id"], steps)
        if parsed.step is not None and parsed.step not in places:
            raise UsageError(
                f"run {run['run_id']} has no step '{parsed.step}'",
                hint=f"its steps: {', '.join(past.first_steps(run['run_id'], 20))}",
            )
    there = sorted(
        (places[step], number, step, path)
        for (step, number), path in found.items()
        if step in places
    )
    if parsed.json:
        print_json(
            [
                {"step": step, "attempt": number, "file": str(path), "lines": _lines(path)}
                for _, number, step, path in there
            ]
        )
        return 0
    for _, number, step, path in there:
        print_result(f"── {step}, attempt {number}: {path}")
        for line in _lines(path):
            print_result(line)
    if not there:
        of = f" by '{printable(parsed.step)}'" if parsed.step is not None else ""
        print_result(f"nothing was logged or printed{of} in run {run['run_id']}")
    return 0


_LOG = re.compile(r"(.+)\.([1-9][0-9]{0,8})\.log\Z", re.DOTALL)


def _logs_in(folder: Path, step: str | None) -> dict[tuple[str, int], Path]:
    """Give the logs in a run's folder, of one step only if it is given, by step and attempt."""
    try:
        names = os.listdir(folder)  # noqa: PTH208 - names, of a folder with thousands
    except OSError:
        return {}
    matches = filter(None, map(_LOG.match, names))
    return {
        (match[1], int(match[2])): folder / match[0]
        for match in matches
        if step in (None, match[1])
    }


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8", errors="replace").splitlines()
