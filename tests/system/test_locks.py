"""Locks and marks of real processes that are killed, or leave children behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from store import locks

CHECKOUT = Path(__file__).resolve().parents[2]

HOLD = """
import subprocess, sys, time
from pathlib import Path
from store import locks
store = Path(sys.argv[1])
lock = locks.acquire(store, "flow")
if lock is None:
    print("refused", flush=True)
    raise SystemExit
owner = locks.this_process(lock.name)
lock.begin(owner)
lock.mark(0, locks.Mark(7, 1, 1, 1000))
lock.mark(3, locks.Mark(7, 2, 4, 2000))
child = subprocess.Popen(["sleep", "30"])
print(child.pid, owner.to_text(), flush=True)
time.sleep(30)
"""


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Give a store's place."""
    return tmp_path / "runs.db"


class Holder:
    """A process that holds the lock, with a child that outlives it."""

    def __init__(self, store: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(store)],
            env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        child, self.owner = self.process.stdout.readline().strip().split(" ", 1)
        self.child = int(child)

    def kill(self) -> None:
        """End it as the kernel would, for want of memory."""
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        """Leave nothing behind."""
        self.kill()
        os.kill(self.child, signal.SIGKILL)
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture
def holder(store: Path) -> Iterator[Holder]:
    """Start a holder."""
    holder = Holder(store)
    yield holder
    holder.close()


def test_held_by_another_process(store: Path, holder: Holder) -> None:
    """It cannot be had here, nor by a third."""
    assert locks.held(store, "flow.lock")
    assert locks.alive(store, 1, holder.owner)
    assert locks.acquire(store, "flow") is None
    third = subprocess.run(
        [sys.executable, "-c", HOLD, str(store)],
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    assert third.stdout == "refused\n"


def test_sigkill_frees_it_and_leaves_its_marks(store: Path, holder: Holder) -> None:
    """The kernel frees the lock, though a child that was started lives; the marks are there."""
    holder.kill()
    os.kill(holder.child, 0)  # it lives
    assert not locks.held(store, "flow.lock")
    assert not locks.alive(store, 1, holder.owner)
    lock = locks.acquire(store, "flow")
    assert lock is not None
    assert lock.marks() == [locks.Mark(7, 1, 1, 1000), locks.Mark(7, 2, 4, 2000)]
    assert not locks.alive(store, 1, holder.owner)  # held again, by another
    lock.release()


def test_a_stopped_holder_keeps_it(store: Path, holder: Holder) -> None:
    """A suspended engine is not dead."""
    holder.process.send_signal(signal.SIGSTOP)
    assert locks.acquire(store, "flow") is None
    assert locks.alive(store, 1, holder.owner)
    holder.process.send_signal(signal.SIGCONT)


def test_a_zombie_is_dead(store: Path, holder: Holder) -> None:
    """A killed engine whose parent has not looked yet holds nothing and does not live."""
    owner = locks.Owner.from_text(holder.owner)
    assert owner is not None
    assert locks.process_lives(owner)
    holder.process.kill()
    os.waitid(os.P_PID, holder.process.pid, os.WEXITED | os.WNOWAIT)
    assert Path(f"/proc/{holder.process.pid}/stat").exists()
    assert not locks.process_lives(owner)
    assert not locks.held(store, "flow.lock")
