"""What a test sees of a run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from engine.context import INITIAL, ContextIndex
from engine.errors import ContextKeyError
from engine.graph import Graph
from engine.produced import Encoded
from engine.records import record
from engine.reports.terminal import table
from engine.testing.in_memory import HeldValues
from engine.text import cut, printable

NOTE_WIDTH = 80
STEPS_TOLD = 20
END = "the end"  # as the name of who reads the final context
_RANKS = {"failed": 0, "ok": 2}  # in `repr`


@record
class StepOutcome:
    """How a step ended: its row of the report, and the lines its attempts have logged."""

    name: str
    status: str
    attempts: int
    note: str
    error: str
    log: str


class FinalContext(Mapping[str, Any]):
    """The context as a step would read it that depends on all others."""

    def __init__(
        self, ordered: Graph, values: HeldValues, decode: Callable[[Encoded], Any]
    ) -> None:
        """Read what the steps of a graph have left in `values`."""
        self._graph, self._values, self._decode = ordered, values, decode

    def __getitem__(self, key: str) -> Any:
        """Read a key. Raises `ContextKeyError` if two unordered steps wrote it, or nobody."""
        writers = self._values.writers.get(key)
        if writers is None or len(writers) > 1:
            writer = self._writer_of(key)
        else:
            writer = writers[0] if writers else INITIAL
        return self._decode(self._values.load(writer, key))

    def _writer_of(self, key: str) -> int:
        """Give the writer whose value such a step would see, or raise as for that step."""
        graph, writers = self._graph, self._values.writers
        reader = len(graph.names)
        index = ContextIndex(
            [*graph.upstreams, tuple(range(reader))],
            [*graph.names, END],
            [*graph.generations, max(graph.generations) + 1],
            self._values,
        )
        for each, steps in writers.items():
            for step in steps or (INITIAL,):
                index.record_keys(step, [each])
        writer = index.writer_for(reader, key)
        if writer is None:
            raise index.unknown(reader, key)
        return writer

    def __contains__(self, key: object) -> bool:
        """Tell whether a step, or the test, wrote the key."""
        return key in self._values.writers

    def get(self, key: str, default: Any = None) -> Any:
        """Read a key, or give `default` if nobody wrote it; else as `[key]`."""
        return self[key] if key in self else default  # noqa: SIM401 - this is `get`

    def __iter__(self) -> Iterator[str]:
        """Go through the keys, sorted."""
        return iter(sorted(self._values.writers))

    def __len__(self) -> int:
        """Count the keys."""
        return len(self._values.writers)

    def __repr__(self) -> str:
        shown = {}
        for key in self:
            try:
                shown[key] = self[key]
            except ContextKeyError:
                shown[key] = "(written twice, in no fixed order)"
        return repr(shown)


@dataclass(frozen=True, repr=False, eq=False)
class Outcome:
    """How a run in a test went; `print(outcome)` shows its table.

    `report` is what `Workflow.run` gives, `context` what the run left in the context, `files` what
    the successful steps wrote with `ctx.output`: text, or bytes where they were opened as such, by
    path as seen from the project.
    """

    report: dict[str, Any]
    steps: dict[str, StepOutcome]
    context: Mapping[str, Any]
    files: Mapping[str, str | bytes]

    @property
    def status(self) -> str:
        """How the run ended: `ok` or `failed`."""
        return str(self.report["status"])

    @property
    def statuses(self) -> dict[str, str]:
        """How each step ended."""
        return {name: step.status for name, step in self.steps.items()}

    def __repr__(self) -> str:
        """Tell in one line, what went wrong first: test tools show it so."""
        steps = sorted(self.steps.values(), key=lambda step: _RANKS.get(step.status, 1))
        told = "; ".join(_told(step) for step in steps[:STEPS_TOLD])
        if len(steps) > STEPS_TOLD:
            told += f"; … and {len(steps) - STEPS_TOLD} more"
        return f"<{self.report['workflow']} {self.status}: {told}>"

    def __str__(self) -> str:
        """Show the table that a run's end shows."""
        return table(self.report, width=100)


def _told(step: StepOutcome) -> str:
    why = cut(printable((step.note or step.error).split("\n", 1)[0]), NOTE_WIDTH)
    return f"{step.name} {step.status}" + (f" ({why})" if why else "")
