"""The fork server: a process with the workflow loaded, which forks a child for each attempt.

The engine has threads and must not fork; this process has one and may. It answers on the attempt's
own status pipe: the child's number, then how it ended. The child is left unreaped until the engine
has closed that pipe, so that its number stays its own while the engine looks for what it has left.
It is a subreaper, as are its children: whatever they start stays below it. When the engine is gone
all of that is killed, and it ends.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import pickle
import resource
import select
import signal
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, NoReturn

from engine.fingerprint import Fingerprints
from engine.model import Definition, Step
from engine.workers import procfs
from engine.workers.isolation.child import Loaded, work
from engine.workers.isolation.orders import Order, Setup

LoadFile = Callable[[Path], Definition]

REQUEST_BYTES_MAX = 4_096
REQUEST_FDS = 5  # stdout, stderr, channel, status, and the run's steps lock if there is one
_SET_PDEATHSIG = 1
_SET_CHILD_SUBREAPER = 36
_BROKEN = 70  # what a child ends with that could not even say what is wrong

_prctl = ctypes.CDLL(None).prctl  # found now: a child is forked to run the step, not to load


class _Child(NamedTuple):
    """A child and the write end of its status pipe."""

    pid: int
    status: int


def load_steps(setup: Setup, load_file: LoadFile) -> dict[int, Loaded]:
    """Load the isolated steps of a run; what is wrong with one is its `fault`."""
    steps: Mapping[str, Step] = {}
    if setup.source is not None:
        try:
            steps = {step.name: step for step in load_file(setup.source).steps}
        except Exception as error:  # noqa: BLE001 - whatever the user's file does
            what = str(error).partition("\n")[0]
            fault = f"the workflow's file can no longer be loaded: {what}"
            return dict.fromkeys(setup.orders, Loaded(None, fault=fault))
    prints = Fingerprints(setup.paths.root)
    return {at: _loaded(order, steps, prints) for at, order in setup.orders.items()}


def _loaded(order: Order, steps: Mapping[str, Step], prints: Fingerprints) -> Loaded:
    try:
        step = steps.get(order.name) if order.pickled is None else pickle.loads(order.pickled)  # noqa: S301 - the engine's own, over a private descriptor
    except Exception as error:  # noqa: BLE001 - importing the user's module may do anything
        fault = f"it cannot be loaded in a process of its own: {type(error).__name__}: {error}"
        return Loaded(None, fault=fault)
    if not isinstance(step, Step):
        gone = f"the workflow's file has changed since the run began: no step '{order.name}'"
        return Loaded(None, fault=gone)
    found = prints.of(step)
    return Loaded(step, found.digest, found.parts)


class ForkServer:
    """Serves requests until the engine is gone."""

    def __init__(self, setup: Setup, steps: Mapping[int, Loaded], control: socket.socket) -> None:
        self._setup = setup
        self._steps = steps
        self._control = control
        self._pid = os.getpid()
        self._own = frozenset(procfs.children_of(self._pid))  # of the user's modules, at import
        self._children: dict[int, _Child] = {}
        self._by_status: dict[int, _Child] = {}
        self._told: set[int] = set()  # those whose end the engine knows
        self._poll = select.poll()
        self._wake_read, self._wake = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)
        self._poll.register(control, select.POLLIN)
        self._poll.register(self._wake_read, select.POLLIN)

    def serve(self) -> NoReturn:
        """Fork, tell, reap; ends with the engine."""
        while True:
            for descriptor, _ in self._poll.poll():
                if descriptor == self._wake_read:
                    with suppress(BlockingIOError):
                        os.read(self._wake_read, 4_096)
                elif descriptor == self._control.fileno():
                    self._take_request()
                else:
                    self._let_go(self._by_status[descriptor])
            self._tell_ends()

    def _take_request(self) -> None:
        try:
            data, fds, _, _ = socket.recv_fds(self._control, REQUEST_BYTES_MAX, REQUEST_FDS)
        except ConnectionError:
            data, fds = b"", []
        if not data:
            _end_all()
        for fd in fds:
            os.set_inheritable(fd, False)  # noqa: FBT003 - has no other form
        request = json.loads(data)
        pid = os.fork()
        if pid == 0:
            self._be_child(request, fds)
        for fd in (*fds[:3], *fds[4:]):
            os.close(fd)
        child = self._children[pid] = self._by_status[fds[3]] = _Child(pid, fds[3])
        self._poll.register(child.status, 0)  # wakes when the engine has closed its end
        self._tell(child, {"pid": pid})

    def _tell_ends(self) -> None:
        """Tell the ends of children, each with the orphans that only it, or another dead one, has.

        An orphan of a living child stays below that child.
        """
        ended = {}
        for pid in self._children.keys() - self._told:
            found = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if found is not None:
                by_itself = found.si_code == os.CLD_EXITED
                ended[pid] = found.si_status if by_itself else -found.si_status
        orphans = self._orphans() if ended else []
        for pid, code in ended.items():
            self._told.add(pid)
            self._tell(self._children[pid], {"code": code, "orphans": orphans})

    def _tell(self, child: _Child, what: dict[str, object]) -> None:
        with suppress(OSError):  # the engine no longer listens
            os.write(child.status, json.dumps(what).encode() + b"\n")

    def _let_go(self, child: _Child) -> None:
        """Reap a child the engine is through with, and any orphan that has ended."""
        self._poll.unregister(child.status)
        os.close(child.status)
        del self._by_status[child.status], self._children[child.pid]
        if child.pid not in self._told:
            os.kill(child.pid, signal.SIGKILL)
        self._told.discard(child.pid)
        os.waitpid(child.pid, 0)
        orphans = self._orphans()
        self._tell_ends()  # looked for after the orphans: those of one that ended now are told
        if not self._told:  # else the engine is still ending, and naming, what another one has left
            for pid in orphans:
                os.kill(pid, signal.SIGKILL)
        self._reap_orphans()

    def _orphans(self) -> list[int]:
        """Give what was left to this process by children that have ended."""
        known = self._own | self._children.keys()
        return [pid for pid in procfs.children_of(self._pid) if pid not in known]

    def _reap_orphans(self) -> None:
        with suppress(ChildProcessError):
            while (found := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) and (
                found.si_pid not in self._children
            ):
                os.waitpid(found.si_pid, 0)

    def _be_child(self, request: dict[str, object], fds: list[int]) -> NoReturn:
        try:
            os.setsid()
            _prctl(_SET_PDEATHSIG, signal.SIGKILL)
            _prctl(_SET_CHILD_SUBREAPER, 1)
            if os.getppid() != self._pid:  # it died before we asked to die with it
                os._exit(_BROKEN)
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for fd in (self._wake, self._wake_read, fds[3], *self._by_status):
                os.close(fd)
            self._control.close()
            os.dup2(fds[0], 1)
            os.dup2(fds[1], 2)
            os.close(fds[0])
            os.close(fds[1])
            for fd in fds[4:]:
                os.set_inheritable(fd, True)  # noqa: FBT003 - has no other form
            os.environ[procfs.ATTEMPT_VARIABLE] = str(request["attempt"])
            position = request["step"]
            assert isinstance(position, int)
            work(self._setup, position, self._steps[position], socket.socket(fileno=fds[2]))
        except BaseException as error:  # noqa: BLE001 - nothing may go back to the server's loop
            with suppress(OSError):
                os.write(2, f"{type(error).__name__}: {error}\n".encode())
        os._exit(_BROKEN)


def _end_all() -> NoReturn:
    """Kill all that is below this process, until nothing is left, and end."""
    while True:
        among = procfs.processes()
        left = procfs.below([os.getpid()], among)
        if not left:
            os._exit(0)
        for pid in left:
            procfs.send(among[pid], signal.SIGKILL)
        with suppress(ChildProcessError):
            os.waitpid(-1, 0)


def main(setup: Setup, control_fd: int, load_file: LoadFile) -> NoReturn:
    """Load the workflow, then serve; what can be imported before a fork is imported now."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _prctl(_SET_CHILD_SUBREAPER, 1)
    control = socket.socket(fileno=control_fd)
    steps = load_steps(setup, load_file)
    import tenacity  # noqa: F401 - wanted by a child whose step fails

    gc.collect()
    gc.freeze()
    ForkServer(setup, steps, control).serve()
