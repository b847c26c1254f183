"""Who wrote what in a run, and who of them is an ancestor of whom."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from engine.errors import ContextKeyError
from engine.graph import Edges
from engine.model import StepStatus
from engine.naming import did_you_mean
from engine.produced import Encoded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from engine.ports import Values

INITIAL = -1  # the position of the run's initial context: an ancestor of every step
SMALL_BYTES_MAX = 1 << 20
HELD_BYTES_MAX = 64 << 20


class Ancestry:
    """Answers "is A an ancestor of B?"; searches once, upwards, no further than A's generation."""

    def __init__(self, upstreams: Sequence[Sequence[int]], generations: Sequence[int]) -> None:
        """Take each step's direct upstreams and its generation (longest path from a source)."""
        edges = upstreams if isinstance(upstreams, Edges) else Edges.of(upstreams)
        self._row, self._ends = edges.row, edges.ends
        self.generations = generations
        self._known: dict[int, dict[int, bool]] = {}

    def is_ancestor(self, ancestor: int, step: int) -> bool:
        """Tell whether `ancestor` lies above `step` at any distance; the initial context always."""
        if ancestor == step:
            return False
        if ancestor == INITIAL:
            return step != INITIAL
        if step == INITIAL or self.generations[ancestor] >= self.generations[step]:
            return False
        if ancestor in self._above(step):
            return True  # as for most that is read: nothing is to be kept of it
        known = self._known.setdefault(ancestor, {})
        if step not in known:
            self._search(ancestor, step, known)
        return known[step]

    def _above(self, step: int) -> Iterable[int]:
        return self._row[self._ends[step] : self._ends[step + 1]]

    def _search(self, ancestor: int, step: int, known: dict[int, bool]) -> None:
        """Find `ancestor` from `step` upwards; what is learned on the way is kept in `known`."""
        floor, row, ends = self.generations[ancestor], self._row, self._ends
        below: dict[int, int] = {step: step}  # each step met, and the one it was reached from
        stack = [step]
        while stack:
            at = stack.pop()
            for upstream in row[ends[at] : ends[at + 1]]:
                if upstream == ancestor or known.get(upstream):
                    while True:
                        known[at] = True
                        if at == step:
                            return
                        at = below[at]
                if (
                    upstream not in below
                    and upstream not in known
                    and self.generations[upstream] > floor
                ):
                    below[upstream] = at
                    stack.append(upstream)
        known.update(dict.fromkeys(below, False))

    def nearest(self, step: int, writers: set[int], floor: int) -> list[int]:
        """Give the `writers` above `step` that are reached without passing another of them.

        None of them is of a generation below `floor`.
        """
        seen = {step}
        stack = [step]
        found = []
        while stack:
            for upstream in self._above(stack.pop()):
                if upstream in seen or self.generations[upstream] < floor:
                    continue
                seen.add(upstream)
                if upstream in writers:
                    found.append(upstream)
                else:
                    stack.append(upstream)
        return found

    def all_of(self, step: int) -> set[int]:
        """Give every ancestor of `step`."""
        seen: set[int] = set()
        stack = [step]
        while stack:
            for upstream in self._above(stack.pop()):
                if upstream not in seen:
                    seen.add(upstream)
                    stack.append(upstream)
        return seen


