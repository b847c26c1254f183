"""Feeds anything at all to the loader of YAML and JSON workflows; atheris does so on demand.

.venv/bin/pip install atheris
.venv/bin/python tests/fuzz_loader.py -max_total_time=600 [CORPUS]
"""

from __future__ import annotations

import builtins
import os
import subprocess
import sys
import tempfile
import time  # noqa: TID251 - measures how long loading takes
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from engine.definitions import config, dotted_names, load_file
from engine.definitions.source import Source
from engine.errors import DefinitionError, UsageError
from engine.workers import commands

SECONDS_MAX = 1.0
LOADED = (config, commands)  # before anything is watched


@contextmanager
def watched() -> Iterator[list[str]]:
    """Give the modules that are asked for; none is imported, nothing is evaluated."""
    asked: list[str] = []

    def import_module(name: str, _package: str | None = None) -> ModuleType:
        asked.append(name)
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    def forbidden(*_: Any, **__: Any) -> None:
        raise AssertionError("executed")

    with (
        mock.patch.object(dotted_names, "importlib", SimpleNamespace(import_module=import_module)),
        mock.patch.object(builtins, "eval", forbidden),
        mock.patch.object(os, "system", forbidden),
        mock.patch.object(subprocess, "Popen", forbidden),
    ):
        yield asked


def examine(data: bytes, path: Path) -> bool:
    """Load a file of this content; tell whether it is taken.

    It may be refused with our own errors only, each at a place of the file, and soon.
    """
    path.write_bytes(data)
    begun = time.process_time()
    with watched() as asked:
        try:
            load_file(path)
            taken = True
        except (DefinitionError, UsageError) as error:
            taken = False
            check_faults(error, data)
    assert time.process_time() - begun < SECONDS_MAX
    assert not asked or b"fn" in data or b"retry_on" in data or b"\\" in data
    return taken


def check_faults(error: UsageError, data: bytes) -> None:
    """Each fault says what is wrong and what to do, at a place that is there."""
    lines = Source(Path("x"), data.decode("utf-8-sig", "replace")).lines
    assert all(message for message, _ in error.complaints())
    for fault in getattr(error, "faults", ()):
        if fault.line is None:
            continue
        assert fault.hint
        assert 1 <= fault.line <= len(lines)
        assert fault.column is not None
        assert 1 <= fault.column <= len(lines[fault.line - 1]) + 2


def main() -> None:
    """Let atheris choose what to feed."""
    import atheris  # type: ignore[import-untyped, import-not-found, unused-ignore]

    folder = Path(tempfile.mkdtemp())

    def one(data: bytes) -> None:
        suffix = ".json" if data[:1] in b"{[" else ".yaml"
        examine(data, folder / f"flow{suffix}")

    atheris.instrument_all()
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
