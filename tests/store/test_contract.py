"""What the engine asks of a store, put to the real one and to the one its tests run on."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest

from engine.errors import SupersededError
from engine.events import (
    Action,
    BackOff,
    Claim,
    Decide,
    EndAttempt,
    EndRun,
    EndStep,
    LeaveBehind,
    RecordStart,
    StopAttempt,
)
from engine.model import AttemptOutcome, RunStatus, StepStatus
from engine.ports import Store
from engine.produced import OutputFile
from store import cancels
from store.connection import Database
from store.database import open_writer
from store.history import History
from store.journal import Journal
from tests.fakes import FakeStore
from tests.store.filled import CLOCK, begun, us, value

OK, FAILED = AttemptOutcome.OK, AttemptOutcome.FAILED
STEPS = 40
Attempts = list[tuple[int, int, str | None, float | None, float | None, str, float | None]]


class Look(Protocol):
    """What was committed, in one form for both stores; times in the clock's seconds."""

    def attempts(self) -> Attempts:
        """(step, number, outcome, start, end, error, due) in order."""

    def steps(self) -> dict[int, tuple[str, str]]:
        """Status and note of the steps that have ended."""

    def outputs(self) -> dict[tuple[int, str], bytes]:
        """Data by step and key."""

    def decisions(self) -> list[tuple[int, str, dict[str, object]]]:
        """Step, what was decided and its facts, in order."""

    def unpublished(self) -> list[int]:
        """Steps with files that were not yet renamed."""

    def run(self) -> tuple[str, float | None, str]:
        """Status, end and note."""


class LookReal:
    """Reads the tables."""

    def __init__(self, database: Database) -> None:
        self._raw = database.raw

    @staticmethod
    def _at(stamp_us: int | None) -> float | None:
        return None if stamp_us is None else round(CLOCK.instant(stamp_us), 6)

    def attempts(self) -> Attempts:
        """Rows, in order."""
        rows = self._raw.execute(
            "SELECT position, number, outcome, started_at, finished_at, error, retry_at"
            " FROM attempt_rows UNION ALL"
            " SELECT position, number, NULL, started_at, NULL, NULL, NULL FROM live_rows"
            " ORDER BY 1, 2"
        )
        return [
            (step, number, outcome, self._at(s), self._at(f), error or "", self._at(due))
            for step, number, outcome, s, f, error, due in rows
        ]

    def steps(self) -> dict[int, tuple[str, str]]:
        """Rows, by position."""
        rows = self._raw.execute(
            "SELECT position, status, note FROM step_runs WHERE finished_at IS NOT NULL"
        )
        return {step: (status, note) for step, status, note in rows}

    def outputs(self) -> dict[tuple[int, str], bytes]:
        """Rows, by position and key."""
        rows = self._raw.execute("SELECT position, key, data FROM output_rows")
        return {(step, key): data for step, key, data in rows}

    def decisions(self) -> list[tuple[int, str, dict[str, object]]]:
        """Rows, by event."""
        sql = "SELECT position, what, facts FROM decision_rows ORDER BY seq, what"
        return [(step, what, json.loads(facts)) for step, what, facts in self._raw.execute(sql)]

    def unpublished(self) -> list[int]:
        """Positions."""
        sql = "SELECT DISTINCT position FROM file_rows WHERE published = 0 ORDER BY 1"
        return [step for (step,) in self._raw.execute(sql)]

    def run(self) -> tuple[str, float | None, str]:
        """The one row."""
        sql = "SELECT status, finished_at, note FROM run_rows"
        status, finished_at, note = self._raw.execute(sql).fetchone()
        return status, self._at(finished_at), note


class LookFake:
    """Reads the fake's newest run."""

    def __init__(self, store: FakeStore) -> None:
        self._run = store.runs[-1]

    def attempts(self) -> Attempts:
        """Rows, in order."""
        return [
            (*key, row.outcome, row.started_at, row.finished_at, row.error, row.retry_at)
            for key, row in sorted(self._run.attempts.items())
        ]

    def steps(self) -> dict[int, tuple[str, str]]:
        """Rows, by position."""
        return {step: (str(status), note) for step, (status, note) in self._run.steps.items()}

    def outputs(self) -> dict[tuple[int, str], bytes]:
        """Rows, by position and key."""
        return {key: encoded.data for key, encoded in self._run.outputs.items()}

    def decisions(self) -> list[tuple[int, str, dict[str, object]]]:
        """As they came."""
        return self._run.decisions

    def unpublished(self) -> list[int]:
        """Positions."""
        return sorted(self._run.unpublished)

    def run(self) -> tuple[str, float | None, str]:
        """The newest."""
        return str(self._run.status), self._run.finished_at, self._run.note