class ContextIndex:
    """Who wrote which key in this run, and which of them a reader may see. Thread-safe.

    Small values stay in memory, up to a bound; all others are loaded from `values` when read.
    """

    def __init__(
        self,
        upstreams: Sequence[Sequence[int]],
        names: Sequence[str],
        generations: Sequence[int],
        values: Values,
    ) -> None:
        """Take the graph by positions; nobody has written yet."""
        self.names = names
        self._ancestry = Ancestry(upstreams, generations)
        self._values = values
        self._lock = threading.Lock()
        self._initial: set[str] = set()
        self._writers: dict[str, set[int]] = {}
        self._floors: dict[str, int] = {}  # the lowest generation among a key's writers
        self._held: dict[tuple[int, str], Encoded] = {}
        self._held_bytes = 0
        self._positions: dict[str, int] | None = None
        self._status_of: Callable[[int], StepStatus] = lambda _: StepStatus.WAITING

    def follow(self, status_of: Callable[[int], StepStatus]) -> None:
        """Ask here for the status of a step; a running step's ancestors keep theirs."""
        self._status_of = status_of

    # -- the runner's side ------------------------------------------------------------------------

    def record(self, step: int, writes: Iterable[tuple[str, Encoded]]) -> None:
        """Take in what `step` (or `INITIAL`) wrote; to be called after its commit."""
        if not writes:
            return
        with self._lock:
            for key, encoded in writes:
                self._add(step, key)
                known = self._held.pop((step, key), None)
                self._held_bytes -= len(known.data) if known else 0
                size = len(encoded.data)
                if size <= SMALL_BYTES_MAX and self._held_bytes + size <= HELD_BYTES_MAX:
                    self._held[step, key] = encoded
                    self._held_bytes += size

    def record_keys(self, step: int, keys: Iterable[str]) -> None:
        """Take in the keys of a step whose values are in the store only, a cached one's."""
        with self._lock:
            for key in keys:
                self._add(step, key)

    def _add(self, step: int, key: str) -> None:
        if step == INITIAL:
            self._initial.add(key)
            return
        generation = self._ancestry.generations[step]
        self._floors[key] = min(generation, self._floors.get(key, generation))
        self._writers.setdefault(key, set()).add(step)

    # -- the readers' side ------------------------------------------------------------------------

    def load(self, step: int, key: str) -> Encoded:
        """Give the value `step` wrote under `key`."""
        return self._held.get((step, key)) or self._values.load(step, key)

    def visible(self, reader: int) -> set[str]:
        """Give the keys that ancestors of `reader` and the initial context wrote."""
        with self._lock:
            if not self._writers:
                return set(self._initial)
            above = self._ancestry.all_of(reader)
            written = {key for key, steps in self._writers.items() if not above.isdisjoint(steps)}
            return written | self._initial

    def writer_for(self, reader: int, key: str) -> int | None:
        """Give the writer whose `key` the reader sees, None if nobody wrote it.

        Raises `ContextKeyError` if two unordered ancestors wrote it, or only steps that are no
        ancestors; a key named like such a step counts as written by it, whether it has or not.
        """
        with self._lock:
            writers = self._writers.get(key, set())
            seen = self._seen(reader, key, writers)
            if seen:
                return self._only(reader, key, seen)
            if key in self._initial:
                return INITIAL
            named = self._position(key)
            others = writers if named is None else {*writers, named}
            outside = sorted(other for other in others if not self._above(other, reader))
            if outside:
                raise self._not_upstream(reader, key, outside[0])
        return None

    def wrote(self, reader: int, step: str, key: str) -> int | None:
        """Give the position of an ancestor of the reader if it wrote `key`."""
        position = self._ancestor(reader, step, "what is left by")
        with self._lock:
            return position if position in self._writers.get(key, ()) else None

    def status(self, reader: int, step: str) -> str:
        """Give the status of an ancestor of the reader, `ok` for a cached one."""
        status = self._status_of(self._ancestor(reader, step, "the status of"))
        return str(StepStatus.OK if status is StepStatus.CACHED else status)

    def _ancestor(self, reader: int, step: str, what: str) -> int:
        """Give the position of an ancestor, or raise."""
        name = self.names[reader]
        with self._lock:
            position = self._position(step)
            if position is not None and self._ancestry.is_ancestor(position, reader):
                return position
        asks = f"step '{name}' asks for {what} step '{step}'"
        if position is None:
            raise ContextKeyError(f"{asks}, which is unknown", hint=did_you_mean(step, self.names))
        raise self._unrelated(reader, position, asks, f"do not ask for '{step}' here")

    def _seen(self, reader: int, key: str, writers: set[int]) -> list[int]:
        if len(writers) > 1:
            return self._ancestry.nearest(reader, writers, self._floors[key])
        return [writer for writer in writers if self._ancestry.is_ancestor(writer, reader)]

    def _above(self, other: int, reader: int) -> bool:
        return other == reader or self._ancestry.is_ancestor(other, reader)

    def _only(self, reader: int, key: str, seen: list[int]) -> int:
        """Give the one of `seen` that all others are ancestors of, or raise."""
        generations, names = self._ancestry.generations, self.names
        # Nothing lies above a writer but what is of a lower generation.
        last = min(seen, key=lambda step: (-generations[step], step))
        for other in sorted(seen):
            if not self._above(other, last):
                first, second = sorted((other, last))
                raise ContextKeyError(
                    f"step '{names[reader]}' reads key '{key}', which both '{names[first]}'"
                    f" and '{names[second]}' wrote, in no fixed order",
                    hint="let one depend on the other, or write under different keys",
                )
        return last

    def _not_upstream(self, reader: int, key: str, writer: int) -> ContextKeyError:
        asks = f"step '{self.names[reader]}' reads key '{key}' of step '{self.names[writer]}'"
        return self._unrelated(reader, writer, asks, f"do not read '{key}' here")

    def _unrelated(self, reader: int, other: int, asks: str, instead: str) -> ContextKeyError:
        if reader == other:
            return ContextKeyError(f"{asks}: itself", hint=instead)
        if self._ancestry.is_ancestor(reader, other):
            hint = f"turn the dependency round, or {instead}"
            return ContextKeyError(f"{asks}, which runs after it", hint=hint)
        hint = f"add depends_on=['{self.names[other]}'] to step '{self.names[reader]}'"
        return ContextKeyError(f"{asks} but does not depend on it", hint=hint)

    def unknown(self, reader: int, key: str, own: Iterable[str] = ()) -> ContextKeyError:
        """Make the error for a key that nobody wrote."""
        name = self.names[reader]
        with self._lock:
            position = self._position(key)
        if position is not None and position != reader:
            return ContextKeyError(
                f"step '{name}' reads key '{key}', but step '{key}' left nothing there",
                hint=f"return a value from '{key}', or read it with ctx.get('{key}')",
            )
        visible = sorted(self.visible(reader).union(own))
        hint = did_you_mean(key, visible)
        if not visible:
            hint = "no step before it wrote anything"
        elif not hint:
            shown = ", ".join(visible[:10]) + (", …" if len(visible) > 10 else "")
            hint = f"it may read: {shown}"
        return ContextKeyError(
            f"step '{name}' reads key '{key}', which no step before it wrote", hint=hint
        )

    def _position(self, name: str) -> int | None:
        if self._positions is None:
            self._positions = {text: at for at, text in enumerate(self.names)}
        return self._positions.get(name)
