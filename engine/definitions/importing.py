"""Where modules that a user names are looked for: in the project first, while they are imported.

At all other times the project comes last on `sys.path`, so that a `store.py` or `calendar.py` in it
is taken for no module of ours or of a library.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

PROGRAM = Path(__file__).resolve().parents[2]


def add_project(root: Path) -> None:
    """Let workflows import helpers of their project also while they run."""
    if str(root) not in sys.path:
        sys.path.append(str(root))


@contextlib.contextmanager
def project_first(root: Path) -> Iterator[None]:
    """Look in the project first, and not where the command happens to be called."""
    before = list(sys.path)
    here = str(Path.cwd())
    keeping = here in _named() or Path(here) == PROGRAM
    rest = [
        entry for entry in before if entry != str(root) and (keeping or entry not in ("", here))
    ]
    sys.path[:] = [str(root), *rest]
    try:
        yield
    finally:
        sys.path[:] = before


def _named() -> list[str]:
    return os.environ.get("PYTHONPATH", "").split(os.pathsep)
