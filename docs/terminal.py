"""A terminal that is recorded, and drawn as an SVG that plays the recording once.

What was shown for a while only is there for that time; what stays is text, to be read and selected.
Where pictures do not move, the end is shown.
"""

from __future__ import annotations

import fcntl
import os
import re
import select
import struct
import subprocess
import termios
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from itertools import groupby
from pathlib import Path

PROMPT = "$ "
ROWS = 50
GAP_S_MAX = 1.5  # a longer wait is cut down to this
SEEN_S_MIN = 0.02  # what was there for less is not drawn
KEY_S = 0.03
LIMIT_S = 60.0

_PART = re.compile(r"\x1b\[([\d;]*)([A-Za-z])|[\r\n]|[^\x1b\r\n]+|\x1b")
_WIDTH, _HEIGHT, _EDGE = 8.0, 17.0, 14.0  # of a character; of the empty edge

Cell = tuple[str, str]


def record(
    folder: Path, commands: Sequence[str], env: Mapping[str, str], columns: int
) -> list[tuple[float, str]]:
    """Type commands into a shell at a pseudo terminal; give what came, and when."""
    file, other = os.openpty()
    fcntl.ioctl(other, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, columns, 0, 0))
    shell = subprocess.Popen(
        ["setsid", "--ctty", "bash", "--norc", "--noprofile", "--noediting"],
        cwd=folder,
        env={**env, "PS1": PROMPT, "TERM": "xterm", "LC_ALL": "C.UTF-8"},
        stdin=other,
        stdout=other,
        stderr=other,
    )
    os.close(other)
    came: list[tuple[float, str]] = []
    for command in [*commands, ""]:
        _read_until_prompt(file, came)
        for key in f"{command}\n" if command else "":
            os.write(file, key.encode())
            time.sleep(KEY_S)
    os.write(file, b"\x04")
    shell.wait()
    os.close(file)
    return came


def _read_until_prompt(file: int, came: list[tuple[float, str]]) -> None:
    ends_at, rest = time.monotonic() + LIMIT_S, b""
    text = ""
    while not (text.endswith(f"\n{PROMPT}") or text == PROMPT):
        left = ends_at - time.monotonic()
        if left < 0 or not select.select([file], [], [], left)[0]:
            raise TimeoutError(f"no prompt came after:\n{text}")
        rest += os.read(file, 65536)
        part = rest.decode("utf-8", "ignore")
        rest = rest[len(part.encode()) :]
        text += part
        came.append((time.monotonic(), part))


# -- what is seen ---------------------------------------------------------------------------------


@dataclass
class Shown:
    """A line at its place, from when on and until when; without an end it stays."""

    row: int
    cells: tuple[Cell, ...]
    since_s: float
    until_s: float | None = None


@dataclass
class Screen:
    """A terminal that knows colours, `up` and `clear below`: what we write, and no more."""

    columns: int
    lines: list[list[Cell]] = field(default_factory=lambda: [[]])
    row: int = 0
    column: int = 0
    style: str = ""

    def feed(self, text: str) -> None:
        """Take what a program writes."""
        for match in _PART.finditer(text):
            if match[2]:
                self._obey(match[1], match[2])
            elif match[0] == "\r":
                self.column = 0
            elif match[0] == "\n":
                self._down()
            elif match[0] != "\x1b":
                for char in match[0]:
                    self._put(char)

    def _obey(self, numbers: str, what: str) -> None:
        if what == "A":
            self.row = max(0, self.row - int(numbers or 1))
        elif what == "J":
            del self.lines[self.row + 1 :]
            del self.lines[self.row][self.column :]
        elif what == "m":
            words = [f"s{number}" for number in (numbers or "0").split(";")]
            kept = [] if "s0" in words else self.style.split()
            self.style = " ".join([*kept, *(word for word in words if word != "s0")])

    def _down(self) -> None:
        self.row, self.column = self.row + 1, 0
        if self.row == len(self.lines):
            self.lines.append([])

    def _put(self, char: str) -> None:
        if self.column == self.columns:
            self._down()
        line = self.lines[self.row]
        line += [(" ", "")] * (self.column - len(line))
        line[self.column : self.column + 1] = [(char, self.style)]
        self.column += 1


