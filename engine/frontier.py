"""What the ends of its upstreams mean for a step: counts per step, kept as steps end."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from engine import notes
from engine.graph import Graph
from engine.model import DONE_STEP, StepStatus, TriggerRule
from engine.trigger import Decision, decide

_NONE = -1
_ONE_FAILED = TriggerRule.ONE_FAILED  # through the enum it takes 0.15 µs a step
_START = (Decision.READY, "")


class Frontier:
    """The edge between what has ended and what may start next. O(out-degree) for each end."""

    def __init__(self, graph: Graph, rules: Sequence[TriggerRule]) -> None:
        """Start with nothing ended."""
        self._graph = graph
        self._rules = rules
        self._unended = graph.upstreams.counts()
        self._row, self._ends = graph.downstreams.row, graph.downstreams.ends
        # Positions of upstreams; the lowest counts, so that the timing of ends changes no reason.
        self._failed: dict[int, int] = {}
        self._skipped: dict[int, int] = {}
        self._root: dict[int, int] = {}  # of an ended step: the failure it comes from

    def end(self, step: int, status: StepStatus) -> list[int]:
        """Count an ended step; give the downstream steps about which can be decided now."""
        if status in DONE_STEP:
            return self.count(step)
        return self._end(step, status, self._root_of(step, status))

    def end_as(self, step: int, status: StepStatus, *, is_failure: bool) -> list[int]:
        """Count a step as it ended in another run, whatever is above it in this one.

        `is_failure` says that a failure caused its skip there.
        """
        is_root = is_failure or status is StepStatus.FAILED
        return self._end(step, status, step if is_root else _NONE)

    def _end(self, step: int, status: StepStatus, root: int) -> list[int]:
        if root != _NONE:
            self._root[step] = root
        if status not in DONE_STEP:
            for down in self._row[self._ends[step] : self._ends[step + 1]]:
                self._taint(step, down, status)
        return self.count(step)

    def count(self, step: int) -> list[int]:
        """Count a step that has ended well; give those about which can be decided now."""
        begin, end = self._ends[step], self._ends[step + 1]
        if begin == end:
            return []
        unended = self._unended
        due = []
        for down in self._row[begin:end]:
            unended[down] = left = unended[down] - 1
            if not left:
                due.append(down)
        return due

    def due(self, steps: Iterable[int]) -> list[int]:
        """Give those of `steps` that are due."""
        unended = self._unended
        return [step for step in steps if not unended[step]]

    def is_due(self, step: int) -> bool:
        """Whether all upstreams have ended, so that the step's trigger rule can decide."""
        return not self._unended[step]

    def decide(self, step: int) -> tuple[Decision, str]:
        """Apply the step's trigger rule; a skip comes with its reason."""
        failed, skipped = self._failed.get(step, _NONE), self._skipped.get(step, _NONE)
        plain = failed == skipped == _NONE and not self._unended[step]
        if plain and self._rules[step] is not _ONE_FAILED:
            return _START  # as `decide` would have it, at a fifth of the time
        decision = decide(
            self._rules[step],
            unended=self._unended[step],
            failed=failed != _NONE,
            skipped=skipped != _NONE,
        )
        names = self._graph.names
        match decision:
            case Decision.SKIP_FAILED:
                return decision, f"{notes.DEPENDENCY_FAILED}{names[self._root[failed]]}"
            case Decision.SKIP_SKIPPED:
                return decision, f"dependency skipped: {names[skipped]}"
            case Decision.SKIP_NONE_FAILED:
                return decision, "no dependency failed"
            case _:
                return decision, ""

    def failure_above(self, step: int) -> str | None:
        """Name the failure that taints a step, at any distance; None if there is none."""
        failed = self._failed.get(step)
        return None if failed is None else self._graph.names[self._root[failed]]

    def _root_of(self, step: int, status: StepStatus) -> int:
        if status is StepStatus.FAILED:
            return step
        skips_on_failure = self._rules[step] in (TriggerRule.ALL_SUCCESS, TriggerRule.NONE_FAILED)
        if status is StepStatus.SKIPPED and skips_on_failure and step in self._failed:
            return self._root[self._failed[step]]
        return _NONE

    def _taint(self, up: int, down: int, status: StepStatus) -> None:
        if up in self._root:
            lowest = self._failed
        elif status is StepStatus.SKIPPED:
            lowest = self._skipped
        else:
            return
        lowest[down] = min(up, lowest.get(down, up))
