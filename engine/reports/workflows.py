"""The workflows of a project as a table: when each runs, how it went and how long it takes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from engine.reports.grid import Cell, Column, grid, paint
from engine.reports.terminal import LOOKS, UNKNOWN
from engine.text import human_duration, only, printable, rough_duration

HEAD = (
    Column("WORKFLOW", least=8),
    Column("STEPS", right=True, drop=3),
    Column("SCHEDULE", least=10, drop=2),
    Column("LAST RUN", least=12),
    Column("USUALLY", right=True, drop=1),
    Column("DESCRIPTION", least=16, drop=4),
)

Row = Mapping[str, Any]


def workflow_table(
    rows: Sequence[Row], *, now: datetime, width: int = 80, colour: bool = False
) -> str:
    """Give a line for each workflow that can be loaded, then each that cannot, with its error."""
    whole = [row for row in rows if not row["broken"]]
    lines: list[str] = []
    if whole:
        cells = [_cells(row, now) for row in whole]
        lines += grid(HEAD, cells, width=width, colour=colour)
    for row in rows:
        if row["broken"]:
            lines += [""] if lines else []
            lines.append(paint(f"✗ {printable(row['name'])} is broken", "red", on=colour))
            lines += [f"  {printable(line)}" for line in row["broken"].splitlines()]
    return "\n".join(lines)


def _cells(row: Row, now: datetime) -> list[str | Cell]:
    usual_s = row.get("usual_s")
    return [
        row["name"],
        str(row["steps"]),
        row["schedule"] or "",
        _last(row["last_run"], now),
        "" if usual_s is None else human_duration(usual_s),
        row["description"],
    ]


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
