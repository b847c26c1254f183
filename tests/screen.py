"""What a terminal shows after what was written to it: as much of one as we use, and no more."""

from __future__ import annotations

import re

from engine.text import columns

_PART = re.compile(r"\x1b\[(\d*)([A-Za-z])|\x1b|[\r\n]|[^\x1b\r\n]+")


class Screen:
    """A terminal of so many columns that knows colours, `up` and `clear below`; others fail."""

    def __init__(self, wide: int = 80) -> None:
        """Begin empty, with the cursor at the top."""
        self.wide = wide
        self.lines = [""]
        self.row = 0
        self.home = True  # the cursor is in the first column

    def feed(self, text: str) -> None:
        """Take what a program writes."""
        for match in _PART.finditer(text):
            part = match[0]
            if match[2]:
                self._obey(int(match[1] or 1), match[2])
            elif part == "\r":
                self.home = True
            elif part == "\n":
                self.row += 1
                self.lines += [""] * (self.row + 1 - len(self.lines))
                self.home = True
            else:
                assert "\x1b" not in part, f"an escape that we never write: {text!r}"
                self._show(part)

    def _obey(self, number: int, what: str) -> None:
        if what == "A":
            assert number <= self.row, "up beyond the top"
            self.row -= number
        elif what == "J":
            assert self.home
            del self.lines[self.row + 1 :]
            self.lines[self.row] = ""
        else:
            assert what == "m", f"an escape that we never write: {what}"

    def _show(self, text: str) -> None:
        before = "" if self.home else self.lines[self.row]
        assert not (self.home and self.lines[self.row]), "written over what stands there"
        whole = before + text
        while columns(whole) > self.wide:  # as terminals wrap
            end = next(n for n in range(len(whole), 0, -1) if columns(whole[:n]) <= self.wide)
            self.lines[self.row], whole = whole[:end], whole[end:]
            self.row += 1
            self.lines += [""] * (self.row + 1 - len(self.lines))
        self.lines[self.row] = whole
        self.home = False

    @property
    def shown(self) -> list[str]:
        """The lines, without spaces at their ends."""
        return [line.rstrip() for line in self.lines]
