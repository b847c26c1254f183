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

_ROWS = """
SELECT d.position, d.name, s.status, s.ended_at, s.note, s.source_run,
       a.number, a.outcome, a.started_at, a.finished_at, a.retry_at, a.error
FROM definition_steps d
LEFT JOIN step_rows s ON s.run_id = ?1 AND s.position = d.position
LEFT JOIN attempt_rows a ON a.run_id = ?1 AND a.position = d.position
WHERE d.definition_id = ?2{} ORDER BY d.position, a.number"""
_SOME = " AND d.position IN (SELECT value FROM json_each(?3))"

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

    `live` has (number, started_at) of what is claimed, `carried` (retry_at, why).
    """

    live: dict[int, tuple[int, int | None]]
    carried: dict[int, tuple[int | None, str]]
    marked: dict[int, str]
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
    if positions is None:
        cursor.execute(_ROWS.format(""), (run_id, definition))
    else:
        cursor.execute(_ROWS.format(_SOME), (run_id, definition, json.dumps(positions)))
    yield from _merged(cursor, aside)


def _aside(cursor: sqlite3.Cursor, run_id: int, live: list[list[Any]]) -> _Aside:
    carried = cursor.execute(
        "SELECT position, retry_at, why FROM carried_rows"
        " WHERE run_id = ? AND (retry_at IS NOT NULL OR why <> '')",
        (run_id,),
    ).fetchall()
    marked = cursor.execute(
        "SELECT position, marked_by FROM marked_rows WHERE run_id = ?", (run_id,)
    ).fetchall()
    return _Aside(
        live={position: (number, at) for position, number, _, at in live},
        carried={position: (retry_at, why) for position, retry_at, why in carried},
        marked=dict(marked),
        texts=_Texts(),
    )


def _merged(rows: Iterable[tuple[Any, ...]], aside: _Aside) -> Iterator[StepRun]:
    """Make one of the rows of each step, which come together, in the order of its attempts.

    Nearly all steps of a big run were ok at once or never tried. Those are told here, in 1 µs;
    `_told`, which tells any, takes several times as long.
    """
    texts = aside.texts
    odd = aside.live.keys() | aside.carried.keys() | aside.marked.keys()
    held: list[tuple[Any, ...]] = []
    for row in rows:
        position, name, settled, end_us, note, source, number, outcome, begun, ended, _, _ = row
        if held and held[0][0] != position:
            yield _told(held, aside)
            held = []
        if position in odd:
            held.append(row)
        elif settled is None and outcome == _OK and number == 1 and begun and ended:
            at, ended_at = texts[begun // 1000], texts[ended // 1000]
            took_s = (ended - begun) / 1e6
            told = (name, position, _OK, at, ended_at, took_s, "", None, 1, None, None)
            yield _made((*told, 1, "", 1, None))
        elif settled is not None and number is None:
            ended_at = None if end_us is None else texts[end_us // 1000]
            untried = (name, position, intern(settled), None, ended_at, 0.0, intern(note), source)
            yield _made((*untried, 0, None, None, 0, "", None, None))
        else:
            held.append(row)
    if held:
        yield _told(held, aside)


def _told(rows: Sequence[tuple[Any, ...]], aside: _Aside) -> StepRun:
    """Tell of one step by its rows, of which there is one for each ended attempt, or just one."""
    position, name, settled, ended_us, note, source_run, *_ = rows[0]
    tries = [row[6:] for row in rows if row[6] is not None]
    live = aside.live.get(position)
    retry_us, why = aside.carried.get(position, (None, ""))
    last = tries[-1] if tries else None
    is_ok = last is not None and last[1] == _OK
    if last is not None:
        retry_us = last[4]
    status = _status(settled, retry_us, is_live=live is not None, is_ok=is_ok)
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


def _status(settled: str | None, retry_us: int | None, *, is_live: bool, is_ok: bool) -> str:
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
