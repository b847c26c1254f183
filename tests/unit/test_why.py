"""What `why` answers: the sentence, and the facts in order, for each thing that can befall."""

from __future__ import annotations

from typing import Any

import pytest

from engine.reports.why import Answer, Around, as_row, why
from store.run_facts import Decided, RunFacts, StepFacts, Try
from store.step_runs import StepRun

S = 1_000_000
BEGAN = 1_321_228_800 * S  # 2011-11-14T00:00:00Z
BOOM = "ValueError: no luck\nat all"


def iso(at: float) -> str:
    """Give a moment after the run's start as the store tells it."""
    return f"2011-11-14T00:00:{at:06.3f}Z"


def us(at: float) -> int:
    """Give a moment after the run's start in microseconds."""
    return BEGAN + int(at * S)


def tried(number: int, outcome: str | None, begun: float, ended: float | None, **more: Any) -> Try:
    """Make an attempt."""
    error = BOOM if outcome in ("failed", "timed_out") else ""
    fields: dict[str, Any] = {"error": error, "retry_at": None, **more}
    return Try(number, outcome, us(begun), None if ended is None else us(ended), **fields)


def step(name: str, status: str, *tries: Try, **more: Any) -> StepFacts:
    """Make a step; `told` goes over its row."""
    made: dict[str, Any] = {"made": len(tries), "error": tries[-1].error if tries else ""}
    if tries and tries[-1].finished_at is not None and tries[0].started_at is not None:
        took = (tries[-1].finished_at - tries[0].started_at) / S
        made |= {"duration_s": took, "finished_at": iso((tries[-1].finished_at - BEGAN) / S)}
    told = StepRun(name, 0, status, **{**made, **more.pop("told", {})})
    fields: dict[str, Any] = {"upstreams": (), "fingerprint": "", "parts": {}, **more}
    return StepFacts(told, tries=tries, **fields)


def answer(asked: str, *steps: StepFacts, before: StepFacts | None = None, **row: Any) -> Answer:
    """Ask about a step of a run of these, 20 s after its start."""
    order = row.pop("order", ())
    run = {
        "run_id": 5,
        "workflow": "daily",
        "status": "ok",
        "note": "",
        "started_at": iso(0.0),
        "resumed_from": None,
        "reason": "first run",
        "workers": 1,
        **row,
    }
    around = Around(
        now=us(20.0),
        moment=lambda at: f"00:00:{(at - BEGAN) // S:02}",
        before=before,
        usual={"fetch": (4.0, 7)},
    )
    facts = RunFacts(run, {one.told.step: one for one in steps}, order=order)
    return why(facts, asked, around)


def lines(found: Answer) -> list[tuple[float | None, str]]:
    """Give the facts with their seconds after the run's start."""
    return [(None if fact.at is None else (fact.at - BEGAN) / S, fact.text) for fact in found.facts]


def after_failure(what: str, number: int, **facts: Any) -> Decided:
    """Be what was decided after failure `number` of three."""
    told = {"attempt": number, "failures": number, "of": 3, "error": "ValueError", **facts}
    return Decided(number, what, told)


FAILED = step(
    "fetch",
    "failed",
    tried(1, "failed", 1.0, 2.0, retry_at=us(4.0)),
    tried(2, "timed_out", 9.0, 10.0),
    told={"note": "at all"},
    decisions=[
        after_failure("retry", 1, delay_s=2.0, policy="drawn from 0 to 4 s"),
        after_failure("give up", 2, why="retry_on says no"),
    ],
)
OTHER = step("other", "ok", tried(1, "ok", 0.0, 9.0))


def test_of_a_dead_run_nothing_is_told_that_is_not_known() -> None:
    """No moment for what its engine's death ended, no retry that never was, no end of a step."""
    lost: dict[str, Any] = {"status": "interrupted", "note": "its engine died"}
    died = {"note": "its engine died before the retry", "finished_at": None}
    retry = after_failure("retry", 1, delay_s=2.0, policy="")
    failed = tried(1, "failed", 0.0, 1.0, retry_at=us(3.0))
    backs_off = step("s", "interrupted", failed, told=died, decisions=[retry])
    after = step("after", "cancelled", upstreams=("s",), told={"note": "not started"})
    assert lines(answer("s", backs_off, after, **lost))[2:] == [
        (0.0, "attempt 1: failed after 1.0s: ValueError: no luck"),
        (1.0, "ValueError, failure 1 of 3: to be retried after 2.0s"),
        (None, "it was interrupted: its engine died before the retry"),
    ]
    assert lines(answer("after", backs_off, after, **lost)) == [
        (0.0, "run 5 began anew: first run"),
        (None, "it was not started"),
    ]


