"""The scoped, atomic context: a step reads what its ancestors wrote, and nothing else.

`ContextIndex` knows who wrote what in a run; the runner feeds it after each commit. `StepContext`
is the `ctx` of one attempt: it decodes its own copies, buffers its writes, and hands them over at
the end. What a step sees follows from the graph alone, never from the timing of threads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import AbstractContextManager
from typing import IO, TYPE_CHECKING, Any, Final

from engine.ancestry import INITIAL, ContextIndex
from engine.errors import ContextKeyError, SecretError, SupersededError, ValueNotStorable
from engine.outputs import Outputs
from engine.records import record

if TYPE_CHECKING:
    import logging
    import os
    from datetime import datetime

    from engine.ports import Paths, Readable
    from engine.produced import Encoded, OutputFile
    from engine.secrets import Secrets

__all__ = ["INITIAL", "Codec", "ContextIndex", "RunScope", "StepContext", "check_key"]

KEY_LENGTH_MAX = 200


class _Missing:
    """Stands for "no default given", as None is a value."""


_MISSING: Final = _Missing()


@record
class Codec:
    """How values become bytes and back.

    `encode(key, value)` raises `ValueNotStorable`, naming key and place, for what cannot be stored
    exactly or holds a registered secret.
    """

    encode: Callable[[str, Any], Encoded]
    decode: Callable[[Encoded], Any]


@record
class RunScope:
    """What all contexts of one run share; `params` should be a `MappingProxyType`.

    `slot` is when its schedule had the run due, if that is why it is run. `outputs` makes each
    attempt's output files; `announce` is told of each temporary before it is made.
    """

    workflow: str
    run_id: int
    index: Readable
    codec: Codec
    params: Mapping[str, Any]
    paths: Paths
    secrets: Secrets
    slot: datetime | None = None
    announce: Callable[[str], None] | None = None
    outputs: Callable[..., Outputs] = Outputs


def check_key(key: object) -> str:
    """Give back `key` if it can be a context key, else raise `ContextKeyError`."""
    if not isinstance(key, str):
        raise ContextKeyError(
            f"context key {key!r} is not text but {type(key).__name__}", hint="use text as keys"
        )
    if not key or len(key) > KEY_LENGTH_MAX or not key.isprintable():
        shown = key if len(key) <= KEY_LENGTH_MAX else key[:20] + "…"
        raise ContextKeyError(
            f"context key {shown!r} cannot be used",
            hint=f"use 1 to {KEY_LENGTH_MAX} printable characters",
        )
    return key


class StepContext(MutableMapping[str, Any]):
    """`ctx`: what one attempt of a step reads and writes.

    Reading gives this attempt's own copy; changing that, or a value after it was written, in place
    is not a write. Writes can be read back at once by this attempt, by others after its success.
    """

    # Those of most attempts to their end: of a no-op step, each line in `__init__` is a hundredth.
    _outputs: Outputs | None = None
    _logger: logging.Logger | None = None
    _closed = ""
    has_left = False  # whether there ever was something for `writes` and `files` to give

    def __init__(
        self,
        scope: RunScope,
        step: int,
        attempt: int,
        key_run: int,
        log: Callable[[], logging.Logger],
    ) -> None:
        """Open the context of attempt `attempt` of the step at position `step`.

        `key_run` is the run in its idempotency key; `log` makes its log when that is first used.
        """
        self._scope = scope
        self._step = step
        self._read: dict[str, Any] = {}
        self._writes: dict[str, Encoded] = {}
        self._key_run = key_run
        self._log = log
        self.attempt = attempt

    def __repr__(self) -> str:
        """Name the attempt, never the values."""
        return (
            f"<context of step '{self.step}', attempt {self.attempt}, run {self._scope.run_id}"
            f" of '{self._scope.workflow}'>"
        )

    # -- what the attempt is ----------------------------------------------------------------------

    @property
    def step(self) -> str:
        """The step's name."""
        return self._scope.index.names[self._step]

    @property
    def idempotency_key(self) -> str:
        """The same for every attempt and continuation, for outside systems."""
        return f"{self._key_run}/{self.step}"

    @property
    def log(self) -> logging.Logger:
        """The attempt's logger."""
        if self._logger is None:
            self._logger = self._log()
        return self._logger

    @property
    def workflow(self) -> str:
        """The workflow's name."""
        return self._scope.workflow

    @property
    def run_id(self) -> int:
        """The run's number."""
        return self._scope.run_id

    @property
    def slot(self) -> datetime | None:
        """When its schedule had the run due, in the workflow's zone; None for a run by hand."""
        return self._scope.slot

    @property
    def params(self) -> Mapping[str, Any]:
        """The run's resolved parameters, read-only."""
        return self._scope.params

    @property
    def paths(self) -> Paths:
        """Where the run works: project root, home, store."""
        return self._scope.paths

    # -- reading ----------------------------------------------------------------------------------

    def __getitem__(self, key: str) -> Any:
        """Read a key; raises `ContextKeyError` saying why if this step may not or cannot."""
        if key in self._read:
            return self._read[key]
        encoded = self._writes.get(check_key(key))
        if encoded is None:
            index = self._scope.index
            writer = index.writer_for(self._step, key)
            if writer is None:
                raise index.unknown(self._step, key, own=self._writes)
            encoded = index.load(writer, key)
        value = self._read[key] = self._scope.codec.decode(encoded)
        return value

    def __contains__(self, key: object) -> bool:
        """Tell whether `ctx[key]` gives a value; raises where that would be the graph's fault."""
        name = check_key(key)
        return name in self._writes or self._scope.index.writer_for(self._step, name) is not None

    def get(self, key: str, default: Any = None) -> Any:
        """Read a key, or give `default` if nobody wrote it; else as `ctx[key]`."""
        return self[key] if key in self else default  # noqa: SIM401 - this is `get`

    def __iter__(self) -> Iterator[str]:
        """Go through the visible keys, sorted."""
        return iter(sorted(self._scope.index.visible(self._step).union(self._writes)))

    def __len__(self) -> int:
        """Count the visible keys."""
        return len(self._scope.index.visible(self._step).union(self._writes))

    def status(self, step: str) -> str:
        """Tell how a step that this one depends on, at any distance, has ended, as in "failed".

        One that is reused from an earlier run reads "ok". Raises `ContextKeyError` for others.
        """
        return self._scope.index.status(self._step, step)

    def left_by(self, step: str, key: str, default: Any = None) -> Any:
        """Give what an ancestor itself wrote under a key, or `default`: for conditions."""
        index = self._scope.index
        writer = index.wrote(self._step, step, key)
        return default if writer is None else self._scope.codec.decode(index.load(writer, key))

    # -- writing ----------------------------------------------------------------------------------

    def __setitem__(self, key: str, value: Any) -> None:
        """Encode a value now and keep it for the commit.

        Raises `ValueNotStorable` for what cannot be stored exactly or holds a secret,
        `SupersededError` once the attempt is over.
        """
        self._refuse_closed()
        self._writes[check_key(key)] = self._encode(key, value)
        self.has_left = True
        self._read.pop(key, None)

    def _encode(self, key: str, value: Any) -> Encoded:
        try:
            return self._scope.codec.encode(key, value)
        except ValueNotStorable as error:
            raise ValueNotStorable(
                f"step '{self.step}': {error.message}", hint=error.hint
            ) from None

    def __delitem__(self, key: str) -> None:
        """Take back a write of this attempt; nothing else can be deleted."""
        self._refuse_closed()
        if key not in self._writes:
            raise ContextKeyError(
                f"step '{self.step}' cannot delete key {key!r}: it did not write it",
                hint="write another value, or leave it",
            )
        del self._writes[key]
        self._read.pop(key, None)

    def pop(self, key: str, default: Any = _MISSING) -> Any:
        """Take back a write of this attempt and give its value."""
        if default is not _MISSING and key not in self:
            return default
        value = self[key]
        del self[key]
        return value

    def setdefault(self, key: str, default: Any = None) -> Any:
        """Read a key, writing `default` first if nobody wrote it."""
        if key not in self:
            self[key] = default
        return self[key]

    def clear(self) -> None:
        """Take back all writes of this attempt."""
        self._refuse_closed()
        for key in self._writes:
            self._read.pop(key, None)
        self._writes.clear()

    def popitem(self) -> tuple[str, Any]:
        """Take back the newest write of this attempt."""
        if not self._writes:
            raise ContextKeyError(
                f"step '{self.step}' has written nothing that could be taken back",
                hint="delete only what this step wrote",
            )
        key = next(reversed(self._writes))
        return key, self.pop(key)

    # -- files and secrets ------------------------------------------------------------------------

    def output(
        self,
        path: str | os.PathLike[str],
        mode: str = "w",
        *,
        encoding: str | None = "utf-8",
        newline: str | None = None,
    ) -> AbstractContextManager[IO[Any]]:
        """Open a file that replaces `path` (relative: project root) when the step succeeds."""
        self._refuse_closed()
        return self.outputs.open(path, mode, encoding=encoding, newline=newline)

    @property
    def outputs(self) -> Outputs:
        """The attempt's output files; made at the first use, as most steps have none."""
        if self._outputs is None:
            self.has_left = True
            paths = self._scope.paths
            label = f"{self._scope.run_id}-{self.step}-{self.attempt}"
            reject = self._scope.secrets.contains
            self._outputs = self._scope.outputs(
                paths.root, label, paths.store_url, reject=reject, announce=self._scope.announce
            )
            if self._closed:
                self._outputs.discard()
        return self._outputs

    def secret(self, name: str, default: Any = _MISSING) -> Any:
        """Give a secret from the environment or `<home>/env`; it is masked from now on."""
        value = self._scope.secrets.get(name)
        if value is not None:
            return value
        if default is not _MISSING:
            return default
        file = self._scope.paths.home / "env"
        raise SecretError(
            f"secret '{name}' is not set",
            hint=f"put {name}=… into {file} (chmod 600) or into the environment",
        )

    def setting(self, name: str) -> str | None:
        """Give a setting that is no secret (`MAIL_*`, `ENGINE_*`, `KAHNBAN_*`), None without it."""
        return self._scope.secrets.setting(name)

    # -- the end ----------------------------------------------------------------------------------

    def set_return(self, value: Any) -> None:
        """Store what the step returned under its name; None is no value."""
        if value is None:
            return
        if self.step in self._writes:
            raise ContextKeyError(
                f"step '{self.step}' wrote the key '{self.step}' and returned a value as well",
                hint=f"do one of the two: a returned value is stored as '{self.step}'",
            )
        self[self.step] = value

    def writes(self) -> tuple[tuple[str, Encoded], ...]:
        """Give all writes, in the order of their first writing."""
        return tuple(self._writes.items()) if self._writes else ()

    def files(self) -> tuple[OutputFile, ...]:
        """Give the output files that are ready to be published."""
        return self._outputs.files if self._outputs else ()

    def close(self, reason: str = "the attempt is over") -> None:
        """Refuse all further writes and outputs, remove temporaries; safe from any thread."""
        self._closed = reason
        if self._outputs is not None:
            self._outputs.discard()

    def _refuse_closed(self) -> None:
        if self._closed:
            raise SupersededError(
                f"step '{self.step}' cannot write any more: {self._closed}",
                hint="end the step's work within its timeout",
            )
