"""Write or read back an archive: a program of its own, run as a child process.

It opens and closes the files it archives. Done inside the engine's process to one of the store's
own files, that would drop the locks SQLite holds on it; in a child it cannot. Only the standard
library is used, and nothing of ours is imported.

    archive.py create < JOB > ARCHIVE      its report as JSON on standard error
    archive.py verify < JOB                its report as JSON on standard output
"""

# A backup may walk a million files; Path objects would double its time.
# ruff: noqa: PTH112, PTH114, PTH116, PTH118, PTH123, PTH208

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import stat
import sys
import tarfile
from collections.abc import Iterator
from typing import IO, Any

MANIFEST = "MANIFEST.json"
CHUNK = 1 << 20
LEFT_OUT_MAX = 200  # so many are named, the rest is counted


class Measured:
    """A file read as exactly `size` bytes, with the digest of what was given out.

    A tar member's size stands before its content: a file that shrinks meanwhile is filled up with
    zeros, one that grows is cut.
    """

    def __init__(self, file: IO[bytes], size: int) -> None:
        self._file = file
        self._left = size
        self._sha256 = hashlib.sha256()
        self.short = False

    def read(self, count: int = -1) -> bytes:
        """Give the next bytes, zeros once the file has ended too early."""
        wanted = self._left if count < 0 else min(count, self._left)
        data = self._file.read(wanted) if not self.short else b""
        if len(data) < wanted:
            self.short = True
            data += bytes(wanted - len(data))
        self._left -= wanted
        self._sha256.update(data)
        return data

    def hexdigest(self) -> str:
        """Give the digest of all bytes given out."""
        return self._sha256.hexdigest()


def create(job: dict[str, Any], target: IO[bytes]) -> dict[str, Any]:
    """Archive `job["members"]` ({name: path}, folders with all they hold) but `job["without"]`.

    Links are kept as links. What cannot be read, or is no file, is left out and said.
    """
    hidden = Hidden(job["without"])
    manifest: dict[str, dict[str, Any]] = {}
    left_out: list[str] = []
    seen: set[str] = set()
    with (
        # No time and no name in the head: the same content makes the same archive.
        gzip.GzipFile(filename="", mode="wb", fileobj=target, compresslevel=6, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w|", format=tarfile.PAX_FORMAT) as tar,
    ):
        for name, path in job["members"].items():
            for member, place in walk(name, path, hidden, left_out):
                if member not in seen:
                    seen.add(member)
                    _add(tar, member, place, manifest, left_out)
        text = json.dumps({"files": manifest, "left_out": left_out}, indent=1, sort_keys=True)
        info = tarfile.TarInfo(MANIFEST)
        info.size, info.mode = len(text.encode()), 0o600
        tar.addfile(info, io.BytesIO(text.encode()))
    return {"files": len(manifest), "left_out": left_out[:LEFT_OUT_MAX]}


class Hidden:
    """What stays out of every archive: paths with all below them, and files by their identity.

    The identity catches hard links and other ways to the store's files. A name that ends with `*`
    stands for all paths that begin so.
    """

    def __init__(self, paths: list[str]) -> None:
        self._starts = tuple(path[:-1] for path in paths if path.endswith("*"))
        self._paths = {path for path in paths if not path.endswith("*")}
        self._files = set()
        for path in self._paths:
            for end in ("", "-wal", "-shm", "-journal"):
                try:
                    facts = os.stat(path + end)
                except OSError:
                    continue
                if stat.S_ISREG(facts.st_mode):
                    self._files.add((facts.st_dev, facts.st_ino))

    def __contains__(self, path: str) -> bool:
        if path in self._paths or (self._starts and path.startswith(self._starts)):
            return True
        try:
            facts = os.lstat(path)
        except OSError:
            return False
        return (facts.st_dev, facts.st_ino) in self._files


def walk(name: str, path: str, hidden: Hidden, left_out: list[str]) -> Iterator[tuple[str, str]]:
    """Give (member name, path) of all that belongs in the archive, in order of the paths."""
    pending = [(name, path)]
    while pending:
        member, place = pending.pop()
        if place in hidden:
            continue
        yield member, place
        if os.path.isdir(place) and not os.path.islink(place):
            try:
                inside = sorted(os.listdir(place), reverse=True)
            except OSError as error:
                left_out.append(f"{place}: {error.strerror}")
                continue
            pending += [(f"{member}/{one}", os.path.join(place, one)) for one in inside]


def _add(
    tar: tarfile.TarFile,
    member: str,
    place: str,
    manifest: dict[str, dict[str, Any]],
    left_out: list[str],
) -> None:
    try:
        info = tar.gettarinfo(place, arcname=member)
        if info is None:
            left_out.append(f"{place}: a socket")
            return
        if info.islnk():  # each name of a file with several is kept whole
            info.type, info.linkname, info.size = tarfile.REGTYPE, "", os.lstat(place).st_size
        if not info.isreg():
            if info.isdir() or info.issym():
                tar.addfile(info)
            else:
                left_out.append(f"{place}: no file, folder or link")
            return
        # O_NONBLOCK: a pipe put in the file's place meanwhile must not hold the backup up.
        fd = os.open(place, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        left_out.append(f"{place}: {error.strerror}")
        return
    with os.fdopen(fd, "rb") as file:
        facts = os.fstat(fd)
        if not stat.S_ISREG(facts.st_mode):
            left_out.append(f"{place}: changed while it was read")
            return
        info.size = facts.st_size
        measured = Measured(file, info.size)
        try:
            tar.addfile(info, measured)
        except OSError as error:
            # The head is written: the member is filled up, and said to be no use.
            raise SystemExit(f"{place}: {error.strerror or error}") from None
    if measured.short:
        left_out.append(f"{place}: became shorter while it was read")
    manifest[member] = {"size": info.size, "sha256": measured.hexdigest()}


def verify(job: dict[str, Any]) -> dict[str, Any]:
    """Read the archive `job["archive"]` whole and hold every file against the manifest.

    `job["extract"]` is {member: path}: those are written out. Gives the archive's own digest.
    """
    extract = job["extract"]
    found: dict[str, dict[str, Any]] = {}
    manifest: dict[str, Any] | None = None
    with tarfile.open(job["archive"], "r|gz") as tar:
        for info in tar:
            if not info.isreg():
                continue
            file = tar.extractfile(info)
            assert file is not None
            if info.name == MANIFEST:
                manifest = json.load(file)["files"]
                continue
            found[info.name] = _digest(file, extract.get(info.name))
    if manifest is None:
        raise SystemExit("the archive has no manifest: it is cut off")
    if found != manifest:
        differing = sorted(
            name for name in {*found, *manifest} if found.get(name) != manifest.get(name)
        )
        raise SystemExit(f"the archive does not hold what was put in: {differing[:3]}")
    with open(job["archive"], "rb") as archive:
        whole = _digest(archive, None)
    return {"files": len(found), **whole}


def _digest(file: IO[bytes], copy: str | None) -> dict[str, Any]:
    digest, size = hashlib.sha256(), 0
    with open(copy or os.devnull, "wb") as out:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
            size += len(chunk)
            out.write(chunk)
    return {"size": size, "sha256": digest.hexdigest()}


def main() -> None:
    """Read the job and carry it out."""
    job = json.load(sys.stdin)
    if sys.argv[1] == "create":
        report = create(job, sys.stdout.buffer)
        sys.stdout.buffer.flush()
        sys.stderr.write(json.dumps(report))
    else:
        sys.stdout.write(json.dumps(verify(job)))


if __name__ == "__main__":
    main()
