"""What engine and isolated step say to each other: whole frames with a checksum, or nothing.

A frame is a head (JSON) and blobs (raw bytes of values). Nothing is ever unpickled here.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

HEAD_BYTES_MAX = 16_000_000
BLOBS_BYTES_MAX = 256_000_000
_PREFIX = struct.Struct(">IQ32s")  # sizes of head and blobs, sha256 of both


class FrameFault(Exception):
    """What came over the channel is no whole, sound frame; the text says why."""


class Frame(NamedTuple):
    """One message: `head["kind"]` says what it is."""

    head: dict[str, Any]
    blobs: tuple[bytes, ...] = ()


def pack(head: dict[str, Any], blobs: Sequence[bytes] = ()) -> Iterator[bytes]:
    """Give the pieces of a frame. Raises `FrameFault` if it would be too big."""
    sizes = [len(blob) for blob in blobs]
    text = json.dumps(head | {"blobs": sizes}).encode()
    _check_sizes(len(text), sum(sizes))
    digest = hashlib.sha256(text)
    for blob in blobs:
        digest.update(blob)
    yield _PREFIX.pack(len(text), sum(sizes), digest.digest()) + text
    yield from blobs


def _check_sizes(head: int, blobs: int) -> None:
    if head > HEAD_BYTES_MAX or blobs > BLOBS_BYTES_MAX:
        limit = BLOBS_BYTES_MAX // 1_000_000
        raise FrameFault(f"what it sent is too big: {(head + blobs) / 1e6:.0f} MB; {limit} MB go")


class Frames:
    """Puts frames together from bytes as they come."""

    def __init__(self) -> None:
        self._data = bytearray()

    @property
    def partial(self) -> bool:
        """Whether the bytes so far end within a frame."""
        return bool(self._data)

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Take bytes; give the frames that are whole. Raises `FrameFault`."""
        self._data += data
        while len(self._data) >= _PREFIX.size:
            head_size, blobs_size, sha256 = _PREFIX.unpack_from(self._data)
            _check_sizes(head_size, blobs_size)
            end = _PREFIX.size + head_size + blobs_size
            if len(self._data) < end:
                return
            with memoryview(self._data) as view, view[_PREFIX.size : end] as body:
                if hashlib.sha256(body).digest() != sha256:
                    raise FrameFault("what it sent is damaged: its checksum is wrong")
                frame = _frame(bytes(body[:head_size]), body[head_size:])
            del self._data[:end]
            yield frame


def _frame(text: bytes, blobs: memoryview) -> Frame:
    with blobs:
        try:
            head = json.loads(text)
            sizes = head.pop("blobs")
            whole = sum(sizes) == len(blobs)
        except (ValueError, KeyError, TypeError, AttributeError):
            whole = False
        if not whole:
            raise FrameFault("what it sent cannot be read")
        parts = []
        at = 0
        for size in sizes:
            parts.append(bytes(blobs[at : at + size]))
            at += size
        return Frame(head, tuple(parts))