def test_what_tidies_up_after_a_stop_tells_what_it_waited_for() -> None:
    """Its dependency has ended by the stop, and so it began."""
    stopped = step("s", "interrupted", tried(1, "interrupted", 0.0, 1.0))
    tidy = step("tidy", "ok", tried(1, "ok", 1.0, 2.0), upstreams=("s",))
    found = lines(answer("tidy", stopped, tidy, status="cancelled"))
    assert found[1] == (1.0, "'s' had ended, interrupted")


def test_a_failure_tells_its_attempts_waits_and_what_came_of_it() -> None:
    """Each wait for a worker names what held it."""
    note = {"note": "dependency failed: fetch"}
    after = [step(name, "skipped", upstreams=("fetch",), told=note) for name in "ab"]
    found = answer("fetch", FAILED, OTHER, *after)
    assert found.text == "'fetch' failed (2 of 3 attempts; retry_on says no): ValueError: no luck"
    assert lines(found) == [
        (0.0, "run 5 began anew: first run"),
        (0.0, "it depends on nothing"),
        (0.0, "waited 1.0s for a worker: 'other' ran"),
        (1.0, "attempt 1: failed after 1.0s: ValueError: no luck"),
        (2.0, "ValueError, failure 1 of 3: retried after 2.0s (drawn from 0 to 4 s)"),
        (4.0, "waited 5.0s for a worker: 'other' ran"),
        (9.0, "attempt 2: timed out after 1.0s: ValueError: no luck"),
        (10.0, "ValueError, failure 2 of 3: given up, as retry_on says no"),
        (10.0, "so it failed"),
        (None, "because of it 'a' and 'b' were skipped"),
    ]


def test_a_skip_names_the_failure_it_comes_from_at_any_distance() -> None:
    """And the upstreams that its rule decided by."""
    told = {"note": "dependency failed: fetch", "finished_at": iso(10.0)}
    rule = {"rule": "all_success", "upstreams": {"load": "skipped"}, "more": 0, "failure": "fetch"}
    load = step("load", "skipped", upstreams=("fetch",), told=told)
    found = answer(
        "report",
        FAILED,
        load,
        step(
            "report",
            "skipped",
            upstreams=("load",),
            told=told,
            decisions=[Decided(9, "rule", rule)],
        ),
    )
    assert found.text == (
        "'report' was skipped: 'fetch' failed (2 of 3 attempts; retry_on says no): "
        "ValueError: no luck"
    )
    assert lines(found)[1:] == [
        (10.0, "'load' had ended, skipped"),
        (10.0, "its trigger rule is all_success, and 'load' was skipped"),
        (10.0, "so it was skipped"),
    ]


def test_a_skip_by_a_condition_tells_its_values_and_spreads() -> None:
    """What is after it names it."""
    note = "condition false: n > 0 (n is 0)"
    asked = {"attempt": 1, "condition": "n > 0", "holds": False, "values": {"n": "0"}}
    maybe = step(
        "maybe",
        "skipped",
        tried(1, "ok", 0.0, 0.0),
        told={"note": note},
        decisions=[Decided(2, "condition", asked)],
    )
    down = step("down", "skipped", upstreams=("maybe",), told={"note": "dependency skipped: maybe"})
    last = step("last", "skipped", upstreams=("down",), told={"note": "dependency skipped: down"})
    found = answer("maybe", maybe, down, last)
    assert found.text == f"'maybe' was skipped: {note}"
    assert lines(found)[2:] == [
        (0.0, "its condition, n > 0, did not hold (n is 0)"),
        (0.0, "so it was skipped"),
        (None, "because of it 'down' and 'last' were skipped"),
    ]
    assert answer("last", maybe, down, last).text == (
        f"'last' was skipped: 'maybe' was skipped ({note})"
    )


