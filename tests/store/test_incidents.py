"""Incidents: opened, counted, reminded of and closed in the transaction that ends a run."""

from __future__ import annotations

import json
from typing import Any

from engine.alert import AlertKind, Due, Telling
from engine.events import Action, Claim, EndAttempt, EndRun, EndStep
from engine.model import AttemptOutcome, RunStatus, StepStatus
from store.connection import Database
from store.history import History
from store.incidents import close_all, fold
from store.journal import Journal, begin_run, record_ended_run
from store.missing import told_until
from store.new_run import ITSELF
from store.outbox import StoredOutbox
from store.reconcile import Said, reconcile
from tests.store.filled import CLOCK, dead_owner, new_run, us

HOUR = 3_600.0
TELLING = Telling(("slack",), round(24 * HOUR * 1e6))


def run(
    database: Database,
    text: str,
    *words: str,
    at: float = 0.0,
    status: str = "",
    telling: Telling = TELLING,
    **more: Any,
) -> int:
    """Record a run whose steps come to `words`: ok, skipped, or an error; gives its number."""
    journal = Journal(
        database,
        begin_run(database, new_run(text, at=at, **more)),
        stamp=CLOCK.stamp,
        channels=lambda outcome: ["slack"] if outcome is RunStatus.OK else (),
        telling=telling,
    )
    claims: list[Action] = []
    ends: list[Action] = []
    for step, word in enumerate(words):
        if word == "skipped":
            ends += [EndStep(step, StepStatus.SKIPPED, at, "condition false")]
            continue
        is_ok = word == "ok"
        outcome = AttemptOutcome.OK if is_ok else AttemptOutcome.FAILED
        error = "" if is_ok else word
        ended = StepStatus.OK if is_ok else StepStatus.FAILED
        claims += [Claim(step, 1, at, report=False)]
        ends += [EndAttempt(step, 1, outcome, at, at, error), EndStep(step, ended, at, error)]
    journal.commit_tick(claims)
    journal.commit_tick(ends)
    is_well = all(word in ("ok", "skipped") for word in words)
    journal.commit_tick([EndRun(RunStatus(status or ("ok" if is_well else "failed")), at, "")])
    return journal.run_id


def crash(database: Database, at: float, **more: Any) -> None:
    """Record a run whose engine died while its first step was on."""
    run_id = begin_run(database, new_run("a", at=at, owner=dead_owner(), **more))
    journal = Journal(database, run_id, stamp=CLOCK.stamp, channels=lambda _: ())
    journal.commit_tick([Claim(0, 1, at, report=False)])
    reconcile(
        database,
        mine=None,
        channels=lambda _: (),
        now_us=us(at),
        publish=lambda _: None,
        said=Said(telling=TELLING),
    )


def open_now(database: Database) -> list[tuple[str, str, int]]:
    """Give what is open: step, error, failures."""
    rows = History(database).incidents()
    return [(row["step"], row["error"], row["failures"]) for row in rows]


def told(database: Database) -> list[tuple[str, int, str]]:
    """Give the alerts: kind, run, and the step that each is about."""
    sql = "SELECT kind, run_id, facts FROM alert_rows ORDER BY id"
    rows = database.raw.execute(sql).fetchall()
    return [(kind, number, json.loads(facts).get("step", "-")) for kind, number, facts in rows]


def test_once_opened_and_once_closed(database: Database) -> None:
    """However often it fails; the run that is ok again tells of that and of nothing else."""
    for number in range(4):
        run(database, "a b", "ok", f"ValueError: row {number}", at=HOUR * number)
    assert open_now(database) == [("b", "ValueError: row 0", 4)]
    run(database, "a b", "ok", "ok", at=HOUR * 4)
    run(database, "a b", "ok", "ok", at=HOUR * 5)
    assert open_now(database) == []
    assert told(database) == [("opened", 1, "b"), ("closed", 5, "b"), ("run", 6, "-")]
    (row,) = History(database).incidents(closed=True)
    assert (row["opened_run"], row["last_run"], row["closed_run"]) == (1, 4, 5)
    (facts,) = database.raw.execute("SELECT facts FROM alert_rows WHERE kind = 'closed'").fetchone()
    assert json.loads(facts) == {
        "incident": 1,
        "workflow": "flow",
        "step": "b",
        "error": "ValueError: row 0",
        "opened": "2011-11-14T00:00:00Z",
        "opened_run": 1,
        "failures": 4,
        "lasted_s": 4 * HOUR,
        "closed_run": 5,
    }


