"""Renderings shared by all who ask for the same: made once, and not again at once."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from engine.ports import Clock

FRESH_S = 1.0
REST = 10  # a rendering rests so many times what it took: at most a tenth of one core
REST_MAX_S = 5.0
KEPT_MAX = 64
KEPT_BYTES_MAX = 32_000_000
WAITING_MAX = 64


class Answer(NamedTuple):
    """What is sent: status, body, and what else its head has; `tag` names this very content.

    `inside` is sent to a page that is there already; `state` is what the answer was made of.
    """

    status: int
    body: bytes
    kind: str = "text/html; charset=utf-8"
    headers: tuple[tuple[str, str], ...] = ()
    tag: str = ""
    inside: bytes | None = None
    state: str = ""


Make = Callable[[Answer | None], Answer]
"""Makes an answer, given the one before it: that itself, where nothing has changed."""

BUSY = Answer(503, b"too much is asked for at once; try again\n", "text/plain; charset=utf-8")


@dataclass
class _Entry:
    """One rendering, who makes it now, and until when it is fresh."""

    answer: Answer | None = None
    until: float = 0.0
    making: asyncio.Task[Answer] | None = None


class Shared:
    """Answers by key, for one event loop. Who comes while one is made waits for that."""

    def __init__(self, clock: Clock, pool: Executor) -> None:
        """Go by `clock`; answers are made in `pool`."""
        self._clock = clock
        self._pool = pool
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._making = 0

    async def get(self, key: str, make: Make) -> Answer:
        """Give the answer, made now if there is none that is fresh."""
        entry = self._entries.get(key)
        if entry is not None and entry.answer is not None and self._clock.now() < entry.until:
            self._entries.move_to_end(key)
            return entry.answer
        if entry is None or entry.making is None:
            if self._making >= WAITING_MAX:
                return BUSY
            entry = self._entries.setdefault(key, _Entry())
            self._making += 1
            entry.making = asyncio.create_task(self._make(entry, make))
        # A client that goes away takes nothing from the others who wait.
        return await asyncio.shield(entry.making)

    async def _make(self, entry: _Entry, make: Make) -> Answer:
        begun = self._clock.now()
        try:
            loop = asyncio.get_running_loop()
            answer = await loop.run_in_executor(self._pool, make, entry.answer)
        finally:
            entry.making = None
            self._making -= 1
        ended = self._clock.now()
        entry.answer = answer
        entry.until = ended + min(max(FRESH_S, REST * (ended - begun)), REST_MAX_S)
        self._let_go()
        return answer

    def _let_go(self) -> None:
        """Drop what was not asked for the longest, beyond what may be kept."""
        size = sum(len(each.answer.body) for each in self._entries.values() if each.answer)
        for key in [key for key, each in self._entries.items() if each.making is None]:
            if len(self._entries) <= KEPT_MAX and size <= KEPT_BYTES_MAX:
                break
            gone = self._entries.pop(key)
            size -= len(gone.answer.body) if gone.answer else 0
