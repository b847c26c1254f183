"""Runs whose engine died: found by their free lock, ended once, with what is surely known."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.errors import StoreError
from engine.events import BackOff, Claim, EndAttempt
from engine.model import AttemptOutcome, StepStatus
from engine.produced import OutputFile
from store import locks
from store.connection import Database
from store.database import open_writer
from store.history import History
from store.journal import Journal
from store.new_run import TakenOver
from store.reconcile import Found, Said, reconcile
from tests.store.filled import a_run, begun, dead_owner, did, end, journal_of, settle, us

NOW_US = us(1000.0)


def ended(
    database: Database,
    *,
    mine: locks.RunLock | None = None,
    publish: Callable[[Iterable[OutputFile]], None] = lambda _: None,
    why: str = "",
) -> list[int]:
    """Reconcile, alerting slack; gives the numbers of the runs ended."""
    found = reconcile(
        database,
        mine=mine,
        channels=lambda _: ["slack"],
        now_us=NOW_US,
        publish=publish,
        said=Said(why),
    )
    return [one.run_id for one in found]


def rows(database: Database, sql: str) -> list[tuple[Any, ...]]:
    """Ask the store."""
    return database.raw.execute(sql).fetchall()


@pytest.fixture
def dead(database: Database) -> Journal:
    """Give a run whose engine died as it ran `b` and `c`, with `d` backing off, before `e`.

    Of `b` a lane had marked the start, of `c` none.
    """
    lock = locks.acquire(database.path, "flow")
    assert lock is not None
    journal = begun(database, "a b>a c>a d>a e>d f", owner=dead_owner())
    did(journal, 0, at=0.0, took=1.0)
    journal.commit_tick([Claim(1, 1, 2.0, report=False), Claim(2, 1, 2.0, report=False)])
    lock.begin(locks.Owner("flow.lock", 1, "gone", 1))
    lock.mark(0, locks.Mark(journal.run_id, 1, 1, us(2.5)))
    lock.mark(1, locks.Mark(journal.run_id + 7, 2, 1, us(2.5)))
    lock.release()
    journal.commit_tick([Claim(3, 1, 2.0, report=False)])
    failed = EndAttempt(3, 1, AttemptOutcome.FAILED, 2.0, 3.0, "boom")
    journal.commit_tick([failed, BackOff(3, 1, 60.0)])
    settle(journal, 5, "skipped", at=4.0, note="condition false")
    return journal


def test_attempts_are_abandoned_with_what_is_known(database: Database, dead: Journal) -> None:
    """A start is recorded only where a lane marked it; there is no end."""
    assert ended(database) == [dead.run_id]
    sql = "SELECT position, number, outcome, started_at, finished_at, error FROM attempt_rows"
    assert rows(database, sql + " ORDER BY 1") == [
        (0, 1, "ok", us(0.0), us(1.0), None),
        (1, 1, "abandoned", us(2.5), None, "its engine died"),
        (2, 1, "abandoned", None, None, "its engine died; may not have started"),
        (3, 1, "failed", us(2.0), us(3.0), "boom"),
    ]


def test_steps_are_told_apart(database: Database, dead: Journal) -> None:
    """What ran, what waited for its retry, what had not begun, what had ended."""
    ended(database)
    shown = {r["step"]: (r["status"], r["note"]) for r in History(database).steps(dead.run_id)}
    assert shown == {
        "a": ("ok", ""),
        "b": ("interrupted", "its engine died"),
        "c": ("interrupted", "its engine died"),
        "d": ("interrupted", "its engine died before the retry"),
        "e": ("cancelled", "not started"),
        "f": ("skipped", "condition false"),
    }


def test_the_run_ends_with_its_last_sign(database: Database, dead: Journal) -> None:
    """The note names the process; the end is the last time recorded, not now."""
    ended(database)
    run = History(database).run(dead.run_id)
    owner = rows(database, "SELECT owner FROM run_rows")[0][0]
    process = locks.Owner.from_text(owner)
    assert process is not None
    assert run["status"] == "interrupted"
    assert run["finished_at"] == "2011-11-14T00:00:04.000Z"
    assert run["note"] == (
        f"its engine died (process {process.pid}); the end is the last thing it recorded"
    )


def test_it_alerts_once(database: Database, dead: Journal) -> None:
    """The alert comes with the end; a second look finds nothing."""
    assert ended(database) == [dead.run_id]
    assert ended(database) == []
    alerts = History(database).alerts()
    assert [(row["run_id"], row["channel"]) for row in alerts] == [(dead.run_id, "slack")]
    assert alerts[0]["created_at"] == "2011-11-14T00:16:40.000Z"


def test_a_run_that_did_nothing(database: Database) -> None:
    """It ends where it began."""
    begun(database, "a b>a", at=7.0, owner=dead_owner())
    ended(database)
    run = History(database).run(1)
    assert run["finished_at"] == run["started_at"] == "2011-11-14T00:00:07.000Z"


def test_what_was_carried_is_interrupted(database: Database) -> None:
    """A step that waited for a retry of an earlier run is still one that was tried."""
    carried = [
        TakenOver(0, StepStatus.CACHED, "ok in run 1", source_run=1),
        TakenOver(1, used=1, retry_at=us(50.0)),
        TakenOver(2, used=1),
    ]
    a_run(database)
    journal = begun(
        database, "a b c", owner=dead_owner(), resumed_from=1, root_run=1, taken_over=carried
    )
    seen = [(r["status"], r["note"]) for r in History(database).steps(journal.run_id)]
    ended(database)
    recorded = [(r["status"], r["note"]) for r in History(database).steps(journal.run_id)]
    assert recorded == [
        ("cached", "ok in run 1"),
        ("interrupted", "its engine died before the retry"),
        ("cancelled", "not started"),
    ]
    assert seen == recorded


def test_a_reader_is_shown_what_will_be_recorded(database: Database, dead: Journal) -> None:
    """Status and note of each step are the same before as after."""
    before = [(r["step"], r["status"], r["note"]) for r in History(database).steps(dead.run_id)]
    ended(database)
    after = [(r["step"], r["status"], r["note"]) for r in History(database).steps(dead.run_id)]
    assert before == after


def test_a_live_lock_is_left_alone(database: Database, dead: Journal) -> None:
    """While it is held nothing is known, and nothing changed."""
    lock = locks.acquire(database.path, "flow")
    assert lock is not None
    assert ended(database) == []
    assert History(database).alerts() == []
    assert rows(database, "SELECT status FROM run_rows") == [("running",)]
    lock.release()
    assert ended(database) == [dead.run_id]


def test_the_callers_own_lock_is_a_free_one(database: Database, dead: Journal) -> None:
    """Whoever holds the lock knows that the engine before is dead; its marks still count."""
    lock = locks.acquire(database.path, "flow")
    assert lock is not None
    assert ended(database, mine=lock) == [dead.run_id]
    sql = "SELECT started_at FROM attempt_rows WHERE position = 1"
    assert rows(database, sql) == [(us(2.5),)]
    lock.release()


def test_the_lock_of_its_own_parameters(database: Database) -> None:
    """The row names the lock, whatever the workflow says of overlap now."""
    begun(database, owner=dead_owner("flow@1"))
    begun(database, owner=dead_owner("flow@2"))
    lock = locks.acquire(database.path, "flow@2")
    assert lock is not None
    assert ended(database) == [1]
    lock.release()


def test_an_owner_that_cannot_be_read(database: Database) -> None:
    """The workflow's lock decides, and the note names nobody."""
    journal = begun(database, owner="?")
    assert ended(database) == [journal.run_id]
    note = "its engine died; the end is the last thing it recorded"
    assert History(database).run(1)["note"] == note