def test_a_daily_failure_is_told_of_daily(database: Database) -> None:
    """Though it comes some seconds earlier than on the day before, or takes as much longer."""
    for at in (0.0, 24 * HOUR - 2, 48 * HOUR + 60, 72 * HOUR - 600, 95 * HOUR):
        run(database, "a", "ValueError: x", at=at)
    assert [kind for kind, *_ in told(database)] == ["opened", *["reminder"] * 3]


def test_a_clock_that_was_far_ahead_silences_no_incident(database: Database) -> None:
    """Set right, it is reminded of again; an hour ahead only counts as an hour more."""
    for at in (0.0, 8_760 * HOUR, 25 * HOUR, 24 * HOUR, 50 * HOUR):
        run(database, "a", "ValueError: x", at=at)
    assert [number for kind, number, _ in told(database) if kind == "reminder"] == [2, 3, 5]


def test_what_was_opened_before_there_was_a_channel_is_told_of(database: Database) -> None:
    """By its next failure: who sets a channel up and tries it is not to hear nothing."""
    run(database, "a", "ValueError: x", telling=Telling())
    for hour in (1, 2, 26):
        run(database, "a", "ValueError: x", at=hour * HOUR)
    assert told(database) == [("opened", 2, "a"), ("reminder", 4, "a")]
    sql = "SELECT json_extract(facts, '$.failures'), json_extract(facts, '$.since') FROM alert_rows"
    assert database.raw.execute(sql).fetchall() == [(2, None), (4, 2)]


def test_another_error_closes_nothing(database: Database) -> None:
    """It has an incident of its own; the step's first success closes both."""
    run(database, "a", "ValueError: x")
    run(database, "a", "TypeError: x")
    assert open_now(database) == [("a", "ValueError: x", 1), ("a", "TypeError: x", 1)]
    run(database, "a", "ok")
    assert [kind for kind, _, _ in told(database)] == ["opened", "opened", "closed", "closed"]


def test_reused_and_skipped_steps_close_nothing(database: Database) -> None:
    """Only a step that was run and is ok has recovered; one that is no longer there is over."""
    run(database, "a b", "ValueError: x", "ok")
    run(database, "a b", "skipped", "ok")
    assert open_now(database) == [("a", "ValueError: x", 1)]
    run(database, "b", "ok", only_steps='["b"]')
    assert len(open_now(database)) == 1
    run(database, "b", "ok")
    assert open_now(database) == []
    (facts,) = database.raw.execute("SELECT facts FROM alert_rows WHERE kind = 'closed'").fetchone()
    assert json.loads(facts)["gone"] is True


def test_a_run_bound_to_a_step_closes_its_incident(database: Database) -> None:
    """But not one of the run as a whole."""
    run(database, "a b", "ValueError: x", "ok")
    crash(database, 1.0)
    run(database, "a b", "ok", only_steps='["a"]')
    assert [step for step, _, _ in open_now(database)] == [""]


def test_runs_that_fail_without_a_step(database: Database) -> None:
    """A wrong definition and a crash, each by its words; a whole run that is ok ends both."""
    for line in (17, 18):
        note = f"line {line}: no such step 'x'"
        bare = new_run("a", note=note)
        record_ended_run(database, bare, RunStatus.FAILED, telling=TELLING)
    crash(database, 1.0)
    crash(database, 2.0)
    said = [(step, failures) for step, _, failures in open_now(database)]
    assert said == [("", 2), ("", 2)]
    run(database, "a", "ValueError: x")
    assert len(open_now(database)) == 3
    run(database, "a", "ok")
    assert open_now(database) == []


