"""An alert laid out for each channel: Slack's blocks, plain text, HTML. Pure.

Nothing of a report is markup anywhere: in Slack it is escaped inside `plain_text`, in HTML it is
escaped, in the plain text control and bidi characters are shown by their codes.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Any

from engine.alerts.content import (
    GLYPHS,
    HEADLINE_MAX,
    Content,
    Facts,
    Part,
    Section,
    StepLine,
    Steps,
    tally,
    worst_first,
)
from engine.alerts.text import one_line, slack_escape
from engine.text import columns, pad

SECTION_MAX = 2_900  # Slack refuses more than 3,000
FIELD_MAX = 400  # Slack refuses more than 2,000
FIELDS_MAX = 10
BLOCKS_MAX = 10  # Slack refuses more than 50
ROWS_MAX = 300

Block = dict[str, Any]


# -- Slack ----------------------------------------------------------------------------------------


def render_slack(content: Content) -> tuple[str, list[Block]]:
    """Lay `content` out as at most ten blocks, every text within Slack's limits."""
    line = one_line(content.head, HEADLINE_MAX)
    title = slack_escape(line, HEADLINE_MAX - len(content.mark)) + content.mark
    blocks: list[Block] = [{"type": "header", "text": _slack_text(title)}]
    for part in content.parts:
        blocks.append(_slack_block(part))
    return title, blocks[:BLOCKS_MAX]


def _slack_block(part: Part) -> Block:
    if isinstance(part, Facts):
        fields = [
            _slack_text(slack_escape(f"{label}: {value}", FIELD_MAX))
            for label, value in part.pairs[:FIELDS_MAX]
        ]
        return {"type": "section", "fields": fields}
    if isinstance(part, Steps):
        return {"type": "section", "text": _slack_text(_slack_steps(part.lines))}
    body = f"{part.title}\n{part.body}" if part.title else part.body
    return {"type": "section", "text": _slack_text(slack_escape(body.strip() or "-", SECTION_MAX))}


def _slack_text(text: str) -> Block:
    return {"type": "plain_text", "text": text, "emoji": False}


def _slack_steps(steps: tuple[StepLine, ...]) -> str:
    lines = [slack_escape(str(step), FIELD_MAX) for step in steps]
    if sum(len(line) + 1 for line in lines) <= SECTION_MAX:
        return "\n".join(lines)
    room = SECTION_MAX - 200  # for the count of what is left out
    ordered = worst_first(steps)
    shown: list[str] = []
    for step in ordered:
        line = slack_escape(str(step), FIELD_MAX)
        if len(line) + 1 > room:
            break
        shown.append(line)
        room -= len(line) + 1
    return "\n".join([*shown, slack_escape(_left_out(ordered[len(shown) :]), 199)])


def _left_out(steps: Iterable[StepLine]) -> str:
    rest = list(steps)
    return f"… and {len(rest)} more: {tally(step.status for step in rest)}"


# -- plain text -----------------------------------------------------------------------------------


def render_plain(content: Content) -> str:
    """Lay `content` out as plain text."""
    blocks = [content.headline]
    blocks += [_plain_part(part) for part in content.parts]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _plain_part(part: Part) -> str:
    if isinstance(part, Facts):
        width = max((len(label) for label, _ in part.pairs), default=0) + 1
        return "\n".join(f"{pad(label + ':', width)} {value}" for label, value in part.pairs)
    if isinstance(part, Steps):
        shown, rest = _rows(part.lines)
        return "\n".join(["steps", *(f"  {line}" for line in _aligned(shown)), *rest])
    if not part.title:
        return part.body
    return "\n".join([part.title, *(f"  {line}" for line in part.body.split("\n"))])


def _rows(steps: tuple[StepLine, ...]) -> tuple[list[StepLine], list[str]]:
    """Give the steps that are shown, and what says how many are not."""
    if len(steps) <= ROWS_MAX:
        return list(steps), []
    ordered = worst_first(steps)
    return ordered[:ROWS_MAX], [_left_out(ordered[ROWS_MAX:])]


def _aligned(steps: list[StepLine]) -> Iterable[str]:
    names = max((columns(step.name) for step in steps), default=0)
    statuses = max((len(step.status) for step in steps), default=0)
    for step in steps:
        words = (
            GLYPHS.get(step.status, "·"),
            f"{pad(step.name, names)}  {step.status:<{statuses}}  {step.duration:>8} ",
            step.note,
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
_CELL = "padding:3px 14px 3px 0;text-align:left;vertical-align:top"


def render_html(content: Content) -> str:
    """Lay `content` out as HTML with inline styles only, readable on light and dark."""
    badge = _badge(content.status) if content.status else ""
    body = "\n".join(_html_part(part) for part in content.parts)
    title = escape(content.headline)
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        '<meta name="supported-color-schemes" content="light dark">'
        f"<title>{title}</title></head>\n"
        f'<body style="margin:0;padding:16px;{_FONT}">\n'
        f'<h1 style="margin:0 0 12px;font-size:19px;line-height:1.35">{badge}{title}</h1>\n'
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
            f'<tr><th style="{_CELL};font-weight:normal;opacity:.75">{escape(label)}</th>'
            f'<td style="{_CELL}">{escape(value)}</td></tr>'
            for label, value in part.pairs
        )
        return f'<table style="border-collapse:collapse;margin:0 0 14px">{rows}</table>'
    if isinstance(part, Steps):
        return _html_steps(part.lines)
    return _html_section(part)


def _html_section(part: Section) -> str:
    title = f'<div style="font-weight:600">{escape(part.title)}</div>' if part.title else ""
    style = _BOX if part.mono else "margin:4px 0;white-space:pre-wrap;overflow-wrap:anywhere"
    return (
        f'<div style="margin:0 0 14px">{title}<div style="{style}">{escape(part.body)}</div></div>'
    )


def _html_steps(lines: tuple[StepLine, ...]) -> str:
    shown, rest = _rows(lines)
    head = "".join(
        f'<th style="{_CELL};border-bottom:1px solid #888">{word}</th>'
        for word in ("step", "status", "duration", "note")
    )
    rows = "".join(
        f'<tr><td style="{_CELL}">{escape(step.name)}</td>'
        f'<td style="{_CELL}">{_badge(step.status)}</td>'
        f'<td style="{_CELL};text-align:right">{escape(step.duration)}</td>'
        f'<td style="{_CELL}">{escape(step.note)}</td></tr>'
        for step in shown
    )
    more = "".join(f"<div>{escape(line)}</div>" for line in rest)
    table = f'<table style="border-collapse:collapse"><tr>{head}</tr>{rows}</table>'
    return f'<div style="margin:0 0 14px">{table}{more}</div>'
