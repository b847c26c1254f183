"""The engine's end of an isolated step's channel: it answers, and takes the one result."""

from __future__ import annotations

import selectors
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from engine.errors import ContextKeyError, EngineError
from engine.outputs import TEMPORARY_PREFIX
from engine.ports import AttemptLog
from engine.workers.isolation.frames import Frame, FrameFault, Frames, pack
from engine.workers.toolbox import Toolbox

_READ_BYTES = 262_144

Answer = tuple[dict[str, Any], Sequence[bytes]]


class Desk:
    """Answers what a step asks for: values that it may read, secrets, its log."""

    def __init__(self, tools: Toolbox, step: int, log: AttemptLog, temporaries: list[str]) -> None:
        """Collect the names of the files that it makes in `temporaries`."""
        self._tools = tools
        self._step = step
        self._log = log
        self._temporaries = temporaries

    def answer(self, frame: Frame) -> Answer | None:
        """Do what is asked; None where no answer is wanted. Raises `FrameFault` for nonsense."""
        head = frame.head
        try:
            return self._answer(head)
        except ValueError as error:
            return {"error": ["UsageError", str(error), ""]}, ()
        except ContextKeyError as error:
            return _error(error)
        except EngineError as error:
            return _error(error)
        except (KeyError, TypeError, AttributeError):
            raise FrameFault(f"it asked for something unknown: {head.get('kind')!r}") from None

    def _answer(self, head: dict[str, Any]) -> Answer | None:
        secrets = self._tools.scope.secrets
        match head["kind"]:
            case "log":
                self._log.write(str(head["text"]), stream=str(head["stream"]))
                return None
            case "temporary":
                self._note_temporary(str(head["path"]))
                return None
            case "secret":
                secret = secrets.get(head["name"])
                return {"value": secret, "values": secrets.registered()}, ()
            case "setting":
                return {"value": secrets.setting(head["name"])}, ()
        return self._of_others(head)

    def _of_others(self, head: dict[str, Any]) -> Answer:
        """Answer what other steps wrote, and how they ended."""
        index = self._tools.scope.index
        match head["kind"]:
            case "writer":
                return {"step": index.writer_for(self._step, head["key"])}, ()
            case "wrote":
                return {"step": index.wrote(self._step, head["of"], head["key"])}, ()
            case "status":
                return {"status": index.status(self._step, head["of"])}, ()
            case "load":
                value = index.load(head["step"], head["key"])
                return {"codec": value.codec, "sha256": value.sha256}, (value.data,)
            case "visible":
                return {"keys": sorted(index.visible(self._step))}, ()
            case "unknown":
                error = index.unknown(self._step, head["key"], head["own"])
                return {"message": error.message, "hint": error.hint}, ()
        raise KeyError

    def _note_temporary(self, path: str) -> None:
        if not path.rpartition("/")[2].startswith(TEMPORARY_PREFIX):
            raise KeyError  # removed if the attempt fails: no other file may be named here
        self._temporaries.append(path)


def _error(error: EngineError) -> Answer:
    return {"error": [type(error).__name__, error.message, error.hint]}, ()


class Channel:
    """One end of a socket, never waited on: what cannot be sent now is sent when there is room."""

    def __init__(
        self,
        end: socket.socket,
        selector: selectors.BaseSelector,
        desk: Desk,
        kill: Callable[[str], None],
    ) -> None:
        """Call `kill` for a child that does not keep to the form."""
        self.result: Frame | None = None
        self.fault = ""
        self._end = end
        self._selector = selector
        self._desk = desk
        self._kill = kill
        self._frames = Frames()
        self._out = bytearray()
        end.setblocking(False)  # noqa: FBT003 - has no other form  # noqa: FBT003 - has no other form

    def fileno(self) -> int:
        """Give the descriptor."""
        return self._end.fileno()

    def send(self, head: dict[str, Any], blobs: Sequence[bytes] = ()) -> None:
        """Send a frame as far as there is room, the rest later."""
        for piece in pack(head, blobs):
            self._out += piece
        self._flush()

    def handle(self) -> bool:
        """Send what waits, take what is there; false at the end."""
        self._flush()
        try:
            data = self._end.recv(_READ_BYTES)
        except BlockingIOError:
            return True
        except OSError:
            data = b""
        if not data:
            if self._frames.partial and not self.fault:
                self.fault = "its result was cut short"
            return False
        try:
            for frame in self._frames.feed(data):
                self._take(frame)
        except FrameFault as fault:
            self.result = None
            self.fault = str(fault)
            self._kill(self.fault)
            return False
        return True

    def _take(self, frame: Frame) -> None:
        if frame.head.get("kind") == "result":
            if self.result is not None:
                raise FrameFault("it sent two results")
            self.result = frame
            return
        answer = self._desk.answer(frame)
        if answer is not None:
            self.send(*answer)

    def _flush(self) -> None:
        try:
            while self._out:
                sent = self._end.send(self._out)
                del self._out[:sent]
        except BlockingIOError:
            pass
        except OSError:
            self._out.clear()  # nobody reads it any more
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._out else 0)
        with suppress(KeyError):  # not registered yet
            self._selector.modify(self._end.fileno(), events, self)
