"""Save the store and the files the user names in one dated archive, and read it back."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from pipelines._daily.shapes import Backup
from pipelines._machine import records
from pipelines._machine.commands import first_line

KEPT = 7
CHILD_LIMIT_S = 1500
STORE_MEMBER = "store/runs.db"
ARCHIVE = Path(__file__).with_name("archive.py")
SCRATCH = ".daily-scratch"
_NAME = re.compile(r"daily-\d{4}-\d{2}-\d{2}\.tar\.gz\Z")


class BackupError(RuntimeError):
    """The archive could not be made, or did not read back as it was written."""


def named_paths(text: str, root: Path) -> list[Path]:
    """Read the list a user gave: separated by `:` or `,`, `~` and relative to the project root.

    Raises `ValueError` for a path that is not there: a backup that quietly lacks what was asked
    for is none.
    """
    paths = []
    for word in re.split(r"[:,\n]", text):
        if not word.strip():
            continue
        path = root / Path(word.strip()).expanduser()
        try:
            paths.append(path.resolve(strict=True))
        except OSError as error:
            raise ValueError(
                f"backup_paths: '{word.strip()}' cannot be saved: {error.strerror}"
            ) from None
    return list(dict.fromkeys(paths))


def copy_store(store_url: str, target: Path) -> bool:
    """Copy the store with SQLite's own means, consistent while it is written to."""
    path = records.store_path(store_url)
    if path is None or not path.exists():
        return False
    from sqlalchemy import text

    engine = records.open_read_only(path)
    try:
        with engine.connect() as connection:
            plain = connection.execution_options(isolation_level="AUTOCOMMIT")
            plain.execute(text("VACUUM INTO :target"), {"target": str(target)})
    finally:
        engine.dispose()
    return True


def check_copy(path: Path) -> None:
    """Raise `BackupError` unless the copy is a sound database with our tables in it."""
    from sqlalchemy import text
    from sqlalchemy.exc import DatabaseError

    engine = records.open_read_only(path)
    try:
        with engine.connect() as connection:
            said = connection.execute(text("PRAGMA integrity_check")).scalar()
            connection.execute(text("SELECT count(*) FROM runs")).scalar()
    except DatabaseError as error:
        raise BackupError(f"the store's copy cannot be read: {error.orig}") from None
    finally:
        engine.dispose()
    if said != "ok":
        raise BackupError(f"the store's copy is damaged: {first_line(str(said))}")


def store_files(store_url: str) -> list[str]:
    """Give what belongs to the store: the file and all beside it whose names begin like it."""
    path = records.store_path(store_url)
    if path is None:
        return []
    # The copy is what is saved; -wal, -shm and locks mean nothing elsewhere.
    places = sorted({str(path.absolute()), str(path.resolve())})
    return [one for place in places for one in (place, f"{place}-*", f"{place}.*")]


def write(
    store_url: str,
    paths: list[Path],
    folder: Path,
    name: str,
    scratch: Path,
    open_output: Callable[..., Any],
) -> Backup:
    """Make the archive and its `.sha256` through `open_output`, and give what is in it."""
    target = folder / name
    _make_scratch(folder, scratch)
    try:
        copy = scratch / "runs.db"
        stored = copy_store(store_url, copy)
        members = {STORE_MEMBER: str(copy)} if stored else {}
        members |= {"files" + str(path): str(path) for path in paths}
        without = [str(folder), str(folder.resolve()), *store_files(store_url)]
        with open_output(target, "wb") as file:
            # Named by the user or not, what is saved may be private.
            os.fchmod(file.fileno(), 0o600)
            made = _create({"members": members, "without": without}, file)
            back = scratch / "back.db"
            read = _verify(Path(file.name), {STORE_MEMBER: str(back)} if stored else {})
        if stored:
            check_copy(back)
        with open_output(target.with_name(name + ".sha256"), "w") as file:
            file.write(f"{read['sha256']}  {name}\n")
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return Backup(
        archive=str(target),
        sha256=read["sha256"],
        size_bytes=read["size"],
        files=read["files"] - stored,
        store=stored,
        left_out=made["left_out"],
    )


def prune(folder: Path, *, keep: str) -> list[str]:
    """Delete all archives but the newest by date, with their digests; never the one to `keep`."""
    archives = sorted(path.name for path in folder.glob("daily-*.tar.gz") if _NAME.match(path.name))
    old = [name for name in archives[:-KEPT] if name != keep]
    for name in old:
        (folder / name).unlink(missing_ok=True)
        (folder / f"{name}.sha256").unlink(missing_ok=True)
    return old


def _make_scratch(folder: Path, scratch: Path) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for left in folder.glob(f"{SCRATCH}-*"):  # of runs that were killed
        shutil.rmtree(left, ignore_errors=True)
    scratch.mkdir(mode=0o700)


def _create(job: dict[str, Any], file: IO[bytes]) -> dict[str, Any]:
    file.flush()
    return json.loads(_child("create", job, file)[1])  # type: ignore[no-any-return]


def _verify(path: Path, extract: dict[str, str]) -> dict[str, Any]:
    job = {"archive": str(path), "extract": extract}
    return json.loads(_child("verify", job, subprocess.PIPE)[0])  # type: ignore[no-any-return]


def _child(what: str, job: dict[str, Any], stdout: Any) -> tuple[bytes, bytes]:
    words = [sys.executable, "-I", "-S", str(ARCHIVE), what]
    try:
        done = subprocess.run(
            words,
            input=json.dumps(job).encode(),
            stdout=stdout,
            stderr=subprocess.PIPE,
            timeout=CHILD_LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise BackupError(f"the archive took longer than {CHILD_LIMIT_S} s to {what}") from None
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise BackupError(said[-1] if said else f"{what} ended with {done.returncode}")
    return done.stdout or b"", done.stderr
