"""What there is, a line each: the workflows of a project, the runs of a store."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, tzinfo
from typing import Any

from engine.reports.grid import Cell, Column, grid, paint
from engine.reports.terminal import LOOKS, UNKNOWN, elapsed_s
from engine.slots import paused_by
from engine.text import human_duration, human_time, only, printable, rough_duration
from engine.zones import head_of, zone_named

WORKFLOW_HEAD = (
    Column("WORKFLOW", least=8),
    Column("STEPS", right=True, drop=4),
    Column("SCHEDULE", least=10, drop=3),
    Column("NEXT", drop=1),
    Column("LAST RUN", least=17),
    Column("USUALLY", right=True, drop=2),
    Column("DESCRIPTION", least=12, drop=5),
)
STARTED = Column("STARTED", drop=2)
RUN_HEAD = (
    Column("RUN", right=True),
    Column("WORKFLOW", least=8),
    Column("STATUS"),
    STARTED,
    Column("DURATION", right=True, drop=3),
    Column("USUALLY", right=True, drop=4),
    Column("NOTE", least=12, drop=1),
)
INCIDENT_HEAD = (
    Column("INCIDENT", right=True, drop=4),
    Column("OF", least=16),
    Column("WHEN"),
    Column("FAILURES", right=True, drop=2),
    Column("LAST RUN", right=True, drop=3),
    Column("ERROR", least=12, drop=1),
)
FAR_OFF, FAR_OFF_S = 1.5, 1.0  # times and seconds from which a run's duration is told as unusual

Row = Mapping[str, Any]


def workflow_table(
    rows: Sequence[Row],
    *,
    now: datetime,
    width: int = 80,
    colour: bool = False,
) -> str:
    """Give a line for each workflow that can be loaded, then each that cannot, with its error.

    Times are in the zone that its file names, `tz`.
    """
    whole = [row for row in rows if not row["broken"]]
    lines: list[str] = []
    if whole:
        where = [(row, zone_named(row.get("tz"))) for row in whole]
        cells = [_cells(row, now, zone) for row, zone in where]
        lines += grid(WORKFLOW_HEAD, cells, width=width, colour=colour)
        lines += [_paused(row, now, zone) for row, zone in where if row.get("paused")]
    for row in rows:
        if row["broken"]:
            lines += [""] if lines else []
            lines.append(paint(f"✗ {printable(row['name'])} is broken", "red", on=colour))
            lines += [f"  {printable(line)}" for line in row["broken"].splitlines()]
    return "\n".join(lines)


def _cells(row: Row, now: datetime, zone: tzinfo | None) -> list[str | Cell]:
    usual_s = row.get("usual_s")
    return [
        row["name"],
        str(row["steps"]),
        _schedule(row),
        _next(row, now, zone),
        _last(row["last_run"], now),
        "" if usual_s is None else human_duration(usual_s),
        row["description"],
    ]


def _schedule(row: Row) -> str:
    """Give the schedule with its zone, once."""
    said, tz = row["schedule"] or "", row.get("tz") or ""
    return said if tz in said else f"{said} {tz}".strip()


def _next(row: Row, now: datetime, zone: tzinfo | None) -> str:
    """Give when a workflow is due next."""
    if row.get("paused"):
        return "paused"
    return human_time(row["next"], now, zone, says_zone=True) if row.get("next") else ""


def _paused(row: Row, now: datetime, zone: tzinfo | None) -> str:
    pause = row["paused"]
    end = pause["until"]
    until = human_time(end, now, zone, says_zone=True) if end else ""
    return printable(f"{row['name']} is {paused_by(pause['by'], pause['reason'], until)}")


def _last(run: Row | None, now: datetime) -> Cell:
    if run is None:
        return Cell("never", "dim")
    status = run["status"]
    sign, tone, _ = LOOKS.get(status, UNKNOWN)
    bound = only(json.loads(run["only_steps"] or "[]"))
    said = f"{sign} {status}" + (f" ({bound})" if bound else "")
    age = _age(run["started_at"], now)
    when = f"for {age}" if status == "running" else f"{age} ago"
    return Cell(f"{said}, {when}", tone)


def _age(iso: str, now: datetime) -> str:
    at = datetime.fromisoformat(iso)
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    return rough_duration((now - at).total_seconds())


# -- incidents -------------------------------------------------------------------------------------


def incident_table(
    rows: Sequence[Row],
    *,
    now: datetime,
    zones: Mapping[str, tzinfo | None],
    width: int = 80,
    colour: bool = False,
) -> str:
    """Give a line for each incident, in the order given; times are in its workflow's of `zones`."""
    cells = [_incident(row, now, zones[row["workflow"]]) for row in rows]
    return "\n".join(grid(INCIDENT_HEAD, cells, width=width, colour=colour))


