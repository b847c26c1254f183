"""The server: one socket on loopback, and connections that are cut when they do not get on."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
from collections.abc import Iterator
from typing import TYPE_CHECKING

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from engine.errors import EngineError, UsageError
from engine.serve.guard import FOREIGN
from engine.serve.peer import is_own

if TYPE_CHECKING:
    from starlette.types import ASGIApp

CONNECTIONS_MAX = 500
HEAD_BYTES_MAX = 16_384
PHASE_S = 10.0  # to send a whole request; to take a whole answer
IDLE_S = 5
_NAMES = {"127.0.0.1": "127.0.0.1", "localhost": "127.0.0.1", "::1": "::1", "[::1]": "::1"}


def listen(host: str, port: int) -> socket.socket:
    """Take the port. Raises `UsageError` where it would be open to others, or `EngineError`."""
    address = _NAMES.get(host)
    if address is None:
        raise UsageError(
            f"the dashboard is for this machine alone, not for '{host}'",
            hint=f"from elsewhere: ssh -L {port}:127.0.0.1:{port} THIS-MACHINE, then open"
            f" http://127.0.0.1:{port}/ there",
        )
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    taken = socket.socket(family, socket.SOCK_STREAM)
    try:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind((address, port))
        taken.listen(128)  # so that who is second is told now
    except OSError as error:
        taken.close()
        raise _not_taken(address, port, error) from None
    return taken


def _not_taken(address: str, port: int, error: OSError) -> EngineError:
    if error.errno == errno.EADDRINUSE:
        return EngineError(
            f"port {port} of {address} is taken by another program",
            hint=f"give another: --port {port + 1 if port < 65_535 else port - 1}; or --port 0"
            " for any that is free",
        )
    return EngineError(
        f"port {port} of {address} cannot be had: {error.strerror}",
        hint="give one above 1023: --port 8321",
    )


class Connection(H11Protocol):
    """A connection that ends if a request, or the taking of its answer, lasts too long.

    uvicorn itself waits for ever for the rest of a request, and for who does not read.
    """

    _cut: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin; another user's is marked as such."""
        super().connection_made(transport)
        peer, local = transport.get_extra_info("peername"), transport.get_extra_info("sockname")
        if not (peer and local and is_own(peer, local)):
            self.app_state = {**self.app_state, FOREIGN: True}
        self._await_next()

    def data_received(self, data: bytes) -> None:
        """Take what came; a request that is whole begins the time of its answer."""
        waited = self.conn.their_state is h11.IDLE
        super().data_received(data)
        if waited and self.conn.their_state in (h11.DONE, h11.MUST_CLOSE):
            self._await_next()

    def on_response_complete(self) -> None:
        """Begin the wait for the next request."""
        self._await_next()
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        if self._cut is not None:
            self._cut.cancel()
        super().connection_lost(exc)

    def _await_next(self) -> None:
        if self._cut is not None:
            self._cut.cancel()
        self._cut = self.loop.call_later(PHASE_S, self.transport.abort)


class _Server(uvicorn.Server):
    """uvicorn's server, which leaves signals alone."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Let the command line's own handlers be."""
        yield


def server_of(app: ASGIApp) -> uvicorn.Server:
    """Give a server of ours: it answers on what sockets it is given."""
    logging.getLogger("uvicorn").setLevel(logging.CRITICAL)  # it complains of what others send
    config = uvicorn.Config(
        app,
        http=Connection,
        loop="asyncio",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        limit_concurrency=CONNECTIONS_MAX,
        timeout_keep_alive=IDLE_S,
        timeout_graceful_shutdown=1,
        h11_max_incomplete_event_size=HEAD_BYTES_MAX,
    )
    return _Server(config)


def serve(app: ASGIApp, taken: socket.socket) -> None:
    """Answer until the process is told to end."""
    asyncio.run(server_of(app).serve(sockets=[taken]))
