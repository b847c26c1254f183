"""The daily backup: what goes in, what stays out, and that it is read back."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import json
import os
import sqlite3
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pytest

from pipelines._daily import archive, backup


@contextlib.contextmanager
def output(path: Path, mode: str) -> Iterator[IO[Any]]:
    """Stand for `ctx.output`: write beside the target, rename at the end."""
    beside = path.with_name("." + path.name)
    with beside.open(mode) as file:
        yield file
    beside.replace(path)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Make a store in WAL mode with a row that is in the log only, and a lock file."""
    path = tmp_path / "home" / "runs.db"
    (path.parent / "runs.db.locks").mkdir(parents=True)
    (path.parent / "runs.db.locks" / "daily.lock").write_text("")
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("CREATE TABLE runs (id INTEGER)")
    connection.execute("INSERT INTO runs VALUES (1)")
    connection.commit()
    connections.append(connection)
    return path


connections: list[sqlite3.Connection] = []


@pytest.fixture(autouse=True)
def _close() -> Iterator[None]:
    yield
    while connections:
        connections.pop().close()


def write(store: Path, *paths: Path, name: str = "daily-2026-11-23.tar.gz") -> dict[str, Any]:
    """Make an archive in the store's folder."""
    folder = store.parent / "backups"
    scratch = folder / ".daily-scratch-1-1"
    made = backup.write(f"sqlite:///{store}", list(paths), folder, name, scratch, output)
    return dict(made)


def members(store: Path, name: str = "daily-2026-11-23.tar.gz") -> list[str]:
    """List what is in the archive."""
    with tarfile.open(store.parent / "backups" / name) as tar:
        return tar.getnames()


def test_the_store_is_saved_with_what_is_in_its_log(store: Path, tmp_path: Path) -> None:
    """The copy in the archive opens by itself, and the digest beside is the archive's."""
    made = write(store)
    assert members(store) == ["store/runs.db", "MANIFEST.json"]
    path = Path(made["archive"])
    with tarfile.open(path) as tar:
        tar.extract("store/runs.db", tmp_path, filter="data")
    copy = sqlite3.connect(tmp_path / "store" / "runs.db")
    assert copy.execute("SELECT id FROM runs").fetchall() == [(1,)]
    copy.close()
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert path.with_name(path.name + ".sha256").read_text() == f"{digest}  {path.name}\n"
    assert made["sha256"] == digest
    assert made["size_bytes"] == path.stat().st_size
    assert (made["files"], made["store"], made["left_out"]) == (0, True, [])
    assert path.stat().st_mode & 0o777 == 0o600
    assert sorted(one.name for one in path.parent.iterdir()) == [path.name, path.name + ".sha256"]


def test_named_folders_go_in_without_the_stores_own_files(store: Path) -> None:
    """Nor by a hard link under another name; nor do older archives; links stay links."""
    home = store.parent
    (home / "notes").mkdir()
    (home / "notes" / "a b.txt").write_text("hello")
    (home / "notes" / "link").symlink_to("a b.txt")
    os.link(store, home / "notes" / "hidden")
    (home / "runs.dbx").write_text("not of the store")
    (home / "backups").mkdir()
    (home / "backups" / "daily-2026-11-22.tar.gz").write_text("old")
    made = write(store, home)
    base = "files" + str(home)
    assert members(store) == [
        "store/runs.db",
        base.removeprefix("/"),
        f"{base}/notes",
        f"{base}/notes/a b.txt",
        f"{base}/notes/link",
        f"{base}/runs.dbx",
        "MANIFEST.json",
    ]
    assert made["files"] == 2


def test_what_is_no_file_is_left_out_and_said(store: Path, tmp_path: Path) -> None:
    """A pipe must not hold the backup up."""
    folder = tmp_path / "odd"
    folder.mkdir()
    os.mkfifo(folder / "pipe")
    assert write(store, folder)["left_out"] == [f"{folder}/pipe: no file, folder or link"]


def test_the_same_content_makes_the_same_archive(tmp_path: Path) -> None:
    """No time of making is in it."""
    file = tmp_path / "a"
    file.write_text("x")
    made = []
    for _ in range(2):
        target = io.BytesIO()
        archive.create({"members": {"a": str(file)}, "without": []}, target)
        made.append(target.getvalue())
    assert made[0] == made[1]


