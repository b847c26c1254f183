"""What a continued run takes over, and why the rest is done again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.fingerprint import difference
from engine.model import StepStatus
from engine.past import PastStep
from engine.resume import Choice, Fresh, Rules, choose, keep
from tests.builders import graph_of

OK = PastStep(StepStatus.OK, fingerprint="f", key_run=1)
FAILED = OK._replace(status=StepStatus.FAILED)
CHAIN = [Fresh("a", (), "f", {}), Fresh("b", (0,), "f", {}), Fresh("c", (1,), "f", {})]


def rules(**more: Any) -> Rules:
    """Give rules under which every file is as it was."""
    fields: dict[str, Any] = {
        "run_id": 7,
        "file_matches": lambda _target, _sha256: True,
        "values_fault": lambda _run, _step: "",
        "difference": lambda _old, _new: "its code changed",
        **more,
    }
    return Rules(**fields)


def chosen(past: Mapping[str, PastStep], steps: list[Fresh] = CHAIN, **more: Any) -> list[Choice]:
    """Choose for steps that are declared in dependency order."""
    return choose(steps, range(len(steps)), past, rules(**more))


def whys(choices: list[Choice]) -> list[tuple[str, str]]:
    """What becomes of each step, and why."""
    return [(choice.what, choice.why) for choice in choices]


def test_ok_is_reused_and_names_its_source() -> None:
    """A step `ok` in the run before is cached from there; a cached one from where it was `ok`."""
    cached = OK._replace(status=StepStatus.CACHED, source_run=3)
    first, second, third = chosen({"a": OK, "b": cached, "c": FAILED})
    assert first == Choice(
        "reuse",
        "ok in run 7",
        status=StepStatus.CACHED,
        note="ok in run 7",
        source_run=7,
        key_run=1,
    )
    assert (second.why, second.source_run) == ("ok in run 3", 3)
    assert third == Choice("redo", "failed in run 7", key_run=1)


def test_changed_step_and_its_downstream_are_redone() -> None:
    """What changed runs again under a key of its own, and so does all that builds on it."""
    changed = OK._replace(fingerprint="other")
    choices = chosen({"a": changed, "b": OK, "c": OK})
    assert whys(choices) == [
        ("redo", "its code changed"),
        ("redo", "'a' runs again"),
        ("redo", "'b' runs again"),
    ]
    assert [choice.own_key for choice in choices] == [True, True, True]
    assert [choice.status for choice in choices] == [None, None, None]


def test_damaged_values_are_made_again() -> None:
    """A step whose stored values are not what it left runs again, with all after it."""
    asked: list[tuple[int, str]] = []

    def fault(run: int, step: str) -> str:
        asked.append((run, step))
        return "its stored value 'rows' is damaged" if step == "b" else ""

    cached = OK._replace(status=StepStatus.CACHED, source_run=3)
    choices = chosen({"a": OK, "b": cached, "c": OK}, values_fault=fault)
    assert whys(choices) == [
        ("reuse", "ok in run 7"),
        ("redo", "its stored value 'rows' is damaged"),
        ("redo", "'b' runs again"),
    ]
    assert choices[1].own_key
    assert asked == [(7, "a"), (3, "b")]  # each where its values are; none that runs again anyway


def test_a_step_that_skipped_itself_left_no_values() -> None:
    """So nothing is asked about them."""
    skipped = OK._replace(status=StepStatus.SKIPPED, own_skip=True, note="no rows")
    (choice,) = chosen({"a": skipped}, CHAIN[:1], values_fault=lambda _run, _step: "damaged")
    assert choice.what == "reuse"


def test_change_without_a_telling_part() -> None:
    """A fingerprint that differs counts, also where no part tells how."""
    (choice,) = chosen(
        {"a": OK._replace(fingerprint="x")}, CHAIN[:1], difference=lambda _old, _new: ""
    )
    assert choice.why == "it changed"


def test_parts_are_compared() -> None:
    """Old and new parts are handed to what names the difference, in this order."""
    seen: list[tuple[Mapping[str, str], Mapping[str, str]]] = []

    def difference(old: Mapping[str, str], new: Mapping[str, str]) -> str:
        seen.append((old, new))
        return "x"

    old = OK._replace(fingerprint="e", parts={"code": "1"})
    chosen({"a": old}, [Fresh("a", (), "f", {"code": "2"})], difference=difference)
    assert seen == [({"code": "1"}, {"code": "2"})]


def test_other_upstreams() -> None:
    """A step that depends on others than it did is redone; in which order they stand is nothing."""
    old = OK._replace(depends_on=("x", "y"))
    for now, expected in (("y", "x"), "reuse"), (("x",), "redo"), (("x", "z"), "redo"):
        (choice,) = chosen({"a": old}, [Fresh("a", (), "f", {}, now)])
        assert choice.what == expected
    assert choice.why == "upstreams changed"


def test_a_fingerprint_that_covered_the_upstreams() -> None:
    """One of an earlier version differs from today's in that alone, and is no change."""
    parts = {"code": "1", "upstreams": "9"}
    old = OK._replace(fingerprint="e", parts=parts, depends_on=("x",))
    for code, why in ("1", "ok in run 7"), ("2", "code changed"):
        now = Fresh("a", (), "f", {"code": code}, ("x",))
        assert chosen({"a": old}, [now], difference=difference)[0].why == why


