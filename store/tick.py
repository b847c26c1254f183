"""One tick as rows: each action checked against where the run stands, and turned into its row."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from engine.errors import SupersededError
from engine.events import (
    Action,
    BackOff,
    Claim,
    Decide,
    EndAttempt,
    EndRun,
    EndStep,
    Facts,
    RecordStart,
    TellLate,
)
from engine.model import AttemptOutcome, StepStatus
from engine.produced import Encoded
from store.connection import Database

COUNTERS = ("ok", "failed", "skipped", "attempts", "retries")  # of a run's row

ENDED_HINT = "another process has ended this run; look at it with `show`"
_OK = AttemptOutcome.OK
_STEP_OK = StepStatus.OK
_RETRY_AT = 6  # of a row in `Tick.ends`
_NONE: tuple[int, int, float | None] = (-1, -1, None)

Row = tuple[object, ...]


@dataclass(slots=True)
class Standing:
    """Where a run stands in its record.

    `events` counts what is recorded of it. `live` has, by step, the claimed attempt's number, the
    event it was claimed with, and both as they are stored; `ended` says which steps have ended and
    `tried` the highest number of those that have ended attempts but have not.
    """

    events: int
    counters: dict[str, int]
    live: dict[int, tuple[int, int, str]]
    ended: bytearray
    tried: dict[int, int]

    def row(self) -> Row:
        """Give the values that each tick writes into the run's row."""
        stored = ",".join([text for _, _, text in self.live.values()])
        return (self.events, *self.counters.values(), f"[{stored}]")


def standing_of(database: Database, run_id: int) -> Standing:
    """Read where a run stands; all is empty for one that is not there."""
    with database.read() as cursor:
        sql = f"SELECT events, live, steps, {', '.join(COUNTERS)} FROM run_rows WHERE id = ?"
        row = cursor.execute(sql, (run_id,)).fetchone() or (0, "[]", 0, *(0 for _ in COUNTERS))
        events, live, steps, *counts = row
        ended = bytearray(steps)
        sql = """SELECT position FROM step_rows WHERE run_id = ?1
                 UNION ALL SELECT position FROM attempt_rows WHERE run_id = ?1 AND outcome = 'ok'"""
        for (position,) in cursor.execute(sql, (run_id,)):
            ended[position] = True
        sql = "SELECT position, max(number) FROM attempt_rows WHERE run_id = ? GROUP BY position"
        tried = {step: last for step, last in cursor.execute(sql, (run_id,)) if not ended[step]}
    claims = {
        step: (number, seq, _stored(step, number, seq, at))
        for step, number, seq, at in json.loads(live)
    }
    return Standing(events, dict(zip(COUNTERS, counts, strict=True)), claims, ended, tried)


def _stored(step: int, number: int, seq: int, at: int | None) -> str:
    return f"[{step},{number},{seq},{'null' if at is None else at}]"


def encoded(value: Encoded) -> tuple[str, str, bytes]:
    """Give a value's part of its row."""
    return value.codec, value.sha256, value.data


