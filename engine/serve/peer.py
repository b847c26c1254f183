"""Whose the other end of a loopback connection is: the kernel lists it, with its user.

A port of this machine is open to all its users; the store is open to its own alone.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterable, Sequence
from pathlib import Path

_TABLES = {socket.AF_INET: "/proc/net/tcp", socket.AF_INET6: "/proc/net/tcp6"}


def is_own(peer: Sequence[object], local: Sequence[object]) -> bool:
    """Whether a connection's other end is this user's, or root's; also where no kernel tells."""
    family = socket.AF_INET6 if ":" in str(peer[0]) else socket.AF_INET
    try:
        with Path(_TABLES[family]).open(encoding="ascii") as table:
            uid = user_of(table, _end(family, peer), _end(family, local))
    except (OSError, UnicodeDecodeError):
        return True
    return uid in (0, os.geteuid())


def user_of(table: Iterable[str], peer: str, local: str) -> int | None:
    """Find the user of the socket that has `peer` as its own end and `local` as the other."""
    for line in table:
        fields = line.split(None, 8)
        if len(fields) > 7 and fields[1] == peer and fields[2] == local:
            return int(fields[7])
    return None


def _end(family: socket.AddressFamily, address: Sequence[object]) -> str:
    """Give an address as the kernel writes it: words in this machine's byte order."""
    raw = socket.inet_pton(family, str(address[0]))
    words = struct.unpack(f"={len(raw) // 4}I", raw)
    return f"{''.join(f'{word:08X}' for word in words)}:{int(str(address[1])):04X}"