ASKED = Decided(2, "skip", {"attempt": 1, "said": "not on Sundays"})
FUNCTION = Decided(2, "condition", {"attempt": 1, "condition": None, "holds": True, "values": {}})
HELD = Decided(2, "hold", {"attempt": 1})
ONCE = tried(1, "ok", 0.0, 2.0)
SIMPLE: dict[str, tuple[StepFacts, dict[str, Any], str, str]] = {
    "ok": (step("s", "ok", ONCE), {}, "ran and was ok in 2.0s", "attempt 1: ok after 2.0s"),
    "retried": (
        step("s", "ok", tried(1, "failed", 0.0, 1.0), tried(2, "ok", 1.0, 2.0)),
        {},
        "was ok at attempt 2, after 2.0s with its retries",
        "attempt 2: ok after 1.0s",
    ),
    "big values": (
        step("s", "ok", ONCE, told={"note": "'x' is 2.0 MB"}),
        {},
        "ran and was ok in 2.0s: 'x' is 2.0 MB",
        "it was ok: 'x' is 2.0 MB",
    ),
    "a function's condition": (
        step("s", "ok", ONCE, decisions=[FUNCTION]),
        {},
        "ran and was ok in 2.0s",
        "its condition held",
    ),
    "skips itself": (
        step("s", "skipped", ONCE, told={"note": "not on Sundays"}, decisions=[ASKED]),
        {},
        "was skipped: not on Sundays",
        "it asked to be skipped: not on Sundays",
    ),
    "skipped before": (
        step("s", "skipped", told={"note": "not on Sundays", "source_run": 3}),
        {"resumed_from": 4, "reason": "run 4 failed"},
        "was skipped, as in run 3: not on Sundays",
        "run 5 went on from run 4: run 4 failed",
    ),
    "cached": (
        step("s", "cached", told={"note": "ok in run 3", "source_run": 3}),
        {"resumed_from": 4},
        "was not run again: ok in run 3",
        "its values are those of run 3: ok in run 3",
    ),
    "not chosen": (
        step("s", "cached", told={"note": "not chosen; ok in run 3", "source_run": 3}),
        {},
        "was not run: not chosen; ok in run 3",
        "its values are those of run 3: not chosen; ok in run 3",
    ),
    "not chosen, nor ok": (
        step("s", "skipped", told={"note": "not chosen; failed in run 3"}),
        {},
        "was not run: not chosen; failed in run 3",
        "it was skipped: not chosen; failed in run 3",
    ),
    "marked": (
        step("s", "ok", told={"marked_by": "ann", "note": "marked as done by ann"}),
        {},
        "was not run: ann marked it as done",
        "ann marked it as done",
    ),
    "redone": (
        step("s", "ok", ONCE, why="code changed", told={"note": "redone: code changed"}),
        {"resumed_from": 4},
        "ran and was ok in 2.0s; it ran again because code changed",
        "it is done again, as code changed",
    ),
    "lost": (
        step("s", "failed", told={"note": "its last 3 attempts all ended with the engine's death"}),
        {},
        "failed: its last 3 attempts all ended with the engine's death",
        "it failed: its last 3 attempts all ended with the engine's death",
    ),
    "failed, of an older store": (
        step("s", "failed", tried(1, "failed", 0.0, 2.0), told={"note": "at all"}),
        {"reason": None},
        "failed (1 attempt): ValueError: no luck",
        "run 5 began anew; why, and what was decided in it, was not recorded then",
    ),
    "no failure": (
        step("s", "skipped", told={"note": "no dependency failed"}),
        {},
        "was skipped: no dependency failed",
        "it was skipped: no dependency failed",
    ),
    "cancelled": (
        step("s", "cancelled", told={"note": "not started"}),
        {"status": "interrupted", "note": "stopped by SIGTERM"},
        "was not started: the run was interrupted: stopped by SIGTERM",
        "it was not started",
    ),
    "dead": (
        step("s", "interrupted", tried(1, None, 1.0, None), told={"note": "its engine died"}),
        {"status": "interrupted"},
        "was interrupted: its engine died",
        "attempt 1 began",
    ),
    "held": (
        step(
            "s", "backing_off", tried(1, "timed_out", 0.0, 2.0, retry_at=us(4.0)), decisions=[HELD]
        ),
        {"status": "running"},
        "waits for its retry, which is due: ValueError: no luck",
        "its retry waits: attempt 1 could not be stopped and still runs",
    ),
    "backs off": (
        step("s", "backing_off", tried(1, "failed", 0.0, 2.0, retry_at=us(25.0))),
        {"status": "running"},
        "waits for its retry, due in 5.0s: ValueError: no luck",
        "attempt 1: failed after 2.0s: ValueError: no luck",
    ),
    "of an earlier run": (
        step("s", "backing_off", used=2, retry_at=us(80.0)),
        {"status": "running", "resumed_from": 4},
        "waits for its retry, due in 1m 00s",
        "2 failures of earlier runs count against its retries",
    ),
}


@pytest.mark.parametrize("what", SIMPLE)
def test_each_end_has_its_sentence_and_its_fact(what: str) -> None:
    """Exact words."""
    made, row, text, fact = SIMPLE[what]
    found = answer("s", made, **row)
    assert found.text == f"'s' {text}"
    assert [line for _, line in lines(found)].count(fact) == 1