@dataclass
class Tried:
    """A store with one run begun, and the look at it."""

    store: Store
    look: Look
    ask: Callable[[str], None]

    def commit(self, *actions: Action) -> None:
        """Commit one tick."""
        self.store.commit_tick(actions)

    def refused(self, *actions: Action) -> None:
        """Commit one tick, which must be refused and leave nothing."""
        look = self.look
        before = (look.attempts(), look.steps(), look.outputs(), look.unpublished(), look.run())
        with pytest.raises(SupersededError):
            self.store.commit_tick(actions)
        after = (look.attempts(), look.steps(), look.outputs(), look.unpublished(), look.run())
        assert after == before


@pytest.fixture(params=["fake", "real"])
def tried(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Tried]:
    """Give each store in turn."""
    if request.param == "fake":
        fake = FakeStore()
        fake.begin_run(STEPS)
        yield Tried(fake, LookFake(fake), fake.ask_cancel)
        return
    database, other = open_writer(tmp_path / "runs.db"), open_writer(tmp_path / "runs.db")
    made = begun(database, " ".join(f"s{n}" for n in range(STEPS)))

    def ask(by: str) -> None:
        cancels.ask(other, made.run_id, at_us=us(0.0), by=by)

    yield Tried(made, LookReal(database), ask)
    database.close()
    other.close()


def claim(step: int, number: int = 1, at: float | None = 0.0) -> Claim:
    """Claim an attempt."""
    return Claim(step, number, at, report=False)


def ended(step: int, number: int = 1, outcome: AttemptOutcome = OK, error: str = "") -> EndAttempt:
    """End an attempt that took from 0 to 1."""
    return EndAttempt(step, number, outcome, 0.0, 1.0, error)


def step_ok(step: int, **more: tuple[object, ...]) -> EndStep:
    """End a step well."""
    return EndStep(step, StepStatus.OK, 1.0, **more)  # type: ignore[arg-type]


# -- what is recorded -----------------------------------------------------------------------------


def test_a_claim_is_a_live_attempt(tried: Tried) -> None:
    """It has a start if a worker was free, and no outcome."""
    tried.commit(claim(0), claim(1, at=None))
    assert tried.look.attempts() == [
        (0, 1, None, 0.0, None, "", None),
        (1, 1, None, None, None, "", None),
    ]
    assert tried.look.steps() == {}
    assert tried.look.run() == ("running", None, "")


def test_claim_start_failure_backoff_and_retry(tried: Tried) -> None:
    """Each tick adds what it says; the wait stays with the attempt that failed."""
    tried.commit(claim(0, at=None))
    tried.commit(RecordStart(0, 1, 0.25))
    assert tried.look.attempts() == [(0, 1, None, 0.25, None, "", None)]
    tried.commit(EndAttempt(0, 1, FAILED, 0.25, 1.0, "boom"), BackOff(0, 1, 3.5))
    tried.commit(claim(0, 2, 3.5))
    tried.commit(EndAttempt(0, 2, OK, 3.5, 4.0), step_ok(0))
    assert tried.look.attempts() == [
        (0, 1, "failed", 0.25, 1.0, "boom", 3.5),
        (0, 2, "ok", 3.5, 4.0, "", None),
    ]
    assert tried.look.steps() == {0: ("ok", "")}


def test_a_withdrawn_attempt_has_no_times(tried: Tried) -> None:
    """It was claimed, and never began."""
    tried.commit(claim(0))
    tried.commit(EndAttempt(0, 1, AttemptOutcome.CANCELLED, None, None))
    assert tried.look.attempts() == [(0, 1, "cancelled", None, None, "", None)]


def test_status_and_outputs_are_there_together(tried: Tried) -> None:
    """One tick ends the attempt, the step, writes its values and files, and claims what follows."""
    file = OutputFile("/tmp/.t", "/tmp/t", "5" * 64, 3)
    tried.commit(claim(0))
    writes = (("x", value(b"1")), ("y", value(b"2")))
    tried.commit(ended(0), step_ok(0, writes=writes, files=(file,)), claim(1))
    assert tried.look.steps() == {0: ("ok", "")}
    assert tried.look.outputs() == {(0, "x"): b"1", (0, "y"): b"2"}
    assert tried.look.unpublished() == [0]
    assert [row[:3] for row in tried.look.attempts()] == [(0, 1, "ok"), (1, 1, None)]
    tried.store.mark_published([0])
    assert tried.look.unpublished() == []
    tried.store.mark_published([0])


