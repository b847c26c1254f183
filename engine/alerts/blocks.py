"""An alert laid out for Slack, as blocks that are within its limits. Pure.

A text that is not ours is no markup anywhere: it stands in `plain_text`, or between code marks
that it does not hold itself, and is escaped in both.
"""

from __future__ import annotations

from engine.alerts.content import GLYPHS, HEADLINE_MAX, Content, Facts, Part, Section, Steps
from engine.alerts.letter import aligned
from engine.alerts.slack_limits import FIELDS_MAX, Block, fitted
from engine.alerts.text import one_line, slack_escape

TEXT_MAX = 1_800  # Slack takes 3,000 in a section, but not in each of them
FIELD_MAX = 300
LINE_MAX = 120
STEPS_SHOWN = 12
_FENCE, _MARK = "```", "`"


def render_slack(content: Content) -> tuple[str, list[Block]]:
    """Lay `content` out as the text of its notification and its blocks."""
    glyph = GLYPHS.get(content.status, "")
    title = f"{glyph} {content.head}" if glyph else content.head
    blocks: list[Block] = [{"type": "header", "text": _plain(_line(content, title))}]
    for part in content.parts:
        blocks += _blocks(part)
    text = _line(content, ": ".join(word for word in (content.head, content.reason) if word))
    return fitted(text, blocks)


def _line(content: Content, text: str) -> str:
    line = one_line(text, HEADLINE_MAX)
    return slack_escape(line, HEADLINE_MAX - len(content.mark)) + content.mark


def _blocks(part: Part) -> list[Block]:
    if isinstance(part, Facts):
        fields = [
            _plain(slack_escape(f"{label}: {value}", FIELD_MAX)) for label, value in part.pairs
        ]
        return [
            {"type": "section", "fields": fields[at : at + FIELDS_MAX]}
            for at in range(0, len(fields), FIELDS_MAX)
        ]
    if isinstance(part, Steps):
        shown = part.most(STEPS_SHOWN)
        lines = [_line_kept(line) for line in aligned(shown)]
        if rest := part.rest(shown):
            lines.append(rest)
        return [_section(Section("steps", "\n".join(lines), mono=True))] if shown else []
    return [_section(part)]


def _line_kept(line: str) -> str:
    """Cut a line without touching the spaces that align it."""
    return line if len(line) <= LINE_MAX else line[: LINE_MAX - 1] + "…"


def _section(part: Section) -> Block:
    escaped = slack_escape(part.body.strip("\n") or "-", TEXT_MAX, ending=part.ending)
    if part.mono and _FENCE not in escaped and _MARK not in part.subject:
        heading = f"*{part.title}* {_MARK}{slack_escape(part.subject, FIELD_MAX)}{_MARK}"
        heading = heading if part.subject else f"*{part.title}*"
        aside = f" {slack_escape(part.aside, FIELD_MAX)}" if part.aside else ""
        text = f"{heading}{aside}\n{_FENCE}\n{escaped}\n{_FENCE}"
        return {"type": "section", "text": {"type": "mrkdwn", "text": text, "verbatim": True}}
    heading = slack_escape(part.heading, FIELD_MAX)
    return {
        "type": "section",
        "text": _plain(f"{heading}\n{escaped}" if heading else escaped),
    }


def _plain(text: str) -> Block:
    return {"type": "plain_text", "text": text, "emoji": False}