def test_forced() -> None:
    """The step asked for is redone although nothing has changed."""
    choices = chosen({"a": OK, "b": OK, "c": OK}, forced="b")
    assert whys(choices) == [
        ("reuse", "ok in run 7"),
        ("redo", "asked for"),
        ("redo", "'b' runs again"),
    ]


def test_files() -> None:
    """A file that is gone or altered makes its step run again."""
    written = OK._replace(files=(("/x", "1"), ("/y", "2")))
    (choice,) = chosen({"a": written}, CHAIN[:1], file_matches=lambda target, _: target != "/y")
    assert (choice.what, choice.why) == ("redo", "its file '/y' is gone or altered")
    (choice,) = chosen({"a": written}, CHAIN[:1])
    assert choice.what == "reuse"


def test_new_step() -> None:
    """A step that the run before did not have is new; what builds on it runs again."""
    choices = chosen({"a": OK, "c": OK})
    assert whys(choices) == [
        ("reuse", "ok in run 7"),
        ("new", "new step"),
        ("redo", "'b' runs again"),
    ]


@pytest.mark.parametrize("note", ["no trade today", "dependency failed: x"])
def test_own_skip_stays(note: str) -> None:
    """A step skipped by itself stays skipped, and what depends on it is as it was."""
    skipped = PastStep(StepStatus.SKIPPED, note=note, fingerprint="f", own_skip=True)
    (choice,) = chosen({"a": skipped}, CHAIN[:1])
    assert choice == Choice(
        "reuse", f"skipped: {note}", status=StepStatus.SKIPPED, note=note, source_run=7
    )
    (choice,) = chosen({"a": skipped._replace(fingerprint="x")}, CHAIN[:1])
    assert (choice.what, choice.own_key) == ("redo", False)


@pytest.mark.parametrize(
    "note", ["dependency failed: x", "dependency skipped: x", "no dependency failed"]
)
def test_skip_by_others_is_decided_anew(note: str) -> None:
    """A skip that came from the upstreams is no decision of the step's own."""
    skipped = PastStep(StepStatus.SKIPPED, note=note, fingerprint="f")
    assert whys(chosen({"a": skipped}, CHAIN[:1])) == [("redo", f"skipped in run 7 ({note})")]


@pytest.mark.parametrize(
    ("status", "why"),
    [
        (StepStatus.INTERRUPTED, "interrupted in run 7"),
        (StepStatus.CANCELLED, "not started in run 7"),
        (StepStatus.WAITING, "not started in run 7"),
        (StepStatus.RUNNING, "not started in run 7"),
    ],
)
def test_unfinished_goes_on_with_its_budget(status: StepStatus, why: str) -> None:
    """A step that did not come to its end keeps what it had used, and its key."""
    (choice,) = chosen(
        {"a": PastStep(status, fingerprint="x", used=2, lost=1, key_run=4)}, CHAIN[:1]
    )
    assert choice == Choice("redo", why, used=2, lost=1, key_run=4)


def test_wait_for_a_retry_is_kept() -> None:
    """What is left of a backoff is honoured; an upstream that runs again comes before it."""
    waiting = PastStep(StepStatus.INTERRUPTED, used=1, retry_at=99, key_run=1)
    first, second, _ = chosen({"a": OK, "b": waiting, "c": OK})
    assert first.what == "reuse"
    assert (second.why, second.retry_at, second.used) == (
        "was waiting for its retry in run 7",
        99,
        1,
    )
    _, second, _ = chosen({"a": FAILED, "b": waiting, "c": OK})
    assert (second.why, second.retry_at, second.used) == ("interrupted in run 7", None, 1)


def test_a_failed_step_gets_a_full_budget() -> None:
    """Failed is failed: the next run may try as often as the first."""
    failed = PastStep(StepStatus.FAILED, used=3, retry_at=5, lost=3, key_run=1)
    (choice,) = chosen({"a": failed}, CHAIN[:1])
    assert choice == Choice("redo", "failed in run 7", key_run=1)