def test_a_file_that_shrinks_is_filled_up() -> None:
    """Its size stands before it in the archive; what is given out is what is digested."""
    measured = archive.Measured(io.BytesIO(b"abc"), 5)
    assert measured.read(4) == b"abc\0"
    assert measured.read() == b"\0"
    assert measured.short
    assert measured.hexdigest() == hashlib.sha256(b"abc\0\0").hexdigest()


@pytest.mark.parametrize("damage", ["cut", "flip", "other"])
def test_an_archive_that_does_not_read_back_fails(tmp_path: Path, damage: str) -> None:
    """Cut off, altered, or holding another file than the manifest says."""
    file, target = tmp_path / "a", tmp_path / "x.tar.gz"
    file.write_bytes(os.urandom(5000))
    with target.open("wb") as out:
        archive.create({"members": {"a": str(file)}, "without": []}, out)
    data = bytearray(target.read_bytes())
    if damage == "cut":
        target.write_bytes(data[:3000])
    elif damage == "flip":
        data[2000] ^= 0xFF
        target.write_bytes(data)
    else:
        plain = bytearray(gzip.decompress(bytes(data)))
        place = plain.index(file.read_bytes()[:64])
        plain[place] ^= 0xFF
        target.write_bytes(gzip.compress(bytes(plain)))
    with pytest.raises(backup.BackupError):
        backup._verify(target, {})


def test_a_damaged_copy_of_the_store_fails(tmp_path: Path) -> None:
    """A file that is no database, and a database that is not ours."""
    path = tmp_path / "copy.db"
    path.write_bytes(b"no database at all" * 100)
    with pytest.raises(backup.BackupError, match=r"cannot be read"):
        backup.check_copy(path)
    path.unlink()
    sqlite3.connect(path).execute("CREATE TABLE other (x)").connection.close()
    with pytest.raises(backup.BackupError, match=r"no such table: runs"):
        backup.check_copy(path)


def test_without_a_store_the_named_files_are_saved(tmp_path: Path) -> None:
    """The archive says that there was none."""
    (tmp_path / "a").write_text("x")
    made = write(tmp_path / "home" / "runs.db", tmp_path / "a")
    assert (made["store"], made["files"]) == (False, 1)


def test_named_paths_are_split_and_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By colons or commas, from the home folder or the project root, each once."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
    text = f" ~/a:{tmp_path}/b, c ::{tmp_path}/c"
    assert backup.named_paths(text, tmp_path) == [tmp_path / "a", tmp_path / "b", tmp_path / "c"]
    assert backup.named_paths("", tmp_path) == []


def test_a_named_path_that_is_not_there_fails(tmp_path: Path) -> None:
    """A backup that quietly lacks what was asked for is none."""
    with pytest.raises(ValueError, match=r"^backup_paths: 'none' cannot be saved: No such file"):
        backup.named_paths("none", tmp_path)


def test_the_newest_seven_are_kept(tmp_path: Path) -> None:
    """With their digests; other files are not touched, nor is the archive just made."""
    names = [f"daily-2026-11-{day:02}.tar.gz" for day in range(10, 20)]
    for name in [*names, "daily-old.tar.gz", "mine.tar.gz"]:
        (tmp_path / name).write_text("")
        (tmp_path / f"{name}.sha256").write_text("")
    assert backup.prune(tmp_path, keep=names[1]) == [names[0], names[2]]
    left = sorted(path.name for path in tmp_path.glob("*.tar.gz"))
    assert left == sorted([names[1], *names[3:], "daily-old.tar.gz", "mine.tar.gz"])
    assert not (tmp_path / f"{names[0]}.sha256").exists()


def test_what_a_killed_run_left_is_cleared_away(store: Path) -> None:
    """The next backup removes it, and leaves nothing of its own."""
    left = store.parent / "backups" / ".daily-scratch-9-1"
    left.mkdir(parents=True)
    (left / "runs.db").write_text("half")
    write(store)
    assert not left.exists()


def test_the_manifest_names_every_file_with_its_digest(store: Path, tmp_path: Path) -> None:
    """So that an archive can be checked without this program."""
    (tmp_path / "a").write_text("x")
    write(store, tmp_path / "a")
    with tarfile.open(store.parent / "backups" / "daily-2026-11-23.tar.gz") as tar:
        file = tar.extractfile("MANIFEST.json")
        assert file is not None
        manifest = json.load(file)
    assert manifest["files"][f"files{tmp_path}/a"] == {
        "size": 1,
        "sha256": hashlib.sha256(b"x").hexdigest(),
    }
    assert manifest["left_out"] == []
