"""Pruning: what may go goes, what is kept can still be gone on from, and a crash is made good."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import SupersededError
from engine.events import Decide, EndStep
from engine.model import RunStatus, StepStatus
from engine.produced import OutputFile
from store import prune, retention
from store.connection import Database
from store.database import open_writer
from store.history import History
from store.journal import begin_run, queue_alerts, record_ended_run
from store.new_run import Marked, Reused, TakenOver
from store.reconcile import reconcile
from store.retention import Limits, Verdict
from store.views import VIEWS
from tests.store.filled import (
    NO_SHA,
    a_run,
    begun,
    did,
    dies,
    end,
    finished,
    journal_of,
    killed,
    new_run,
    python,
    settle,
    us,
    value,
)

NOW_US = us(1_000_000.0)
ALL = Limits(us(900_000.0), 1)  # every run of these tests ended before that; the newest one stays


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave no gaps for others, of whom there are none."""
    monkeypatch.setattr(prune, "PAUSE_S", 0.0)


def rows(database: Database, sql: str) -> list[tuple[Any, ...]]:
    """Ask the store."""
    return database.raw.execute(sql).fetchall()


def pruned(database: Database, limits: Limits = ALL, workflow: str = "flow") -> list[Verdict]:
    """Prune a workflow, in one go."""
    with database.read() as cursor:
        due = retention.due(cursor, workflow, limits)
    verdicts = prune.mark(database, workflow, limits, due, NOW_US)
    done = prune.take_away(database, verdicts, lambda: True)
    assert done == verdicts
    return done


def gone(verdicts: list[Verdict]) -> tuple[list[int], list[int]]:
    """Runs that go whole, and those of which the row stays."""
    return (
        sorted(verdict.run_id for verdict in verdicts if verdict.row),
        sorted(verdict.run_id for verdict in verdicts if not verdict.row),
    )


def continued(database: Database, past: int, status: str = "ok", **more: Any) -> int:
    """Go on from a run whose `a` was ok: `a` is cached, `b` is done."""
    history = History(database)
    run = history.past(past)
    source = run.steps[0].source_run
    over = [TakenOver(0, StepStatus.CACHED, "", source_run=source)]
    more = {"resumed_from": past, "root_run": run.root_run, "taken_over": over} | more
    journal = begun(database, "a b>a", **more)
    did(journal, 1, outcomes="ok" if status == "ok" else "failed")
    end(journal, status)
    return journal.run_id


def first_of_chain(database: Database, **more: Any) -> int:
    """Begin a chain: `a` is ok and left a value, `b` failed."""
    journal = begun(database, "a b>a", context=[("seed", value())], **more)
    did(journal, 0, writes=[("k", value(b'"v"'))])
    did(journal, 1, outcomes="failed")
    end(journal, "failed")
    return journal.run_id


# -- what is kept ---------------------------------------------------------------------------------


def test_age_and_number_must_both_let_a_run_go(database: Database) -> None:
    """A run goes if it ended too long ago and is not among the newest of its workflow."""
    for at in (0.0, 10.0, 20.0, 30.0):
        a_run(database, "cancelled", at=at)
    for workflow in ("other", "third"):
        a_run(database, "cancelled", workflow=workflow)
    assert gone(pruned(database, Limits(us(25.0), 3))) == ([1], [])
    assert gone(pruned(database, Limits(us(12.0), 1))) == ([], [])
    assert gone(pruned(database, Limits(us(12.1), 1))) == ([2], [])
    with database.read() as cursor:
        assert retention.workflows(cursor) == ["flow", "other", "third"]
        assert retention.due(cursor, "nobody", ALL) == []


def test_the_last_failure_stays_whole(database: Database) -> None:
    """The newest that failed or was interrupted at its steps; a bad definition does not count."""
    a_run(database, "failed", at=1.0)
    a_run(database, "interrupted", at=2.0)
    record_ended_run(database, new_run("", at=3.0), RunStatus("failed"))
    a_run(database, "cancelled", at=4.0)
    assert gone(pruned(database)) == ([1, 3], [])
    assert rows(database, "SELECT id, pruned_at FROM runs ORDER BY id") == [(2, None), (4, None)]
    assert rows(database, "SELECT count(*) FROM attempts WHERE run_id = 2") == [(1,)]