def test_actions_on_others_leave_no_row(tried: Tried) -> None:
    """Stopping and leaving behind are effects, not facts."""
    tried.commit(claim(0))
    tried.commit(StopAttempt(0, 1, "SIGTERM"), LeaveBehind(0, 1))
    assert tried.look.attempts() == [(0, 1, None, 0.0, None, "", None)]


def test_a_failure_and_its_retry_in_one_tick(tried: Tried) -> None:
    """An end comes before the next claim of the same step."""
    tried.commit(claim(0))
    tried.commit(ended(0, 1, FAILED, "boom"), BackOff(0, 1, 1.0), claim(0, 2, 1.0))
    assert [row[:3] for row in tried.look.attempts()] == [(0, 1, "failed"), (0, 2, None)]


def test_a_decision_is_recorded_with_its_facts(tried: Tried) -> None:
    """Pairs become objects; text of any script is kept, and there may be many in a tick."""
    tried.commit(claim(0))
    values = (("fetch.rows", "0"), ("größe", '"x"'))
    asked = Decide(0, "condition", (("holds", False), ("values", values)))
    tried.commit(ended(0), asked, EndStep(0, StepStatus.SKIPPED, 1.0, "condition false"))
    rule = (("rule", "all_success"), ("upstreams", (("s0", "skipped"),)), ("failure", None))
    skips: list[Action] = []
    for step in range(1, 10):
        skips += [EndStep(step, StepStatus.SKIPPED, 1.0, "why"), Decide(step, "rule", rule)]
    tried.commit(*skips)
    told = {"rule": "all_success", "upstreams": {"s0": "skipped"}, "failure": None}
    assert tried.look.decisions() == [
        (0, "condition", {"holds": False, "values": {"fetch.rows": "0", "größe": '"x"'}}),
        *((step, "rule", told) for step in range(1, 10)),
    ]


def test_a_request_to_cancel_is_told(tried: Tried) -> None:
    """Once somebody has asked, and however much the run has written meanwhile; the first counts."""
    assert tried.store.asked_to_stop() is None
    tried.commit(claim(0))
    assert tried.store.asked_to_stop() is None
    tried.ask("ada")
    tried.ask("eve")
    tried.commit(claim(1))
    assert tried.store.asked_to_stop() == "ada"


def test_an_ended_run_takes_no_request(tried: Tried) -> None:
    """There is nobody left to obey it."""
    tried.commit(EndRun(RunStatus.OK, 1.0))
    tried.ask("ada")
    assert tried.store.asked_to_stop() is None


def test_the_end_of_the_run(tried: Tried) -> None:
    """It comes with what ended last."""
    tried.commit(claim(0))
    tried.commit(
        ended(0, 1, FAILED, "boom"),
        EndStep(0, StepStatus.FAILED, 1.0, "boom"),
        EndStep(1, StepStatus.SKIPPED, 1.0, "dependency failed: s0"),
        EndRun(RunStatus.FAILED, 1.5, "why"),
    )
    assert tried.look.run() == ("failed", 1.5, "why")
    assert tried.look.steps() == {0: ("failed", "boom"), 1: ("skipped", "dependency failed: s0")}


@pytest.mark.parametrize("count", [1, 2, 7, 8, 31, 33, STEPS])
def test_ticks_of_any_size(tried: Tried, count: int) -> None:
    """However many rows a tick has, each is there as it was given."""
    steps = range(count)
    tried.commit(*(claim(step, at=step / 4) for step in steps))
    tried.commit(
        *(EndAttempt(step, 1, OK, step / 4, step / 2) for step in steps),
        *(EndStep(step, StepStatus.OK, step / 2, f"note {step}") for step in steps),
    )
    assert tried.look.attempts() == [
        (step, 1, "ok", step / 4, step / 2, "", None) for step in steps
    ]
    assert tried.look.steps() == {step: ("ok", f"note {step}") for step in steps}


# -- what is refused ------------------------------------------------------------------------------