class Tick:
    """The rows of one tick, by statement, and where the run stands after it.

    `well` are attempts that were ok, `ends` all others.
    """

    def __init__(self, run_id: int, before: Standing, stamp: Callable[[float], int]) -> None:
        """Start from where the run stands; if the tick comes to nothing, it is taken back."""
        self._run, self._stamp = run_id, stamp
        # What may be large is shared with what was before: what is changed is remembered.
        events, counters, live = before.events, before.counters.copy(), before.live.copy()
        self.standing = Standing(events, counters, live, before.ended, before.tried)
        self._ended_now: list[int] = []
        self._tried_before: dict[int, int] = {}
        self.well: list[Row] = []
        self.ends: list[list[object]] = []
        self.steps: list[Row] = []
        self.decisions: list[Row] = []
        self.outputs: list[Row] = []
        self.files: list[Row] = []
        self.late: list[TellLate] = []
        self.end: EndRun | None = None
        self._ok = _NONE  # (step, event, end) of the attempt that has just been ok

    def take(self, actions: Sequence[Action]) -> None:
        """Take in a tick. Raises `SupersededError` for what cannot follow."""
        for action in actions:
            if type(action) is EndAttempt:
                self._end_attempt(action)
            elif type(action) is EndStep:
                self._end_step(action)
            elif type(action) is Claim:
                self._claim(action)
            elif type(action) is BackOff:
                self._back_off(action)
            elif type(action) is Decide:
                at = self.standing.events
                row = (self._run, action.step, at, action.what, _facts_text(action.facts))
                self.decisions.append(row)
            elif type(action) is RecordStart:
                self._start(action)
            elif type(action) is TellLate:
                self.late.append(action)
            elif type(action) is EndRun:
                self.standing.events += 1
                self.end = action

    def take_back(self) -> None:
        """Let the run stand where it stood."""
        standing = self.standing
        for step in self._ended_now:
            standing.ended[step] = False
        for step, number in self._tried_before.items():
            standing.tried[step] = number

    def _claim(self, claim: Claim) -> None:
        step, number, at, _ = claim
        standing = self.standing
        if step in standing.live or standing.ended[step] or number <= standing.tried.get(step, 0):
            raise _not_ours(step, number, "claimed")
        standing.events = seq = standing.events + 1
        at_us = None if at is None else self._stamp(at)
        standing.live[step] = (number, seq, _stored(step, number, seq, at_us))
        standing.counters["attempts"] += 1
        if number > 1:
            standing.counters["retries"] += 1

    def _start(self, start: RecordStart) -> None:
        step, number, at = start
        claimed = self.standing.live.get(step)
        if claimed is None or claimed[0] != number:
            raise _not_ours(step, number, "begun")
        seq = claimed[1]
        self.standing.live[step] = (number, seq, _stored(step, number, seq, self._stamp(at)))

    def _end_attempt(self, end: EndAttempt) -> None:
        step, number, outcome, begun, ended, error = end
        standing, stamp = self.standing, self._stamp
        claimed = standing.live.pop(step, None)
        if claimed is None or claimed[0] != number:
            raise _not_ours(step, number, "ended")
        standing.events = seq = standing.events + 1
        begun_us = None if begun is None else stamp(begun)
        ended_us = None if ended is None else stamp(ended)
        if outcome is _OK:
            self.well.append((self._run, step, number, begun_us, ended_us, claimed[1], seq))
            self._ok = (step, seq, ended)
            return
        row = [self._run, step, number, begun_us, ended_us, outcome, None, error or None]
        self.ends.append([*row, claimed[1], seq])
        self._tried_before.setdefault(step, standing.tried.get(step, 0))
        standing.tried[step] = number

    def _back_off(self, wait: BackOff) -> None:
        """Let the retry stand with the attempt that failed, which has ended in the same tick."""
        for row in reversed(self.ends):
            if row[1] == wait.step and row[2] == wait.number:
                row[_RETRY_AT] = self._stamp(wait.until)
                return
        raise _not_ours(wait.step, wait.number, "waited after")

    def _end_step(self, end: EndStep) -> None:
        step, status, at, note, writes, files = end
        standing = self.standing
        if standing.ended[step]:
            raise _not_ours(step, None, "ended")
        standing.ended[step] = True
        self._ended_now.append(step)
        standing.events = seq = standing.events + 1
        if status in standing.counters:  # which are named by the words
            standing.counters[status] += 1
        if status is not _STEP_OK or note or self._ok != (step, seq - 1, at):
            self.steps.append((self._run, step, status, self._stamp(at), note, None, seq))
        for key, value in writes:
            self.outputs.append((self._run, step, key, *encoded(value)))
        for file in files:
            row = (file.target, file.temporary, file.sha256, file.size, 0)
            self.files.append((self._run, step, *row))


_FACTS = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False)


@lru_cache(maxsize=64)  # of many steps that are skipped most are for one reason
def _facts_text(facts: Facts) -> str:
    return _FACTS.encode({name: _plain(value) for name, value in facts})


def _plain(value: object) -> object:
    """Give what is told of a fact: pairs are an object."""
    return dict(value) if isinstance(value, tuple) else value


def _not_ours(step: int, number: int | None, what: str) -> SupersededError:
    attempt = "" if number is None else f"attempt {number} of "
    return SupersededError(
        f"{attempt}step {step} cannot be {what} as the run stands", hint=ENDED_HINT
    )