def test_of_each_set_of_parameters_the_last_ok_row_stays(database: Database) -> None:
    """So `--once` still knows; its values, files and numbers of steps are another matter."""
    for params in ('{"n":1}', '{"n":2}', '{"n":1}'):
        journal = begun(database, "a b>a", params=params)
        file = OutputFile("/tmp/.x", "/tmp/x", NO_SHA, 0)
        did(journal, 0, writes=[("k", value())], files=[file])
        journal.mark_published([0])
        settle(journal, 1, "skipped", note="condition false")
        end(journal)
    a_run(database, "cancelled")
    assert gone(pruned(database)) == ([1], [2, 3])
    history = History(database)
    assert history.succeeded("flow", '{"n":1}', "") == 3
    assert history.succeeded("flow", '{"n":2}', "") == 2
    assert history.run(3)["pruned_at"] == "2011-11-25T13:46:40.000Z"
    assert history.run(3)["note"] == "its values, logs and report were pruned"
    assert [step["status"] for step in history.steps(3)] == ["ok", "skipped"]
    assert rows(database, "SELECT * FROM output_rows") == []
    assert rows(database, "SELECT * FROM file_rows") == []
    assert pruned(database) == []


def test_a_row_goes_when_another_takes_its_place(database: Database) -> None:
    """One row for each set of parameters, however often the runs go bare."""
    for at in range(3):
        a_run(database, at=float(at))
        a_run(database, "cancelled", at=float(at))
        pruned(database)
        assert rows(database, "SELECT count(*) FROM run_rows WHERE status = 'ok'") == [(1,)]
    assert gone(pruned(database)) == ([], [])


def test_what_still_has_something_to_do_stays(database: Database) -> None:
    """An alert to deliver, a file to publish, a run that is on."""
    for _ in range(3):
        a_run(database, "cancelled")
    journal = begun(database, "a")
    did(journal, 0, files=[OutputFile("/tmp/.x", "/tmp/x", NO_SHA, 0)])
    end(journal, "cancelled")
    begun(database, "a", owner="")
    a_run(database, "cancelled")
    with database.write() as cursor:
        queue_alerts(cursor, 1, ["slack"], 0)
        queue_alerts(cursor, 2, ["slack", "email"], 0)
        cursor.execute("UPDATE alert_rows SET status = 'sent' WHERE run_id = 1")
        cursor.execute("UPDATE alert_rows SET status = 'sending' WHERE id = 3")
    assert gone(pruned(database)) == ([1, 3], [])
    assert rows(database, "SELECT DISTINCT run_id FROM alert_rows") == [(2,)]


def test_what_a_kept_run_goes_on_from_stays_whole(database: Database) -> None:
    """At any distance: values of cached steps, the initial context of the first run."""
    first = first_of_chain(database)
    second = continued(database, first, "failed", at=1.0)
    third = continued(database, second, "failed", at=2.0)
    assert gone(pruned(database)) == ([], [])
    history = History(database)
    assert history.past(third).steps[0].source_run == first
    assert history.load(first, "a", "k") == value(b'"v"')
    assert history.keys(history.initial_run(third))[""] == ["seed"]
    a_run(database, "failed", at=3.0)
    assert gone(pruned(database)) == ([1, 2, 3], [])


def test_what_a_bare_row_goes_on_from_is_a_bare_row(database: Database) -> None:
    """It says from where it went on; nobody can go on from it any more."""
    first = first_of_chain(database)
    second = continued(database, first, "cancelled")
    continued(database, second)
    a_run(database, "failed", params="[]", at=50.0)
    assert gone(pruned(database)) == ([], [1, 2, 3])
    a_run(database)
    a_run(database, "failed", params="[]", at=60.0)
    assert gone(pruned(database)) == ([1, 2, 3, 4], [5])


