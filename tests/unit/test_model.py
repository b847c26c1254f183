"""The vocabulary: names, durations, commands and steps, and each refusal's text."""

from __future__ import annotations

import pickle
from copy import copy
from dataclasses import FrozenInstanceError, replace
from datetime import timedelta
from pathlib import PurePath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.durations import parse_duration
from engine.errors import DefinitionError
from engine.model import (
    ENDED_STEP,
    OnOverrun,
    Shell,
    Step,
    StepStatus,
    TriggerRule,
    shell,
)
from engine.naming import check_name

NAME_HINT = "start with a letter or digit, go on with letters, digits, '_', '.' or '-'"


def nothing(_: Any) -> None:
    """Do nothing."""


@pytest.mark.parametrize(
    "name",
    ["a", "A-1_b.c", "0", "größe", "日報", "صباح", "é́", "दैनिक", "a" * 100, "日" * 66],
)
def test_usable_names(name: str) -> None:
    """Letters and digits of any script, then also dot, dash and underscore."""
    assert check_name("step", name) == name


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        (3, "is not text but int"),
        ("", "is empty"),
        ("a" * 101, "is longer than 100 characters or 200 bytes"),
        ("日" * 67, "is longer than 100 characters or 200 bytes"),
        ("e\u0301", "is not in Unicode normal form NFC"),
        (".a", "holds '.' at position 1"),
        ("-a", "holds '-' at position 1"),
        ("_a", "holds '_' at position 1"),
        ("a/b", "holds '/' at position 2"),
        ("/abs", "holds '/' at position 1"),
        ("../../x", "holds '.' at position 1"),
        ("a%2e%2e", "holds '%' at position 2"),
        ("x" * 4096, "is longer than 100 characters or 200 bytes"),
        ("a\\b", "holds '\\\\' at position 2"),
        ("a b", "holds ' ' at position 2"),
        ("a\n", "holds '\\n' at position 2"),
        ("a\0", "holds '\\x00' at position 2"),
        ("a\u202eb", "holds '\\u202e' at position 2"),
        ("a\u200db", "holds '\\u200d' at position 2"),
        ("a\ud800", "holds '\\ud800' at position 2"),
        ("\u0301a", "holds '\u0301' at position 1"),
        ("½", "holds '½' at position 1"),
        ("a:b", "holds ':' at position 2"),
        ("☃", "holds '☃' at position 1"),
    ],
)
def test_unusable_names(name: object, fault: str) -> None:
    """What no file may be called, or what hides what it is, is named with its place."""
    with pytest.raises(DefinitionError) as raised:
        check_name("step", name)
    assert raised.value.message == f"step name {name!r} {fault}"
    assert raised.value.hint == NAME_HINT


@given(st.text(max_size=120))
def test_a_usable_name_is_a_file_name(name: str) -> None:
    """Whatever passes can be a file's name, in one folder, shown as it is."""
    try:
        check_name("step", name)
    except DefinitionError:
        return
    assert name
    assert not set(name) & set('/\\\0\n\r\t :*?"<>|')
    assert name[0] not in ".-_"
    assert len(f"{name}.1000.log".encode()) <= 255
    assert name.isprintable()


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (1, 1.0),
        (0.5, 0.5),
        ("90s", 90.0),
        ("5m", 300.0),
        ("1h30m", 5400.0),
        ("1h1m1.5s", 3661.5),
        ("0.5h", 1800.0),
        (timedelta(days=1, milliseconds=1), 86_400.001),
        ("8784h", 366 * 86_400.0),
    ],
)
def test_durations(value: Any, seconds: float) -> None:
    """Seconds as a number, as text or as a timedelta."""
    assert parse_duration("x", value) == seconds


@pytest.mark.parametrize(
    "value",
    ["", "5", "5 m", "m", "-5m", "5m1h", "1d", "1e3s", "5m\n", None, True, [1], b"5m"],
)
def test_no_durations(value: Any) -> None:
    """Anything else is no duration."""
    with pytest.raises(DefinitionError) as raised:
        parse_duration("step 'a': timeout", value)
    assert raised.value.message == f"step 'a': timeout is {value!r}, not a duration"
    assert raised.value.hint == 'give seconds, or text like "90s", "5m", "1h30m"'


@pytest.mark.parametrize(
    "value",
    [-1, 0, 0.0, "0s", float("nan"), float("inf"), 367 * 86_400, "8785h", timedelta(-1)],
)
def test_durations_out_of_range(value: Any) -> None:
    """Zero only where it makes sense, never negative, endless, or over a year."""
    with pytest.raises(DefinitionError) as raised:
        parse_duration("x", value)
    assert raised.value.message.startswith("x is ")
    assert raised.value.message.endswith(", out of range")
    assert raised.value.hint == "give more than 0 and at most 366 days"