BEFORE: dict[str, tuple[StepFacts | None, str]] = {
    "new": (None, "run 4 did not have it"),
    "failed": (
        step("s", "failed", tried(1, "failed", 0.0, 1.0)),
        "it is done again, as in run 4 it failed (1 attempt): ValueError: no luck",
    ),
    "interrupted": (
        step("s", "interrupted", told={"note": "its engine died"}),
        "it had not ended well: in run 4 it was interrupted (its engine died)",
    ),
}


@pytest.mark.parametrize("what", BEFORE)
def test_a_step_of_a_continued_run_tells_what_it_was_before(what: str) -> None:
    """Read from the run that is gone on from."""
    before, text = BEFORE[what]
    found = answer("s", step("s", "ok", ONCE), before=before, resumed_from=4)
    assert lines(found)[1] == (0.0, text)


def test_a_step_redone_because_of_another_is_told_there_too() -> None:
    """As what came of it."""
    up = step("up", "ok", ONCE)
    down = step("down", "ok", tried(1, "ok", 2.0, 3.0), upstreams=("up",), why="'up' runs again")
    assert lines(answer("up", up, down))[-1] == (None, "because of it 'down' was done again")


def test_the_last_of_several_upstreams_made_it_ready() -> None:
    """That which ended last, whichever was declared first."""
    early, late = step("early", "ok", ONCE), step("late", "ok", tried(1, "ok", 0.0, 5.0))
    join = step("join", "ok", tried(1, "ok", 5.0, 6.0), upstreams=("late", "early"))
    told = "the last of 2 it depends on had ended: 'late', ok"
    assert (5.0, told) in lines(answer("join", early, late, join))


def test_a_step_that_waits_names_what_runs_above_it() -> None:
    """With how long it has run, and how long it usually takes."""
    fetch = step("fetch", "running", tried(1, None, 2.0, None))
    load = step("load", "waiting", upstreams=("fetch",))
    report = step("report", "waiting", upstreams=("load", "fetch"))
    runs = "is running since 00:00:02 (18.0s) and usually takes 4.0s"
    steps = (fetch, load, report)
    assert answer("fetch", *steps, status="running").text == f"'fetch' {runs}"
    waits = f"waits for 'fetch', which {runs}"
    assert answer("load", *steps, status="running").text == f"'load' {waits}"
    assert answer("report", *steps, status="running").text == (
        f"'report' waits for 'load' and 'fetch'; 'fetch' {runs}"
    )


def test_a_step_that_is_ready_names_what_holds_the_workers() -> None:
    """Claimed ahead of one, or not yet claimed."""
    fetch = step("fetch", "running", tried(1, None, 2.0, None))
    ready = step("ready", "waiting")
    claimed = step("claimed", "running", Try(1, None, None, None, "", None))
    assert answer("ready", fetch, ready, status="running").text == (
        "'ready' is ready and waits for a worker: 'fetch' runs"
    )
    assert answer("claimed", fetch, claimed, status="running").text == (
        "'claimed' is claimed and waits for a worker: 'fetch' runs"
    )


def test_what_went_first_had_more_to_go() -> None:
    """Told of steps that began while one was ready, by the weights that the run went by."""
    steps = [
        step("before", "ok", tried(1, "ok", 0.0, 2.0)),
        step("big", "ok", tried(1, "ok", 2.0, 6.0)),
        step("end", "ok", tried(1, "ok", 9.0, 9.5), upstreams=("big",)),
        step("s", "ok", tried(1, "ok", 6.0, 7.0)),
    ]
    found = answer("s", *steps, order=[2 * S, 4 * S, 8 * S, 1 * S])
    assert (0.0, "waited 6.0s for a worker: 'big' and 'before' ran") in lines(found)
    assert (0.0, "'big' went first, with more to go: 12.0s against 1.0s") in lines(found)
    told = [fact.text for fact in answer("s", *steps).facts]
    assert not [text for text in told if "went first" in text]


def test_json_has_the_same() -> None:
    """Times in UTC."""
    row = as_row(answer("s", step("s", "ok", ONCE)), lambda at: iso((at - BEGAN) / S))
    assert row["answer"] == "'s' ran and was ok in 2.0s"
    assert row["facts"][-1] == {
        "at": "2011-11-14T00:00:00.000Z",
        "what": "attempt",
        "text": "attempt 1: ok after 2.0s",
        "data": {"number": 1, "outcome": "ok", "duration_s": 2.0, "error": ""},
    }