REFUSED: dict[str, Callable[[], Sequence[Action]]] = {
    "the end of an attempt that was never claimed": lambda: [ended(5)],
    "the end of another number": lambda: [ended(0, 2)],
    "a second end": lambda: [ended(1)],
    "a second end in one tick": lambda: [ended(0), ended(0)],
    "a start after the end": lambda: [RecordStart(1, 1, 0.5)],
    "a start never claimed": lambda: [RecordStart(5, 1, 0.5)],
    "a wait after a live attempt": lambda: [BackOff(0, 1, 9.0)],
    "a wait after no attempt": lambda: [BackOff(5, 1, 9.0)],
    "a second end of a step": lambda: [step_ok(1)],
    "two ends of a step in one tick": lambda: [step_ok(5), step_ok(5)],
    "a second claim of a number": lambda: [claim(0, 1)],
    "a claim of a step that has ended": lambda: [claim(1, 2)],
}


@pytest.mark.parametrize("what", REFUSED)
@pytest.mark.parametrize("beside", [0, 30])
def test_what_is_not_ours_is_refused_with_its_whole_tick(
    tried: Tried, what: str, beside: int
) -> None:
    """Nothing of the tick is recorded, neither what came before it nor what came after."""
    tried.commit(claim(0), claim(1), claim(2))
    tried.commit(ended(1), step_ok(1))
    good = [claim(step) for step in range(9, 9 + beside)]
    file = OutputFile("/tmp/.t", "/tmp/t", "5" * 64, 3)
    done = step_ok(2, writes=(("x", value()),), files=(file,))
    tried.refused(ended(2), done, *good[::2], *REFUSED[what](), *good[1::2])
    tried.commit(ended(0), step_ok(0), ended(2), done)


LATE: dict[str, Sequence[Action]] = {
    "claim": [claim(1)],
    "start": [RecordStart(0, 1, 0.5)],
    "attempt": [ended(0)],
    "step": [EndStep(2, StepStatus.OK, 1.0)],
    "run": [EndRun(RunStatus.OK, 2.0)],
}


@pytest.mark.parametrize("what", LATE)
def test_nothing_follows_the_end(tried: Tried, what: str) -> None:
    """Once a run has ended, whoever ended it, its late engine changes nothing."""
    tried.commit(claim(0))
    tried.commit(EndRun(RunStatus.INTERRUPTED, 1.0, "it was dead"))
    tried.refused(*LATE[what])


# -- of the real one alone ------------------------------------------------------------------------


def journal(database: Database, channels: Sequence[str]) -> Journal:
    """Begin a run whose end alerts `channels`."""
    run_id = begun(database, "a").run_id
    return Journal(database, run_id, stamp=CLOCK.stamp, channels=lambda _: channels)


def test_alerts_come_with_the_end(database: Database, history: History) -> None:
    """One per channel, in the transaction of the outcome, with its time."""
    run = journal(database, ["slack", "email"])
    run.commit_tick([EndRun(RunStatus.OK, 2.0)])
    assert history.alerts() == [
        {
            "id": number,
            "run_id": 1,
            "channel": channel,
            "status": "pending",
            "created_at": "2011-11-14T00:00:02.000Z",
            "sent_at": None,
            "tries": 0,
            "error": "",
            "kind": "run",
            "incident": None,
            "workflow": "",
            "facts": "{}",
        }
        for number, channel in enumerate(["slack", "email"], 1)
    ]
    assert history.undelivered() == 2


def test_no_end_without_its_alerts(database: Database, history: History) -> None:
    """What cannot be queued takes the outcome with it."""
    run = journal(database, ["pigeon"])
    with pytest.raises(Exception, match="ck_alert_rows_channel"):
        run.commit_tick([EndRun(RunStatus.OK, 2.0)])
    assert history.undelivered() == 0
    assert database.raw.execute("SELECT status FROM run_rows").fetchone() == ("running",)


def test_a_refused_end_alerts_nobody(database: Database, history: History) -> None:
    """Two engines that both end a run make one alert."""
    run = journal(database, ["slack"])
    run.commit_tick([EndRun(RunStatus.OK, 2.0)])
    with pytest.raises(SupersededError):
        run.commit_tick([EndRun(RunStatus.FAILED, 3.0)])
    assert history.undelivered() == 1
    assert history.run(1)["status"] == "ok"


def test_another_reader_sees_all_or_nothing(database: Database, path: Path) -> None:
    """A tick is committed when it returns."""
    from store.database import open_reader

    reader = open_reader(path)
    run = journal(database, [])
    run.commit_tick([claim(0)])
    run.commit_tick([ended(0), step_ok(0, writes=(("x", value()),))])
    assert History(reader).keys(1) == {"a": ["x"]}
    assert [row["status"] for row in History(reader).steps(1)] == ["ok"]
    reader.close()