def test_zero_where_allowed() -> None:
    """A backoff of nothing is fine."""
    assert parse_duration("x", 0, zero=True) == 0
    with pytest.raises(DefinitionError) as raised:
        parse_duration("x", -1, zero=True)
    assert raised.value.hint == "give 0 and at most 366 days"


def test_shell() -> None:
    """Text is for a shell, a list is run as it is."""
    assert shell("a | b") == Shell("a | b")
    assert shell(["a", ""]) == Shell(("a", ""))
    assert shell(word for word in ("a", "b")) == Shell(("a", "b"))


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("", "shell command is empty"),
        (" \n", "shell command is empty"),
        ([], "shell command () is not a list of words"),
        ([""], "shell command ('',) is not a list of words"),
        (["a", 1], "shell command ('a', 1) is not a list of words"),
    ],
)
def test_refused_commands(command: Any, message: str) -> None:
    """A command must name a program."""
    with pytest.raises(DefinitionError) as raised:
        shell(command)
    assert raised.value.message == message


def test_shell_options() -> None:
    """Variables and codes are kept in a fixed order, the folder as a path's text."""
    made = shell("a", env={"B": "2", "A": ""}, cwd=PurePath("x/./y/"), ok_codes=[3, 0, 3])
    assert made == Shell("a", (("A", ""), ("B", "2")), "x/y", (0, 3))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"env": {"A=B": "x"}}, "shell: env has the name 'A=B'"),
        ({"env": {"": "x"}}, "shell: env has the name ''"),
        ({"env": {"A": 1}}, "shell: env gives A the value 1"),
        ({"env": {"A": "\0"}}, "shell: env gives A the value '\\x00'"),
        ({"env": {"OUT": "x"}}, "shell: env sets OUT, which the engine sets"),
        ({"env": {"KAHNBAN_STEP": "x"}}, "shell: env sets KAHNBAN_STEP, which the engine sets"),
        ({"cwd": ""}, "shell: cwd is ''"),
        ({"cwd": 3}, "shell: cwd is 3"),
        ({"ok_codes": ()}, "shell: ok_codes is ()"),
        ({"ok_codes": 0}, "shell: ok_codes is 0"),
        ({"ok_codes": (0, 256)}, "shell: ok_codes is (0, 256)"),
        ({"ok_codes": (-9,)}, "shell: ok_codes is (-9,)"),
        ({"ok_codes": (True,)}, "shell: ok_codes is (True,)"),
    ],
)
def test_refused_shell_options(options: dict[str, Any], message: str) -> None:
    """What no process could be given is refused where it is written."""
    with pytest.raises(DefinitionError) as raised:
        shell("a", **options)
    assert raised.value.message == message
    assert raised.value.hint


def test_grace() -> None:
    """Five seconds unless said otherwise; none at all is allowed; only processes have one."""
    assert Step("a", shell("a")).grace_s == 5
    assert Step("a", shell("a"), grace=0).grace_s == 0
    assert Step("a", nothing, isolate=True, grace="1m").grace_s == 60
    assert [
        Step("a", run, isolate=alone).in_process
        for run, alone in ((nothing, False), (nothing, True), (shell("a"), False))
    ] == [False, True, True]


def test_step_defaults() -> None:
    """Two retries after 1 s and 2 s, jitter aside; no timeout; all upstreams must be ok."""
    step = Step("a", nothing)
    assert (step.retries, step.backoff_s, step.backoff_s_max, step.timeout_s) == (2, 1, 300, None)
    assert step.trigger_rule is TriggerRule.ALL_SUCCESS
    assert step.retry_on == (Exception,)
    assert step.depends_on == ()


def test_steps_that_mean_the_same_are_equal() -> None:
    """However they are written; each lies in slots, as a million of them may be held."""
    step = Step("a", nothing, ["b"], timeout=60)
    assert not hasattr(step, "__dict__")
    assert step == Step("a", nothing, ["b"], 2, 60) == replace(step, retries=2, timeout=60)
    assert hash(step) == hash(copy(step))
    assert step != Step("a", nothing, ["b"])


