"""What an alert says, in parts and in order, before any channel's layout. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from engine.alerts.text import one_line, visible
from engine.records import record

HEADLINE_MAX = 150
ERROR_MAX = 2_400
REPEATED = " (may be a repeat)"  # of an alert whose first sending has an unknown result

GLYPHS = {
    "ok": "✓",
    "failed": "✗",
    "skipped": "–",
    "cached": "=",
    "cancelled": "■",
    "interrupted": "■",
}
_WORST_FIRST = ("failed", "interrupted", "running", "backing_off", "cancelled", "skipped")
_RANKS = {status: rank for rank, status in enumerate(_WORST_FIRST)}
_WELL = len(_WORST_FIRST)


@record
class Section:
    """A titled text, maybe about something named `subject`, with an `aside` on that.

    `mono` where it is a machine's words (an error, a command): then title and aside are ours alone.
    Of an `ending` the end is what counts.
    """

    title: str
    body: str
    mono: bool = False
    ending: bool = False
    subject: str = ""
    aside: str = ""

    @property
    def heading(self) -> str:
        """The title with what it is about."""
        about = f"{self.title}: {self.subject}" if self.subject else self.title
        return f"{about}, {self.aside}" if self.aside else about


@record
class StepLine:
    """One step as an alert shows it; `usual` where that is far from what it took."""

    name: str
    status: str
    duration: str
    usual: str
    note: str

    @property
    def remark(self) -> str:
        """What is to be said beyond name, status and duration."""
        usual = f"usually {self.usual}" if self.usual else ""
        return "; ".join(word for word in (usual, self.note) if word)

    @property
    def rank(self) -> int:
        """How far it is from the worst."""
        return _RANKS.get(self.status, _WELL)


@record
class Steps:
    """Steps of the run in declared order, and how many there are in all, by status."""

    lines: tuple[StepLine, ...]
    counts: tuple[tuple[str, int], ...]

    def most(self, count: int) -> tuple[StepLine, ...]:
        """Give all, or else at most so many that did not go well, the worst before others."""
        if sum(number for _, number in self.counts) <= count:
            return self.lines
        bad = [at for at, line in enumerate(self.lines) if line.rank < _WELL]
        chosen = sorted(bad, key=lambda at: self.lines[at].rank)[:count]
        return tuple(self.lines[at] for at in sorted(chosen))

    def rest(self, shown: Iterable[StepLine]) -> str:
        """Say how many steps are not among those shown; nothing if all are."""
        left = dict(self.counts)
        for line in shown:
            left[line.status] = left.get(line.status, 0) - 1
        found = {status: number for status, number in left.items() if number > 0}
        counted = ", ".join(f"{number:,} {status}" for status, number in found.items())
        return f"… and {sum(found.values()):,} more: {counted}" if found else ""


@record
class Facts:
    """Short pairs of label and value; the labels are ours."""

    pairs: tuple[tuple[str, str], ...]


Part = Section | Steps | Facts


@record
class Content:
    """A whole alert: what happened, a mark that no cut may lose, the outcome, the parts.

    `reason` is for those who see nothing but the headline; one of the parts tells it, too.
    """

    head: str
    mark: str
    status: str
    parts: tuple[Part, ...]
    reason: str = ""

    @property
    def title(self) -> str:
        """What happened, as one visible line of at most 150 characters."""
        return self.line(self.head)

    @property
    def headline(self) -> str:
        """As the title, with the reason."""
        return self.line(": ".join(word for word in (self.head, self.reason) if word))

    def line(self, text: str) -> str:
        """Cut a text so that the mark still fits behind it."""
        return one_line(text, HEADLINE_MAX - len(self.mark)) + self.mark


def repeated(content: Content) -> Content:
    """Say of an alert that it may have been sent before."""
    if content.mark.endswith(REPEATED):
        return content
    return replace(content, mark=content.mark + REPEATED)


@record
class Attachment:
    """An HTML file that goes along with an alert, where the channel takes files."""

    name: str
    data: bytes


def of_notice(headline: str, body: str, *, status: str = "") -> Content:
    """Say something that is no run's report: a test, or a store that cannot be written."""
    return Content(headline, "", status, (Section("", visible(body[:ERROR_MAX])),))
