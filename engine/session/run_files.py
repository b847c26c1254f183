"""What runs leave in the home beside the store: logs and reports, by their numbers."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from engine.errors import DefinitionError
from engine.naming import check_name

_REPORT = re.compile(r"run-(\d+)-")
_REPORT_ENDINGS = ("json", "html")


def of_run(home: Path, workflow: str, run_id: int) -> list[Path]:
    """Give the log folder and the reports of a run, as far as they are there.

    A name that no workflow can have leads nowhere: it comes from the store.
    """
    try:
        check_name("workflow", workflow)
    except DefinitionError:
        return []
    report = home / "reports" / f"run-{run_id}-{workflow}"
    paths = [home / "logs" / workflow / str(run_id)]
    paths += [Path(f"{report}.{ending}") for ending in _REPORT_ENDINGS]
    return [path for path in paths if os.path.lexists(path)]


def size_bytes(path: Path) -> int:
    """How much a file holds, or all files in a folder."""
    if path.is_dir() and not path.is_symlink():
        return sum(size_bytes(inside) for inside in path.iterdir())
    return path.lstat().st_size


def remove(path: Path) -> None:
    """Take a file away, or a folder with all in it. Raises `OSError`; what is gone is no fault."""
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    except FileNotFoundError:
        pass


def highest_run(home: Path) -> int:
    """Give the highest number of a run that has left anything here; 0 if none has."""
    return max(_numbers(home), default=0)


def _numbers(home: Path) -> Iterator[int]:
    for folder in home.glob("logs/*/*"):
        if folder.name.isdecimal() and folder.name.isascii():
            yield int(folder.name)
    for report in home.glob("reports/run-*"):
        if found := _REPORT.match(report.name):
            yield int(found[1])
