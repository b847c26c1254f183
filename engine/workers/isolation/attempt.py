"""One attempt of an isolated step, from the engine's side: a process that can truly be killed."""

from __future__ import annotations

import json
import os
import selectors
import signal
import socket
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from engine.conditions import Asked
from engine.errors import EngineError
from engine.events import AttemptFinished
from engine.logs import attempt_scope, escape
from engine.model import AttemptOutcome
from engine.workers.attempt import Attempt, Lane, ProcessError
from engine.workers.family import Family
from engine.workers.isolation.channel import Channel, Desk
from engine.workers.isolation.frames import FrameFault
from engine.workers.isolation.orders import read_result
from engine.workers.processes import Ended, Reader, Watch, finish, how_it_ended
from engine.workers.supervisor import Supervisor

if TYPE_CHECKING:
    from engine.ports import Job
    from engine.workers.toolbox import Toolbox


class _StatusWatch(Watch):
    """Watches a child of the fork server, by what that writes to the attempt's status pipe.

    The pipe stays open until the family is ended: the server keeps the child unreaped until then.
    """

    def __init__(
        self, pipe: int, selector: selectors.BaseSelector, begun: Callable[[int], Family]
    ) -> None:
        """Call `begun` with the child's number once it is known."""
        super().__init__(selector)
        self.dropped = False  # it is not waited for any more
        self._pipe = pipe
        self._begun = begun
        self._family: Family | None = None
        self._data = b""
        os.set_blocking(pipe, False)
        selector.register(pipe, selectors.EVENT_READ)

    def drop(self) -> None:
        """Wait no longer for a child that has not been forked yet."""
        if self._family is None:
            self.dropped = True
            self.wake()

    def look(self) -> Ended | None:
        """Tell whether the child has ended."""
        if self.dropped and self._family is None:
            return self._over(None)
        try:
            data = os.read(self._pipe, 65_536)
        except BlockingIOError:
            return None
        self._data += data
        *lines, self._data = self._data.split(b"\n")
        for line in lines:
            said = json.loads(line)
            if "pid" in said:
                self._family = self._begun(said["pid"])
            else:
                assert self._family is not None
                self._family.adopt(said["orphans"])
                return self._over(said["code"])
        return None if data else self._over(None)

    def _over(self, code: int | None) -> Ended:
        self._selector.unregister(self._pipe)
        return Ended(code)


