"""What goes with no run goes by its age: a store of a run every minute does not grow for ever."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from store import outlived, pauses, prune, retention, slots
from store.connection import Database
from store.memory import memory_store
from store.retention import Limits
from tests.store.filled import us
from tests.store.test_incidents import run

DAY = 86_400.0


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """Give a store in memory, and leave no gaps for others, of whom there are none."""
    monkeypatch.setattr(prune, "PAUSE_S", 0.0)
    with closing(memory_store(Path("/proc/none/runs.db"))) as database:
        yield database


def sent(database: Database) -> None:
    """Let all alerts be delivered."""
    database.raw.execute("UPDATE alert_rows SET status = 'sent', owner = NULL")


def let_go(database: Database, before: float, workflows: tuple[str, ...] = ("flow",)) -> None:
    """Prune workflows, keeping two runs of each."""
    limits = Limits(us(before), 2)
    for name in workflows:
        with database.read() as cursor:
            due = retention.due(cursor, name, limits)
        verdicts = prune.mark(database, name, limits, due, us(before))
        prune.take_away(database, verdicts, lambda: True)
        while slots.let_go(database, name, limits.before_us, us(before)):
            pass
    while outlived.let_go(database, limits.before_us, us(before)):
        pass


def incidents(database: Database) -> list[int]:
    """Name the incidents that are kept."""
    return [row[0] for row in database.raw.execute("SELECT id FROM incident_rows ORDER BY id")]


def test_incidents_that_are_over_go_by_their_end(memory: Database) -> None:
    """With their alerts, which go with the runs; one with an alert to deliver stays."""
    for day in range(6):
        run(memory, "a", "ok" if day % 2 else "ValueError: x", at=day * DAY)
    let_go(memory, 9 * DAY)
    assert incidents(memory) == [1, 2, 3]  # nobody has heard of them
    sent(memory)
    let_go(memory, 2 * DAY)
    assert incidents(memory) == [2, 3]
    let_go(memory, 9 * DAY)
    assert incidents(memory) == [3]  # of the last failure, and the run after it
    assert memory.raw.execute("SELECT DISTINCT run_id FROM alert_rows").fetchall() == [(5,), (6,)]


def test_an_open_incident_goes_with_the_run_that_failed_last(memory: Database) -> None:
    """Until then it is listed, however old it is."""
    run(memory, "a", "ValueError: x")
    for day in (1, 2, 3):
        run(memory, "a", "TypeError: x", at=day * DAY)
    sent(memory)
    let_go(memory, 0.0)
    assert incidents(memory) == [1, 2]
    let_go(memory, 9 * DAY)  # the last failure is kept, whatever its age
    assert incidents(memory) == [2]


def test_alerts_of_no_run(memory: Database) -> None:
    """The newest of a workflow and kind tells what was told; what is to be sent stays."""
    for at, status in enumerate(("sent", "given_up", "pending", "sent", "sent")):
        memory.raw.execute(
            """INSERT INTO alert_rows
                 (channel, status, created_at, kind, workflow, facts, tries, error)
               VALUES ('slack', ?, ?, 'missing', 'flow', '{}', 0, '')""",
            (status, us(at * DAY)),
        )
    let_go(memory, 3 * DAY)
    assert memory.raw.execute("SELECT id FROM alert_rows").fetchall() == [(3,), (4,), (5,)]
    let_go(memory, 9 * DAY)
    assert memory.raw.execute("SELECT id FROM alert_rows").fetchall() == [(3,), (5,)]


def told(database: Database, kind: str, workflow: str, at: float, facts: str) -> None:
    """Record an alert of no run that is sent."""
    database.raw.execute(
        """INSERT INTO alert_rows (channel, status, created_at, kind, workflow, facts, tries, error)
           VALUES ('slack', 'sent', ?, ?, ?, ?, 1, '')""",
        (us(at), kind, workflow, facts),
    )


def test_a_digest_stays_that_told_last_of_a_workflow(memory: Database) -> None:
    """Else a slot of a rare schedule would be told of again; so would one by a clock put right."""
    told(memory, "digest", "daily", 0.0, '{"told": {"daily": 1, "my-year": 1}}')
    told(memory, "digest", "daily", DAY, '{"told": {"daily": 2}}')
    told(memory, "digest", "daily", 2 * DAY, '{"told": {"daily": 3}}')
    told(memory, "missing", "rare", 0.0, '{"until": 1}')
    told(memory, "missing", "rare", 99 * DAY, '{"until": 9}')
    let_go(memory, 9 * DAY)
    left = memory.raw.execute("SELECT id FROM alert_rows ORDER BY id").fetchall()
    assert left == [(1,), (3,), (4,), (5,)]
    told(memory, "missing", "my-year", 3 * DAY, '{"until": 2}')
    let_go(memory, 9 * DAY)
    left = memory.raw.execute("SELECT id FROM alert_rows ORDER BY id").fetchall()
    assert left == [(3,), (4,), (5,), (6,)]


def test_a_damaged_digest_is_let_go_like_others(memory: Database) -> None:
    """What it told of cannot be read, and keeps nothing from going."""
    told(memory, "digest", "daily", 0.0, '{"to')
    told(memory, "digest", "daily", DAY, '{"told": {"daily": 2}}')
    told(memory, "digest", "daily", 2 * DAY, '{"to')
    let_go(memory, 9 * DAY)
    left = memory.raw.execute("SELECT id FROM alert_rows ORDER BY id").fetchall()
    assert left == [(2,), (3,)]


def test_pauses_that_have_ended(memory: Database) -> None:
    """The newest stays, and those that a slot still to be decided may have come due in."""
    for day in range(3):
        new = pauses.Pause("flow", us(day * DAY), "ann", None, "moving", None)
        pauses.pause(memory, new)
        pauses.unpause(memory, "flow", at_us=us(day * DAY + 1), by="ann")
    with memory.write() as cursor:
        slots.note(cursor, "flow", ("daily", ""), {}, us(0.0))
    let_go(memory, 9 * DAY)
    assert memory.raw.execute("SELECT count(*) FROM pause_rows").fetchone() == (3,)
    with memory.write() as cursor:
        slots.pass_over(cursor, "flow", [(us(99 * DAY), "missed")], us(0.0))  # a clock was ahead
    let_go(memory, 9 * DAY)
    assert memory.raw.execute("SELECT count(*) FROM pause_rows").fetchone() == (3,)
    with memory.write() as cursor:
        slots.pass_over(cursor, "flow", [(us(0.5 * DAY), "missed")], us(DAY))
    let_go(memory, 9 * DAY)
    assert memory.raw.execute("SELECT count(*) FROM pause_rows").fetchone() == (2,)
    with memory.write() as cursor:
        slots.forget(cursor, "flow")
    let_go(memory, 9 * DAY)
    assert memory.raw.execute("SELECT paused_at FROM pause_rows").fetchall() == [(us(2 * DAY),)]


def test_a_run_every_hour_for_long_fills_no_store(memory: Database) -> None:
    """All tables hold what was of late, though each third run fails and slots are missed."""
    sizes = []
    for hour in range(60):
        at = hour * 3_600.0
        word = "ok" if hour % 3 else f"ValueError: {hour}"
        run(memory, "a", word, at=at, slot=us(at))
        with memory.write() as cursor:
            slots.pass_over(cursor, "flow", [(us(at) - 1, "missed")], us(at))
            slots.pass_over(cursor, "paused", [(us(at), "paused by ann")], us(at))
        sent(memory)
        let_go(memory, at - 10 * 3_600.0, ("flow", "paused"))
        tables = ("run_rows", "slot_rows", "incident_rows", "alert_rows", "attempt_rows")
        counted = ", ".join(f"(SELECT count(*) FROM {table})" for table in tables)
        sizes.append(memory.raw.execute(f"SELECT {counted}").fetchone())
    assert sizes[-1] == sizes[-4] == sizes[-31]
    assert max(sizes[-1]) <= 33