def played(came: Iterable[tuple[float, str]], columns: int) -> list[Shown]:
    """Give all lines that were seen, with their times from the first on; long waits are cut."""
    screen = Screen(columns)
    seen: list[Shown] = []
    open_lines: dict[int, Shown] = {}
    at, last = 0.0, None
    for moment, text in came:
        at += min(GAP_S_MAX, moment - last) if last is not None else 0.0
        last = moment
        screen.feed(text)
        for row in range(max(len(screen.lines), *open_lines, 0) + 1):
            cells = tuple(screen.lines[row]) if row < len(screen.lines) else ()
            before = open_lines.get(row)
            if before is not None and before.cells == cells:
                continue
            if before is not None:
                before.until_s = at
            open_lines[row] = Shown(row, cells, at)
            seen.append(open_lines[row])
    whole = [one for one in seen if one.until_s is None or one.until_s - one.since_s > SEEN_S_MIN]
    return [one for one in whole if any(char != " " for char, _ in one.cells)]


# -- the picture ----------------------------------------------------------------------------------

_STYLE = """
text { font: 13px ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; white-space: pre;
  fill: #1f2328 }
rect { fill: #f6f8fa; stroke: #d1d9e0 }
.s1 { font-weight: bold } .s2, .s90 { fill: #59636e }
.s31, .s91 { fill: #b3121f } .s32, .s92 { fill: #116329 } .s33, .s93 { fill: #7d4e00 }
.s34, .s94 { fill: #0550ae } .s35, .s95 { fill: #7c2fb3 } .s36, .s96 { fill: #155e68 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } rect { fill: #151b23; stroke: #3d444d }
  .s2, .s90 { fill: #9198a1 }
  .s31, .s91 { fill: #ff8f88 } .s32, .s92 { fill: #56d364 } .s33, .s93 { fill: #e3b341 }
  .s34, .s94 { fill: #79c0ff } .s35, .s95 { fill: #d2a8ff } .s36, .s96 { fill: #76e3ea }
}
"""


def svg(lines: Sequence[Shown], columns: int, title: str) -> str:
    """Draw lines as a picture that plays them."""
    wide = columns * _WIDTH + 2 * _EDGE
    high = (max(one.row for one in lines) + 1) * _HEIGHT + 2 * _EDGE
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide:g} {high:g}" '
        f'width="{wide:g}" height="{high:g}" role="img">'
    )
    parts = [head, f"<title>{escape(title)}</title>", f"<style>{_STYLE}</style>"]
    parts.append(f'<rect x=".5" y=".5" width="{wide - 1:g}" height="{high - 1:g}" rx="8"/>')
    parts += [_text(one) for one in sorted(lines, key=lambda one: (one.row, one.since_s))]
    return "\n".join([*parts, "</svg>"]) + "\n"


def _text(one: Shown) -> str:
    while_not = 'attributeName="visibility"'
    if one.until_s is None:
        hidden, play = "", ""
        if one.since_s > 0:
            play = f'<set {while_not} to="hidden" begin="0s" dur="{one.since_s:.2f}s"/>'
    else:
        hidden = ' visibility="hidden"'
        lasts = one.until_s - one.since_s
        play = f'<set {while_not} to="visible" begin="{one.since_s:.2f}s" dur="{lasts:.2f}s"/>'
    y = _EDGE + one.row * _HEIGHT + 13
    parts, at = [], 0
    for style, group in groupby(one.cells, key=lambda cell: cell[1]):
        text = "".join(char for char, _ in group)
        if text.strip():
            parts.append(_span(text, at, style))
        at += len(text)
    return f'<text y="{y:g}"{hidden}>{play}{"".join(parts)}</text>'


def _span(text: str, at: int, style: str) -> str:
    """Give a piece that is as wide as its characters, whatever font there is."""
    x = _EDGE + at * _WIDTH
    shown = f' class="{style}"' if style else ""
    long = f'textLength="{len(text) * _WIDTH:g}" lengthAdjust="spacingAndGlyphs"'
    return f'<tspan x="{x:g}" {long}{shown}>{escape(text)}</tspan>'
