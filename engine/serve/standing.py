"""How schedules stand as of now: paused, or passed over by what was to run them; open incidents."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from engine.moments import instant
from engine.reports.html.troubles import Trouble
from engine.session.schedules import missing
from engine.session.zones import zone_of_workflow
from engine.slots import paused_by
from engine.text import human_time

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.serve.looking import Look
    from engine.session.environment import Environment
    from store.pauses import Pause

PASSED_MAX = 10
TROUBLES_MAX = 20


class Standing(NamedTuple):
    """What is told of workflows, by their names: of pauses, and of runs that never came."""

    paused: Mapping[str, str]
    missing: Mapping[str, str]


def standing_of(found: Look, environment: Environment) -> Standing:
    """Look at the pauses, and for what is missing."""
    clock = environment.clock
    pauses = found.history.pauses(clock.stamp(clock.now()))

    def told(pause: Pause) -> str:
        zone, until = zone_of_workflow(found.history, pause.workflow), pause.until
        shown = human_time(_iso(until), clock.utc(), zone, says_zone=True) if until else ""
        return paused_by(pause.paused_by, pause.reason, shown)

    return Standing(
        {name: told(pause) for name, pause in pauses.items()},
        {one.workflow: missing.which(one) for one in missing.look(found.database, environment)},
    )


def passed_of(found: Look, workflow: str, now: datetime) -> list[tuple[str, str]]:
    """Give the newest slots of a workflow that have no run, and why each has none."""
    passed = found.history.passed_over(workflow, PASSED_MAX)
    zone = zone_of_workflow(found.history, workflow)
    return [(human_time(_iso(slot), now, zone, says_zone=True), why) for slot, why in passed]


def _iso(us: int) -> str:
    return str(instant(us))


def troubles_of(found: Look, workflow: str | None = None) -> tuple[list[Trouble], int]:
    """Give the open incidents, the oldest first, so many as are shown; and how many they are."""
    rows = found.history.incidents(workflow)
    shown = [
        Trouble(
            row["workflow"],
            row["step"] or "",
            row["opened_at"],
            row["failures"],
            row["last_run"],
            row["error"],
            found.history.zone_name(row["workflow"]),
        )
        for row in rows[:TROUBLES_MAX]
    ]
    return shown, len(rows)
