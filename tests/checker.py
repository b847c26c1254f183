"""What must hold of a chain of runs, told from its event log and its side effects alone.

Nothing here asks the engine how it sees its own state: the log is the view `events`, the effects
are lines that the steps themselves have left, and the graph is what the test has written down.
"""

from __future__ import annotations

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple


class Entry(NamedTuple):
    """One line of the event log: `claimed`, `attempt`, `step` or `run`, and how it ended.

    `marked` says of a step's end that a person said so.
    """

    run_id: int
    seq: int
    event: str
    step: str | None
    number: int | None
    outcome: str | None
    marked: bool = False


class Effect(NamedTuple):
    """What the body of an attempt has left behind as it began."""

    run_id: int
    step: str
    number: int


Graph = Mapping[str, Sequence[str]]  # a step's direct upstreams


def read_log(store: Path) -> list[Entry]:
    """Read the event log of a store of one workflow, in order."""
    connection = sqlite3.connect(f"file:{store}?mode=ro", uri=True)
    try:
        rows = connection.execute(
            "SELECT run_id, seq, event, step, number, outcome FROM events ORDER BY run_id, seq"
        ).fetchall()
        marks = connection.execute(
            "SELECT run_id, step FROM step_runs WHERE marked_by IS NOT NULL"
        ).fetchall()
    finally:
        connection.close()
    log = [Entry(*row) for row in rows]
    return [
        entry._replace(marked=entry.event == "step" and (entry.run_id, entry.step) in marks)
        for entry in log
    ]


def chains(log: Sequence[Entry]) -> list[list[Entry]]:
    """Cut the log of runs that were started by hand into chains: each goes on to its ok run."""
    found: list[list[Entry]] = [[]]
    for entry in log:
        found[-1].append(entry)
        if entry.event == "run" and entry.outcome == "ok":
            found.append([])
    return [chain for chain in found if chain]


def effects_of(lines: Iterable[str]) -> list[Effect]:
    """Read effects written as RUN/STEP/NUMBER."""
    return [
        Effect(int(run_id), step, int(number))
        for run_id, step, number in (line.split("/") for line in lines)
    ]


@dataclass(slots=True)
class _Run:
    """What the log has told of one run so far."""

    run_id: int
    claimed: dict[str, int] = field(default_factory=dict)  # the number claimed last
    open: set[str] = field(default_factory=set)  # an attempt is claimed and has not ended
    last: dict[str, str | None] = field(default_factory=dict)  # outcome of the last attempt
    steps: dict[str, str | None] = field(default_factory=dict)
    marked: set[str] = field(default_factory=set)
    over: bool = False


