"""The fork server's bookkeeping of children and of what they leave, without a process."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest

from engine.workers.isolation.forkserver import ForkServer, _Child

GONE, ENDING, ORPHAN = 101, 102, 103


class Poll:
    """Is told of descriptors, and wakes for none."""

    def unregister(self, _descriptor: int) -> None:
        """Forget one."""


@pytest.mark.parametrize("ends_meanwhile", [False, True])
def test_what_a_child_that_ends_just_now_has_left_is_named_first(
    monkeypatch: pytest.MonkeyPatch, *, ends_meanwhile: bool
) -> None:
    """One attempt is let go as another's child dies: its orphans are told before they are ended.

    They used to be killed with those of the first, so that no log named them.
    """
    killed: list[int] = []
    told: list[int] = []
    server = ForkServer.__new__(ForkServer)
    gone, ending = _Child(GONE, 11), _Child(ENDING, 12)
    server._pid = os.getpid()
    server._children = {GONE: gone, ENDING: ending}
    server._by_status = {11: gone, 12: ending}
    server._told = {GONE}
    server._poll = Poll()  # type: ignore[assignment]
    monkeypatch.setattr(server, "_orphans", lambda: [ORPHAN])
    monkeypatch.setattr(server, "_reap_orphans", lambda: None)
    monkeypatch.setattr(server, "_tell", lambda child, _what: told.append(child.pid))
    monkeypatch.setattr(os, "close", lambda _fd: None)
    monkeypatch.setattr(os, "waitpid", lambda *_: (GONE, 0))
    monkeypatch.setattr(os, "kill", lambda pid, number: killed.append(pid * (number == 9)))

    class Found:
        si_code = os.CLD_KILLED
        si_status = signal.SIGTERM

    def ended(_kind: int, pid: int, _flags: int) -> Any:
        return Found if ends_meanwhile and pid == ENDING else None

    monkeypatch.setattr(os, "waitid", ended)
    server._let_go(gone)
    assert told == ([ENDING] if ends_meanwhile else [])
    assert killed == ([] if ends_meanwhile else [ORPHAN])
