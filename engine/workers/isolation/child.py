"""An isolated step's own process, from the fork to its result: the attempt on a remote engine."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from types import FrameType, MappingProxyType
from typing import Any, NamedTuple, NoReturn

from engine.clock import SystemClock
from engine.context import RunScope
from engine.events import AttemptFinished
from engine.fingerprint import difference
from engine.logs import ScopeHandler
from engine.model import AttemptOutcome, Step
from engine.ports import Job
from engine.workers.attempt import Attempt, this_lane
from engine.workers.guard import AttemptStopped, Guard
from engine.workers.isolation.frames import FrameFault
from engine.workers.isolation.orders import Order, Setup, result_frame
from engine.workers.isolation.remote import Line, RemoteIndex, RemoteLogs, RemoteSecrets
from engine.workers.toolbox import Toolbox, codec_for


class Loaded(NamedTuple):
    """A step as the fork server has loaded it; `fault` says why it cannot be run."""

    step: Step | None
    digest: str = ""
    parts: dict[str, str] = {}  # noqa: RUF012 - never changed
    fault: str = ""


class TermGuard(Guard):
    """The guard of a body that has a process of its own: SIGTERM raises in its main thread."""

    def __init__(self, line: Line) -> None:
        """Take SIGTERM from here on."""
        super().__init__()
        self._line = line
        self.pid = os.getpid()
        line.on_free = self._raise_if_wanted
        signal.signal(signal.SIGTERM, self._on_term)

    def run(self, body: Callable[[], Any]) -> tuple[Any, BaseException | None]:
        """Call `body`; gives (result, None) or (None, what it raised)."""
        answer: list[tuple[Any, BaseException | None]] = []
        while True:
            try:
                if not self._begun:
                    self._begun = True
                    try:
                        self._armed = True
                        self._raise_if_wanted()
                        answer.append((body(), None))
                    except BaseException as error:  # noqa: BLE001 - a step may raise anything
                        answer.append((None, error))
                self._armed = False
            except AttemptStopped:
                continue
            return answer[0] if answer else (None, AttemptStopped())

    def _on_term(self, number: int, _frame: FrameType | None) -> None:
        if os.getpid() != self.pid:  # forked by the step: the signal does what it does elsewhere
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        self._wanted = True
        if not self._line.busy:
            self._raise_if_wanted()

    def _raise_if_wanted(self) -> None:
        if self._wanted and self._armed and not self._sent:
            self._sent = True
            raise AttemptStopped("it got SIGTERM")


def work(setup: Setup, position: int, loaded: Loaded, end: socket.socket) -> NoReturn:
    """Run one attempt and send its result; never returns."""
    sys.stdout = open(1, "w", buffering=1, encoding="utf-8", errors="backslashreplace")  # noqa: SIM115 - a descriptor, open to the end
    sys.stderr = open(2, "w", buffering=1, encoding="utf-8", errors="backslashreplace")  # noqa: SIM115 - as above
    line = Line(end)
    guard = TermGuard(line)
    start = line.receive().head
    job = Job(0, start["number"], report=False)  # here it is the one step there is
    order = setup.orders[position]
    finished = _refusal(order, job, loaded, start["started_at"]) or _attempt(
        (setup, order), job, loaded, (line, guard, start)
    )
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # the step may have closed it
            stream.flush()
    if (
        os.getpid() != guard.pid
    ):  # forked by the step, and come out of it: the result is not its own
        os._exit(finished.outcome is not AttemptOutcome.OK)
    try:
        line.tell(*result_frame(finished))
    except FrameFault as fault:
        line.tell(*result_frame(_too_big(finished, fault)))
    os._exit(0)


def _refusal(order: Order, job: Job, loaded: Loaded, started_at: float) -> AttemptFinished | None:
    fault = loaded.fault
    if not fault and loaded.digest != order.digest:
        changed = difference(order.parts, loaded.parts)
        fault = f"the workflow's file has changed since the run began: {changed}"
    if not fault:
        return None
    outcome = AttemptOutcome.FAILED
    return AttemptFinished(job.step, job.number, outcome, started_at, started_at, error=fault)


def _too_big(finished: AttemptFinished, fault: FrameFault) -> AttemptFinished:
    return finished._replace(
        outcome=AttemptOutcome.FAILED, error=str(fault), writes=(), files=(), note="", skip=None
    )


def _attempt(
    asked: tuple[Setup, Order],
    job: Job,
    loaded: Loaded,
    given: tuple[Line, TermGuard, dict[str, Any]],
) -> AttemptFinished:
    setup, order = asked
    line, guard, start = given
    assert loaded.step is not None
    secrets = RemoteSecrets(line, setup.paths.home, start["secrets"])
    scope = RunScope(
        workflow=setup.workflow,
        run_id=setup.run_id,
        index=RemoteIndex(line, [order.name]),
        codec=codec_for(secrets),
        params=MappingProxyType(dict(setup.params)),
        paths=setup.paths,
        secrets=secrets,
        announce=lambda path: line.tell({"kind": "temporary", "path": path}),
    )
    tools = Toolbox(
        scope=scope,
        steps=[loaded.step],
        clock=SystemClock(),
        logs=RemoteLogs(line),
        environ=lambda: os.environ,
        key_runs=[order.key_run],
        used=[order.used],
    )
    root = logging.getLogger()
    root.addHandler(ScopeHandler())
    root.setLevel(logging.INFO)
    return Attempt(tools, job, start["started_at"], this_lane(), guard).run()
