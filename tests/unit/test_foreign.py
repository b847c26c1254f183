"""Forty real workflows of others, written as ours: they check, run and end as theirs would."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from itertools import chain, product
from pathlib import Path
from random import Random  # noqa: TID251 - seeded: the same cases every time
from typing import Any, NamedTuple

import pytest

from engine import Workflow
from engine.cli.main import run_command
from engine.definitions import load_file
from engine.events import AttemptFinished, Claim, EndStep, Event
from engine.graph import build
from engine.model import AttemptOutcome, Definition, OnOverrun, StepStatus, TriggerRule
from engine.plan import Plan
from engine.scheduler import Scheduler
from tests.builders import nothing
from tests.foreign import AS_OURS, FAILED, UPSTREAM_FAILED, Foreign, airflow, expected, github

READERS = {"github": github, "airflow": airflow}
PAIRS = 10
FORTY = list(product(READERS, range(20)))


@pytest.fixture(scope="session")
def foreign(shared: Path) -> dict[tuple[str, int], Foreign]:
    """Read all forty."""
    folder = shared / "data" / "graphs"
    return {
        (kind, number): found
        for kind, reader in READERS.items()
        for number, found in enumerate(reader(folder))
    }


def failing(_: Any) -> None:
    """Be a step that fails."""
    raise ValueError("told to fail")


def written(workflow: Foreign, folder: Path) -> Path:
    """Write a workflow of theirs as a file of ours."""
    path = folder / "pipelines" / f"{workflow.name}.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(workflow.as_yaml())
    return path


def cases(workflow: Foreign, luck: Random) -> Iterator[tuple[set[str], set[str]]]:
    """Give what fails and what is told to skip: nothing, each step alone, random pairs."""
    names = list(workflow.tasks)
    able = [task.name for task in workflow.tasks.values() if task.may_skip]
    yield set(), set()
    for name in names:
        yield {name}, set()
    for name in able:
        yield set(), {name}
    for _ in range(PAIRS):
        yield {luck.choice(names)}, {luck.choice(able)} if able else set()
        yield set(luck.sample(names, min(2, len(names)))), set()


class Ended(NamedTuple):
    """How a step ended."""

    status: StepStatus
    note: str


class Told:
    """Runs the core on a workflow whose steps do nothing but what they are told to."""

    def __init__(self, workflow: Foreign, made: Definition) -> None:
        """Compile the workflow as it was loaded."""
        self._workflow = workflow
        self.names = [step.name for step in made.steps]
        self._plan = Plan(
            graph=build(self.names, [step.depends_on for step in made.steps]),
            rules=[TriggerRule(step.trigger_rule) for step in made.steps],
            retries=[step.retries for step in made.steps],
            timeout_s=[step.timeout_s for step in made.steps],
            stop_s=[0.1] * len(made.steps),
            gentle=[step.in_process for step in made.steps],
            on_overrun=[OnOverrun(step.on_overrun) for step in made.steps],
        )

    def run(self, fails: Collection[str], skips: Collection[str], luck: Random) -> dict[str, Ended]:
        """Run to the end, with attempts that end in any order, and give how each step ended."""
        scheduler = Scheduler(self._plan, workers=luck.randint(1, 4))
        ended: dict[str, Ended] = {}
        running: list[Claim] = []
        events: list[Event] = []
        while not scheduler.ended:
            for action in scheduler.tick(0.0, events):
                if type(action) is EndStep:
                    ended[self.names[action.step]] = Ended(action.status, action.note)
                elif type(action) is Claim:
                    running.append(action)
            events = []
            if running:
                claim = running.pop(luck.randrange(len(running)))
                events = [self._end(claim, ended, fails, skips)]
        return ended

    def _end(
        self,
        claim: Claim,
        ended: Mapping[str, Ended],
        fails: Collection[str],
        skips: Collection[str],
    ) -> AttemptFinished:
        name = self.names[claim.step]
        wanted = self._workflow.one_ok_of(self._workflow.tasks[name])
        skip = None
        if wanted and all(ended[up].status is not StepStatus.OK for up in wanted):
            skip = "condition false"
        elif name in skips:
            skip = "told to skip"
        failed = skip is None and name in fails
        outcome = AttemptOutcome.FAILED if failed else AttemptOutcome.OK
        return AttemptFinished(claim.step, claim.number, outcome, 0.0, 0.0, skip=skip)


def ancestors(workflow: Foreign, name: str) -> set[str]:
    """Give all that a task comes after."""
    ups = workflow.tasks[name].upstreams
    return {*ups, *chain.from_iterable(ancestors(workflow, up) for up in ups)}


def assert_ends_as_theirs(
    workflow: Foreign,
    ours: Mapping[str, Ended],
    fails: Collection[str],
    skips: Collection[str],
) -> None:
    """Hold that each step ends as the task would, and that a skip names the failure it is due to.

    Where a rule is made up of one of ours and a condition, the note may name the condition.
    """
    theirs = expected(workflow, fails, skips)
    statuses = {name: str(end.status) for name, end in ours.items()}
    assert statuses == {name: AS_OURS[state] for name, state in theirs.items()}
    by_condition = {task.name for task in workflow.tasks.values() if workflow.one_ok_of(task)}
    for name, end in ours.items():
        before = ancestors(workflow, name)
        if end.status is not StepStatus.SKIPPED or by_condition & {name, *before}:
            continue
        word, _, root = end.note.partition(": ")
        assert (word == "dependency failed") == (theirs[name] == UPSTREAM_FAILED), end.note
        if word == "dependency failed":
            assert theirs[root] == FAILED
            assert root in before


@pytest.mark.parametrize(("kind", "number"), FORTY)
def test_ends_as_theirs(
    foreign: dict[tuple[str, int], Foreign], tmp_path: Path, kind: str, number: int
) -> None:
    """Without failures, with each step failing or skipping, and with pairs of them."""
    workflow, luck = foreign[kind, number], Random(number)
    made = load_file(written(workflow, tmp_path))
    assert len(made.steps) == len(workflow.tasks)
    told = Told(workflow, made)
    for fails, skips in cases(workflow, luck):
        assert_ends_as_theirs(workflow, told.run(fails, skips, luck), fails, skips)


@pytest.mark.parametrize(("kind", "number"), FORTY)
def test_runs(
    foreign: dict[tuple[str, int], Foreign],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    number: int,
) -> None:
    """The whole engine, with a store, ends a run of it as theirs: one step fails."""
    workflow, luck = foreign[kind, number], Random(number)
    made = load_file(written(workflow, tmp_path))
    fails = {luck.choice(list(workflow.tasks))}
    whole = Workflow(made.name)
    for step in made.steps:
        body = failing if step.name in fails else nothing
        whole.add(replace(step, run=body))
    monkeypatch.setenv("ENGINE_HOME", str(tmp_path / "var"))
    report = whole.run(store=f"sqlite:///{tmp_path}/runs.db")
    ours = {
        step["name"]: Ended(StepStatus(step["status"]), step["note"]) for step in report["steps"]
    }
    assert_ends_as_theirs(workflow, ours, fails, set())
    assert report["status"] == "failed"


def test_all_check(
    foreign: dict[tuple[str, int], Foreign],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`check` takes all forty files in one go."""
    monkeypatch.setattr(sys, "path", [*sys.path])  # the command adds the project's root
    monkeypatch.chdir(tmp_path)
    for workflow in foreign.values():
        written(workflow, tmp_path)
    assert run_command(["check"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert sorted(said) == sorted(
        f"{workflow.name}: ok, {len(workflow.tasks)} steps" for workflow in foreign.values()
    )


def test_what_the_forty_ask(foreign: dict[tuple[str, int], Foreign]) -> None:
    """Every rule that the data holds is met by the cases: joins are not left out by accident."""
    rules = {task.rule for workflow in foreign.values() for task in workflow.tasks.values()}
    assert rules == {
        "success",
        "not_failure",
        "none_failed",
        "all_success",
        "all_done",
        "one_success",
        "none_failed_min_one_success",
        "all_done_setup_success",
    }


def test_a_wrong_rule_is_found(foreign: dict[tuple[str, int], Foreign], tmp_path: Path) -> None:
    """The comparison can fail: a join that is converted wrongly ends otherwise than theirs."""
    workflow = next(w for w in foreign.values() if w.name == "example_skip_dag")
    path = written(workflow, tmp_path)
    text = path.read_text()
    assert "trigger_rule: all_done" in text
    path.write_text(text.replace("trigger_rule: all_done", "trigger_rule: all_success"))
    ended = Told(workflow, load_file(path)).run(set(), {"skip_operator_2"}, Random(0))
    with pytest.raises(AssertionError):
        assert_ends_as_theirs(workflow, ended, set(), {"skip_operator_2"})