def _incident(row: Row, now: datetime, zone: tzinfo | None) -> list[str | Cell]:
    since = human_time(row["opened_at"], now, zone, says_zone=True)
    when = Cell(f"open since {since}", LOOKS["failed"][1])
    if row["closed_at"]:
        when = Cell(f"{since} to {human_time(row['closed_at'], now, zone, says_zone=True)}")
    return [
        str(row["id"]),
        " / ".join(word for word in (row["workflow"], row["step"]) if word),
        when,
        str(row["failures"]),
        str(row["last_run"]),
        _short(row["error"]),
    ]


_FOLDERS = re.compile(r"/(?:[^/:\n]*/)*(?=[^/:\n]+:\d+)")  # of a place: `/srv/p/flow.yaml:3:1`


def _short(text: str) -> str:
    """Leave out the folders of the place that a fault of a file begins with: room is scarce."""
    return text[found.end() :] if (found := _FOLDERS.match(text)) else text


# -- runs ------------------------------------------------------------------------------------------


def history_table(
    runs: Sequence[Row],
    *,
    now: datetime,
    tz: tzinfo | None = None,
    width: int = 80,
    colour: bool = False,
) -> str:
    """Give one line a run, in the order given; rows have the columns of the table `runs`.

    With `usual_s`, what a run usually takes is told of those that took much more or less. Times are
    in the run's `zone`, else in `tz`, and name the former: in the head if all are in the same.
    """
    if not runs:
        return "no runs"
    named = [zone_named(run.get("zone")) for run in runs]
    shared = named[0] if len(set(named)) == 1 else None
    rows: list[list[str | Cell]] = []
    for run, zone in zip(runs, named, strict=True):
        started = human_time(run.get("started_at"), now, zone or tz)
        sign, tone, _ = LOOKS.get(run["status"], UNKNOWN)
        rows.append(
            [
                str(run["id"]),
                run["workflow"],
                Cell(f"{sign} {run['status']}", tone),
                f"{started} {zone}" if zone and not shared else started,
                human_duration(_took_s(run, now)),
                _against(run),
                "; ".join(filter(None, (only(_only_steps(run)), _short(run.get("note") or "")))),
            ]
        )
    here = replace(STARTED, title=f"STARTED{head_of(shared)}") if shared else STARTED
    head = [here if column is STARTED else column for column in RUN_HEAD]
    return "\n".join(grid(head, rows, width=width, colour=colour))


def _took_s(run: Row, now: datetime) -> float | None:
    """Give what a run took, or has taken so far."""
    if run["status"] == "running":
        return elapsed_s(run.get("started_at"), now)
    found: float | None = run.get("duration_s")
    return found


def _against(run: Row) -> str:
    """Give what a run usually takes, where this one took much more or much less."""
    took, usual = run.get("duration_s"), run.get("usual_s")
    if run["status"] != "ok" or not took or not usual or _only_steps(run):
        return ""
    if abs(took - usual) < FAR_OFF_S or usual / FAR_OFF < took < usual * FAR_OFF:
        return ""
    return human_duration(usual)


def _only_steps(run: Row) -> list[str]:
    names: list[str] = json.loads(run.get("only_steps") or "[]")
    return names
