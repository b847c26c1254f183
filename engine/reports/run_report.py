"""The run report: one plain dict made of a run's rows, and its JSON file.

The rows are mappings with the columns of the public tables `runs`, `step_runs` and `attempts`.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from engine.model import AttemptOutcome, StepStatus
from engine.records import record
from engine.text import printable_json

LINES_MAX = 20
DETAILED_MAX = 20  # of a thousand failed steps, so many get their log's last lines

Row = Mapping[str, Any]
ReadLog = Callable[[str, int], list[str]]
FindLog = Callable[[str, int], str | None]


def _no_log(_step: str, _number: int) -> str | None:
    return None


@record
class Surroundings:
    """What a report says beyond the store's rows: paths, commands, the run before.

    `log_path` finds the log of (step, attempt number), None where none was written.
    """

    resume_command: str | None = None
    log: str | None = None
    report: str | None = None
    previous_status: str | None = None
    threads_left: int = 0
    log_path: FindLog = _no_log


def build(
    run: Row,
    steps: Sequence[Row],
    attempts: Sequence[Row],
    *,
    expected: Mapping[str, float],
    logs: ReadLog,
    around: Surroundings | None = None,
) -> dict[str, Any]:
    """Build the report of a run, ended or not; steps keep the order of their rows.

    `expected` holds seconds by step; `logs` reads the last lines of (step, attempt number) and is
    asked for failed steps only. A resume command is given only to a run that did not end well.
    """
    around = around or Surroundings()
    by_step: dict[str, list[Row]] = {}
    for attempt in attempts:
        by_step.setdefault(attempt["step"], []).append(attempt)
    first = _first_failure(steps)
    detailed = _detailed(steps, first)
    rows = [_step(row, by_step.get(row["step"], ()), expected, around.log_path) for row in steps]
    for row in rows:
        name = row["name"]
        row["last_lines"] = _last_lines(name, by_step, logs) if name in detailed else []
    status = str(run["status"])
    return {
        "workflow": run["workflow"],
        "run_id": run["id"],
        "status": status,
        "started": run["started_at"],
        "finished": run.get("finished_at"),
        "duration_s": _run_duration_s(run),
        "params": _params(run.get("params")),
        "resumed_from": run.get("resumed_from"),
        "root_run": run.get("root_run"),
        "only_steps": json.loads(run.get("only_steps") or "[]"),
        "note": run.get("note") or "",
        "dry_run": False,
        "user": run.get("user"),
        "host": run.get("host"),
        "threads_left": int(run.get("threads_left") or around.threads_left),
        "counts": _counts(steps),
        "steps": rows,
        "first_failure": first,
        "resume_command": None if status in {"ok", "skipped"} else around.resume_command,
        "log": around.log,
        "report": around.report,
        "previous_status": around.previous_status,
    }


def _step(
    row: Row, attempts: Sequence[Row], expected: Mapping[str, float], log_path: FindLog
) -> dict[str, Any]:
    name = row["step"]
    made = [attempt for attempt in attempts if not _withdrawn(attempt)]
    last = made[0] if len(made) == 1 else max(made, key=_number, default=None)
    return {
        "name": name,
        "status": str(row["status"]),
        "duration_s": row.get("duration_s"),
        "attempts": len(made),
        "note": row.get("note") or "",
        "started": row.get("started_at"),
        "finished": row.get("finished_at"),
        "source_run": row.get("source_run"),
        "marked_by": row.get("marked_by"),
        "error": (last.get("error") or "") if last else "",
        "expected_s": expected.get(name),
        "log": log_path(name, last["number"]) if last else None,
    }


def _withdrawn(attempt: Row) -> bool:
    """Tell whether the attempt was taken back before it began: then it was none."""
    return attempt["outcome"] == AttemptOutcome.CANCELLED and attempt.get("started_at") is None


def _number(attempt: Row) -> int:
    return int(attempt["number"])


def _last_lines(step: str, by_step: Mapping[str, Sequence[Row]], logs: ReadLog) -> list[str]:
    bad = (AttemptOutcome.FAILED, AttemptOutcome.TIMED_OUT, AttemptOutcome.ABANDONED)
    failed = [each for each in by_step.get(step, []) if each["outcome"] in bad]
    if not failed:
        return []
    return logs(step, _number(max(failed, key=_number)))[-LINES_MAX:]


def _first_failure(steps: Sequence[Row]) -> str | None:
    """Name the step that failed first; ties and unknown times go by declaration."""
    failed = [row for row in steps if row["status"] == StepStatus.FAILED]
    first = min(failed, key=lambda row: row.get("finished_at") or "~", default=None)
    return first["step"] if first else None


def _detailed(steps: Sequence[Row], first: str | None) -> set[str]:
    failed = [row["step"] for row in steps if row["status"] == StepStatus.FAILED]
    return {*failed[: DETAILED_MAX - 1], first} if first else set()


def _counts(steps: Sequence[Row]) -> dict[str, int]:
    """Count the steps by status, in the order of the vocabulary, without zeroes."""
    counts: dict[str, int] = dict.fromkeys(StepStatus, 0)
    for row in steps:
        counts[row["status"]] += 1
    return {str(status): count for status, count in counts.items() if count}


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


def _json_text(report: Mapping[str, Any]) -> str:
    """Give the report with an entry a line, and a row a line where an entry is a list of rows.

    Indenting it all would take the encoder that is written in Python, ten times as slow.
    """
    encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode
    entries = []
    for key, value in report.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            rows = ",\n    ".join(map(encode, value))
            text = f"[\n    {rows}\n  ]"
        else:
            text = encode(value)
        entries.append(f"  {encode(key)}: {text}")
    return "{\n" + ",\n".join(entries) + "\n}\n"


def write_json(report: Mapping[str, Any], path: Path) -> None:
    """Write the report to `path`, whole or not at all, readable by its owner only.

    The folder is made (0700) if it is missing. Raises `OSError`; then nothing is left behind.
    """
    data = printable_json(_json_text(report)).encode()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name[:100]}.", dir=path.parent)  # 0600
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(temporary).unlink()
        raise
