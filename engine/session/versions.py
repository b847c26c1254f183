"""What the engine runs on: Python, the machine's system, and the packages that are installed."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache

_ENDING = ".dist-info"


@cache
def installed() -> Mapping[str, str]:
    """Give the version of each, as this process found them first."""
    system = os.uname()
    found = dict(_packages(sys.path))
    python = ".".join(map(str, sys.version_info[:3]))
    platform = f"{system.sysname} {system.release} {system.machine}"
    return found | {"python": python, "platform": platform}


def _packages(folders: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Read names and versions off the names of folders: `importlib.metadata` takes 20 ms."""
    for folder in reversed(folders):  # what comes first on the path is what is imported
        with suppress(OSError):
            with os.scandir(folder or ".") as there:
                names = [entry.name for entry in there if entry.name.endswith(_ENDING)]
            for name in names:
                package, _, version = name.removesuffix(_ENDING).rpartition("-")
                yield package.replace("_", "-").lower(), version
