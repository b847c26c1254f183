"""A project in a temporary folder, and the command run in it as a process of its own."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.system.warm import Interpreters

CHECKOUT = Path(__file__).resolve().parents[2]
WARM = Interpreters(str(CHECKOUT))

PRELUDE = """\
import os, signal, sys, time
from datetime import date
from pathlib import Path
from engine import Param, RetryAfter, Skip, Step, Workflow, shell

def effect(text):
    line = f"{text}\\n".encode()
    fd = os.open("effects.txt", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(fd, line)
    os.close(fd)

def times(text):
    path = Path("effects.txt")
    return path.read_text().split().count(text) if path.exists() else 0

def does(text, seconds=0.0):
    def body(ctx):
        effect(text)
        time.sleep(seconds)
        return text
    return body

def broken(ctx):
    raise ValueError("no luck")

"""


@dataclass(frozen=True)
class Result:
    """How a command ended."""

    code: int
    out: str
    err: str
    seconds: float

    @property
    def report(self) -> dict[str, Any]:
        """What it printed as JSON."""
        report = json.loads(self.out)
        assert isinstance(report, dict)
        return report

    @property
    def error(self) -> str:
        """The error and its hint, as the last lines of stderr."""
        return self.err[self.err.rindex("error: ") :]


class Project:
    """A project folder with workflows, and its store."""

    def __init__(self, folder: Path, *, warm: bool = True) -> None:
        """Make an empty project in `folder`; not `warm`: each command loads all by itself."""
        self._warm = warm
        self.root = folder / "project"
        self.home = self.root / "var"
        self.store = self.home / "runs.db"
        (self.root / "pipelines").mkdir(parents=True)

    def write(self, name: str, source: str, *, prelude: str = PRELUDE) -> Path:
        """Write a workflow's file, with what most need before it."""
        path = self.root / "pipelines" / f"{name}.py"
        path.write_text(prelude + source, encoding="utf-8")
        return path

    def chain(self, name: str = "flow", *, tail: str = "") -> Path:
        """Write `name`: fetch, then transform, which fails until the file `go` is there, then end.

        `tail` goes at the end of the file.
        """
        return self.write(name, CHAIN.replace("NAME", name) + tail)

    def env(self, **more: str) -> dict[str, str]:
        """Environment of a command, without the tester's own settings."""
        kept = {name: os.environ[name] for name in os.environ if not name.startswith("PYTHON")}
        return {**kept, "PYTHONPATH": str(CHECKOUT), "COLUMNS": "300", **more}

    def start(
        self, *arguments: str, cwd: Path | str | None = None, **env: str
    ) -> subprocess.Popen[str]:
        """Start a command; it must be waited for."""
        return subprocess.Popen(
            [sys.executable, "-m", "engine", *arguments],
            cwd=cwd or self.root,
            env=self.env(**env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, cwd: Path | str | None = None, **env: str) -> Result:
        """Run a command to its end."""
        begun = time.monotonic()
        whole = self.env(**env)
        if not (self._warm and WARM.fits(whole)):
            return self.end(self.start(*arguments, cwd=cwd, **env), begun)
        code, out, err = WARM.run(arguments, str(cwd or self.root), whole, limit_s=60.0)
        return Result(code, _typed(out), _typed(err), time.monotonic() - begun)

    def end(self, process: subprocess.Popen[str], begun: float, limit_s: float = 60.0) -> Result:
        """Wait for the end of a command; seconds count from `begun`."""
        try:
            out, err = process.communicate(timeout=limit_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise
        return Result(process.returncode, _typed(out), _typed(err), time.monotonic() - begun)

    def stopped(self, process: subprocess.Popen[str], number: signal.Signals) -> Result:
        """Send a signal; seconds count from it to the end."""
        begun = time.monotonic()
        process.send_signal(number)
        return self.end(process, begun)

    def python(self, *arguments: str) -> Result:
        """Run a program of the project to its end."""
        begun = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=self.root,
            env=self.env(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        return self.end(process, begun)

    def report(self, name: str, *arguments: str, code: int = 0) -> dict[str, Any]:
        """Run a workflow and give its report."""
        result = self.run("run", name, "--json", *arguments)
        assert result.code == code, result.err
        return result.report

    def effects(self) -> list[str]:
        """What steps have left behind, in order."""
        path = self.root / "effects.txt"
        return path.read_text().split() if path.exists() else []

    def pids(self) -> list[int]:
        """Processes that steps have told of: effects `pid:NUMBER`."""
        return [int(word[4:]) for word in self.effects() if word.startswith("pid:")]

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Ask the store."""
        connection = sqlite3.connect(f"file:{self.store}?mode=ro", uri=True)
        try:
            return connection.execute(sql).fetchall()
        finally:
            connection.close()

    def wait_for_effect(self, text: str) -> None:
        """Wait until a step has left `text` behind."""
        wait_for(lambda: text in self.effects())


CHAIN = """\
def transform(ctx):
    effect("transform")
    if not Path("go").exists():
        raise ValueError("not yet")
    return ctx["fetch"] + "!"

def end(ctx):
    effect(ctx["transform"])

workflow = (
    Workflow("NAME")
    .add(Step("fetch", does("fetched")))
    .add(Step("transform", transform, depends_on=["fetch"], retries=0))
    .add(Step("end", end, depends_on=["transform"]))
)
"""


def _typed(text: str) -> str:
    """Give a text with commands as they are typed where the program is on the PATH."""
    return text.replace(f"`{sys.executable} -m engine", "`python -m engine")


def statuses(report: dict[str, Any]) -> dict[str, str]:
    """Status by step."""
    return {step["name"]: step["status"] for step in report["steps"]}


def notes(report: dict[str, Any]) -> dict[str, str]:
    """Note by step."""
    return {step["name"]: step["note"] for step in report["steps"]}


def wait_for(what: Callable[[], bool], limit_s: float = 10.0) -> None:
    """Wait until something holds."""
    end = time.monotonic() + limit_s
    while not what():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.01)


def is_alive(pid: int) -> bool:
    """Tell whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def marked(mark: str) -> list[int]:
    """Give the living processes with a mark in their environment."""
    found = []
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            with suppress(OSError):
                if mark.encode() in (path / "environ").read_bytes():
                    found.append(int(path.name))
    return found


def without_packages(folder: Path) -> str:
    """Give a PATH on which apt gives no answer: `daily` asks it for seconds; one test lets it."""
    program = folder / "bin" / "apt-get"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\nexit 1\n")
    program.chmod(0o755)
    return f"{program.parent}:{os.environ['PATH']}"
