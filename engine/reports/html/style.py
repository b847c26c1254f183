"""The style and the script of all pages, each in one file beside this one, as texts."""

from __future__ import annotations

from pathlib import Path

_HERE = Path(__file__).parent


def _lines(name: str, comment: str) -> list[str]:
    """Give a file's lines, without those that only tell its reader something."""
    lines = map(str.strip, (_HERE / name).read_text("utf-8").splitlines())
    return [line for line in lines if line and not line.startswith(comment)]


def _style() -> str:
    """Give the style without spaces that mean nothing; by `re` it takes 7 ms to compile that."""
    text = " ".join(_lines("style.css", "/*"))
    for sign in "{};,":
        text = text.replace(f"{sign} ", sign).replace(f" {sign}", sign)
    return text.replace(": ", ":")


# Read as this is imported: an upgrade of the package under a live run must not mix versions.
# Each page carries both, so what only helps to read them is left out.
STYLE = _style()
SCRIPT = "\n".join(_lines("page.js", "//"))
