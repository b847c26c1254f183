"""What became of each step of a run: its rows, merged in one pass.

The one place in Python that says so; the view `step_runs` says the same in SQL, for people.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from sys import intern
from typing import Any, NamedTuple

from engine.model import AttemptOutcome, StepStatus

# Names, ends without an attempt and attempts are read apart and put together here: for SQLite to
# look each step up in three tables takes twice as long.
_NAMES = "SELECT position, name FROM definition_steps WHERE definition_id = ?"
_FROM = " AND position >= ? ORDER BY position LIMIT ?"
_BETWEEN = "position BETWEEN ? AND ?"
_SOME = "position IN (SELECT value FROM json_each(?))"
_AT_ONCE = "(number = 1 AND outcome = 'ok' AND started_at IS NOT NULL AND finished_at IS NOT NULL)"
_DONE = f"""
SELECT position, started_at, finished_at FROM attempt_rows WHERE run_id = ? AND {{}}
AND {_AT_ONCE}"""
_TRIED = f"""
SELECT position, number, outcome, started_at, finished_at, retry_at, error
FROM attempt_rows WHERE run_id = ? AND {{}} AND NOT {_AT_ONCE} ORDER BY position, number"""
_SETTLED = """
SELECT position, status, ended_at, note, source_run FROM step_rows WHERE run_id = ? AND {}"""
_BLOCK = 1000  # steps read at once

OPEN = frozenset((StepStatus.WAITING, StepStatus.RUNNING, StepStatus.BACKING_OFF))
_BAD = (AttemptOutcome.FAILED, AttemptOutcome.TIMED_OUT, AttemptOutcome.ABANDONED)
_OK = str(StepStatus.OK)
_RUNNING = str(StepStatus.RUNNING)
_BACKING_OFF = str(StepStatus.BACKING_OFF)
_WAITING = str(StepStatus.WAITING)
_LEFT = {
    _RUNNING: (str(StepStatus.INTERRUPTED), "its engine died"),
    _BACKING_OFF: (str(StepStatus.INTERRUPTED), "its engine died before the retry"),
    _WAITING: (str(StepStatus.CANCELLED), "not started"),
}


# As recorded: number, outcome, start, end, when a retry is due, error; status, when, note, source.
_Try = tuple[int, str, int | None, int | None, int | None, str | None]
_End = tuple[str, int | None, str, int | None]


class StepRun(NamedTuple):
    """A step of a run: the columns of the view `step_runs`, then what its attempts came to.

    `made` counts those that were not taken back before they began, `last` is the number of the last
    of them and `error` its error; `failed` is the number of the last that failed in any way.
    """

    step: str
    position: int
    status: str
    started_at: str | None = None
    finished_at: str | None = None
    duration_s: float | None = None
    note: str = ""
    source_run: int | None = None
    attempts: int = 0
    next_attempt_at: str | None = None
    marked_by: str | None = None
    made: int = 0
    error: str = ""
    last: int | None = None
    failed: int | None = None

    def row(self, run_id: int) -> dict[str, Any]:
        """Give it as a row of the view."""
        return {"run_id": run_id, **dict(zip(COLUMNS, self, strict=False))}


# Of a tuple that has every field: 0.1 µs, where the class itself takes 0.4.
_made = partial(tuple.__new__, StepRun)

COLUMNS = StepRun._fields[: StepRun._fields.index("made")]


class _Texts(dict[int, str | None]):
    """UTC ISO-8601 texts by millisecond: most steps of a big run share theirs with others."""

    def __missing__(self, ms: int) -> str | None:
        second, rest = divmod(ms, 1000)
        try:
            at = datetime.fromtimestamp(second, UTC)
        except (ValueError, OverflowError, OSError):  # no year that there is
            text = None
        else:
            text = f"{at:%Y-%m-%dT%H:%M:%S}.{rest:03d}Z"
        self[ms] = text
        return text


@dataclass(slots=True)
class _Aside:
    """What few steps of a run have, by position.

    `live` has (number, started_at) of what is claimed, `carried` (retry_at, why); `odd` is
    the positions of all that are here.
    """

    live: dict[int, tuple[int, int | None]]
    carried: dict[int, tuple[int | None, str]]
    marked: dict[int, str]
    odd: frozenset[int]
    texts: _Texts

    def text(self, us: int | None) -> str | None:
        return None if us is None else self.texts[us // 1000]


def step_runs(
    cursor: sqlite3.Cursor, run_id: int, positions: Sequence[int] | None = None
) -> Iterator[StepRun]:
    """Give the steps of a run, or those at some positions, in declaration order, as recorded."""
    run = cursor.execute(
        "SELECT definition_id, CASE status WHEN 'running' THEN live ELSE '[]' END"
        " FROM run_rows WHERE id = ?",
        (run_id,),
    ).fetchone()
    if run is None:
        return
    definition, live = run
    aside = _aside(cursor, run_id, json.loads(live))
    if positions is not None:
        some = json.dumps(positions)
        sql = f"{_NAMES} AND {_SOME} ORDER BY position"
        names = cursor.execute(sql, (definition, some)).fetchall()
        rows = _Rows.read(cursor, len(names), _SOME, (run_id, some))
        yield from _merged(names, rows, aside)
        return
    begin = 0
    while names := cursor.execute(_NAMES + _FROM, (definition, begin, _BLOCK)).fetchall():
        last = names[-1][0]
        rows = _Rows.read(cursor, len(names), _BETWEEN, (run_id, begin, last))
        yield from _merged(names, rows, aside)
        begin = last + 1


def _aside(cursor: sqlite3.Cursor, run_id: int, live: list[list[Any]]) -> _Aside:
    carried = cursor.execute(
        "SELECT position, retry_at, why FROM carried_rows"
        " WHERE run_id = ? AND (retry_at IS NOT NULL OR why <> '')",
        (run_id,),
    ).fetchall()
    marked = cursor.execute(
        "SELECT position, marked_by FROM marked_rows WHERE run_id = ?", (run_id,)
    ).fetchall()
    claimed = {position: (number, at) for position, number, _, at in live}
    return _Aside(
        live=claimed,
        carried={position: (retry_at, why) for position, retry_at, why in carried},
        marked=dict(marked),
        odd=frozenset([*claimed, *(row[0] for row in carried), *(row[0] for row in marked)]),
        texts=_Texts(),
    )


class _Rows(NamedTuple):
    """What is on record of some steps, by position.

    `done` has (position, started_at, finished_at) of those that were ok at once, `tried` the
    attempts of others, `settled` what has ended by no attempt.
    """

    done: dict[int, tuple[int, int, int]]
    tried: dict[int, list[_Try]]
    settled: dict[int, _End]

    @classmethod
    def read(
        cls, cursor: sqlite3.Cursor, count: int, where: str, given: tuple[object, ...]
    ) -> _Rows:
        """Read what there is of `count` steps."""
        done = {row[0]: row for row in cursor.execute(_DONE.format(where), given)}
        tried: dict[int, list[_Try]] = {}
        if len(done) < count:
            for row in cursor.execute(_TRIED.format(where), given):
                tried.setdefault(row[0], []).append(row[1:])
        settled = {row[0]: row[1:] for row in cursor.execute(_SETTLED.format(where), given)}
        return cls(done, tried, settled)


def _merged(names: Iterable[tuple[int, str]], rows: _Rows, aside: _Aside) -> Iterator[StepRun]:
    """Make one of what is on record of each step.

    Nearly all steps of a big run were ok at once or never tried. Those are told here, in 0.5 µs;
    `_told`, which tells any, takes several times as long.
    """
    done, tried, settled = rows
    odd, texts = aside.odd, aside.texts
    for position, name in names:
        times, end = done.get(position), settled.get(position)
        if position in odd or position in tried or (times and end):
            tries = tried.get(position, [])
            if times:
                tries = [(1, _OK, times[1], times[2], None, None), *tries]
            yield _told(position, name, end, tries, aside)
        elif times:
            _, begun, ended = times
            at, until, took_s = texts[begun // 1000], texts[ended // 1000], (ended - begun) / 1e6
            yield _made(
                (name, position, _OK, at, until, took_s, "", None, 1, None, None, 1, "", 1, None)
            )
        elif end:
            status, end_us, note, source = end
            ended_at = None if end_us is None else texts[end_us // 1000]
            untried = (name, position, intern(status), None, ended_at, 0.0, intern(note), source)
            yield _made((*untried, 0, None, None, 0, "", None, None))
        else:
            yield _told(position, name, None, [], aside)


def _told(
    position: int, name: str, end: _End | None, tries: Sequence[_Try], aside: _Aside
) -> StepRun:
    """Tell of one step by its end without an attempt, if it has one, and its ended attempts."""
    settled, ended_us, note, source_run = end or (None, None, "", None)
    live = aside.live.get(position)
    retry_us, why = aside.carried.get(position, (None, ""))
    last = tries[-1] if tries else None
    is_ok = last is not None and last[1] == _OK
    if last is not None:
        retry_us = last[4]
    status = status_of(settled, retry_us, is_live=live is not None, is_ok=is_ok)
    begun = [each[2] for each in tries if each[2] is not None]
    begun_us = min(begun, default=live[1] if live else None)
    if settled is None and is_ok and last is not None:
        ended_us = last[3]
    if status == StepStatus.CACHED:
        begun_us = None
    return StepRun(
        name,
        position,
        status,
        aside.text(begun_us),
        aside.text(ended_us),
        _took_s(status, begun_us, ended_us),
        note or (f"redone: {why}" if why else ""),
        source_run,
        len(tries) + (live is not None),
        aside.text(retry_us) if status == StepStatus.BACKING_OFF else None,
        aside.marked.get(position),
        *_came_to(tries, live),
    )


def status_of(settled: str | None, retry_us: int | None, *, is_live: bool, is_ok: bool) -> str:
    """Say how a step stands; `retry_us` is when it is due again, if it is, as it was told last."""
    if settled is not None:
        return intern(settled)
    if is_ok:
        return _OK
    if is_live:
        return _RUNNING
    return _WAITING if retry_us is None else _BACKING_OFF


def _took_s(status: str, begun_us: int | None, ended_us: int | None) -> float | None:
    if begun_us is None and status not in OPEN:
        return 0.0
    return None if begun_us is None or ended_us is None else (ended_us - begun_us) / 1e6


def _came_to(
    tries: Sequence[tuple[Any, ...]], live: tuple[int, int | None] | None
) -> tuple[int, str, int | None, int | None]:
    """Give `made`, `error`, `last` and `failed`."""
    made = [each for each in tries if each[1] != AttemptOutcome.CANCELLED or each[2] is not None]
    failed = max((each[0] for each in made if each[1] in _BAD), default=None)
    if live is not None:
        return len(made) + 1, "", live[0], failed
    if not made:
        return 0, "", None, failed
    return len(made), made[-1][5] or "", made[-1][0], failed


def as_left(step: StepRun) -> StepRun:
    """Give a step of a run whose engine is dead as the next writing command will record it."""
    note = _LEFT[step.status][1] if step.status in _LEFT else step.note
    return step._replace(status=status_as_left(step.status), note=note, next_attempt_at=None)


def status_as_left(status: str) -> str:
    """Give what becomes of a step's status by the death of its engine."""
    return _LEFT[status][0] if status in _LEFT else status
