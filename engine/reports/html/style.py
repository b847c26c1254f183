"""The style and the script of all pages, each in one file beside this one, as texts."""

from __future__ import annotations

from pathlib import Path

_HERE = Path(__file__).parent

# Read as this is imported: an upgrade of the package under a live run must not mix versions.
STYLE = (_HERE / "style.css").read_text("utf-8")
SCRIPT = (_HERE / "page.js").read_text("utf-8")
