"""Holding units against systemd itself, which need not be running, and against this machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from engine.schedule.unit_parts import exec_words

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

NOT_VERIFIED = "systemd-analyze not found: not verified"
LIMIT_S = 60.0

# systemd's own units, without those of /etc: what is wrong with others' units is not said here.
_VENDOR = "/usr/local/lib/systemd/system:/usr/lib/systemd/system:/lib/systemd/system"
_SAID_BETTER = "is not executable"


def verify(units: Mapping[str, str]) -> list[str]:
    """Give what is wrong with the units, one sentence each; none means that systemd takes them.

    Without `systemd-analyze` on this machine the last sentence is `NOT_VERIFIED`.
    """
    problems = [problem for name, text in units.items() for problem in _machine(name, text)]
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        return [*problems, NOT_VERIFIED]
    problems += _unit_problems(analyze, units)
    for name, text in units.items():
        problems += [
            f"{name}: {line}"
            for calendar in _settings(text, "OnCalendar")
            for line in _calendar_problems(analyze, calendar)
        ]
    return problems


def _machine(name: str, text: str) -> Iterator[str]:
    for line in _settings(text, "ExecStart"):
        program = Path(exec_words(line)[0])
        if not (program.is_file() and os.access(program, os.X_OK)):
            yield f"{name}: the program '{program}' is not there or may not be executed"
    for folder in _settings(text, "WorkingDirectory"):
        if not Path(folder.replace("%%", "%")).is_dir():
            yield f"{name}: the folder '{folder}' is not there"


def _settings(text: str, key: str) -> list[str]:
    return [line[len(key) + 1 :] for line in text.splitlines() if line.startswith(f"{key}=")]


def _unit_problems(analyze: str, units: Mapping[str, str]) -> list[str]:
    """Let systemd load the units; it exits 0 on a misspelt key, so any output is a problem."""
    with tempfile.TemporaryDirectory(prefix="kahnban-verify-") as folder:
        files = [Path(folder, name) for name in units]
        for file in files:
            file.write_text(units[file.name], encoding="utf-8")
        search = f"{folder}:{_VENDOR}"
        code, lines = call([analyze, "--man=no", "verify", *map(str, files)], search)
        lines = [line.replace(f"{folder}/", "") for line in lines]
    if code and not lines:
        lines = [f"systemd-analyze verify ended with {code}"]
    return [line for line in dict.fromkeys(lines) if _SAID_BETTER not in line]


def _calendar_problems(analyze: str, calendar: str) -> list[str]:
    code, lines = call([analyze, "calendar", "--", calendar.replace("%%", "%")])
    return (lines[:1] or [f"systemd-analyze calendar ended with {code}"]) if code else []


def call(command: list[str], search: str = _VENDOR) -> tuple[int, list[str]]:
    """Give the code and the lines of a tool of systemd's; of one that hangs, 1 and its name."""
    # No pager, no colours, no look at the caller's own session.
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "LC_ALL": "C.UTF-8",
        "SYSTEMD_UNIT_PATH": search,
        "SYSTEMD_PAGER": "",
        "SYSTEMD_COLORS": "0",
    }
    try:
        done = subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=LIMIT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return 1, [f"{command[0]}: {type(error).__name__}"]
    text = done.stdout.decode("utf-8", "replace")
    return done.returncode, [line.strip() for line in text.splitlines() if line.strip()]