def test_a_skipped_run_says_nothing(database: Database) -> None:
    """As it began no step."""
    run(database, "a", "ValueError: x")
    record_ended_run(database, new_run("a"), RunStatus.SKIPPED, ["slack"], TELLING)
    assert told(database) == [("opened", 1, "a"), ("run", 2, "-")]


def test_one_incident_for_a_backfill(database: Database) -> None:
    """None for the runs it is made of, and none for each of its values."""
    run(database, "d1 d2 d3", "ValueError: 1", "ok", "ValueError: 3", backfill=-1, workflow="fill")
    run(database, "a", "ValueError: 1", backfill=1)
    assert open_now(database) == [("", "ValueError: 1", 1)]
    run(database, "d1 d2 d3", "ok", "ok", "ok", backfill=-1, workflow="fill")
    assert open_now(database) == []


def test_many_at_once_are_one_message(database: Database) -> None:
    """Over ten of a run; each still has its incident."""
    names = " ".join(f"s{at}" for at in range(11))
    run(database, names, *["ValueError: x"] * 11)
    assert [kind for kind, _, _ in told(database)] == ["digest"]
    run(database, names, *["ok"] * 11)
    facts = [json.loads(row[0]) for row in database.raw.execute("SELECT facts FROM alert_rows")]
    assert [each["counts"] for each in facts] == [{"opened": 11}, {"closed": 11}]
    assert [each.get("report") for each in facts] == [True, None]
    assert facts[1]["ids"] == list(range(1, 12))


def box(database: Database) -> StoredOutbox:
    """Open the outbox of this process; a payload is the alert's own facts."""

    def payload(due: Due) -> dict[str, Any]:
        return due.facts

    return StoredOutbox(database, now_us=lambda: us(9.0), payload=payload)


def test_a_reminder_counts_from_what_a_digest_told(database: Database) -> None:
    """Of those that had no message of their own, too, and however often digests are folded."""
    names = " ".join(f"s{at}" for at in range(70))
    for hour in (0, 1):
        run(database, names, *["ValueError: x"] * 70, at=hour * HOUR)
    run(database, names, *["ValueError: x"] * 70, at=24 * HOUR)
    box(database).claim()
    for hour in (25, 48):
        run(database, "s69", "ValueError: x", at=hour * HOUR)
    sql = "SELECT facts FROM alert_rows WHERE kind = 'reminder'"
    (facts,) = [json.loads(row[0]) for row in database.raw.execute(sql)]
    assert (facts["failures"], facts["since"]) == (5, 2)


def test_many_runs_in_one_delivery_are_one_message(database: Database) -> None:
    """What nobody has claimed is folded; what may have been sent is told as it was."""
    run(database, "a", "ValueError: x", workflow="first")
    assert [row.incidents for row in box(database).claim()] == [(1,)]
    for number in range(11):
        run(database, "a", "ValueError: x", workflow=f"flow{number}")
    rows = box(database).claim()
    assert [(row.kind, row.repeat) for row in rows] == [
        (AlertKind.OPENED, True),
        (AlertKind.DIGEST, False),
    ]
    assert rows[1].incidents == tuple(range(2, 13))
    assert rows[1].payload["workflow"] == ""
    with database.write() as cursor:
        fold(cursor, "slack")
    assert len(told(database)) == 2


def test_damaged_json_keeps_nothing_else_from_being_told(database: Database) -> None:
    """Neither that of an alert, which goes as it is, nor that of an incident's first message."""
    insert = """INSERT INTO alert_rows (channel, status, created_at, kind, workflow, facts, tries,
     error) VALUES ('slack', 'pending', 1, ?, 'flow', ?, 0, '')"""
    damaged = [("digest", "{"), ("digest", '{"ids":[1],"workflow":3}'), ("opened", "[]")]
    database.raw.executemany(insert, [*damaged, ("late", '{"ids":5}'), ("missing", "")])
    for number in range(12):
        run(database, "a", "ValueError: x", workflow=f"flow{number}")
    database.raw.execute("UPDATE incident_rows SET thread = 'x' WHERE id < 12")
    claimed = box(database).claim()
    assert [row.kind for row in claimed[5:]] == [AlertKind.OPENED] * 12
    assert [told_until(database.raw.cursor(), "flow", 1), *(row.thread for row in claimed)] == [
        0,
        *[None] * 17,
    ]
    for row in claimed:
        box(database).sent(row.id, {"ts": str(row.id)})
    run(database, "a", "ok", workflow="flow0")
    assert [row.thread for row in box(database).claim()] == [{"ts": "6"}]