def test_a_step_is_not_to_be_changed() -> None:
    """Nor is one of a class below it, which may add to what it holds."""

    class Noted(Step):
        note: str

        def __init__(self, name: str) -> None:
            super().__init__(name, nothing, ["b"])
            object.__setattr__(self, "note", "kept")

    noted = Noted("a")
    read = pickle.loads(pickle.dumps(Step("a", len)))  # noqa: S301 - ours
    for step in (Step("a", nothing, ["b"]), noted, read):
        with pytest.raises(FrozenInstanceError, match="cannot assign to field 'name'"):
            step.name = "x"  # type: ignore[misc]
        with pytest.raises(FrozenInstanceError, match="cannot delete field 'name'"):
            del step.name
    assert (type(noted), noted.note, noted.depends_on) == (Noted, "kept", ("b",))
    assert repr(noted).startswith("test_a_step_is_not_to_be_changed.<locals>.Noted(name='a', run=")


def test_step_in_its_normal_form() -> None:
    """Durations become seconds, names a tuple without doubles, the rule a rule."""
    step = Step(
        "a",
        nothing,
        ["b", "c", "b"],
        timeout="1m",
        backoff="2s",
        backoff_max=timedelta(minutes=1),
        trigger_rule="all_done",
        retry_on=OSError,
    )
    assert step.depends_on == ("b", "c")
    assert (step.timeout_s, step.backoff_s, step.backoff_s_max) == (60, 2, 60)
    assert step.trigger_rule is TriggerRule.ALL_DONE
    assert step.retry_on == (OSError,)


@pytest.mark.parametrize(
    ("options", "message", "hint"),
    [
        ({"run": 3}, "cannot run 3", "give a function of ctx, or shell(…)"),
        ({"run": "ls"}, "cannot run 'ls'", "give a function of ctx, or shell(…)"),
        ({"depends_on": "b"}, "depends_on is the text 'b'", "write ['b']"),
        ({"depends_on": [1]}, "depends_on holds 1", "give the names of steps"),
        (
            {"run": shell("ls"), "isolate": True},
            "isolate= with shell(…)",
            "leave it out: a command is a process",
        ),
        ({"grace": 1}, "grace= on a thread", "isolate=True makes it a process to end"),
        ({"retries": -1}, "retries is -1", "give 0 to 1000"),
        ({"retries": 1001}, "retries is 1001", "give 0 to 1000"),
        ({"retries": True}, "retries is True", "give a whole number"),
        ({"retries": 1.5}, "retries is 1.5", "give a whole number"),
        ({"timeout": 0}, "timeout is 0, out of range", "give more than 0 and at most 366 days"),
        ({"backoff": -1}, "backoff is -1, out of range", "give 0 and at most 366 days"),
        (
            {"backoff_max": "x"},
            "backoff_max is 'x', not a duration",
            'give seconds, or text like "90s", "5m", "1h30m"',
        ),
        (
            {"trigger_rule": "some"},
            "unknown trigger rule 'some'",
            "choose one of all_success, none_failed, all_done, one_failed",
        ),
        (
            {"when": True},
            "when is True",
            "give a function of ctx, or text such as 'fetch.rows > 0'",
        ),
        ({"output": "x"}, "output= goes with shell(…)", "in a function use ctx.output(path)"),
        ({"retry_on": "OSError"}, "retry_on is 'OSError'", "give exception types"),
        ({"retry_on": (OSError, 1)}, None, "give exception types"),
        ({"version": 2}, "version is 2", "give text"),
    ],
)
def test_refused_steps(options: dict[str, Any], message: str | None, hint: str) -> None:
    """What cannot work is refused where it is written, naming the step."""
    with pytest.raises(DefinitionError) as raised:
        Step(**{"name": "a", "run": nothing, **options})
    if message is not None:
        assert raised.value.message == f"step 'a': {message}"
    assert raised.value.hint == hint
    assert isinstance(raised.value, ValueError)


def test_ended_statuses() -> None:
    """Four statuses are on the way; all others are an end."""
    assert set(StepStatus) - ENDED_STEP == {
        StepStatus.WAITING,
        StepStatus.READY,
        StepStatus.RUNNING,
        StepStatus.BACKING_OFF,
    }


def test_policies_for_overruns() -> None:
    """Three words for steps with a thread; a process past its limit is killed, so it has none."""
    assert [
        Step("a", nothing, on_overrun=word).on_overrun for word in ("fail", "wait", "abandon")
    ] == [
        OnOverrun.FAIL,
        OnOverrun.WAIT,
        OnOverrun.ABANDON,
    ]
    with pytest.raises(DefinitionError) as caught:
        Step("a", nothing, on_overrun="kill")
    assert str(caught.value) == "step 'a': unknown on_overrun 'kill'"
    assert caught.value.hint == "choose one of fail, wait, abandon"
    with pytest.raises(DefinitionError) as caught:
        Step("a", shell("true"), on_overrun="wait")
    assert str(caught.value) == "step 'a': on_overrun= is for steps whose thread cannot be stopped"
    assert caught.value.hint == "leave it out: a process past its limit is killed"
