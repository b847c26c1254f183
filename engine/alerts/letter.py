"""An alert laid out as an email: its plain text and its HTML. Pure.

Nothing of a report is markup: in HTML it is escaped, in the plain text control and bidi characters
are shown by their codes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from engine.alerts.content import GLYPHS, Content, Facts, Part, Section, StepLine, Steps
from engine.text import columns, pad

ROWS_MAX = 60


# -- plain text -----------------------------------------------------------------------------------


def render_plain(content: Content) -> str:
    """Lay `content` out as plain text."""
    blocks = [content.title]
    blocks += [_plain_part(part) for part in content.parts]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _plain_part(part: Part) -> str:
    if isinstance(part, Facts):
        width = max((len(label) for label, _ in part.pairs), default=0) + 1
        return "\n".join(f"{pad(label + ':', width)} {value}" for label, value in part.pairs)
    if isinstance(part, Steps):
        shown = part.most(ROWS_MAX)
        rest = [part.rest(shown)] if part.rest(shown) else []
        return "\n".join(["steps", *(f"  {line}" for line in (*aligned(shown), *rest))])
    if not part.title:
        return part.body
    return "\n".join([part.heading, *(f"  {line}" for line in part.body.split("\n"))])


def aligned(steps: Sequence[StepLine]) -> Iterable[str]:
    """Give steps as lines of columns."""
    names = max((columns(step.name) for step in steps), default=0)
    statuses = max((len(step.status) for step in steps), default=0)
    durations = max((len(step.duration) for step in steps), default=0)
    for step in steps:
        words = (
            GLYPHS.get(step.status, "·"),
            f"{pad(step.name, names)}  {step.status:<{statuses}}  {step.duration:>{durations}} ",
            step.remark,
        )
        yield " ".join(words).rstrip()


# -- HTML -----------------------------------------------------------------------------------------
# Colours: no page background and no text colour of our own, so that a reader's dark mode holds;
# the badge brings both, and the greys are readable on white and on black.

_COLOURS = {"ok": "#1a7f37", "failed": "#c62828", "interrupted": "#9a6700", "cancelled": "#57606a"}
_FONT = "font:15px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,sans-serif"
_BOX = (
    "margin:4px 0;padding:8px 10px;border:1px solid #888;border-radius:4px;"
    "font:13px/1.45 ui-monospace,Menlo,Consolas,monospace;white-space:pre-wrap;"
    "overflow-wrap:anywhere"
)
_LEFT, _RIGHT = (f"text-align:{side};white-space:nowrap" for side in ("left", "right"))
_QUIET = "font-size:13px;opacity:.75"
_LOUD = frozenset({"failed", "interrupted"})
_CELL = "padding:3px 14px 3px 0;text-align:left;vertical-align:top"


def render_html(content: Content) -> str:
    """Lay `content` out as HTML with inline styles only, readable on light and dark."""
    badge = _badge(content.status) if content.status else ""
    body = "\n".join(_html_part(part) for part in content.parts)
    title = escape(content.title)
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        '<meta name="supported-color-schemes" content="light dark">'
        f"<title>{escape(content.headline)}</title></head>\n"
        f'<body style="margin:0;padding:16px;{_FONT}">\n'
        f'<h1 style="margin:0 0 12px;font-size:19px;line-height:1.35;overflow-wrap:anywhere">'
        f"{badge}{title}</h1>\n"
        f"{body}\n</body></html>\n"
    )


def _badge(status: str) -> str:
    colour = _COLOURS.get(status, "#57606a")
    style = (
        f"background:{colour};color:#fff;padding:2px 8px;border-radius:4px;"
        "margin-right:8px;font-size:14px"
    )
    return f'<span style="{style}">{escape(status)}</span>'


def _html_part(part: Part) -> str:
    if isinstance(part, Facts):
        rows = "".join(
            f'<tr><th style="{_CELL};{_LEFT};font-weight:normal;opacity:.75">{escape(label)}</th>'
            f'<td style="{_CELL};overflow-wrap:anywhere">{escape(value)}</td></tr>'
            for label, value in part.pairs
        )
        return f'<table style="border-collapse:collapse;margin:0 0 14px">{rows}</table>'
    if isinstance(part, Steps):
        return _html_steps(part)
    return _html_section(part)


def _html_section(part: Section) -> str:
    title = (
        f'<div style="margin:0 0 4px;overflow-wrap:anywhere">{_heading(part)}</div>'
        if part.title
        else ""
    )
    style = _BOX if part.mono else "white-space:pre-wrap;overflow-wrap:anywhere"
    return (
        f'<div style="margin:0 0 16px">{title}<div style="{style}">{escape(part.body)}</div></div>'
    )


def _heading(part: Section) -> str:
    words = f"<b>{escape(part.heading.removesuffix(f', {part.aside}'))}</b>"
    return f"{words} &nbsp;{escape(part.aside)}" if part.aside else words


def _html_steps(part: Steps) -> str:
    shown = part.most(ROWS_MAX)
    head = "".join(
        f'<th style="{_CELL};{style};border-bottom:1px solid #888">{word}</th>'
        for word, style in (("step", ""), ("status", _LEFT), ("duration", _RIGHT))
    )
    rows = "".join(
        f'<tr><td style="{_CELL};overflow-wrap:anywhere">{escape(step.name)}{_remark(step)}</td>'
        f'<td style="{_CELL};{_LEFT}">{_status(step.status)}</td>'
        f'<td style="{_CELL};{_RIGHT}">{escape(step.duration)}</td></tr>'
        for step in shown
    )
    more = f"<div>{escape(part.rest(shown))}</div>"
    table = f'<table style="border-collapse:collapse"><tr>{head}</tr>{rows}</table>'
    return f'<div style="margin:0 0 16px">{table if shown else ""}{more}</div>'


def _remark(step: StepLine) -> str:
    """Stand below the name: a column of its own leaves no room on a phone."""
    return f'<div style="{_QUIET}">{escape(step.remark)}</div>' if step.remark else ""


def _status(status: str) -> str:
    """Colour only what a reader looks for: a column of badges hides the one that counts."""
    glyph = escape(GLYPHS.get(status, "·"))
    return _badge(status) if status in _LOUD else f"{glyph} {escape(status)}"
