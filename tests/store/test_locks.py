"""Locks, marks and who is alive, as far as one process can tell."""

from __future__ import annotations

import fcntl
import os
from dataclasses import replace
from pathlib import Path

import pytest

from engine.errors import StoreError
from store import locks

MARK = locks.Mark(7, 3, 2, 1_321_228_800_000_000)
LONGEST = "\U00020000" * 50  # as many bytes as a name may have


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Give a store's place; locks need no store."""
    return tmp_path / "runs.db"


def taken(store: Path, name: str = "flow") -> locks.RunLock:
    """Take a lock that must be free."""
    lock = locks.acquire(store, name)
    assert lock is not None
    return lock


def test_one_at_a_time(store: Path) -> None:
    """A second holder is refused until the first lets go; other names are other locks."""
    lock = taken(store)
    assert lock.name == "flow.lock"
    assert locks.acquire(store, "flow") is None
    other = taken(store, "other")
    assert list(locks.held_names(store)) == ["flow.lock", "other.lock"]
    lock.release()
    lock.release()
    assert list(locks.held_names(store)) == ["other.lock"]
    taken(store).release()
    other.release()
    assert list(locks.held_names(store)) == []


def test_locks_are_private_and_stay(store: Path) -> None:
    """0700 and 0600; a file left behind means nothing."""
    taken(store).release()
    folder = locks.folder(store)
    assert folder == store.with_name("runs.db.locks")
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / "flow.lock").stat().st_mode & 0o777 == 0o600


def test_a_name_with_a_lock_in_it(store: Path) -> None:
    """Nothing in a workflow's name is taken for the ending."""
    lock = taken(store, "a.lock")
    assert lock.name == "a.lock.lock"
    assert locks.held(store, "a.lock.lock")
    assert not locks.held(store, "a.lock")
    lock.release()


def test_looking_makes_nothing(store: Path) -> None:
    """A reader leaves no file, and no folder."""
    assert not locks.held(store, "flow.lock")
    assert list(locks.held_names(store)) == []
    assert not locks.alive(store, 1, locks.Owner("flow.lock", 1, "gone", 1).to_text())
    assert list(store.parent.iterdir()) == []


def test_a_replaced_lock_file_is_found_out(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who locked a file that is no longer there tries again on the one that is."""
    path = locks.folder(store) / "flow.lock"
    flock = fcntl.flock
    calls: list[int] = []

    def slow(fd: int, how: int) -> None:
        if not calls:
            path.unlink()
            path.touch()
        calls.append(fd)
        flock(fd, how)

    monkeypatch.setattr(fcntl, "flock", slow)
    lock = taken(store)
    assert len(calls) == 2
    monkeypatch.undo()
    assert locks.held(store, "flow.lock")
    lock.release()


def test_a_lock_replaced_again_and_again_is_not_had(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends, without one."""
    monkeypatch.setattr(locks, "_same_file", lambda *_: False)
    assert locks.acquire(store, "flow") is None


def test_a_probe_does_not_make_an_acquire_fail(store: Path) -> None:
    """A reader's look is over before the tries are."""
    taken(store).release()
    fd = os.open(locks.folder(store) / "flow.lock", os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_SH)
    assert not locks.held(store, "flow.lock")  # two looks at once do not see each other
    import threading

    timer = threading.Timer(0.03, os.close, [fd])
    timer.start()
    taken(store).release()
    timer.join()


def test_marks_are_read_by_the_next_holder(store: Path) -> None:
    """Each lane's last one; the next run forgets them."""
    lock = taken(store)
    lock.begin(locks.this_process("flow.lock"))
    lock.mark(0, MARK._replace(step=1))
    lock.mark(2, MARK)
    lock.mark(0, MARK._replace(step=2))
    lock.release()
    lock = taken(store)
    assert lock.marks() == [MARK._replace(step=2), MARK]
    lock.begin(locks.this_process("flow.lock"))
    assert lock.marks() == []
    lock.release()


@pytest.mark.parametrize("content", [b"", b"x", b"\xff" * 600, b"{}" * 400, os.urandom(1000)])
def test_what_is_in_the_file_stops_nobody(store: Path, content: bytes) -> None:
    """Whatever it holds, it can be taken, and says nothing false of an owner."""
    folder = locks.folder(store)
    folder.mkdir()
    (folder / "flow.lock").write_bytes(content)
    owner = locks.this_process("flow.lock")
    lock = taken(store)
    assert isinstance(lock.marks(), list)
    assert not locks.alive(store, 1, owner.to_text())
    lock.begin(owner)
    assert locks.alive(store, 1, owner.to_text())
    lock.release()


def test_a_file_that_is_no_lock_is_refused(store: Path) -> None:
    """A link or a folder in its place is an error with a hint, not a lock."""
    folder = locks.folder(store)
    folder.mkdir()
    (folder / "flow.lock").symlink_to(store)
    with pytest.raises(StoreError, match="cannot lock"):
        locks.acquire(store, "flow")
    (folder / "other.lock").mkdir()
    with pytest.raises(StoreError) as caught:
        locks.acquire(store, "other")
    assert caught.value.hint.startswith("make the store's folder writable")
    assert not store.exists()


def test_no_locks_on_this_file_system(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hint says where to go."""
    import errno

    def none(_fd: int, _how: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", none)
    with pytest.raises(StoreError) as caught:
        locks.acquire(store, "flow")
    assert caught.value.hint == "keep the store on a local disk: this file system has no locks"


# -- who is alive ---------------------------------------------------------------------------------


def test_an_owner_reads_as_it_was_written() -> None:
    """Anything else is nobody."""
    owner = locks.this_process("flow.lock")
    assert locks.Owner.from_text(owner.to_text()) == owner
    for text in ("", "null", "[]", "{}", '{"pid": 1}', "garbage", '"x"'):
        assert locks.Owner.from_text(text) is None


def test_this_process_lives_and_its_likes_do_not() -> None:
    """The number alone says nothing: start and boot must be the same."""
    owner = locks.this_process("flow.lock")
    assert locks.process_lives(owner)
    assert not locks.process_lives(replace(owner, started=owner.started + 1))
    assert not locks.process_lives(replace(owner, boot_id="another boot"))
    assert not locks.process_lives(replace(owner, pid=2**22 + 1))


@pytest.mark.parametrize("name", ["flow", LONGEST, f"{LONGEST}@0123456789abcdef"])
def test_alive_is_who_holds_and_is_named(store: Path, name: str) -> None:
    """A lock that a later run holds does not make an earlier one alive."""
    lock = taken(store, name)
    owner = locks.this_process(lock.name)
    lock.begin(owner)
    assert locks.alive(store, 1, owner.to_text())
    assert not locks.alive(store, 1, replace(owner, started=owner.started + 1).to_text())
    assert not locks.alive(store, 1, "garbage")
    lock.release()
    assert not locks.alive(store, 1, owner.to_text())


def test_without_its_file_the_process_counts(store: Path) -> None:
    """Where a lock cannot be looked at, the process can."""
    owner = locks.this_process("flow.lock")
    assert locks.alive(store, 1, owner.to_text())
    assert not locks.alive(store, 1, replace(owner, started=owner.started + 1).to_text())
