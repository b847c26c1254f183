"""Attempts that are claimed and have no verdict yet, their limits, and those left behind."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from heapq import heappop, heappush

from engine.events import AttemptStarted, EngineHalted

LEFT_MAX = 100  # attempts left behind whose bodies still run, before their run is stopped
HEAR_S = 0.5  # in which a step process is heard of that has ended while the engine was halted


def halted_s(halts: Iterable[EngineHalted], since: float) -> float:
    """Give how long the engine was halted from `since` on."""
    return sum(max(0.0, halt.ended - max(halt.begun, since)) for halt in halts)


class Live:
    """A claimed attempt; `started_at` is None while it may still be queued.

    A start that is given with the claim is assumed until the worker tells its own.
    """

    begun = False  # the worker has told its start
    asked = ""  # why it was asked to stop, or nothing
    late = False  # asked because its own time was up, not because the run is stopped
    asked_at = 0.0
    stop_by: float | None = None

    def __init__(self, number: int, started_at: float | None) -> None:
        """Start as claimed."""
        self.number = number
        self.started_at = started_at

    @property
    def known(self) -> bool:
        """Whether it has surely begun."""
        return self.started_at is not None


class LiveAttempts:
    """The attempts that count, one a step at most.

    `queued` counts those that may not have begun; `left` holds the numbers of a step's attempts
    that could not be stopped and whose bodies may still run.
    """

    __slots__ = ("_apart", "_asked", "_halts", "_limits", "_timeout_s", "by_step", "left", "queued")

    def __init__(self, timeout_s: Sequence[float | None], apart: Sequence[bool]) -> None:
        """Start with none; by step: `timeout_s`, and whether it runs `apart` from the engine."""
        self._timeout_s, self._apart = timeout_s, apart
        self._halts: list[EngineHalted] = []
        self._asked = 0  # of those that are live
        self.by_step: dict[int, Live] = {}
        self.queued = 0
        self.left: dict[int, set[int]] = {}
        self._limits: list[tuple[float, int, int]] = []  # deadlines and stop-bys

    @property
    def next_limit(self) -> float | None:
        """When the next limit passes; None if there is none."""
        return self._limits[0][0] if self._limits else None

    def take(self, step: int, number: int) -> Live | None:
        """Remove and give an attempt, or None for one that is superseded or was left behind."""
        live = self.by_step.get(step)
        if live is None or live.number != number:
            self._forget(step, number)
            return None
        del self.by_step[step]
        if live.stop_by is not None:
            self._asked -= 1
        if live.started_at is None:
            self.queued -= 1
        return live

    def leave(self, step: int, number: int) -> int:
        """Note that an attempt taken from here may run on; tells how many do."""
        self.left.setdefault(step, set()).add(number)
        return sum(len(numbers) for numbers in self.left.values())

    def _forget(self, step: int, number: int) -> None:
        numbers = self.left.get(step)
        if numbers is not None:
            numbers.discard(number)
            if not numbers:
                del self.left[step]

    def begin(self, event: AttemptStarted) -> bool:
        """Take in a start; tells whether that of an attempt that counts was unknown until now."""
        live = self.by_step.get(event.step)
        if live is None or live.number != event.number or live.begun:
            return False
        was_known = live.known
        live.begun = True
        live.started_at = event.at
        if self._timeout_s[event.step] is not None:
            heappush(self._limits, (self._deadline(event.step, live), event.step, event.number))
        if not was_known:
            self.queued -= 1
        return not was_known

    def ask(self, step: int, reason: str, now: float, stop_s: float) -> Live:
        """Note that a step's attempt is asked to stop, why, and how long it has; gives it."""
        live = self.by_step[step]
        if live.stop_by is None:
            self._asked += 1
        live.asked, live.asked_at, live.stop_by = reason, now, now + stop_s
        heappush(self._limits, (live.stop_by, step, live.number))
        return live

    def halt(self, halt: EngineHalted) -> None:
        """Take in that the engine was halted: deadlines move as they are met, stop-bys now."""
        self._halts.append(halt)
        for step, live in self.by_step.items():
            since = max(halt.begun, live.asked_at)  # it may be told of after a stop that came later
            if live.stop_by is not None and since < min(live.stop_by, halt.ended):
                live.stop_by += halt.ended - since
                heappush(self._limits, (live.stop_by, step, live.number))

    def _deadline(self, step: int, live: Live) -> float:
        """When the limit of a begun attempt passes.

        What runs in the engine was halted with it. A process was not: it is past its limit when
        the engine goes on, but may have ended before, which is to be heard of first.
        """
        limit_s, begun = self._timeout_s[step], live.started_at
        assert limit_s is not None
        assert begun is not None
        at = begun + limit_s
        if not self._apart[step]:
            return at + halted_s(self._halts, begun)
        heard = (halt.ended + HEAR_S for halt in self._halts if halt.begun < at <= halt.ended)
        return max(heard, default=at)

    def due(self, now: float) -> Iterator[tuple[int, Live]]:
        """Give the attempts whose deadline has passed and that were not asked to stop yet."""
        while self._limits and self._limits[0][0] <= now:
            _, step, number = heappop(self._limits)
            live = self.by_step.get(step)
            if live is None or live.number != number or live.asked:
                continue
            deadline = self._deadline(step, live)
            if deadline > now:
                heappush(self._limits, (deadline, step, number))
            else:
                yield step, live

    def is_past(self, step: int, number: int, now: float) -> bool:
        """Whether an attempt was asked to stop and is past the time for it."""
        live = self.by_step.get(step)
        if live is None or live.number != number or live.stop_by is None:
            return False
        return live.stop_by <= now

    def overran(self, now: float) -> list[tuple[int, int]]:
        """(step, number) of attempts that were asked to stop and are past the time for it."""
        if not self._asked:
            return []
        return [
            (step, live.number)
            for step, live in self.by_step.items()
            if live.stop_by is not None and live.stop_by <= now
        ]
