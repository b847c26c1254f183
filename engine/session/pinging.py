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

    from engine.model import Definition
    from engine.secrets import Secrets

SETTING = "ENGINE_PING_URL"  # of workflows that name no other
START, SUCCESS, FAIL = "/start", "", "/fail"
WITHIN_S = 2.0  # for one ping
ENDS_WITHIN_S = 2 * WITHIN_S  # for what was not sent by the run's end

logger = logging.getLogger("engine.run")


class Pings:
    """Sends the pings of one run."""

    def __init__(self, url: str, mask: Callable[[str], str]) -> None:
        """Send to a URL, a secret; nothing is sent yet."""
        self._url, self._mask = urlsplit(url), mask
        self._waiting: SimpleQueue[str | None] = SimpleQueue()
        self._thread = Thread(target=self._send_all, name="pings", daemon=True)

    def start(self) -> None:
        """Say that the run has begun."""
        self._waiting.put(START)
        self._thread.start()

    def end(self, *, well: bool) -> None:
        """Say how it ended; waits for nothing."""
        self._waiting.put(SUCCESS if well else FAIL)
        self._waiting.put(None)

    def wait(self) -> None:
        """Wait a while for what is not sent yet."""
        self._thread.join(ENDS_WITHIN_S)

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


def pings_of(definition: Definition, secrets: Secrets) -> Pings | None:
    """Give what sends a run's pings; None if there is nowhere to send them, which may be said."""
    name = definition.ping or SETTING
    try:
        url = secrets.get(name)
    except EngineError as error:
        logger.warning("no pings: %s", error.message)
        return None
    if url is None:
        if definition.ping:
            logger.warning("no pings: %s is not set", name)
        return None
    from engine.alerts.ping import is_usable

    if not is_usable(url):
        logger.warning("no pings: %s is no URL of the web", name)
        return None
    return Pings(url, secrets.mask)
