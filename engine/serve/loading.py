"""A child process that loads workflows' files and says what they hold: `FOLDER SECONDS FILE…`.

Files are Python: they may hang, crash, or print. What they do, they do here and not in the server.
One JSON line for each file, as it is loaded; whoever loads for longer is ended by its own alarm.
"""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

from engine.definitions.importing import add_project
from engine.definitions.loader import look_at
from engine.errors import EngineError
from engine.schedule.reading import schedule_of


def told(path: Path) -> dict[str, Any] | None:
    """Say what a file holds: a workflow, what is wrong with it, or none."""
    found = look_at(path, in_folder=True)
    if found.error is not None:
        return {"name": found.name, "broken": found.error.message}
    definition = found.definition
    if definition is None:
        return None
    calendar, broken = "", ""
    if definition.schedule:
        try:
            schedule = schedule_of(definition)
            calendar = " ".join(filter(None, (schedule.text, schedule.zone)))
        except EngineError as error:
            broken = error.message
    return {
        "name": found.name,
        "description": definition.description,
        "steps": len(definition.steps),
        "schedule": definition.schedule or "",
        "calendar": calendar,
        "zone": definition.tz or "",
        "broken": broken,
    }


def main(arguments: list[str]) -> None:
    """Load the files in turn."""
    folder, limit_s, *names = arguments
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what the files print is nobody's answer
    add_project(Path(folder).parent)
    for name in names:
        signal.alarm(max(1, round(float(limit_s))))
        print(
            json.dumps({"file": name, "told": told(Path(folder, name))}), file=answers, flush=True
        )

    os._exit(0)  # whatever threads the files have left
