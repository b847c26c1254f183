"""What steps print: routed to the log of the attempt that prints it."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import IO, Any, TextIO, cast

from engine.logs import current, escape
from engine.ports import AttemptLog


class StepOutput:
    """Stands in for sys.stdout or sys.stderr: what a step prints goes to its attempt's log.

    Whose thread it is tells `engine.logs.current`; what anybody else prints, such as a thread that
    a step has started, goes through, masked and escaped like all that is shown.
    """

    def __init__(
        self,
        original: TextIO,
        stream: str,
        mask: Callable[[str], str],
        aside: Callable[[str], bool] | None = None,
    ) -> None:
        self.original = original
        self._stream = stream
        self._mask = mask
        self._aside = aside

    def write(self, text: str) -> int:
        """Write to the log of the attempt that runs in this thread, if one does."""
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        scope = current.get()
        if scope is None:
            text = "\n".join(map(escape, self._mask(text).split("\n")))
            aside = self._aside
            if aside is None or not self.original.isatty() or not aside(text):
                self.original.write(text)
        else:
            scope.log.write(text, stream=self._stream)
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write each of `lines`."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Flush; an attempt's log holds no whole line back."""
        if current.get() is None:
            self.original.flush()

    def isatty(self) -> bool:
        """Tell whether somebody is there to see colours: never within a step."""
        return current.get() is None and self.original.isatty()

    def close(self) -> None:
        """Close the stream, if not within a step: it is not the step's to close."""
        if current.get() is None:
            self.original.close()

    @property
    def buffer(self) -> IO[bytes]:
        """What takes bytes."""
        scope = current.get()
        if scope is None:
            return self.original.buffer
        return cast("IO[bytes]", _StepBytes(scope.log, self._stream))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.original, name)


class _StepBytes(io.RawIOBase):
    """Takes the bytes a step prints."""

    def __init__(self, log: AttemptLog, stream: str) -> None:
        super().__init__()
        self._log = log
        self._stream = stream

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        text = bytes(data).decode("utf-8", "backslashreplace")
        self._log.write(text, stream=self._stream)
        return len(data)


@contextmanager
def step_output(
    mask: Callable[[str], str], aside: Callable[[str], bool] | None = None
) -> Iterator[None]:
    """Route sys.stdout and sys.stderr by attempt while the block runs.

    What goes to a terminal and is no attempt's is first offered to `aside`.
    """
    before = sys.stdout, sys.stderr
    routed = [
        stream if stream is None else cast("TextIO", StepOutput(stream, name, mask, aside))
        for stream, name in zip(before, ("out", "err"), strict=True)
    ]
    sys.stdout, sys.stderr = routed
    try:
        yield
    finally:
        if sys.stdout is routed[0]:
            sys.stdout = before[0]
        if sys.stderr is routed[1]:
            sys.stderr = before[1]


def original_of(stream: TextIO | None) -> TextIO | None:
    """Give the stream that a routed one stands in for."""
    return cast("TextIO", stream.original) if isinstance(stream, StepOutput) else stream
