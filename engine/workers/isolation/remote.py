"""The engine as an isolated step sees it: values, secrets and the log, asked for over a channel."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from threading import RLock
from typing import Any

from engine import errors
from engine.errors import ContextKeyError, EngineError
from engine.produced import Encoded
from engine.secrets import Secrets, check_setting
from engine.workers.isolation.frames import Frame, Frames, pack

_READ_BYTES = 262_144
_RAISED = frozenset(
    {"ContextKeyError", "SecretError", "StoreError", "StoreBusy", "UsageError", "ValueNotStorable"}
)


class Line:
    """The child's end of the channel. Thread-safe; a question is answered before the next.

    `busy` is above zero while a frame is on its way: a signal must not raise then, or half a frame
    would be all that is left of it.
    """

    def __init__(self, end: socket.socket) -> None:
        self.busy = 0
        self.on_free: Callable[[], None] = lambda: None
        self._end = end
        self._frames = Frames()
        self._lock = RLock()

    def tell(self, head: dict[str, Any], blobs: Sequence[bytes] = ()) -> None:
        """Send a frame that wants no answer."""
        self._exchange(head, blobs, answered=False)

    def ask(self, **head: Any) -> Frame:
        """Send a question; give the answer, or raise the error that it is."""
        frame = self._exchange(head, (), answered=True)
        assert frame is not None
        error = frame.head.get("error")
        if error is not None:
            name, message, hint = error
            kind = getattr(errors, name) if name in _RAISED else EngineError
            raise kind(message, hint=hint)
        return frame

    def receive(self) -> Frame:
        """Wait for a frame. Raises `ConnectionError` if the engine is gone."""
        while True:
            data = self._end.recv(_READ_BYTES)
            if not data:
                raise ConnectionError("the engine is gone")
            for frame in self._frames.feed(data):
                return frame

    def _exchange(
        self, head: dict[str, Any], blobs: Sequence[bytes], *, answered: bool
    ) -> Frame | None:
        self.busy += 1
        try:
            with self._lock:
                for piece in pack(head, blobs):
                    self._end.sendall(piece)
                return self.receive() if answered else None
        finally:
            self.busy -= 1
            if not self.busy:
                self.on_free()


class RemoteIndex:
    """Implements `engine.ports.Readable` for one attempt."""

    def __init__(self, line: Line, names: Sequence[str]) -> None:
        self.names = names
        self._line = line

    def load(self, step: int, key: str) -> Encoded:
        """Give the value `step` wrote under `key`."""
        frame = self._line.ask(kind="load", step=step, key=key)
        return Encoded(frame.head["codec"], frame.blobs[0], frame.head["sha256"])

    def visible(self, reader: int) -> set[str]:
        """Give the keys the reader may see."""
        del reader  # the engine knows whose attempt this is
        return set(self._line.ask(kind="visible").head["keys"])

    def writer_for(self, reader: int, key: str) -> int | None:
        """Give the writer whose `key` the reader sees, None if nobody wrote it."""
        del reader
        writer: int | None = self._line.ask(kind="writer", key=key).head["step"]
        return writer

    def wrote(self, reader: int, step: str, key: str) -> int | None:
        """Give the position of an ancestor if it wrote `key`."""
        del reader
        writer: int | None = self._line.ask(kind="wrote", of=step, key=key).head["step"]
        return writer

    def status(self, reader: int, step: str) -> str:
        """Give the status of an ancestor."""
        del reader
        status: str = self._line.ask(kind="status", of=step).head["status"]
        return status

    def unknown(self, reader: int, key: str, own: Iterable[str] = ()) -> ContextKeyError:
        """Make the error for a key that nobody wrote."""
        del reader
        head = self._line.ask(kind="unknown", key=key, own=list(own)).head
        return ContextKeyError(head["message"], hint=head["hint"])


class RemoteSecrets(Secrets):
    """The engine's secrets: it reads them, so that it masks them too."""

    def __init__(self, line: Line, home: Path, values: Iterable[str]) -> None:
        super().__init__(home, {})
        self._line = line
        self._loaded = True
        self._register(values)

    def get(self, name: str) -> str | None:
        """Give a secret, masked in all texts from now on; None if it is nowhere or empty."""
        head = self._line.ask(kind="secret", name=name).head
        self._register(head["values"])
        value: str | None = head["value"]
        return value

    def setting(self, name: str) -> str | None:
        """Give a setting as it is."""
        check_setting(name)
        value: str | None = self._line.ask(kind="setting", name=name).head["value"]
        return value


class RemoteLog:
    """Implements `engine.ports.AttemptLog`: the engine masks, bounds and writes."""

    def __init__(self, line: Line) -> None:
        self._line = line

    def write(self, text: str, *, stream: str = "out") -> None:
        """Pass text on."""
        for at in range(0, len(text), _READ_BYTES):
            self._line.tell({"kind": "log", "text": text[at : at + _READ_BYTES], "stream": stream})

    def close(self) -> None:
        """Nothing is held back here."""


class RemoteLogs:
    """Implements `engine.ports.Logs` for the one attempt of a child."""

    def __init__(self, line: Line) -> None:
        self._line = line

    def open(self, step: str, number: int) -> RemoteLog:
        """Give the log."""
        del step, number
        return RemoteLog(self._line)
