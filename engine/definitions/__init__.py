"""Finding and loading workflows."""

from __future__ import annotations

from engine.definitions.loader import Found, file_of, find_all, load, load_file

__all__ = ["Found", "file_of", "find_all", "load", "load_file"]
