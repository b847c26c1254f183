"""Which steps a run of chosen steps runs, what it takes over, and what it refuses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from engine.choosing import Chosen, Missing, choose, missing
from engine.errors import UsageError
from engine.model import StepStatus, TriggerRule
from engine.past import PastStep
from engine.resume import Choice, Fresh
from engine.session.deciding import named_steps
from engine.session.deciding.request import RunRequest
from store.values import decode
from tests.builders import definition

S, R = StepStatus, TriggerRule
CHAIN = [Fresh("a", (), "f", {}), Fresh("b", (0,), "f", {}), Fresh("c", (1,), "f", {})]
OK = PastStep(S.OK, fingerprint="f", key_run=1)
FAILED = OK._replace(status=S.FAILED)
OWN_SKIP = OK._replace(status=S.SKIPPED, own_skip=True, note="no rows")
SKIPPED = OK._replace(status=S.SKIPPED, note="dependency skipped: x")
FAILED_ABOVE = OK._replace(status=S.SKIPPED, note="dependency failed: x")
INTERRUPTED = OK._replace(status=S.INTERRUPTED)
CANCELLED = OK._replace(status=S.CANCELLED)


def asked(past: Mapping[str, PastStep], *names: str, **more: Any) -> Chosen:
    """Ask for steps, after run 7."""
    fields = {"marked": {}, "values_fault": lambda _run, _step: "", **more}
    return Chosen(names=frozenset(names), past=past, run_id=7, **fields)


def lack(rule: TriggerRule, past: Mapping[str, PastStep], **more: Any) -> Missing | None:
    """Say what `c`, chosen alone, lacks under a rule."""
    chosen = asked(past, "c", **more)
    return missing(CHAIN, [R.ALL_SUCCESS, R.ALL_SUCCESS, rule], choose(CHAIN, chosen), chosen)


def test_each_step_is_run_kept_or_left() -> None:
    """A chosen step is run, one that was ok kept from where it was, any other left."""
    cached = OK._replace(status=S.CACHED, source_run=3)
    first, second, third = choose(CHAIN, asked({"a": cached, "b": OK, "c": FAILED}, "b"))
    note = "not chosen; ok in run 3"
    assert first == Choice("keep", note, status=S.CACHED, note=note, source_run=3)
    assert second == Choice("run", "chosen")
    assert third == Choice(
        "not chosen",
        "failed in run 7",
        status=S.SKIPPED,
        note="not chosen; failed in run 7",
        counts_as=S.FAILED,
    )


def test_what_has_changed_is_kept_all_the_same() -> None:
    """The operator has decided: no fingerprint and no file speaks against it."""
    changed = OK._replace(fingerprint="other", files=(("/gone", "0"),))
    first, _, _ = choose(CHAIN, asked({"a": changed}, "b"))
    assert (first.what, first.status) == ("keep", S.CACHED)


def test_without_an_earlier_run() -> None:
    """Steps that are not chosen have nothing to be kept from."""
    first, second, third = choose(CHAIN, asked({}, "a"))
    assert first.what == "run"
    left = Choice("not chosen", "", status=S.SKIPPED, note="not chosen")
    assert [second, third] == [left, left]


@pytest.mark.parametrize(
    ("old", "why"),
    [
        (OWN_SKIP, "skipped in run 7"),
        (FAILED_ABOVE, "skipped in run 7"),
        (INTERRUPTED, "interrupted in run 7"),
        (CANCELLED, "not started in run 7"),
        (OK._replace(status=S.WAITING), "not started in run 7"),
    ],
)
def test_what_is_left_says_how_it_was(old: PastStep, why: str) -> None:
    """The note of a step that is not chosen tells how it ended in the run before."""
    (choice,) = choose(CHAIN[:1], asked({"a": old}))
    assert (choice.why, choice.note) == (why, f"not chosen; {why}")


def test_values_that_cannot_be_used_are_not_kept() -> None:
    """A step whose values are damaged or gone is left, and no step that builds on it is run."""
    said = "its stored value 'rows' is damaged"
    fault = {"values_fault": lambda run, step: said if (run, step) == (7, "b") else ""}
    past = {"a": OK, "b": OK}
    _, second, _ = choose(CHAIN, asked(past, "c", **fault))
    assert (second.what, second.note) == ("not chosen", f"not chosen; {said}")
    assert lack(R.ALL_SUCCESS, past, **fault) == Missing("c", "b", said)
    assert lack(R.ALL_DONE, past, **fault) is None


def test_values_far_above_are_missed_too() -> None:
    """`c` may read what `a` wrote: it is not run without, although all is well with `b`."""
    fault = {"values_fault": lambda run, step: "damaged" if (run, step) == (7, "a") else ""}
    past = {"a": OK, "b": OK}
    for rule in (R.ALL_SUCCESS, R.NONE_FAILED):
        assert lack(rule, past, **fault) == Missing("c", "a", "damaged")
    assert lack(R.ALL_DONE, past, **fault) is None
    for more in ({"marked": {"a": ""}}, {"marked": {"a": "", "b": ""}}):
        assert lack(R.ALL_SUCCESS, past, **fault, **more) is None
    assert lack(R.ALL_SUCCESS, past, **fault, marked={"b": ""}) == Missing("c", "a", "damaged")


# What `b` was in the run before, and the rules under which `c`, chosen alone, may be run.
MAY_RUN = [
    (OK, {*R}),
    (OK._replace(status=S.CACHED, source_run=3), {*R}),
    (OWN_SKIP, {*R}),
    (SKIPPED, {*R}),
    (FAILED, {R.ALL_DONE, R.ONE_FAILED}),
    (FAILED_ABOVE, {R.ALL_DONE, R.ONE_FAILED}),
    (INTERRUPTED, {R.ALL_DONE, R.ONE_FAILED}),
    (CANCELLED, {R.ALL_DONE, R.ONE_FAILED}),
    (None, set[TriggerRule]()),
]


@pytest.mark.parametrize(("old", "rules"), MAY_RUN)
def test_an_upstream_counts_as_it_ended(old: PastStep | None, rules: set[TriggerRule]) -> None:
    """A rule that asks for success refuses what did not end well; none takes what never was."""
    past = {"a": OK} if old is None else {"a": OK, "b": old}
    for rule in R:
        found = lack(rule, past)
        assert (found is None) == (rule in rules), rule
        assert found is None or (found.step, found.upstream) == ("c", "b")


def test_why_it_is_missing() -> None:
    """It says how the upstream ended, or that it never has."""
    told = [lack(R.ALL_SUCCESS, {"b": old}) for old in (FAILED, FAILED_ABOVE)]
    assert [found.why for found in told if found] == [
        "failed in run 7",
        "skipped in run 7",
    ]
    assert lack(R.ALL_DONE, {"a": OK}) == Missing("c", "b", "has not run with these parameters")


def test_chosen_and_marked_upstreams_are_there() -> None:
    """Neither one that is run too nor one that is marked as done is missing."""
    for chosen in (asked({}, "b", "c", "a"), asked({}, "c", marked={"b": "rows=5"})):
        choices = choose(CHAIN, chosen)
        assert missing(CHAIN, [R.ALL_SUCCESS] * 3, choices, chosen) is None
    assert choices[1] == Choice("marked as done", "rows=5", status=S.OK)


# -- what is refused before anything is touched ---------------------------------------------------

FLOW = definition("fetch load>fetch report>load", name="flow")


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (RunRequest(only=["lod"]), "--only: 'flow' has no step 'lod' (did you mean 'load'?)"),
        (RunRequest(only=[""]), "--only: 'flow' has no step ''"),
        (
            RunRequest(mark_done=[("fetsh", ())]),
            "--mark-done: 'flow' has no step 'fetsh' (did you mean 'fetch'?)",
        ),
        (
            RunRequest(mark_done=[("load", ()), ("load", ())]),
            "--mark-done: step 'load' is given twice",
        ),
        (
            RunRequest(only=["load"], mark_done=[("load", ())]),
            "step 'load' is both to be run (--only) and marked as done",
        ),
        (
            RunRequest(from_step="load", mark_done=[("load", ())]),
            "step 'load' is both to be redone (--from) and marked as done",
        ),
        (RunRequest(only=["load"], resume="1"), "--only and --resume do not go together"),
        (RunRequest(only=["load"], from_step="load"), "--only and --from do not go together"),
        (RunRequest(only=["load"], fresh=True), "--only and --fresh do not go together"),
        (RunRequest(only=["load"], once=True), "--only and --once do not go together"),
        (
            RunRequest(only=["load"], started_by="timer"),
            "--only and --scheduled do not go together",
        ),
        (
            RunRequest(mark_done=[("load", ())], started_by="timer"),
            "--mark-done and --scheduled do not go together",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(request_: RunRequest, said: str) -> None:
    """Unknown and twice named steps, and options that do not go together."""
    with pytest.raises(UsageError) as raised:
        named_steps.check(FLOW, request_)
    assert raised.value.message == said
    assert raised.value.hint


class NoSecrets:
    """Knows one secret."""

    def contains(self, text: str) -> bool:
        """Tell whether a text holds it."""
        return "hunter2" in text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5", 5),
        ("-0.5", -0.5),
        ("true", True),
        ("null", None),
        ('{"a": [1, "x"]}', {"a": [1, "x"]}),
        ('"5"', "5"),
        ("five", "five"),
        ("", ""),
        ("a=b", "a=b"),
        ("NaN", "NaN"),
        ("1e999", "1e999"),
        ("[-1e999]", "[-1e999]"),
        ("{not json", "{not json"),
        ("9" * 5000, "9" * 5000),
        ("[" * 100_000, "[" * 100_000),
    ],
)
def test_outputs_are_json_where_they_read_as_such(text: str, value: Any) -> None:
    """Anything else is text; and what is printed again reads the same."""
    request = RunRequest(mark_done=[("load", [f"rows={text}"])])
    ((key, encoded),) = named_steps.marks(request, NoSecrets())["load"].outputs  # type: ignore[arg-type]
    found = decode(encoded)
    assert (key, found, type(found)) == ("rows", value, type(value))
    again = RunRequest(mark_done=[("load", [f"rows={named_steps.as_text(found)}"])])
    assert named_steps.marks(again, NoSecrets())["load"].outputs == [(key, encoded)]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("assignment", "said"),
    [
        (["rows"], "--output gives no assignment"),
        (["=5"], "--output gives no assignment"),
        (["a=1", "a=2"], "--output gives 'a' of step 'load' twice"),
        (['a={"b": {"c": 1, "c": 2}}'], "--output gives a key of an object twice"),
        (["a\x1b=1"], "context key 'a\\x1b' cannot be used"),
    ],
)
def test_wrong_outputs(assignment: list[str], said: str) -> None:
    """What is no assignment, comes twice, or has a key that no step could write."""
    with pytest.raises(UsageError) as raised:
        named_steps.marks(RunRequest(mark_done=[("load", assignment)]), NoSecrets())  # type: ignore[arg-type]
    assert raised.value.message == said


def test_a_secret_is_refused_and_not_told() -> None:
    """An output is recorded as it is, so it may hold no secret."""
    request = RunRequest(mark_done=[("load", ["token=hunter2"])])
    with pytest.raises(UsageError, match="token") as raised:
        named_steps.marks(request, NoSecrets())  # type: ignore[arg-type]
    assert "hunter2" not in f"{raised.value.message}{raised.value.hint}"


def test_long_values_are_shown_in_part() -> None:
    """A preview has room for a few words."""
    request = RunRequest(mark_done=[("load", ["text=" + "x" * 100])])
    shown = named_steps.marks(request, NoSecrets())["load"].shown  # type: ignore[arg-type]
    assert shown == 'text="' + "x" * 53 + "…"
