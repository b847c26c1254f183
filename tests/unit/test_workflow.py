"""Building a workflow: fluent, decorated, checked as a whole."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from engine import Param, Step, Workflow, order_steps, shell
from engine.errors import CycleError, DefinitionError
from engine.model import RESUME_WITHIN_S, Definition
from engine.moments import microseconds
from engine.session.deciding.asked import today_of
from tests.fakes import FakeClock


def nothing(_: Any) -> None:
    """Do nothing."""


def refusal(**options: Any) -> tuple[str, str]:
    """Message and hint with which a workflow of these options is refused."""
    with pytest.raises(DefinitionError) as raised:
        Workflow("w", **options)
    return raised.value.message, raised.value.hint


def test_fluent() -> None:
    """`add` gives the workflow itself, steps stay in order of declaration."""
    workflow = Workflow("daily")
    assert workflow.add(Step("b", nothing, ["a"])) is workflow
    workflow.add(Step("a", nothing))
    definition = workflow.definition()
    assert isinstance(definition, Definition)
    assert [step.name for step in definition.steps] == ["b", "a"]
    assert (definition.name, definition.dry_run, definition.overlap) == ("daily", False, "workflow")
    assert definition.resume_within_s == RESUME_WITHIN_S == 12 * 3600
    assert repr(workflow) == "<workflow 'daily', 2 steps>"


def test_a_definition_is_frozen() -> None:
    """What was checked cannot be changed, nor by adding to the workflow afterwards."""
    workflow = Workflow("w", params={"n": 1}).add(Step("a", nothing))
    definition = workflow.definition()
    workflow.add(Step("b", nothing))
    assert len(definition.steps) == 1
    with pytest.raises(FrozenInstanceError):
        definition.name = "x"  # type: ignore[misc]


def test_options() -> None:
    """Every option arrives, in its normal form."""
    definition = (
        Workflow(
            "w",
            True,  # noqa: FBT003 - the public form
            schedule="*-*-* 08:00:00",
            tz="Europe/Berlin",
            params={"n": 3, "day": Param(str, "mon", choices=("mon", "tue"))},
            catchup="all",
            pause_after=3,
            deadline="09:30",
            max_duration="2h",
            ping="PING_W",
            overlap="params",
            resume_within="1h30m",
            alert_on="change",
            order="fifo",
            description="what it does",
        )
        .add(Step("a", nothing))
        .definition()
    )
    assert definition.dry_run is True
    assert definition.schedule == "*-*-* 08:00:00"
    assert definition.tz == "Europe/Berlin"
    assert definition.params["n"] == Param(int, 3)
    assert definition.resume_within_s == 5400
    assert (definition.catchup, definition.pause_after) == ("all", 3)
    assert (definition.ping, Workflow("w").ping) == ("PING_W", None)
    assert (definition.deadline, definition.max_duration_s) == ("09:30", 7200)
    assert (Workflow("w").deadline, Workflow("w").pause_after) == (None, None)
    assert (Workflow("w").catchup, Workflow("w", pause_after=3).pause_after) == ("latest", 3)
    assert Workflow("w", schedule="daily", deadline="1h").deadline == 3600
    assert (definition.overlap, definition.alert_on) == ("params", "change")
    assert (definition.order, Workflow("w").order) == ("fifo", "longest_path")
    assert definition.description == "what it does"
    assert Workflow("w", resume_within=timedelta(days=1)).resume_within_s == 86_400


@pytest.mark.parametrize(
    ("options", "message", "hint"),
    [
        (
            {"overlap": "never"},
            "workflow 'w': overlap is 'never'",
            "choose one of workflow, params",
        ),
        (
            {"catchup": "newest"},
            "workflow 'w': catchup is 'newest'",
            "choose one of latest, all, none",
        ),
        (
            {"catchup": "all"},
            "workflow 'w': catchup needs a schedule: without one no slot is ever missed",
            'add one, such as "*-*-* 08:00:00", or leave catchup out',
        ),
        (
            {"deadline": "09:30"},
            "workflow 'w': deadline needs a schedule: only the run of a slot is held to it",
            'add one, such as "*-*-* 08:00:00", or leave deadline out',
        ),
        (
            {"pause_after": True},
            "workflow 'w': pause_after is True",
            "give a number of failed runs, 1 to 1000, or leave it out",
        ),
        (
            {"deadline": "9 o'clock"},
            "workflow 'w': deadline is \"9 o'clock\", not a time of day or a duration",
            'give a time of day, "09:30", or a duration after the slot, "2h"',
        ),
        (
            {"ping": "https://example.org/secret"},
            "workflow 'w': ping is a URL, not the name of a secret",
            "put PING_URL=https://… into var/env, and give its name, PING_URL",
        ),
        (
            {"order": "priority"},
            "workflow 'w': order is 'priority'",
            "choose one of longest_path, fifo",
        ),
        (
            {"alert_on": "success"},
            "workflow 'w': alert_on is 'success'",
            "choose one of always, failure, change",
        ),
        (
            {"tz": "Mars/Base"},
            "workflow 'w': unknown time zone 'Mars/Base'",
            'give one such as "Europe/Berlin"',
        ),
        (
            {"resume_within": "soon"},
            "workflow 'w': resume_within is 'soon', not a duration",
            'give seconds, or text like "90s", "5m", "1h30m"',
        ),
        (
            {"resume_within": -1},
            "workflow 'w': resume_within is -1, out of range",
            "give 0 and at most 366 days",
        ),
        (
            {"params": {"a b": 1}},
            "parameter name 'a b' cannot be used",
            "start with a letter or '_', go on with letters, digits or '_' (100 at most)",
        ),
    ],
)
def test_refused_options(options: dict[str, Any], message: str, hint: str) -> None:
    """An option that cannot work is refused where it is given."""
    assert refusal(**options) == (message, hint)


def test_a_zone_that_the_schedule_names_is_the_workflows() -> None:
    """So `today`, `ctx.slot` and what is shown are of that zone, too."""
    named = Workflow("w", schedule="00:30 Pacific/Kiritimati").add(Step("a", nothing)).definition()
    assert named.tz == "Pacific/Kiritimati"
    slot = datetime(2026, 11, 25, 10, 30, tzinfo=UTC)
    assert today_of(named, FakeClock(), slot=microseconds(slot)) == date(2026, 11, 26)


def test_decorator() -> None:
    """The decorator adds a step and gives the function back."""
    workflow = Workflow("w")

    @workflow.step(depends_on=["b"], retries=0, timeout="5s")
    def a(_: Any) -> None:
        pass

    @workflow.step("b")
    def other(_: Any) -> None:
        pass

    first, second = workflow.steps
    assert (first.name, first.run, first.depends_on, first.retries, first.timeout_s) == (
        "a",
        a,
        ("b",),
        0,
        5,
    )
    assert (second.name, second.run) == ("b", other)


def test_decorator_without_parentheses() -> None:
    """The easy mistake is named."""
    workflow = Workflow("w")
    with pytest.raises(DefinitionError) as raised:
        workflow.step(nothing)  # type: ignore[arg-type]
    assert raised.value.message == "workflow 'w': @workflow.step is used without parentheses"
    assert raised.value.hint == "write @workflow.step() or @workflow.step(depends_on=[…])"


def test_add_takes_steps_only() -> None:
    """A bare function is no step."""
    with pytest.raises(DefinitionError) as raised:
        Workflow("w").add("fetch")  # type: ignore[arg-type]
    assert raised.value.message == "workflow 'w': cannot add 'fetch'"
    assert raised.value.hint == "add a Step(name, run, depends_on=[…])"


def test_empty() -> None:
    """A workflow without steps is refused as a whole."""
    with pytest.raises(DefinitionError, match=r"^workflow 'w' has no steps$"):
        Workflow("w").definition()


def test_faults_of_the_graph_come_together() -> None:
    """All unknown dependencies and double names are named in one go."""
    workflow = Workflow("w").add(Step("a", nothing, ["x", "y"])).add(Step("a", nothing))
    with pytest.raises(DefinitionError) as raised:
        workflow.definition()
    told = [str(fault) for fault in raised.value.faults]
    assert told == [
        "two steps are named 'a'",
        "step 'a' depends on unknown step 'x'",
        "step 'a' depends on unknown step 'y'",
    ]
    assert raised.value.message == "workflow 'w': " + "; ".join(told)


def test_cycle() -> None:
    """A cycle is a closed path of real edges, without steps that merely wait for it."""
    workflow = Workflow("w")
    for name, ups in {"z": ["c"], "a": ["c"], "b": ["a"], "c": ["b"]}.items():
        workflow.add(Step(name, nothing, ups))
    with pytest.raises(CycleError) as raised:
        workflow.definition()
    assert raised.value.message == "workflow 'w': dependency cycle: a -> b -> c -> a"
    assert raised.value.path == ("a", "b", "c", "a")


def test_order_steps() -> None:
    """Dependency order of steps or of names; ties go by the mapping's order."""
    assert order_steps({"c": ["a", "b"], "b": ["a"], "a": [], "d": []}) == ["a", "d", "b", "c"]
    assert order_steps({"b": Step("b", nothing, ["a"]), "a": Step("a", nothing)}) == ["a", "b"]
    with pytest.raises(ValueError, match="a -> b -> a"):
        order_steps({"a": ["b"], "b": ["a"]})
    with pytest.raises(ValueError, match="step 'a' depends on unknown step 'x'"):
        order_steps({"a": ["x"]})


def test_a_long_chain_orders() -> None:
    """A hundred thousand steps in a row need no recursion."""
    count = 100_000
    chain = {str(number): [str(number - 1)] if number else [] for number in range(count)}
    assert order_steps(chain) == list(chain)


def test_shell_is_checked_with_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without bash a pipe in a command is refused before anything runs."""
    workflow = Workflow("w").add(Step("a", shell("true | true")))
    workflow.definition()
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    with pytest.raises(DefinitionError, match="bash"):
        workflow.definition()
