"""All processes of one attempt: what it has started, wherever that has gone."""

from __future__ import annotations

import os
import signal as signals
from collections.abc import Iterable
from contextlib import suppress

from engine.workers import procfs
from engine.workers.procfs import Marker, Process

_ROUNDING_S = 0.05  # ages are known to a hundredth of a second


class Family:
    """A step process (the leader of its session) and all that has come of it.

    Members are found by session, by descent, and by the marker in their environment, which a
    process keeps that leaves both. To be used while the leader is not reaped: until then no
    stranger can have its number.
    """

    def __init__(self, leader: int, marker: Marker | None = None) -> None:
        self._leader: int | None = leader
        self._marker = marker
        self._adopted: set[tuple[int, int]] = set()
        self._escaped: dict[tuple[int, int], str] = {}

    def lose_leader(self) -> None:
        """Go by the marker alone: the leader's number may be somebody else's from now on."""
        self._leader = None

    def adopt(self, pids: Iterable[int]) -> None:
        """Count these as members, as they are now."""
        found = map(procfs.look_at, pids)
        self._adopted |= {(process.pid, process.started) for process in found if process}

    def signal(self, number: signals.Signals) -> None:
        """Signal all living members; those outside its session are remembered as escaped."""
        if self._leader is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._leader, number)
        for process in self._members():
            if process.session != self._leader and self._leader is not None:
                known = (process.pid, process.started)
                self._escaped.setdefault(known, procfs.command_of(process))
            if process.group != self._leader:  # such as what `timeout` runs
                procfs.send(process, number)

    def others(self) -> list[Process]:
        """Give the living members but the leader."""
        return [process for process in self._members() if process.pid != self._leader]

    def escaped(self) -> str:
        """Name those that had left the session when they were signalled."""
        named = [f"{pid} ({name})" for (pid, _), name in self._escaped.items()]
        if not named:
            return ""
        one = len(named) == 1
        who = (
            "1 process had left its session and was"
            if one
            else (f"{len(named)} processes had left its session and were")
        )
        return f"{who} ended: {', '.join(named)}"

    def _members(self) -> list[Process]:
        among = procfs.processes()
        among.pop(os.getpid(), None)
        found = {pid for pid, process in among.items() if (pid, process.started) in self._adopted}
        if self._leader is not None:
            found |= {pid for pid, process in among.items() if process.session == self._leader}
            found |= {self._leader} & among.keys()  # it may not have come to its own session yet
            found |= procfs.below([self._leader], among)
        if self._marker is not None:
            rest = among.keys() - found
            found |= {pid for pid in rest if procfs.marker_of(pid) == self._marker}
        found |= procfs.below(found, among)
        return [among[pid] for pid in sorted(found)]


def end_started_by(thread: int, *, age_s: float, number: signals.Signals) -> None:
    """Signal what a thread of ours has started in its last `age_s` seconds, and theirs in turn.

    Younger only: a lane's thread has served other attempts before, and what those left behind in
    the background is not this one's.
    """
    since = procfs.ticks_ago(age_s + _ROUNDING_S)
    pending = procfs.children_of(os.getpid(), thread)
    while pending:
        process = procfs.look_at(pending.pop())
        if process is not None and process.started >= since:
            pending += procfs.children_of(process.pid)
            procfs.send(process, number)
