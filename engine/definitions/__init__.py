"""Finding and loading workflows."""

from __future__ import annotations

from engine.definitions.loader import Found, find_all, load, load_file

__all__ = ["Found", "find_all", "load", "load_file"]