class IsolatedAttempt(Attempt):
    """An attempt whose step runs in a child of the fork server."""

    def __init__(self, tools: Toolbox, job: Job, started_at: float, lane: Lane) -> None:
        """Prepare an attempt; nothing runs yet."""
        super().__init__(tools, job, started_at, lane)
        self._supervisor = Supervisor(self.log, self._what.grace_s)
        self._channel: Channel | None = None
        self._watch: _StatusWatch | None = None
        self._temporaries: list[str] = []

    def stop(self, reason: str) -> None:
        """TERM to the process and all it has started, KILL after the grace."""
        with self._ends:
            if self._handed_over:
                return
            self._stop = self._stop or reason
        self._supervisor.stop(reason)
        if self._tools.keeper is not None:
            self._tools.keeper.go_on()
        with self._ends:
            if self._watch is not None:
                self._watch.drop()

    def run(self) -> AttemptFinished:
        """Have the step run, and give what came of it; never raises."""
        with attempt_scope(self):
            try:
                fault = self._run_process()
            except (OSError, EngineError) as error:
                fault = f"cannot start its process: {error}"
            finished, fault = self._result(fault)
            if finished is not None and finished.outcome is AttemptOutcome.OK:
                if self._hand_over():
                    return finished
                finished = None
            self._remove_temporaries()
            if finished is None:
                ended_at = self._tools.clock.now()
                return self._failed(ProcessError(fault), ended_at)
            if self._stop and finished.outcome is not AttemptOutcome.TIMED_OUT:
                return finished._replace(outcome=AttemptOutcome.INTERRUPTED, error=self._stop)
            return finished._replace(error=self._tools.scope.secrets.mask(finished.error))

    def _hand_over(self) -> bool:
        """Whether what it wrote is complete: a stop before this has taken its files away."""
        with self._ends:
            self._handed_over = not self._stop
            return self._handed_over

    def _run_process(self) -> str:
        """Start it and follow it to the end; gives what is to be said if it left no result."""
        keeper = self._tools.keeper
        if keeper is None:
            raise EngineError("there is nothing that it could run in")
        with keeper.attempt(self.job), ExitStack() as stack, ExitStack() as theirs:
            pipes = [_pipe(stack, theirs) for _ in range(3)]
            channel, their_channel = socket.socketpair()
            stack.callback(channel.close)
            theirs.callback(their_channel.close)
            selector = stack.enter_context(selectors.DefaultSelector())
            stack.callback(self._supervisor.release)
            watch = self._watched(pipes[2][0], selector, stack)
            fds = [pipes[0][1], pipes[1][1], their_channel.fileno(), pipes[2][1]]
            keeper.fork(self.job, fds)
            theirs.close()
            return self._follow(pipes, channel, watch, selector)

    def _watched(
        self, status: int, selector: selectors.BaseSelector, stack: ExitStack
    ) -> _StatusWatch:
        watch = _StatusWatch(status, selector, self._begin)
        stack.callback(watch.close)
        with self._ends:
            self._watch = watch
            if self._stop:
                watch.drop()
        stack.callback(self._forget_watch)
        return watch

    def _begin(self, pid: int) -> Family:
        keeper = self._tools.keeper
        assert keeper is not None
        family = Family(pid, keeper.marker(self.job))
        self._supervisor.begin(family)
        return family

    def _forget_watch(self) -> None:
        with self._ends:
            self._watch = None

    def _follow(
        self,
        pipes: list[tuple[int, int]],
        end: socket.socket,
        watch: _StatusWatch,
        selector: selectors.BaseSelector,
    ) -> str:
        log, tools = self.log, self._tools
        readers = [Reader(pipes[0][0], "out", log), Reader(pipes[1][0], "err", log)]
        desk = Desk(tools, self.job.step, log, self._temporaries)
        start = {
            "number": self.job.number,
            "started_at": self.started_at,
            "secrets": tools.scope.secrets.registered(),
        }
        self._channel = channel = Channel(end, selector, desk, self._supervisor.kill)
        channel.send(start)
        ended = self._supervisor.follow([*readers, channel], watch, selector)
        self._supervisor.end_rest()
        finish(readers, log, cut=watch.over and not watch.dropped)
        return _fault(ended, readers[1].last_line)

    # -- its result -------------------------------------------------------------------------------

    def _result(self, fault: str) -> tuple[AttemptFinished | None, str]:
        """Give what the child has sent, if it is whole and allowed; else say what is wrong."""
        channel = self._channel
        if channel is None or channel.result is None:
            return None, (channel.fault if channel else "") or fault
        try:
            finished = read_result(channel.result, self.job, self.started_at)
        except FrameFault as wrong:
            return None, str(wrong)
        secrets = self._tools.scope.secrets
        for key, value in finished.writes:
            if secrets.contains(key) or secrets.contains(value.data.decode("utf-8", "ignore")):
                return None, f"value for '{key}' holds a registered secret"
        if not {file.temporary for file in finished.files} <= set(self._temporaries):
            return None, "its result names a file that it did not announce"
        now = self._tools.clock.now()
        skip = None if finished.skip is None else secrets.mask(finished.skip)
        asked, policy = finished.asked, secrets.mask(finished.policy)
        if asked is not None:
            text = None if asked.text is None else secrets.mask(asked.text)
            values = tuple([(name, secrets.mask(value)) for name, value in asked.values])
            asked = Asked(text, asked.holds, values)
        ended_at = min(finished.finished_at, now)
        finished = finished._replace(finished_at=ended_at, skip=skip)
        return finished._replace(asked=asked, policy=policy), ""

    def _remove_temporaries(self) -> None:
        for path in self._temporaries:
            with suppress(OSError):
                Path(path).unlink(missing_ok=True)


def _pipe(ours: ExitStack, theirs: ExitStack) -> tuple[int, int]:
    """Make a pipe for the child to write to, each end closed by its stack."""
    read, write = os.pipe2(os.O_CLOEXEC)
    ours.callback(os.close, read)
    theirs.callback(os.close, write)
    return read, write


def _fault(ended: Ended, last_error_line: str) -> str:
    """Say how a child ended that has left no result, with the last line of its stderr."""
    if ended.code is None:
        how = "the fork server it came from was killed"
    elif ended.code == -signal.SIGKILL:
        how = "killed by SIGKILL (out of memory?)"
    elif ended.code < 0:
        how = how_it_ended(ended.code)
    else:
        how = f"{how_it_ended(ended.code)} without a result"
    return f"{how}: {escape(last_error_line)}" if last_error_line else how
