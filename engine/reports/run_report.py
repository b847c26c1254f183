"""The run report: one plain dict made of a run's rows, and its JSON file.

The run is a mapping with the columns of the public table `runs`.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from json.encoder import encode_basestring as _text
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.model import StepStatus
from engine.records import record
from engine.text import printable_json

if TYPE_CHECKING:
    from store.step_runs import StepRun

LINES_MAX = 20
ROWS_AT_ONCE = 200  # more make texts so large that fresh memory costs more than the encoder
DETAILED_MAX = 20  # of a thousand failed steps, so many get their log's last lines

Row = Mapping[str, Any]
ReadLog = Callable[[str, int], list[str]]
FindLog = Callable[[str, int], str | None]


@record
class Surroundings:
    """What a report says beyond the store's rows: paths, commands, the run before.

    `log_path` finds the log of (step, attempt number), None where none was written; it is None
    itself where no step wrote any.
    """

    resume_command: str | None = None
    log: str | None = None
    report: str | None = None
    page: str | None = None
    previous_status: str | None = None
    threads_left: int = 0
    log_path: FindLog | None = None


_CAME_TO = 6  # where name, position, status and times of a `StepRun` are over
_FAILED = str(StepStatus.FAILED)  # a member compares slower, and takes longer to look up


class _Step:
    """A step's entry, made as attributes and kept as their dict.

    Such dicts and their copies share their keys: 176 bytes each instead of 464, of which a run may
    have a million.
    """

    def __init__(self, step: StepRun) -> None:
        self.name = step.step
        self.status = step.status
        self.duration_s = step.duration_s
        self.attempts = step.made
        self.note = step.note
        self.started = step.started_at
        self.finished = step.finished_at
        self.source_run = step.source_run
        self.marked_by = step.marked_by
        self.error = step.error
        self.expected_s: float | None = None
        self.log: str | None = None
        self.last_lines: list[str] = []


_ENTRY = (
    *("name", "status", "duration_s", "attempts", "note", "started", "finished"),
    *("source_run", "marked_by", "error", "expected_s", "log", "last_lines"),
)


def build(
    run: Row,
    steps: Iterable[StepRun],
    *,
    expected: Mapping[str, float],
    logs: ReadLog,
    around: Surroundings | None = None,
) -> dict[str, Any]:
    """Build the report of a run, ended or not; steps keep the order they come in.

    `expected` holds seconds by step; `logs` reads the last lines of (step, attempt number) and is
    asked for failed steps only. A resume command is given only to a run that did not end well.
    """
    around = around or Surroundings()
    rows, failed = _steps(steps, expected, around.log_path)
    first = _first_failure([rows[at] for at in failed])
    _add_last_lines(rows, failed, first, logs)
    status = str(run["status"])
    return {
        "workflow": run["workflow"],
        "run_id": run["id"],
        "status": status,
        "started": run["started_at"],
        "finished": run.get("finished_at"),
        "duration_s": _run_duration_s(run),
        "slot": run.get("slot"),
        "zone": run.get("zone"),
        "params": _params(run.get("params")),
        "resumed_from": run.get("resumed_from"),
        "root_run": run.get("root_run"),
        "only_steps": json.loads(run.get("only_steps") or "[]"),
        "note": run.get("note") or "",
        "dry_run": False,
        "user": run.get("user"),
        "host": run.get("host"),
        "threads_left": int(run.get("threads_left") or around.threads_left),
        "counts": _counts(rows),
        "steps": rows,
        "first_failure": first,
        "resume_command": None if status in {"ok", "skipped"} else around.resume_command,
        "log": around.log,
        "report": around.report,
        "page": around.page,
        "previous_status": around.previous_status,
    }


def _steps(
    steps: Iterable[StepRun], expected: Mapping[str, float], log_path: FindLog | None
) -> tuple[list[dict[str, Any]], dict[int, int]]:
    """Give the entries of the steps; of failed ones, by index, the last attempt that failed."""
    rows: list[dict[str, Any]] = []
    failed: dict[int, int] = {}
    entry: dict[str, Any] = {"status": None}
    before: tuple[Any, ...] = ()
    for step in steps:
        came_to = step[_CAME_TO:]
        if came_to == before and step[2] == entry["status"]:
            # As most come to the same as the one before: a copy takes 0.37 µs, a new one 0.54.
            entry = entry.copy()
            entry["name"] = step[0]
            entry["started"] = step[3]
            entry["finished"] = step[4]
            entry["duration_s"] = step[5]
            entry["last_lines"] = []
        else:
            entry, before = _Step(step).__dict__, came_to
        if expected:
            entry["expected_s"] = expected.get(step.step)
        if log_path:
            entry["log"] = log_path(step.step, step.last) if step.last is not None else None
        if step[2] == _FAILED:
            failed[len(rows)] = step.failed or 0
        rows.append(entry)
    return rows, failed


def _first_failure(failed: Sequence[Row]) -> str | None:
    """Name the step that failed first; ties and unknown times go by declaration."""
    first = min(failed, key=lambda row: row["finished"] or "~", default=None)
    return first["name"] if first else None


def _add_last_lines(
    rows: Sequence[dict[str, Any]], failed: Mapping[int, int], first: str | None, logs: ReadLog
) -> None:
    """Add what the last failed attempts logged last, of the first failure and some more steps."""
    for shown, (at, number) in enumerate(failed.items()):
        row = rows[at]
        if number and (shown < DETAILED_MAX - 1 or row["name"] == first):
            row["last_lines"] = logs(row["name"], number)[-LINES_MAX:]


def _counts(rows: Iterable[Row]) -> dict[str, int]:
    """Count the steps by status, in the order of the vocabulary, without zeroes."""
    counts = Counter(row["status"] for row in rows)
    return {str(status): counts[status] for status in StepStatus if counts[status]}


def _params(value: Any) -> dict[str, str]:
    params = json.loads(value) if isinstance(value, str) else (value or {})
    return {
        str(name): each if isinstance(each, str) else json.dumps(each, ensure_ascii=False)
        for name, each in params.items()
    }


def _run_duration_s(run: Row) -> float | None:
    if run.get("duration_s") is not None:
        return float(run["duration_s"])
    if not run.get("finished_at"):
        return None
    started, finished = (datetime.fromisoformat(run[key]) for key in ("started_at", "finished_at"))
    return max(0.0, (finished - started).total_seconds())


def json_text(report: Mapping[str, Any]) -> Iterator[str]:
    """Give a report's text with an entry a line, and a row a line where one is a list of rows.

    Indenting it all would take the encoder that is written in Python, ten times as slow.
    """
    # A report holds nothing twice: not to look for circles takes 0.2 µs off each row.
    encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, check_circular=False).encode
    before = "{\n"
    for key, value in report.items():
        yield f"{before}  {encode(key)}: "
        if isinstance(value, list) and value and isinstance(value[0], dict):
            yield from map(printable_json, _rows_text(value, encode))
        else:
            yield printable_json(encode(value))
        before = ",\n"
    yield "\n}\n"


def _rows_text(rows: list[dict[str, Any]], encode: Callable[[Any], str]) -> Iterator[str]:
    """Give a row a line; made in blocks, as each call of the encoder costs as much as a row."""
    entries = tuple(rows[0]) == _ENTRY
    start = "{" + encode(next(iter(rows[0]))) + ":"
    before = "[\n    "
    for at in range(0, len(rows), ROWS_AT_ONCE):
        some = rows[at : at + ROWS_AT_ONCE]
        if entries:
            text = ",\n    ".join([_entry_text(row, encode) for row in some])
        else:
            # No text in it holds this: a quote within a text has a backslash before it.
            text = encode(some)[1:-1].replace(f"}}, {start}", f"}},\n    {start}")
        yield before + text
        before = ",\n    "
    yield "\n  ]"


def _entry_text(entry: Row, encode: Callable[[Any], str]) -> str:
    """Give the JSON of a step's entry as the encoder does: in 1.3 µs, where that takes 2.4."""
    name, status, took_s, tries, note, begun, ended, source, by, error, usual_s, log, lines = (
        entry.values()
    )
    return (
        f'{{"name": {_text(name)}, "status": "{status}",'
        f' "duration_s": {"null" if took_s is None else took_s}, "attempts": {tries},'
        f' "note": {_text(note)}, "started": {_text(begun) if begun else "null"},'
        f' "finished": {_text(ended) if ended else "null"},'
        f' "source_run": {"null" if source is None else source},'
        f' "marked_by": {"null" if by is None else _text(by)}, "error": {_text(error)},'
        f' "expected_s": {"null" if usual_s is None else usual_s},'
        f' "log": {"null" if log is None else _text(log)},'
        f' "last_lines": {encode(lines) if lines else "[]"}}}'
    )


def write_whole(texts: Iterable[str], path: Path, *, mode: int = 0o600) -> None:
    """Write texts to `path`, whole or not at all; but for `mode`, readable by its owner only.

    The folder is made (0700) if it is missing. Raises `OSError`; then nothing is left behind.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name[:100]}.", dir=path.parent)  # 0600
    try:
        with os.fdopen(handle, "wb") as file:
            for text in texts:
                file.write(text.encode())
            os.fchmod(file.fileno(), mode)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(temporary).unlink()
        raise