def chosen(database: Database, source: int, status: str = "ok", **more: Any) -> int:
    """Run step `b` alone, on what `a` left in run `source`."""
    kept = TakenOver(0, StepStatus.CACHED, f"not chosen; ok in run {source}", source)
    journal = begun(database, "a b>a", only_steps='["b"]', taken_over=[kept], **more)
    did(journal, 1)
    end(journal, status)
    return journal.run_id


def test_runs_of_chosen_steps_go_by_age_alone(database: Database) -> None:
    """None stands for the last failure, or for the last ok run of its parameters."""
    a_run(database, at=1.0)
    a_run(database, "failed", at=2.0)
    chosen(database, 1, "failed", at=3.0)
    chosen(database, 1, at=4.0)
    a_run(database, "cancelled", at=5.0)
    assert gone(pruned(database)) == ([3, 4], [1])
    assert rows(database, "SELECT id FROM runs ORDER BY id") == [(1,), (2,), (5,)]


def test_what_a_kept_run_of_chosen_steps_has_taken_over_stays(database: Database) -> None:
    """It names a run of another chain; that goes with it, not before."""
    first = first_of_chain(database)
    second = continued(database, first, "cancelled", at=1.0)
    for at in range(3):
        chosen(database, first, "cancelled", at=2.0 + at)
    history = History(database)
    assert gone(pruned(database)) == ([second, 3, 4], [])
    assert history.load(first, "a", "k") == value(b'"v"')
    a_run(database, "failed", at=9.0)
    assert gone(pruned(database)) == ([first, 5], [])


def test_marks_go_with_their_run(database: Database) -> None:
    """As all other rows do."""
    done = TakenOver(0, StepStatus.OK, "marked as done by ann")
    mark = Marked(0, "ann", [("k", value())])
    end(begun(database, "a", taken_over=[done], marked=[mark]), "cancelled")
    assert rows(database, "SELECT run_id, marked_by FROM marked_rows") == [(1, "ann")]
    assert rows(database, "SELECT step, key FROM outputs") == [("a", "k")]
    a_run(database, "cancelled")
    assert gone(pruned(database)) == ([1], [])
    assert rows(database, "SELECT * FROM marked_rows") == []


def test_decisions_go_with_their_run_and_versions_with_their_last(database: Database) -> None:
    """Not before, and a run that begins later records them anew."""
    for version in ("3.11.1", "3.11.2", "3.11.1"):
        journal = begun(database, "a", versions={"python": version})
        journal.commit_tick([EndStep(0, StepStatus.SKIPPED, 1.0), Decide(0, "skip", ())])
        end(journal, "cancelled")
    seen = "SELECT run_id, package, version FROM environments ORDER BY run_id"
    assert rows(database, seen)[0] == (1, "python", "3.11.1")
    assert rows(database, "SELECT count(*) FROM environment_rows") == [(2,)]
    assert gone(pruned(database)) == ([1, 2], [])
    assert rows(database, "SELECT run_id, seq FROM decisions") == [(3, 1)]
    assert rows(database, "SELECT count(*) FROM environment_rows") == [(1,)]
    assert rows(database, seen) == [(3, "python", "3.11.1")]


def test_definitions_go_with_their_last_run(database: Database) -> None:
    """Not before, and a run that begins later records its own anew."""
    for text in ("a", "a b>a", "a", "c"):
        end(begun(database, text), "cancelled")
    assert gone(pruned(database)) == ([1, 2, 3], [])
    assert rows(database, "SELECT count(*) FROM definition_rows") == [(1,)]
    assert rows(database, "SELECT name FROM definition_steps") == [("c",)]
    end(begun(database, "a b>a"), "cancelled")
    assert len(History(database).steps(5)) == 2


# -- whatever is pruned ---------------------------------------------------------------------------

OUTCOMES = st.sampled_from(["ok", "failed", "cancelled", "interrupted", "skipped"])
RUNS = st.lists(
    st.tuples(
        st.sampled_from(["on", "anew", "bare"]),  # goes on from an earlier run, if it can
        OUTCOMES,
        st.integers(0, 2),  # parameters
        st.integers(0, 5),  # which earlier run, from the newest
        st.booleans(),  # redoes the step it could reuse
    ),
    min_size=1,
    max_size=14,
)


