"""Which source files are the user's own: of the project, not of Python, a library or the engine."""

from __future__ import annotations

import os
from pathlib import Path

_LIBRARY_FOLDERS = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")


class OwnFiles:
    """Tells own files from others; remembers the answers."""

    def __init__(self, root: Path | None) -> None:
        """Count files below `root` as own; without it, all that are no library's."""
        self._root = os.path.join(os.path.realpath(root), "") if root else ""  # noqa: PTH118 - a prefix to compare text with
        engine = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))  # noqa: PTH120 - a prefix to compare text with
        others = [engine, os.path.join(os.path.dirname(engine), "store")]  # noqa: PTH118, PTH120 - prefixes to compare text with
        others.append(os.path.dirname(os.__file__))  # noqa: PTH120 - a prefix to compare text with
        self._others = tuple(os.path.join(os.path.realpath(each), "") for each in others)  # noqa: PTH118 - a prefix to compare text with
        self._known: dict[str, bool] = {}

    def holds(self, filename: str) -> bool:
        """Tell whether a source file is the user's own."""
        known = self._known.get(filename)
        if known is None:
            known = self._known[filename] = self._look(filename)
        return known

    def _look(self, filename: str) -> bool:
        if not filename or filename.startswith("<"):
            return False
        path = os.path.realpath(filename)
        if path.startswith(self._others) or any(part in path for part in _LIBRARY_FOLDERS):
            return False
        return path.startswith(self._root)

    def module_name(self, filename: str) -> str:
        """Give the prefix for names from a file, `pipelines.daily.`, however it was imported."""
        path = os.path.realpath(filename)
        if self._root and path.startswith(self._root):
            inner = path[len(self._root) :]
        else:
            inner = os.path.basename(path)  # noqa: PTH119 - called for every function: text is enough
        inner = inner.removesuffix(".py").removesuffix(f"{os.sep}__init__")
        return inner.replace(os.sep, ".") + "."
