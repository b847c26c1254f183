"""What is decided about chosen and marked steps, on a real store, in this process."""

from __future__ import annotations

import itertools
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import Skip, Step, Workflow
from engine.clock import SystemClock
from engine.errors import UsageError
from engine.ports import Paths
from engine.secrets import Secrets
from engine.session import Environment, RunRequest, run_workflow
from tests.checker import ancestors
from tests.system.project import notes, statuses


class Bench:
    """A store of its own, and what the steps that ran on it have left."""

    def __init__(self, folder: Path) -> None:
        """Make a home in `folder`."""
        self.paths = Paths(folder, folder / "var", f"sqlite:///{folder}/var/runs.db")
        self.ran: list[str] = []

    def run(self, workflow: Workflow, **request: Any) -> dict[str, Any]:
        """Run a workflow by hand; give its report."""
        self.ran.clear()
        environment = Environment(
            paths=self.paths, secrets=Secrets(self.paths.home, {}), clock=SystemClock(), environ={}
        )
        return run_workflow(workflow.definition(), RunRequest(**request), environment)

    def does(self, name: str, value: Any = None) -> Callable[[Any], Any]:
        """Make a step's function that returns `value`; an error is raised instead."""

        def body(_: Any) -> Any:
            self.ran.append(name)
            if isinstance(value, Exception):
                raise value
            return value

        return body

    def flow(self, transform: Any = "t", *, version: str = "") -> Workflow:
        """Give a workflow of three steps; the last one returns what the one before gave."""
        return (
            Workflow("flow", params={"day": "a day"})
            .add(Step("fetch", self.does("fetch", "f")))
            .add(
                Step(
                    "transform",
                    self.does("transform", transform),
                    depends_on=["fetch"],
                    retries=0,
                    version=version,
                )
            )
            .add(Step("end", self.end, depends_on=["transform"], retries=0))
        )

    def end(self, ctx: Any) -> str:
        """Say what the step before gave."""
        self.ran.append("end")
        return f"end of {ctx['transform']}"


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Give a new store."""
    return Bench(tmp_path)


BAD = ValueError("not yet")
MARK = {"mark_done": [("transform", ["transform=given"])]}


def test_what_is_kept_is_as_it_was(bench: Bench) -> None:
    """A changed step that is not chosen is taken over all the same."""
    bench.run(bench.flow(BAD))
    report = bench.run(bench.flow(version="2"), only=["end"], **MARK)
    assert statuses(report) == {"fetch": "cached", "transform": "ok", "end": "ok"}
    bench.run(bench.flow("t"))
    report = bench.run(bench.flow("other", version="3"), only=["end"])
    assert notes(report)["transform"] == "not chosen; ok in run 3"
    assert bench.ran == ["end"]


def test_a_run_of_chosen_steps_decides_nothing(bench: Bench) -> None:
    """The next run goes on from the last whole run; `--once` and `--from` know no other."""
    bench.run(bench.flow(BAD))
    bench.run(bench.flow(), only=["transform"])
    assert bench.run(bench.flow(), dry_run=True)["resumed_from"] == 1
    assert bench.run(bench.flow(), dry_run=True, from_step="end")["resumed_from"] == 1
    with pytest.raises(UsageError, match="run 2 was one of chosen steps") as raised:
        bench.run(bench.flow(), resume="2")
    assert raised.value.hint == (
        "`run flow --only transform`, with the parameters and marks of `show 2`, runs them again"
    )
    report = bench.run(bench.flow(), once=True)
    assert (report["resumed_from"], report["previous_status"]) == (1, "failed")
    assert bench.run(bench.flow(BAD), only=["transform"])["status"] == "failed"
    assert "nothing_to_do" in bench.run(bench.flow(), once=True)


def test_without_an_earlier_run(bench: Bench) -> None:
    """The first steps can be chosen, those that build on others lack them."""
    plan = bench.run(bench.flow(), only=["fetch"], dry_run=True)["plan"]
    assert not bench.paths.home.exists()
    assert [(row["step"], row["what"], row["why"]) for row in plan] == [
        ("fetch", "would run", "chosen"),
        ("transform", "not chosen", ""),
        ("end", "not chosen", ""),
    ]
    with pytest.raises(UsageError) as raised:
        bench.run(bench.flow(), only=["transform"])
    assert raised.value.message == (
        "--only: 'transform' needs 'fetch', which is neither chosen nor done"
        " (has not run with these parameters)"
    )
    report = bench.run(bench.flow(), only=["fetch"])
    assert notes(report) == {"fetch": "", "transform": "not chosen", "end": "not chosen"}


def test_other_parameters_are_another_run(bench: Bench) -> None:
    """Nothing is taken over from a run with other parameters."""
    bench.run(bench.flow())
    with pytest.raises(UsageError, match="has not run"):
        bench.run(bench.flow(), only=["end"], params={"day": "another"})


def test_a_failed_one_gives_its_whole_command(bench: Bench) -> None:
    """It is the same command, complete: parameters, marks and their values."""
    asked = ["transform=", 'n=[1, "ä"]', "two words=two words", 'text="5"']
    report = bench.run(
        bench.flow(),
        only=["fetch"],
        params={"day": "it's"},
        mark_done=[("transform", asked)],
    )
    assert report["resume_command"] is None
    report = bench.run(
        bench.flow(BAD),
        only=["transform", "fetch"],
        params={"day": "it's"},
        mark_done=[("end", asked)],
    )
    words = shlex.split(report["resume_command"])
    assert words[words.index("run") :] == [
        *("run", "flow", "--only", "fetch,transform", "--set", "day=it's", "--mark-done", "end"),
        *("--output", 'n=[1, "ä"]', "--output", 'text="5"', "--output", "transform="),
        *("--output", "two words=two words"),
    ]


def test_each_trigger_rule(bench: Bench) -> None:
    """An upstream that is not chosen counts as it ended in the last run."""
    does = bench.does
    workflow = (
        Workflow("flow")
        .add(Step("bad", does("bad", BAD), retries=0))
        .add(Step("mine", does("mine", Skip("no rows"))))
        .add(Step("under", does("under"), depends_on=["mine"]))
        .add(Step("help", does("help"), depends_on=["bad"], trigger_rule="one_failed"))
        .add(Step("tidy", does("tidy"), depends_on=["bad"], trigger_rule="all_done"))
        .add(Step("join", does("join"), depends_on=["mine", "under"], trigger_rule="none_failed"))
        .add(Step("after", does("after"), depends_on=["mine"]))
        .add(Step("calm", does("calm"), depends_on=["mine"], trigger_rule="one_failed"))
    )
    bench.run(workflow)
    chosen = ["help", "tidy", "join", "after", "calm"]
    plan = bench.run(workflow, dry_run=True, only=chosen)["plan"]
    assert {row["step"]: row["what"] for row in plan} == {
        "bad": "not chosen",
        "mine": "not chosen",
        "under": "not chosen",
        "help": "would run",
        "tidy": "would run",
        "join": "would run",
        "after": "skipped",
        "calm": "would run if a dependency fails",
    }
    report = bench.run(workflow, only=chosen)
    assert report["status"] == "ok"
    assert sorted(bench.ran) == ["help", "join", "tidy"]
    told = notes(report)
    assert (told["after"], told["calm"]) == ("dependency skipped: mine", "no dependency failed")
    assert told["bad"] == "not chosen; failed in run 1"


# -- marked steps ---------------------------------------------------------------------------------


def test_conditions_see_steps_not_chosen_as_the_whole_run_did(bench: Bench) -> None:
    """What a failure had skipped reads as skipped, although trigger rules count it as failed."""

    def cleaning(ctx: Any) -> None:
        bench.ran.append(ctx.status("end"))

    workflow = bench.flow(ValueError("no")).add(
        Step(
            "clean",
            cleaning,
            depends_on=["end"],
            trigger_rule="one_failed",
            when='end.status == "skipped" and fetch.status == "ok"',
        )
    )
    bench.run(workflow)
    assert bench.ran == ["fetch", "transform", "skipped"]
    assert statuses(bench.run(workflow, only=["clean"]))["clean"] == "ok"
    assert bench.ran == ["skipped"]


def test_what_was_done_with_other_values_is_redone(bench: Bench) -> None:
    """A step that had been ok runs again if one above it is marked; so it does with `--from`."""
    bench.run(bench.flow(BAD))
    bench.run(bench.flow(BAD), **MARK)
    other = [("transform", ["transform=other"])]
    report = bench.run(bench.flow(BAD), from_step="fetch", mark_done=other)
    assert (report["resumed_from"], bench.ran) == (2, ["fetch", "end"])
    assert notes(report)["end"] == "redone: 'transform' is marked as done"


def test_a_mark_holds_until_the_step_changes(bench: Bench) -> None:
    """Later runs of the chain reuse it; another version of the step makes it run."""
    blank = [("transform", ())]
    assert bench.run(bench.flow(BAD), mark_done=blank)["status"] == "failed"  # `end` finds nothing
    assert notes(bench.run(bench.flow(BAD)))["transform"] == "marked as done in run 1"
    assert notes(bench.run(bench.flow(BAD)))["transform"] == "marked as done in run 1"
    report = bench.run(bench.flow("t", version="2"))
    assert notes(report)["transform"].startswith("redone: ")
    assert (report["resumed_from"], bench.ran) == (3, ["transform", "end"])


def test_marked_when_starting_anew(bench: Bench) -> None:
    """All other steps run, those above it too, and the next run is none of this chain."""
    report = bench.run(bench.flow(BAD), **MARK)
    assert statuses(report) == {"fetch": "ok", "transform": "ok", "end": "ok"}
    assert (report["resumed_from"], bench.ran) == (None, ["fetch", "end"])
    assert bench.run(bench.flow())["resumed_from"] is None
    assert bench.ran == ["fetch", "transform", "end"]


def test_marked_when_resuming_by_number(bench: Bench) -> None:
    """With the parameters of that run; it is the same chain."""
    bench.run(bench.flow(BAD), params={"day": "x"})
    report = bench.run(bench.flow(BAD), resume="1", **MARK)
    assert (report["status"], report["resumed_from"], bench.ran) == ("ok", 1, ["end"])
    assert report["params"] == {"day": "x"}


def test_nothing_to_resume_marks_nothing(bench: Bench) -> None:
    """A chain that is ok has nothing left to do, a mark changes no past."""
    bench.run(bench.flow())
    assert bench.run(bench.flow(), resume="1", **MARK)["nothing_to_do"] == "run 1 is ok"


# -- any graph ------------------------------------------------------------------------------------

NUMBERS = itertools.count()


@st.composite
def graphs(draw: st.DrawFn) -> dict[str, list[str]]:
    """Draw a graph of up to seven steps, in dependency order."""
    names = [f"s{number}" for number in range(draw(st.integers(2, 7)))]
    return {
        name: draw(st.lists(st.sampled_from(names[:at]), max_size=3, unique=True)) if at else []
        for at, name in enumerate(names)
    }


@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_exactly_the_chosen_run_on_the_values_there_are(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """In any graph: only chosen steps run, each sees what the newest of its ancestors wrote."""
    graph = data.draw(graphs())
    bench = Bench(tmp_path_factory.mktemp(f"graph{next(NUMBERS)}"))
    seen: dict[str, dict[str, Any]] = {}
    broken = set(data.draw(st.lists(st.sampled_from(list(graph)), max_size=1)))

    def body(ctx: Any) -> None:
        bench.ran.append(ctx.step)
        if ctx.step in broken:
            raise ValueError
        seen[ctx.step] = {name: ctx.get(name) for name in ancestors(graph, ctx.step)}
        ctx[ctx.step] = f"{ctx.step} of run {ctx.run_id}"

    workflow = Workflow("flow")
    for name, upstreams in graph.items():
        workflow.add(Step(name, body, depends_on=upstreams, retries=0))
    bench.run(workflow)
    broken.clear()
    chosen = data.draw(st.sets(st.sampled_from(list(graph)), min_size=1))
    while True:
        try:
            report = bench.run(workflow, only=sorted(chosen))
            break
        except UsageError as error:
            assert bench.ran == []
            chosen.add(error.message.split("'")[3])  # the upstream that is named
    assert report["status"] == "ok"
    assert sorted(bench.ran) == sorted(chosen)
    for name in chosen:
        assert seen[name] == {
            above: f"{above} of run {2 if above in chosen else 1}"
            for above in ancestors(graph, name)
        }