def fill(database: Database, runs: list[tuple[str, str, int, int, bool]]) -> None:
    """Record runs, some in chains, as the engine would: only what is whole is gone on from."""
    for at, (how, status, params, back, again) in enumerate(runs):
        more: dict[str, Any] = {"params": f'{{"n":{params}}}', "at": float(at)}
        if how == "bare" or status == "skipped":
            record_ended_run(database, new_run("", **more), RunStatus(status))
            continue
        whole = rows(
            database,
            f"SELECT id FROM run_rows WHERE params = '{more['params']}' AND definition_id IS NOT"
            " NULL AND pruned_at IS NULL ORDER BY id DESC",
        )
        if how == "anew" or not whole:
            journal = begun(database, "a b>a", context=[("seed", value())], **more)
            did(journal, 0, at=float(at), writes=[("k", value(b'"v"'))])
        else:
            past = History(database).past(whole[back % len(whole)][0])
            source = past.steps[0].source_run
            over = [] if again else [TakenOver(0, StepStatus.CACHED, source_run=source)]
            more |= {"resumed_from": past.run_id, "root_run": past.root_run, "taken_over": over}
            journal = begun(database, "a b>a", **more)
            if again:
                did(journal, 0, at=float(at), writes=[("k", value(b'"v"'))])
        did(journal, 1, at=float(at), outcomes="ok" if status == "ok" else "failed")
        end(journal, status, at=at + 1.0)


@settings(max_examples=40, deadline=None)
@given(runs=RUNS, more=RUNS, age=st.integers(1, 14), newest=st.integers(1, 4), cut=st.booleans())
def test_what_is_kept_can_be_gone_on_from(
    tmp_path_factory: pytest.TempPathFactory,
    runs: list[tuple[str, str, int, int, bool]],
    more: list[tuple[str, str, int, int, bool]],
    age: int,
    newest: int,
    *,
    cut: bool,
) -> None:
    """Whatever chains there are, pruned twice with runs between, once perhaps cut short."""
    database = open_writer(tmp_path_factory.mktemp("home") / "runs.db")
    database.raw.execute("PRAGMA synchronous = OFF")
    limits = Limits(us(float(age)), newest)
    try:
        for batch in (runs, more):
            fill(database, batch)
            before = facts(database)
            if cut:
                cut_short(database, limits)
            pruned(database, limits)
            check_kept(database, before, limits)
            assert pruned(database, limits) == []
    finally:
        database.close()


def cut_short(database: Database, limits: Limits) -> None:
    """Prune, and stop after the first transaction that deletes."""
    with database.read() as cursor:
        due = retention.due(cursor, "flow", limits)
    verdicts = prune.mark(database, "flow", limits, due, NOW_US)
    once = iter([True])
    prune.take_away(database, verdicts, lambda: next(once, False))


def facts(database: Database) -> list[tuple[Any, ...]]:
    """Every run: number, status, parameters, end, whether it began steps, whether it was whole."""
    return rows(
        database,
        "SELECT id, status, params, finished_at, definition_id IS NOT NULL, pruned_at IS NULL"
        " FROM run_rows ORDER BY id",
    )


def check_kept(database: Database, before: list[tuple[Any, ...]], limits: Limits) -> None:
    """What is promised of a pruned store, told without the code that prunes."""
    after = {run[0]: run for run in facts(database)}
    newest = {run[0] for run in before[-limits.newest :]}
    for run in before:
        if run[5] and (run[0] in newest or run[3] >= limits.before_us):
            assert after[run[0]] == run
    failed = [r for r in before if r[1] in ("failed", "interrupted") and r[4] and r[5]]
    if failed:
        assert after[max(failed, key=lambda run: (run[3], run[0]))[0]][5]
    for params in {run[2] for run in before}:
        done = [run[0] for run in before if run[1] == "ok" and run[4] and run[2] == params]
        assert not done or done[-1] in after
    history = History(database)
    for run_id, _, _, _, began, whole in after.values():
        if began and whole:
            past = history.past(run_id)
            source = past.steps[0].source_run
            assert source is not None
            assert history.load(source, "a", "k") == value(b'"v"')
            assert history.keys(history.initial_run(run_id))[""] == ["seed"]
    assert rows(database, "PRAGMA foreign_key_check") == []
    assert rows(database, "SELECT 1 FROM run_rows WHERE pruned_at < 0") == []
    assert rows(database, "SELECT 1 FROM definition_rows WHERE sha256 LIKE 'pruned%'") == []
    for view in VIEWS:
        rows(database, f"SELECT * FROM {view}")


