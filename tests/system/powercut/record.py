"""What the shim has recorded, and the folder as a power cut at some point may leave it.

Certain are, of each file, what was written before its last sync, and, of each folder, the names
made before the folder's last sync. Of what was written later the disk may hold nothing, all up to
some moment, or any of its pages or sectors; of later names, those up to some moment.
"""

from __future__ import annotations

import os
import random
import shutil
import struct
from collections.abc import Iterator
from enum import IntEnum
from pathlib import Path
from typing import NamedTuple

PAGE, SECTOR = 4096, 512
_LINE = struct.Struct("=IIQQ")


class Kind(IntEnum):
    """What was done; the numbers are those of the shim."""

    WRITE = 1
    TRUNCATE = 2
    SYNC = 3
    CREATE = 4
    LINK = 5
    RENAME = 6
    UNLINK = 7
    FOLDER = 8
    MARK = 9


class Line(NamedTuple):
    """One operation: on which inode, at what offset (for a truncation: to what size), with what."""

    kind: Kind
    inode: int
    offset: int
    data: bytes

    @property
    def names(self) -> list[str]:
        """The paths of an operation on names."""
        return [os.fsdecode(name) for name in self.data.split(b"\0")[:-1]]


class Later(IntEnum):
    """What the disk holds of what was not synced."""

    NOTHING = 0
    PREFIX = 1
    SOME_PAGES = 2
    SOME_SECTORS = 3


def read(path: Path) -> Iterator[Line]:
    """Give a record's lines in order."""
    data = path.read_bytes()
    at = 0
    while at < len(data):
        kind, size, inode, offset = _LINE.unpack_from(data, at)
        at += _LINE.size
        yield Line(Kind(kind), inode, offset, data[at : at + size])
        at += size


class Disk:
    """A folder whose writes are taken in one by one."""

    def __init__(self, folder: Path) -> None:
        """Begin with what is in the folder now, all of it safe on the disk."""
        self._folder = folder
        self._folders = {folder.stat().st_ino: str(folder)}
        self._names = {str(path): path.stat().st_ino for path in folder.iterdir()}
        self._content = {
            path.stat().st_ino: bytearray(path.read_bytes()) for path in folder.iterdir()
        }
        self._later: list[Line] = []  # writes and truncations since their file's last sync
        self._later_names: list[Line] = []

    def take(self, line: Line) -> None:
        """Take in the next operation."""
        match line.kind:
            case Kind.WRITE | Kind.TRUNCATE:
                self._later.append(line)
            case Kind.SYNC if line.inode in self._folders:
                self._sync_names(self._folders[line.inode])
            case Kind.SYNC:
                for late in self._later:
                    if late.inode == line.inode:
                        _apply(self._content, late)
                self._later = [late for late in self._later if late.inode != line.inode]
            case Kind.MARK:
                pass
            case _:
                if line.kind is Kind.FOLDER:
                    self._folders[line.inode] = line.names[0]
                if line.kind is Kind.CREATE:  # the number may have been another file's
                    self._content.pop(line.inode, None)
                    self._later = [late for late in self._later if late.inode != line.inode]
                self._later_names.append(line)

    def _sync_names(self, folder: str) -> None:
        rest = []
        for late in self._later_names:
            if late.names[-1].rpartition("/")[0] == folder:
                _rename(self._names, late)
            else:
                rest.append(late)
        self._later_names = rest

    def write_out(self, later: Later, draw: random.Random) -> None:
        """Make the folder what a cut at this moment may leave of it."""
        content = {inode: bytearray(data) for inode, data in self._content.items()}
        for line in _kept(self._later, later, draw):
            _apply(content, line)
        names = dict(self._names)
        if later is not Later.NOTHING:
            for line in self._later_names[: draw.randint(0, len(self._later_names))]:
                _rename(names, line)
        shutil.rmtree(self._folder)
        self._folder.mkdir(mode=0o700)
        folders = set(self._folders.values())
        for name in sorted(names):
            if name in folders:
                Path(name).mkdir(mode=0o700)
            elif Path(name).parent.is_dir():
                Path(name).write_bytes(content.get(names[name], b""))
                Path(name).chmod(0o600)


def _kept(lines: list[Line], later: Later, draw: random.Random) -> Iterator[Line]:
    """Choose what the disk holds of writes that were not synced."""
    if later is Later.NOTHING:
        return
    if later is Later.PREFIX:
        yield from lines[: draw.randint(0, len(lines))]
        return
    unit = PAGE if later is Later.SOME_PAGES else SECTOR
    for line in lines:
        if line.kind is Kind.TRUNCATE:
            if draw.random() < 0.5:
                yield line
            continue
        at = 0
        while at < len(line.data):
            size = unit - (line.offset + at) % unit
            if draw.random() < 0.5:
                yield line._replace(offset=line.offset + at, data=line.data[at : at + size])
            at += size


def _apply(content: dict[int, bytearray], line: Line) -> None:
    data = content.setdefault(line.inode, bytearray())
    if line.kind is Kind.TRUNCATE:
        del data[line.offset :]
        data.extend(bytes(line.offset - len(data)))
        return
    end = line.offset + len(line.data)
    if len(data) < end:
        data.extend(bytes(end - len(data)))
    data[line.offset : end] = line.data


def _rename(names: dict[str, int], line: Line) -> None:
    first, *rest = line.names
    if line.kind in (Kind.CREATE, Kind.FOLDER):
        names[first] = line.inode
    elif line.kind is Kind.UNLINK:
        names.pop(first, None)
    else:
        names[rest[0]] = line.inode
        if line.kind is Kind.RENAME:
            names.pop(first, None)
