"""What an attempt leaves for the store: values and files."""

from __future__ import annotations

from engine.records import record


@record
class Encoded:
    """A context value as it is stored: `codec` names how `data` reads, `sha256` guards it."""

    codec: str
    data: bytes
    sha256: str


@record
class OutputFile:
    """A file a step wrote: `temporary` is renamed to `target` once the success is committed."""

    temporary: str
    target: str
    sha256: str
    size: int