class Checker:
    """Reads a chain's log, oldest run first, and collects what is wrong."""

    def __init__(self, graph: Graph) -> None:
        """Know the graph that the runs of the chain have."""
        self.faults: list[str] = []
        self._graph = graph
        self._ancestors = {step: ancestors(graph, step) for step in graph}
        self._done: dict[str, int] = {}  # steps that ended ok, by the run that said so
        self._attempts: set[tuple[int, str, int]] = set()
        self._succeeded: set[tuple[int, str, int]] = set()
        self._run = _Run(0)

    def read(self, log: Sequence[Entry]) -> None:
        """Take in the log of a whole chain."""
        runs: dict[int, list[Entry]] = defaultdict(list)
        for entry in log:
            runs[entry.run_id].append(entry)
        for run_id, entries in sorted(runs.items()):
            if [entry.seq for entry in entries] != list(range(1, len(entries) + 1)):
                self._fault(entries[0], "the sequence has gaps")
            self._run = _Run(run_id)
            for entry in entries:
                self._take(entry)
            if not self._run.over:
                self._fault(entries[-1], "the run has no end")

    def compare(self, effects: Sequence[Effect]) -> None:
        """Hold the effects of the same chain against what was read."""
        found = Counter(effects)
        for effect, times in found.items():
            if tuple(effect) not in self._attempts:
                self.faults.append(f"{effect}: an effect without a claim")
            if times > 1:
                self.faults.append(f"{effect}: {times} effects of one attempt")
        for key in sorted(self._succeeded):
            if Effect(*key) not in found:
                self.faults.append(f"{Effect(*key)}: ok without its effect")

    def _take(self, entry: Entry) -> None:
        if self._run.over:
            self._fault(entry, "something after the run's end")
        match entry.event:
            case "claimed":
                self._claimed(entry)
            case "attempt":
                self._attempt(entry)
            case "step":
                self._step(entry)
            case "run":
                self._ended(entry)
            case _:
                self._fault(entry, "an unknown event")

    def _claimed(self, entry: Entry) -> None:
        run, step, number = self._run, str(entry.step), int(entry.number or 0)
        if number != run.claimed.get(step, 0) + 1:
            self._fault(entry, "attempts are not numbered 1, 2, 3 …")
        if step in run.open:
            self._fault(entry, "claimed while another attempt is live")
        if step in run.steps:
            self._fault(entry, "claimed after the step's end")
        for upstream in self._graph[step]:
            if upstream not in run.steps:
                self._fault(entry, f"claimed before the end of its upstream '{upstream}'")
        again = self._ancestors[step] & {*run.claimed, *run.marked}
        if step in self._done and not again:
            self._fault(entry, f"run again after run {self._done[step]} had it ok")
        run.claimed[step] = number
        run.open.add(step)
        self._attempts.add((run.run_id, step, number))

    def _attempt(self, entry: Entry) -> None:
        run, step = self._run, str(entry.step)
        if step not in run.open or entry.number != run.claimed[step]:
            self._fault(entry, "an end of an attempt that is not live")
        run.open.discard(step)
        run.last[step] = entry.outcome
        if entry.outcome == "ok":
            self._succeeded.add((run.run_id, step, int(entry.number or 0)))

    def _step(self, entry: Entry) -> None:
        run, step = self._run, str(entry.step)
        if step in run.steps:
            self._fault(entry, "a second end of the step")
        if step in run.open:
            self._fault(entry, "a step's end with a live attempt")
        run.steps[step] = entry.outcome
        if entry.marked:
            run.marked.add(step)
            if entry.outcome != "ok" or step in run.claimed:
                self._fault(entry, "marked as done, and not simply ok")
        if entry.outcome == "ok":
            if run.last.get(step) != "ok" and not entry.marked:
                self._fault(entry, "ok without an attempt that was")
            self._done[step] = run.run_id
        if entry.outcome == "cached" and step not in self._done:
            self._fault(entry, "cached, and never ok in the chain")

    def _ended(self, entry: Entry) -> None:
        run = self._run
        for step in sorted(run.open):
            self._fault(entry, f"the run's end with a live attempt of '{step}'")
        for step in sorted(set(self._graph) - set(run.steps)):
            self._fault(entry, f"the run's end without one of '{step}'")
        good = {"ok", "cached", "skipped"}
        if entry.outcome == "ok" and not set(run.steps.values()) <= good:
            self._fault(entry, "ok with a step that was not")
        run.over = True

    def _fault(self, entry: Entry, what: str) -> None:
        self.faults.append(f"{entry}: {what}")


def ancestors(graph: Graph, step: str) -> set[str]:
    """All steps that `step` depends on, at any distance."""
    found: set[str] = set()
    ahead = [*graph[step]]
    while ahead:
        upstream = ahead.pop()
        if upstream not in found:
            found.add(upstream)
            ahead.extend(graph[upstream])
    return found


def faults(log: Sequence[Entry], effects: Sequence[Effect], graph: Graph) -> list[str]:
    """Say what is wrong with a chain of runs; nothing if all holds."""
    checker = Checker(graph)
    checker.read(log)
    runs = {entry.run_id for entry in log}
    checker.compare([effect for effect in effects if effect.run_id in runs])
    return checker.faults
