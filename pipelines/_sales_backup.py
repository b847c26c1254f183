"""The dated archives of the sales report: packed, read back, and the old ones told apart."""

from __future__ import annotations

import gzip
import hashlib
import io
import re
import tarfile
from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path

KEPT_DAYS = 30

_ARCHIVE = re.compile(r"sales-([0-9]{4}-[0-9]{2}-[0-9]{2})\.tar\.gz")


class BackupFault(Exception):
    """An archive does not read back as it was written."""


def pack(contents: Mapping[str, bytes], day: date) -> bytes:
    """Make a tar.gz of the files; the same contents give the same bytes."""
    packed = io.BytesIO()
    stamp = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())
    with (
        gzip.GzipFile(fileobj=packed, mode="wb", filename="", mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for name, data in contents.items():
            member = tarfile.TarInfo(name)
            member.size, member.mtime, member.mode = len(data), stamp, 0o644
            archive.addfile(member, io.BytesIO(data))
    return packed.getvalue()


def verify(archive: Path, sha256: str, contents: Mapping[str, bytes]) -> None:
    """Read an archive from the disk; raises `BackupFault` unless all of it is as it was given."""
    data = archive.read_bytes()
    if hashlib.sha256(data).hexdigest() != sha256:
        raise BackupFault(f"'{archive}' does not read back: its sha256 differs")
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as reading:
        found = {}
        for member in reading.getmembers():
            file = reading.extractfile(member)
            found[member.name] = file.read() if file else b""
    if found != dict(contents):
        raise BackupFault(f"'{archive}' does not read back: its files differ")


def superseded(folder: Path, day: date) -> list[str]:
    """Give the days whose archives may go: all but the latest 30, of which `day` is always one."""
    found = {match[1] for path in folder.iterdir() if (match := _ARCHIVE.fullmatch(path.name))}
    return sorted(found - {day.isoformat()}, reverse=True)[KEPT_DAYS - 1 :]