# -- in small pieces ------------------------------------------------------------------------------


@pytest.fixture
def wide(database: Database) -> Database:
    """Give a store with an old run of 2,200 steps, 2 rows each, and a newer one."""
    database.raw.execute("PRAGMA synchronous = OFF")
    journal = begun(database, " ".join(f"s{at}" for at in range(2_200)))
    for step in range(2_200):
        did(journal, step, writes=[("k", value())])
    end(journal, "cancelled")
    database.raw.execute("PRAGMA synchronous = FULL")
    a_run(database, "cancelled")
    return database


def test_a_transaction_is_small(wide: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """No more than a thousand rows at once, and others get in between: it stops when told to."""
    changed, gaps = [wide.raw.total_changes], []

    def gap() -> None:
        changed.append(wide.raw.total_changes)
        gaps.append(wide.raw.in_transaction)

    monkeypatch.setattr(prune, "pause", gap)
    with wide.read() as cursor:
        due = retention.due(cursor, "flow", ALL)
        verdicts = retention.judge(cursor, "flow", ALL, due)
        assert prune.weigh(cursor, verdicts[0]) == prune.Weight(4_401, 2_200)
    verdicts = prune.mark(wide, "flow", ALL, due, NOW_US)
    assert prune.take_away(wide, verdicts, lambda: len(gaps) < 2) == []
    assert rows(wide, "SELECT count(*) FROM run_rows") == [(2,)]
    assert gone(pruned(wide)) == ([1], [])
    sizes = [after - before for before, after in itertools.pairwise(changed)]
    assert max(sizes) <= prune.ROWS_MAX + 2  # the run's own row, and marks
    assert sum(sizes) >= 6_000
    assert not any(gaps)


def test_large_values_count_as_many_rows(database: Database) -> None:
    """What is written for a value that goes grows with its size."""
    journal = begun(database, "a b c d e")
    for step in range(5):
        did(journal, step, writes=[("k", value(b"x" * 2_000_000))])
    end(journal, "cancelled")
    a_run(database, "cancelled")
    verdicts = prune.mark(database, "flow", ALL, [1], NOW_US)
    left: list[int] = []

    def go_on() -> bool:
        left.append(rows(database, "SELECT count(*) FROM output_rows")[0][0])
        return True

    prune.take_away(database, verdicts, go_on)
    assert left == [5, 2, 0]


def test_an_ordinary_end_looks_at_an_index_only(database: Database) -> None:
    """Where nothing is old enough, no row of a run is read."""
    for at in range(30):
        a_run(database, at=float(at))
    sql = retention._DUE.replace("?1", "'flow'").replace("?2", "0").replace("?3", "99")
    plan = [row[3] for row in rows(database, f"EXPLAIN QUERY PLAN {sql}")]
    assert [step for step in plan if "SCAN" in step] == []
    used = "INDEX ix_run_rows_age (workflow=? AND status=? AND pruned_at"
    assert [step.partition(used)[2] for step in plan if used in step] == [
        "=? AND finished_at<?)",
        "<?)",
    ]


OTHER = """
import sys, time
from pathlib import Path
from store.database import open_writer
from tests.store.filled import begun, did, end

database, worst, count = open_writer(Path(sys.argv[1])), 0.0, 0
print("ready", flush=True)
while not Path(sys.argv[2]).exists():
    journal = begun(database, "a", workflow="other")
    begins = time.monotonic()
    did(journal, 0)
    worst, count = max(worst, time.monotonic() - begins), count + 1
    end(journal)
print(count, worst)
"""


def test_a_run_going_on_hardly_waits(
    wide: Database, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An engine of another workflow commits while thousands of rows go."""
    monkeypatch.setattr(prune, "PAUSE_S", 0.005)
    other = python(OTHER, path, tmp_path / "stop")
    assert other.stdout is not None
    assert other.stdout.readline() == "ready\n"
    assert gone(pruned(wide)) == ([1], [])
    (tmp_path / "stop").touch()
    count, worst_s = finished(other).split()
    print(f"{count} runs meanwhile, the slowest step took {float(worst_s) * 1000:.0f} ms")
    assert float(worst_s) < 5


# -- a crash, and runs that begin meanwhile -------------------------------------------------------


def test_a_crash_is_made_good_and_no_number_comes_back(path: Path) -> None:
    """Killed between two transactions: nothing of the run is taken over, the next prune ends it."""
    database = open_writer(path)
    journal = begun(database, " ".join(f"s{at}" for at in range(400)))
    for step in range(40):
        did(journal, step, writes=[("k", value(b"x" * 200_000))])
    end(journal, "cancelled")
    a_run(database, "cancelled")
    database.close()

    def program() -> None:
        prune.pause = dies
        pruned(open_writer(path))

    killed(program)
    database = open_writer(path)
    left = rows(database, "SELECT count(*) FROM output_rows WHERE run_id = 1")[0][0]
    assert 0 < left < 40
    assert History(database).run(1)["pruned_at"] is not None
    with pytest.raises(SupersededError, match="run 1, which this one was to go on from, has just"):
        continued(database, 1)
    assert gone(pruned(database)) == ([1], [])
    assert rows(database, "SELECT * FROM output_rows") == []
    pruned(database, Limits(NOW_US, 1))
    with database.write() as cursor:
        cursor.execute("DELETE FROM attempt_rows")
        cursor.execute("DELETE FROM step_rows")
        cursor.execute("DELETE FROM run_rows")
    assert a_run(database) == 3
    database.close()


@pytest.mark.parametrize("killed", [False, True], ids=["at once", "after a crash"])
def test_a_run_begun_meanwhile_keeps_the_rows_it_names(database: Database, *, killed: bool) -> None:
    """It goes on from a run marked to go, of which it redoes every step."""
    first = first_of_chain(database)
    second = continued(database, first, "failed")
    a_run(database, "failed", at=50.0)
    a_run(database, "cancelled", at=60.0)
    verdicts = prune.mark(database, "flow", ALL, [first], NOW_US)
    assert gone(verdicts) == ([first, second], [])
    new = new_run("a b>a", resumed_from=second, root_run=first, at=70.0)
    journal = journal_of(database, begin_run(database, new))
    if killed:
        assert gone(pruned(database)) == ([4], [first, second])
    else:
        prune.take_away(database, verdicts, lambda: True)
    bare = rows(database, "SELECT id FROM run_rows WHERE pruned_at > 0")
    assert bare == [(first,), (second,)]
    assert rows(database, "SELECT * FROM output_rows WHERE run_id < 3") == []
    assert History(database).run(journal.run_id)["resumed_from"] == second
    assert rows(database, "PRAGMA foreign_key_check") == []


def test_a_run_that_names_one_that_is_gone_does_not_begin(database: Database) -> None:
    """It was decided on before that went."""
    first = first_of_chain(database)
    a_run(database, "failed", at=50.0)
    a_run(database, "cancelled", at=60.0)
    assert gone(pruned(database)) == ([1], [])
    with pytest.raises(SupersededError, match="has just been pruned"):
        begin_run(database, new_run("a b>a", resumed_from=first, root_run=first))
    reused = [Reused(first, "ok in run 1", [0])]
    with pytest.raises(SupersededError, match=f"run {first}, which .* has just been pruned"):
        begin_run(database, new_run("a b>a", reused=reused))


def test_the_dead_are_settled_before_they_are_judged(database: Database) -> None:
    """A run whose engine died is interrupted by the same command, and is then as old as it is."""
    begun(database, "a", owner="")
    a_run(database, "failed", at=50.0)
    a_run(database, "cancelled", at=60.0)
    assert pruned(database) == []
    reconcile(database, mine=None, channels=lambda _: (), now_us=0, publish=lambda _: None)
    assert gone(pruned(database)) == ([1], [])
