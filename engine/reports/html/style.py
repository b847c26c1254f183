"""The style and the script of all pages, each in one file beside this one, as texts."""

from __future__ import annotations

import re
from pathlib import Path

_HERE = Path(__file__).parent

# Read as this is imported: an upgrade of the package under a live run must not mix versions.
# Each page carries both: what only helps to read them is left out.
_CSS = re.sub(r"(?s)/\*.*?\*/", "", (_HERE / "style.css").read_text("utf-8"))
STYLE = re.sub(r"\s*([{};,>])\s*|(:)\s+|\n\s*", r"\1\2", _CSS)
SCRIPT = re.sub(r"(?m)^\s+|\s*// .*$|^\n", "", (_HERE / "page.js").read_text("utf-8"))
