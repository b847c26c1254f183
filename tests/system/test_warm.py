"""A command run in a warm process is as one that was started for itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.system.project import Project

FACTS = """
import io, json, os, resource, signal, sys, threading, time

facts = {
    "arguments": sys.argv,
    "typed": sys.orig_argv,
    "folder": os.getcwd(),
    "environment": dict(os.environ),
    "path": sys.path,
    "flags": list(sys.flags),
    "streams": [
        (type(s).__name__, s.fileno(), s.encoding, s.errors, s.line_buffering, s.seekable())
        for s in (sys.stdin, sys.stdout, sys.stderr)
    ],
    "open": {n: os.readlink(f"/proc/self/fd/{n}").split(":")[0] for n in (0, 1, 2)},
    "more open": sorted(  # a folder that is read is one of them
        n for n in map(int, os.listdir("/proc/self/fd")) if n > 2
    ),
    "signals": {s.name: str(signal.getsignal(s)).split(" at ")[0] for s in signal.Signals},
    "blocked": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
    "umask": os.umask(0o22),
    "limits": [resource.getrlimit(n) for n in range(10)],
    "zone": time.tzname,
    "threads": [t.name for t in threading.enumerate()],
    "main": [sys.modules["__main__"].__spec__.name, sys.modules["__main__"].__file__],
    "ours": sorted(n for n in sys.modules if n.partition(".")[0] in ("engine", "store", "tests")),
    "group": os.getpgrp(),
    "session": os.getsid(0),
}
os.umask(facts["umask"])
with open("facts.json", "w") as file:
    json.dump({"seed": hash("seed"), "facts": facts}, file)
print("out")
print("err", file=sys.stderr)
workflow = 1
"""


def told(folder: Path, *, warm: bool) -> tuple[int, dict[str, Any], str]:
    """Give the seed, the facts and the output of a command that has loaded a workflow."""
    folder.mkdir()
    project = Project(folder, warm=warm)
    project.write("flow", FACTS, prelude="")
    done = project.run("run", "flow", TZ="America/Chicago")
    found = json.loads((project.root / "facts.json").read_text().replace(str(folder), "FOLDER"))
    said = f"{done.code} {done.out} {done.err}".replace(str(folder), "FOLDER")
    return found["seed"], found["facts"], said


def test_a_warm_process_is_as_its_own(tmp_path: Path) -> None:
    """Its folder, streams, environment and what it has loaded of ours; seeds take turns."""
    _, facts, said = told(tmp_path / "cold", warm=False)
    first, one, one_said = told(tmp_path / "one", warm=True)
    second, other, other_said = told(tmp_path / "other", warm=True)
    assert "engine.cli.main" in facts["ours"]
    assert facts["zone"] == ["CST", "CDT"]
    assert one == other == facts
    assert one_said == other_said == said
    assert first != second


def test_what_an_interpreter_reads_at_its_start_makes_a_process_of_its_own(
    project: Project,
) -> None:
    """A hash seed that is asked for is had."""
    project.write("flow", FACTS, prelude="")
    seeds = set()
    for _ in range(2):
        project.run("run", "flow", PYTHONHASHSEED="7")
        seeds.add(json.loads((project.root / "facts.json").read_text())["seed"])
    assert len(seeds) == 1
