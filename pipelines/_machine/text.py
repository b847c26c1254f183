"""Plain text for a terminal, a mail or a chat."""

from __future__ import annotations

import textwrap
import unicodedata

from pipelines._machine.findings import Finding, limit

WIDTH = 76
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def seen(text: str) -> str:
    """Make what would hide or reorder text visible as �; line breaks stay."""
    return "".join(
        "�" if char != "\n" and unicodedata.category(char) in _UNSEEN else char for char in text
    )


def told(findings: list[Finding]) -> str:
    """Tell findings one after the other: how bad, what, where, what to do."""
    lines = []
    for one in findings:
        lines += [
            wrap(f"{one['severity'].upper()}  {one['what']}"),
            wrap(f"{one['where']}: {one['value']}{limit(one)}", "  "),
            # A command is for copying: it stays on one line.
            f"  -> {one['todo']}",
            "",
        ]
    return "\n".join(lines).rstrip()


def section(title: str, lines: list[str]) -> str:
    """Give lines under a title; nothing without lines."""
    return "\n".join([title, "-" * len(title), *lines]) if lines else ""


def wrap(text: str, indent: str = "") -> str:
    """Break a text into lines, the later ones set in."""
    return textwrap.fill(text, WIDTH, initial_indent=indent, subsequent_indent=indent or "  ")
