"""`schedule`: systemd units and the cron line for a workflow."""

from __future__ import annotations

import argparse
import getpass
import os

from engine.cli import project
from engine.cli.console import print_result
from engine.definitions import load
from engine.schedule.units import Installation, show, units
from engine.schedule.verify import NOT_VERIFIED, verify


def schedule(parsed: argparse.Namespace) -> int:
    """Print the units, or have systemd check them; 1 if it finds something."""
    if parsed.what in ("pause", "unpause"):
        from engine.cli import pausing

        return pausing.pause(parsed) if parsed.what == "pause" else pausing.unpause(parsed)
    paths = project.paths_of(parsed)
    definition = load(parsed.name, project.folder_of(parsed))
    named = parsed.store or os.environ.get("ENGINE_STORE")
    system = os.geteuid() == 0
    where: Installation = {
        "command": project.program_words(),
        "root": paths.root,
        "home": paths.home,
        "store_url": paths.store_url if named else None,
        "user": getpass.getuser() if system else None,
        "system": system,
    }
    if parsed.pipelines or os.environ.get("ENGINE_PIPELINES"):
        where["pipelines"] = project.folder_of(parsed)
    if parsed.what == "show":
        print_result(show(definition, **where))
        return 0
    problems = verify(units(definition, **where))
    for problem in problems:
        print_result(problem)
    real = [problem for problem in problems if problem != NOT_VERIFIED]
    if not problems:
        print_result(f"the units of '{parsed.name}' are right")
    return 1 if real else 0