def test_a_run_that_ended_meanwhile_is_not_ended_again(
    database: Database, dead: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look and the lock its engine may have finished, or another have been here."""
    second = open_writer(database.path)
    acquire = locks.acquire

    def beaten(store: Path, name: str) -> locks.RunLock | None:
        end(journal_of(second, dead.run_id), "ok", at=9.0)
        return acquire(store, name)

    with monkeypatch.context() as patched:
        patched.setattr(locks, "acquire", beaten)
        assert ended(database) == []
    second.close()
    assert rows(database, "SELECT status, note FROM run_rows") == [("ok", "")]
    assert rows(database, "SELECT count(*) FROM attempt_rows WHERE outcome = 'abandoned'") == [(0,)]
    assert History(database).alerts() == []


def test_two_at_once(database: Database, dead: Journal) -> None:
    """One of them ends the run, and there is one alert."""
    import threading

    second = open_writer(database.path)
    gate = threading.Barrier(2)
    found: list[list[int]] = []

    def go(one: Database) -> None:
        gate.wait()
        found.append(ended(one))

    threads = [threading.Thread(target=go, args=[one]) for one in (database, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    second.close()
    assert sorted(found) == [[], [dead.run_id]]
    assert len(History(database).alerts()) == 1


# -- pending renames ------------------------------------------------------------------------------

FILES = [OutputFile(f"/tmp/.{name}", f"/tmp/{name}", name * 64, 1) for name in "ab"]


def test_pending_renames_are_finished(database: Database) -> None:
    """Those of runs that have ended, each step's together, once."""
    journal = begun(database, "a b c", owner=dead_owner())
    did(journal, 0, files=FILES)
    did(journal, 1, files=[replace(FILES[0], target="/tmp/c")])
    did(journal, 2, files=[replace(FILES[0], target="/tmp/d")])
    journal.mark_published([1])
    published: list[list[OutputFile]] = []
    ended(database, publish=lambda files: published.append(list(files)))
    assert published == [FILES, [replace(FILES[0], target="/tmp/d")]]
    published.clear()
    ended(database, publish=lambda files: published.append(list(files)))
    assert published == []


def test_renames_of_a_live_run_are_its_own(database: Database) -> None:
    """They are between its commit and its rename."""
    lock = locks.acquire(database.path, "flow")
    assert lock is not None
    did(begun(database, "a", owner=locks.this_process("flow.lock").to_text()), 0, files=FILES)
    published: list[OutputFile] = []
    ended(database, publish=published.extend)
    assert published == []
    lock.release()


def test_a_rename_that_cannot_be_made_stops_nothing(database: Database) -> None:
    """A resume will find the file gone; others are made all the same."""
    journal = begun(database, "a b", owner=dead_owner())
    did(journal, 0, files=FILES[:1])
    did(journal, 1, files=FILES[1:])
    published = []

    def publish(files: Iterable[OutputFile]) -> None:
        first = next(iter(files))
        if first == FILES[0]:
            raise StoreError("gone")
        published.append(first)

    assert ended(database, publish=publish) == [1]
    assert published == FILES[1:]


def test_found_names_the_run(database: Database, dead: Journal) -> None:
    """Whoever chooses the channels knows which run it is for."""
    asked: list[Found] = []

    def channels(found: Found) -> Iterable[str]:
        asked.append(found)
        return []

    reconcile(database, mine=None, channels=channels, now_us=NOW_US, publish=lambda _: None)
    assert [(one.run_id, one.workflow) for one in asked] == [(dead.run_id, "flow")]


def test_who_had_asked_for_the_end_is_told(database: Database, dead: Journal) -> None:
    """A run that was to be cancelled is, whatever else ended it; readers show that before."""
    with database.write() as cursor:
        cursor.execute("INSERT INTO cancel_rows VALUES (?, 1, 'ann')", (dead.run_id,))
    shown = History(database).run(dead.run_id)
    died = "cancelled by ann; its engine died (process "
    assert (shown["status"], shown["note"].startswith(died)) == ("cancelled", True)
    assert History(database).past(dead.run_id).status == "cancelled"
    assert ended(database) == [dead.run_id]
    status, note = rows(database, "SELECT status, note FROM run_rows")[0]
    assert (status, note.startswith(died)) == ("cancelled", True)
    assert not History(database).unfinished("flow")


def test_a_failure_in_this_process_ends_its_own_run_only(database: Database) -> None:
    """Where the lock's file was removed, another engine may have a run under the same name."""
    lock = locks.acquire(database.path, "flow")
    assert lock is not None
    ours = locks.this_process(lock.name)
    mine = begun(database, owner=ours.to_text())
    mine.commit_tick([Claim(0, 1, None, report=False)])
    begun(database, owner=replace(ours, pid=1).to_text())
    assert ended(database, mine=lock, why="no luck") == [mine.run_id]
    assert rows(database, "SELECT id, status, note FROM run_rows") == [
        (1, "interrupted", "no luck"),
        (2, "running", ""),
    ]
    told = rows(database, "SELECT error FROM attempt_rows")
    assert told == [("its engine stopped; may not have started",)]
    assert rows(database, "SELECT note FROM step_rows WHERE position = 0") == [
        ("its engine stopped",)
    ]
    lock.release()
