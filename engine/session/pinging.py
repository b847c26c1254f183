"""Pings to a dead-man service: that a timer's run has begun, and how it ended.

A thread of its own sends them, in order. No run waits for one before its end, or fails for it.
"""

from __future__ import annotations

import logging
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from engine.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.secrets import Secrets

SETTING = "ENGINE_PING_URL"  # of workflows that name no other
START, SUCCESS, FAIL = "/start", "", "/fail"
WITHIN_S = 2.0  # for one ping
ENDS_WITHIN_S = 2 * WITHIN_S  # for what was not sent by the run's end

logger = logging.getLogger("engine.run")


class Pings:
    """Sends the pings of one run; of several ends the first is told."""

    def __init__(self, url: str, mask: Callable[[str], str], now: Callable[[], float]) -> None:
        """Send to a URL, a secret; nothing is sent yet. `now` gives seconds."""
        self._url, self._mask, self._now = urlsplit(url), mask, now
        self._waiting: SimpleQueue[str | None] = SimpleQueue()
        self._thread: Thread | None = None
        self._ended_at: float | None = None

    def start(self) -> None:
        """Say that the run has begun; waits for nothing."""
        self._put(START)

    def end(self, *, well: bool) -> None:
        """Say how it ended; waits for nothing."""
        if self._ended_at is None:
            self._ended_at = self._now()
            self._put(SUCCESS if well else FAIL)
            self._waiting.put(None)

    def wait(self) -> None:
        """Wait for what is not sent yet, until a while after the end: alerts go out meanwhile."""
        if self._thread is None or self._ended_at is None:
            return
        self._thread.join(max(0.0, self._ended_at + ENDS_WITHIN_S - self._now()))
        if self._thread.is_alive():
            logger.warning("pings: no answer within %g s, given up", ENDS_WITHIN_S)

    def _put(self, what: str) -> None:
        self._waiting.put(what)
        if self._thread is None:
            self._thread = Thread(target=self._send_all, name="pings", daemon=True)
            self._thread.start()

    def _send_all(self) -> None:
        while (what := self._waiting.get()) is not None:
            try:
                self._send(what)
            except Exception as error:  # noqa: BLE001 - a ping never fails a run
                logger.warning("the ping %s was not sent: %s", what or "/", self._mask(str(error)))

    def _send(self, what: str) -> None:
        from engine.alerts.ping import ask

        url = self._url._replace(path=self._url.path.rstrip("/") + what).geturl()
        ask(url, deadline_s=WITHIN_S)


def pings_of(named: str | None, secrets: Secrets, now: Callable[[], float]) -> Pings | None:
    """Give what sends a run's pings to the URL in a setting, that `named` or the one for all.

    None if there is nowhere to send them, which may be said.
    """
    name = named or SETTING
    try:
        url = secrets.get(name)
    except EngineError as error:
        logger.warning("no pings: %s", error.message)
        return None
    if url is None:
        if named:
            logger.warning("no pings: %s is not set", name)
        return None
    from engine.alerts.ping import is_usable

    if not is_usable(url):
        logger.warning("no pings: %s is no URL of the web", name)
        return None
    return Pings(url, secrets.mask, now)