def test_a_list_shows_what_is_new_first(database: Database) -> None:
    """Then what goes on; what is over comes last, but is there: its first messages are changed."""
    flows = [f"flow{number}" for number in range(70)]
    for flow in flows[:20]:
        run(database, "a", "ValueError: x", workflow=flow)
    (digest,) = box(database).claim()
    box(database).sent(digest.id)
    for number, flow in enumerate(flows):
        word = "ok" if number < 18 else "ValueError: x"
        run(database, "a", word, at=25 * HOUR, workflow=flow)
    (digest,) = box(database).claim()
    kinds = [each["kind"] for each in digest.payload["shown"]]
    assert kinds == ["opened"] * 45 + ["closed"] * 15
    assert digest.payload["counts"] == {"closed": 18, "reminder": 2, "opened": 50}


def test_digests_fold_into_one(database: Database) -> None:
    """Each of a run, or of other alerts: what tells of no incident stays as it is."""
    for workflow in ("first", "second"):
        names = " ".join(f"s{at}" for at in range(11))
        run(database, names, *["ValueError: x"] * 11, workflow=workflow)
    run(database, "a", "ValueError: x", workflow="third")
    database.raw.execute(
        """INSERT INTO alert_rows
             (channel, status, created_at, kind, workflow, facts, tries, error)
           VALUES ('slack', 'pending', 1, 'digest', 'flow', '{"ids":[]}', 0, '')"""
    )
    none, many = box(database).claim()
    assert none.payload == {"ids": []}
    assert (many.incidents, many.payload["workflow"]) == (tuple(range(1, 24)), "")
    assert many.payload["counts"] == {"opened": 23}
    assert [each["step"] for each in many.payload["shown"][-2:]] == ["s10", "a"]


def test_where_the_first_message_is(database: Database) -> None:
    """It is kept with the delivery, by channel, and given with what follows."""
    run(database, "a", "ValueError: x")
    (row,) = box(database).claim()
    assert row.thread is None
    box(database).sent(row.id, {"channel": "C1", "ts": "1.5"})
    run(database, "a", "ok")
    (row,) = box(database).claim()
    assert (row.kind, row.thread) == (AlertKind.CLOSED, {"channel": "C1", "ts": "1.5"})


def test_each_step_is_looked_up_by_its_key(database: Database) -> None:
    """Of ten thousand that recover at once, to go through all for each would take a minute."""
    names = " ".join(f"s{at}" for at in range(300))
    run(database, names, *["ValueError: x"] * 300)
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    database.raw.set_progress_handler(count, 1_000)
    run(database, names, *["ok"] * 300)
    database.raw.set_progress_handler(None, 0)
    assert open_now(database) == []
    assert steps < 400, steps


def test_what_other_commands_mended_closes_a_backfills_incident(database: Database) -> None:
    """Where nothing is left for it to do, it has no run of its own that could."""
    run(database, "1", "ValueError: x", workflow="flow.backfill", backfill=ITSELF)
    run(database, "a", "TypeError: y", workflow="flow.backfill")
    run(database, "a", "ok", at=HOUR)
    for _ in range(2):
        with database.write() as cursor:
            close_all(cursor, "flow.backfill", ("flow", us(HOUR)), TELLING)
    assert open_now(database) == []
    found = [row["closed_run"] for row in History(database).incidents(closed=True)]
    assert found == [3, 3]
    assert told(database)[-2:] == [("closed", 3, ""), ("closed", 3, "a")]
