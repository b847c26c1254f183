"""A run's progress as log lines, made from the actions of each committed tick."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence

from engine.events import Action, BackOff, Claim, EndAttempt, EndStep, LeaveBehind
from engine.model import AttemptOutcome, StepStatus
from engine.text import human_duration, printable

logger = logging.getLogger("engine.run")

ORDER_SHOWN_MAX = 30
LEFT_OUT_TOLD_MAX = 20  # steps that a tick ends unrun, of one status: the rest is counted
_WELL, _OK = AttemptOutcome.OK, StepStatus.OK  # through their enums they take 0.15 µs each


def run_order(names: Sequence[str], order: Sequence[int]) -> str:
    """Give the line that tells in which order steps become due."""
    shown = " → ".join(names[step] for step in order[:ORDER_SHOWN_MAX])
    more = len(order) - ORDER_SHOWN_MAX
    return f"run order: {shown}" + (f" → … ({more} more)" if more > 0 else "")


class Progress:
    """Logs `▶ NAME (attempt N)`, `✓ NAME in 2.1s` and what else becomes of steps."""

    def __init__(self, names: Sequence[str], run_id: int, *, ends_only: bool = False) -> None:
        """Log for the steps called `names`, by position; with `ends_only`, only how they ended."""
        self._ends_only = ends_only
        self._names = names
        self._run_id = run_id
        self._times: dict[int, tuple[float, float]] = {}
        self._errors: dict[int, tuple[int, AttemptOutcome, str]] = {}
        self._left_out: Counter[StepStatus] = Counter()  # in this tick

    def observe(self, actions: Sequence[Action], now: float) -> None:
        """Take a tick's actions, committed at `now`; costs nothing where nobody listens."""
        informed = logger.isEnabledFor(logging.INFO)
        if not informed:
            actions = _warnings(actions) if logger.isEnabledFor(logging.WARNING) else ()
        for action in actions:
            match action:
                case Claim(step, number):
                    if informed and not self._ends_only:
                        self._say(step, number, logging.INFO, "▶ %s (attempt %d)", number)
                case EndAttempt(step, number, outcome, _, _, error):
                    self._note_times(action)
                    self._note_error(step, number, outcome, error)
                case BackOff(step, number, until):
                    self._retry(step, number, until - now)
                case LeaveBehind(step, number):
                    text = "%s could not be stopped; it runs on, and counts no longer"
                    self._say(step, number, logging.WARNING, text)
                case EndStep():
                    self._ended(action, informed=informed)
                case _:
                    pass
        if self._left_out:
            self._count_left_out()

    def _note_times(self, end: EndAttempt) -> None:
        """Go by the worker's stamps: a claim may wait for a worker, an end for a commit."""
        if end.started_at is not None and end.finished_at is not None:
            began, _ = self._times.get(end.step, (end.started_at, 0.0))
            self._times[end.step] = began, end.finished_at

    def _note_error(self, step: int, number: int, outcome: AttemptOutcome, error: str) -> None:
        if outcome is not AttemptOutcome.OK:
            self._errors[step] = (number, outcome, error)

    def _retry(self, step: int, number: int, wait_s: float) -> None:
        error = printable(self._errors.get(step, (0, "", ""))[2].split("\n", 1)[0])
        wait = human_duration(max(0.0, wait_s))
        text = "✗ %s failed (%s); retry in %s"
        self._say(step, number, logging.WARNING, text, error, wait)

    def _ended(self, end: EndStep, *, informed: bool) -> None:
        step = end.step
        began, ended = self._times.pop(step, (0.0, 0.0))
        number, _, error = self._errors.pop(step, (1, "", ""))
        if end.status is StepStatus.OK:
            if informed:
                took = human_duration(ended - began)
                told = f"{took}: {printable(end.note)}" if self._ends_only else took
                self._say(step, number, logging.INFO, "✓ %s in %s", told)
        elif end.status is StepStatus.FAILED:
            why = printable((error or end.note).split("\n", 1)[0])
            self._say(step, number, logging.ERROR, "✗ %s FAILED permanently: %s", why)
        elif informed:
            self._left_out[end.status] += 1
            if self._left_out[end.status] <= LEFT_OUT_TOLD_MAX:
                text = f"{_sign(end.status)} %s {end.status}: %s"
                self._say(step, 0, logging.INFO, text, printable(end.note))

    def _count_left_out(self) -> None:
        """Tell how many more there were: a stopped run may have a million of them."""
        for status, count in self._left_out.items():
            if count > LEFT_OUT_TOLD_MAX:
                text, extra = f"{_sign(status)} %d more steps {status}", {"run": self._run_id}
                logger.info(text, count - LEFT_OUT_TOLD_MAX, extra=extra)
        self._left_out.clear()

    def _say(self, step: int, number: int, level: int, text: str, *rest: object) -> None:
        name = self._names[step]
        extra = {"run": self._run_id, "step": name, "attempt": number}
        logger.log(level, text, name, *rest, extra=extra)


def _sign(status: StepStatus) -> str:
    return "–" if status is StepStatus.SKIPPED else "■"


def _warnings(actions: Sequence[Action]) -> list[Action]:
    """Leave out what is told to those who listen to more: all of a tick, most of the time."""
    return [
        action
        for action in actions
        if type(action) is not Claim
        and (type(action) is not EndAttempt or action.outcome is not _WELL)
        and (type(action) is not EndStep or action.status is not _OK)
    ]