def test_three_lost_engines_fail_the_step() -> None:
    """A step whose last three attempts were lost with their engine is failed without another."""
    lost = PastStep(StepStatus.INTERRUPTED, lost=3, key_run=1)
    choices = chosen({"a": lost, "b": OK._replace(status=StepStatus.CANCELLED)}, CHAIN[:2])
    note = "its last 3 attempts all ended with the engine's death; it may be what kills it"
    assert (choices[0].status, choices[0].note, choices[0].why) == (StepStatus.FAILED, note, note)
    assert choices[1].status is None
    (choice,) = chosen({"a": lost._replace(lost=2)}, CHAIN[:1])
    assert (choice.status, choice.lost) == (None, 2)


def test_a_marked_step_is_done_and_what_builds_on_it_is_redone() -> None:
    """Whatever it was before; one that had not run waits for no retry of its own any more."""
    waiting = PastStep(StepStatus.INTERRUPTED, used=1, retry_at=99, key_run=1)
    choices = chosen({"a": FAILED, "b": OK, "c": waiting}, marked={"a": "rows=5"})
    assert choices[0] == Choice("marked as done", "rows=5", status=StepStatus.OK)
    assert whys(choices[1:]) == [
        ("redo", "'a' is marked as done"),
        ("redo", "interrupted in run 7"),
    ]
    assert (choices[1].own_key, choices[2].retry_at) == (True, None)


def test_a_mark_holds_within_the_chain() -> None:
    """What a person said is no result of the steps above; what builds on those runs again."""
    marked = OK._replace(marked=True)
    choices = chosen({"a": FAILED, "b": marked, "c": OK})
    assert whys(choices) == [
        ("redo", "failed in run 7"),
        ("reuse", "marked as done in run 7"),
        ("redo", "'a' runs again"),
    ]
    changed = marked._replace(fingerprint="x")
    assert whys(chosen({"a": OK, "b": changed}, CHAIN[:2]))[1] == ("redo", "its code changed")
    for forced in ("a", "b"):  # asked for: that step and all after it
        assert chosen({"a": OK, "b": marked, "c": OK}, forced=forced)[1].what == "redo"
    assert chosen({"a": FAILED, "b": marked, "c": OK}, forced="c")[1].what == "reuse"


def test_a_new_step_may_be_marked() -> None:
    """It need not have been there before."""
    assert [c.what for c in chosen({"a": OK}, marked={"b": ""})] == [
        "reuse",
        "marked as done",
        "new",
    ]


@given(st.data())
def test_reused_only_below_reused(data: st.DataObject) -> None:
    """In any graph a step is reused just if it is settled, the same, and all upstreams are."""
    count = data.draw(st.integers(1, 12))
    steps, past = [], {}
    for number in range(count):
        ups = tuple(sorted(data.draw(st.sets(st.integers(0, number - 1))))) if number else ()
        steps.append(Fresh(f"s{number}", ups, "f", {}))
        status = data.draw(st.sampled_from([StepStatus.OK, StepStatus.CACHED, StepStatus.FAILED]))
        print_ = data.draw(st.sampled_from(["f", "f", "f", "x"]))
        if data.draw(st.integers(0, 5)):
            past[f"s{number}"] = PastStep(status, fingerprint=print_)
    choices = chosen(past, steps)
    for step, choice in zip(steps, choices, strict=True):
        old = past.get(step.name)
        fit = old is not None and old.status is not StepStatus.FAILED and old.fingerprint == "f"
        below = all(choices[up].what == "reuse" for up in step.upstreams)
        assert (choice.what == "reuse") == (fit and below)


@given(st.data())
def test_what_is_kept_at_once_is_what_a_look_at_each_step_gives(data: st.DataObject) -> None:
    """Whichever of the steps that hold are told of at once, all choices are the same."""
    count = data.draw(st.integers(1, 8))
    words = ["s0"]
    for number in range(1, count):
        ups = sorted(data.draw(st.sets(st.integers(0, number - 1), max_size=3)))
        words.append(f"s{number}>{','.join(f's{up}' for up in ups)}" if ups else f"s{number}")
    graph = graph_of(" ".join(words))
    steps = [
        Fresh(name, ups, "f", {}) for name, ups in zip(graph.names, graph.upstreams, strict=True)
    ]
    past, done = {}, []
    for step in steps:
        source = data.draw(st.sampled_from([3, 7, 7, 7, 0]))
        fit = OK._replace(source_run=source) if source else FAILED
        past[step.name] = fit
        done.append(source if data.draw(st.integers(0, 4)) else 0)
    forced = data.draw(st.sampled_from([None, *graph.names]))
    if forced is not None:
        done[graph.names.index(forced)] = 0
    kept = keep(done, graph.downstreams, key_run=1)
    left = {at: step for at, step in enumerate(steps) if kept[at] is None}
    few = {steps[at].name: past[steps[at].name] for at in left}
    at_once = choose(left, graph.order, few, rules(forced=forced), kept)
    assert at_once == choose(steps, graph.order, past, rules(forced=forced))
