"""All that Slack asks of a message, and a message cut down until it keeps to it. Pure.

slack_sdk checks a part of this only. Lengths are counted as Slack's own programs do, in UTF-16: a
character beyond U+FFFF is two.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from engine.alerts.text import units, visible

Block = dict[str, Any]

BLOCKS_MAX = 50
HEADER_MAX = 150
SECTION_MAX = 3_000
FIELDS_MAX = 10
FIELD_MAX = 2_000
ELEMENTS_MAX = 10  # of a context
ELEMENT_MAX = 3_000
FALLBACK_MAX = 4_000  # Slack cuts the text of a notification that is longer
# All blocks as JSON. Slack does not document its limit; it has refused messages of 11,500.
TOTAL_MAX = 10_000

_SHORT = 600  # a block whose texts are no longer is left out, not cut
_FENCE = "```"
_CLOSING = f"\n{_FENCE}"
_TORN = re.compile(r"&[a-z]*$")
_ESCAPES = re.compile("&(?:amp|lt|gt);")
_CODE = re.compile(rf"{_FENCE}\n(?s:.*?)\n{_FENCE}|`[^`\n]+`")
_NOT_OURS = re.compile(r"[`_~:]\S|\*\*")  # outside of code our headings hold none of it


# -- what is wrong --------------------------------------------------------------------------------


def faults(text: str, blocks: Sequence[Block]) -> list[str]:
    """Say what Slack would refuse, cut or take for markup: nothing, if all is well."""
    found = [f"the text {what}" for what in _text_faults(text, FALLBACK_MAX)]
    if not blocks:
        found.append("there is no block")
    if len(blocks) > BLOCKS_MAX:
        found.append(f"{len(blocks)} blocks, more than {BLOCKS_MAX}")
    size = total(blocks)
    if size > TOTAL_MAX:
        found.append(f"{size} characters in all, more than {TOTAL_MAX}")
    for number, block in enumerate(blocks):
        found += [f"block {number}: {what}" for what in _block_faults(block)]
    return found


def total(blocks: Sequence[Block]) -> int:
    """Count the characters of all blocks, with what holds them together."""
    return units(json.dumps(blocks, ensure_ascii=False))


def _block_faults(block: Block) -> Iterator[str]:
    match block:
        case {"type": "header", "text": given, **more} if not more:
            yield from _object_faults("the header", given, HEADER_MAX)
            if isinstance(given, Mapping) and given.get("type") != "plain_text":
                yield "the header is not plain text"
        case {"type": "section", "text": given, **more} if not more:
            yield from _object_faults("the text", given, SECTION_MAX)
        case {"type": "section", "fields": [*fields], **more} if not more:
            yield from _list_faults("field", fields, FIELDS_MAX, FIELD_MAX)
        case {"type": "context", "elements": [*elements], **more} if not more:
            yield from _list_faults("element", elements, ELEMENTS_MAX, ELEMENT_MAX)
        case {"type": "divider", **more} if not more:
            pass
        case _:
            yield "it is of no form that alerts are made of"


def _list_faults(
    what: str, given: Sequence[object], count_max: int, length_max: int
) -> Iterator[str]:
    if not 1 <= len(given) <= count_max:
        yield f"{len(given)} {what}s, not 1 to {count_max}"
    for number, each in enumerate(given):
        yield from _object_faults(f"{what} {number}", each, length_max)


def _object_faults(what: str, given: object, length_max: int) -> Iterator[str]:
    match given:
        case {"type": "plain_text", "text": str(text), "emoji": False, **more} if not more:
            pass
        case {"type": "mrkdwn", "text": str(text), "verbatim": True, **more} if not more:
            if _NOT_OURS.search(_CODE.sub(" ", text)):
                yield f"{what} holds markup outside of code"
        case _:
            yield f"{what} is no text of ours"
            return
    for said in _text_faults(text, length_max):
        yield f"{what} {said}"


def _text_faults(text: str, length_max: int) -> Iterator[str]:
    if not text.strip():
        yield "is empty"
    if units(text) > length_max:
        yield f"has {units(text)} characters, more than {length_max}"
    if set(_ESCAPES.sub("", text)) & set("&<>"):
        yield "is not escaped"
    if visible(text) != text:
        yield "holds hidden characters"


# -- cut down -------------------------------------------------------------------------------------


def fitted(text: str, blocks: Sequence[Block]) -> tuple[str, list[Block]]:
    """Give the message as it is if nothing is wrong with it, else what can be sent of it.

    What comes first is kept longest. Nothing is too broken: at worst a sentence is left.
    """
    if not faults(text, blocks):
        return text, list(blocks)
    if any(_text_faults(text, FALLBACK_MAX)):
        text = _cut(_escaped(visible(text)), FALLBACK_MAX) if text.strip() else "an alert"
    kept = [mended for block in blocks if (mended := _mended(block)) is not None]
    left_out = len(blocks) - len(kept)
    while len(kept) >= BLOCKS_MAX or total(kept) > TOTAL_MAX - 200:
        if len(kept) < BLOCKS_MAX and (shorter := _shorter(kept)) is not None:
            kept = shorter
            continue
        kept.pop()
        left_out += 1
    if left_out:
        parts = "1 part is" if left_out == 1 else f"{left_out:,} parts are"
        note = f"{parts} left out here: see the report"
        kept.append({"type": "context", "elements": [_plain(note)]})
    return text, kept


def _plain(text: str) -> Block:
    return {"type": "plain_text", "text": text, "emoji": False}


def _escaped(text: str) -> str:
    bare = text.replace("&amp;", "&").replace("&lt;", "<").replace("&gt;", ">")
    return bare.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _mended(block: Block) -> Block | None:
    """Cut a block's texts to their limits; None if that does not make it one to send."""
    match block:
        case {"type": "header", "text": {"text": str(text)}}:
            mended: Block = {"type": "header", "text": _shortened(_plain(text), HEADER_MAX)}
        case {"type": "section", "text": given}:
            mended = {"type": "section", "text": _shortened(given, SECTION_MAX)}
        case {"type": "section", "fields": [*given]}:
            fields = [_shortened(each, FIELD_MAX) for each in given[:FIELDS_MAX]]
            mended = {"type": "section", "fields": fields}
        case {"type": "context", "elements": [*given]}:
            elements = [_shortened(each, ELEMENT_MAX) for each in given[:ELEMENTS_MAX]]
            mended = {"type": "context", "elements": elements}
        case _:
            mended = block
    return None if any(_block_faults(mended)) else mended


def _shortened(given: object, length_max: int) -> object:
    """Cut a text; one that is not escaped, or holds what it must not, becomes plain text."""
    if not isinstance(given, Mapping) or not isinstance(given.get("text"), str):
        return given
    cut = {**given, "text": _cut(given["text"], length_max)}
    if not any(_object_faults("", cut, length_max)):
        return cut
    return _plain(_cut(_escaped(visible(given["text"])), length_max))


def _shorter(blocks: list[Block]) -> list[Block] | None:
    """Halve the longest text of a section; None if all are short."""
    lengths = [
        units(block["text"]["text"]) if block["type"] == "section" and "text" in block else 0
        for block in blocks
    ]
    longest = max(lengths, default=0)
    if longest <= _SHORT:
        return None
    at = lengths.index(longest)
    text = _shortened(blocks[at]["text"], longest // 2)
    return [*blocks[:at], {**blocks[at], "text": text}, *blocks[at + 1 :]]


def _cut(text: str, length_max: int) -> str:
    """Cut a text so that no escape and no character is torn, and code stays code."""
    if units(text) <= length_max:
        return text
    closing = _CLOSING if text.endswith(_CLOSING) else ""
    room = max(length_max - len(closing) - 1, 0)
    kept = text[:room]
    while (over := units(kept) - room) > 0:
        kept = kept[: -max(over // 2, 1)]
    return _TORN.sub("", kept).rstrip("`") + "…" + closing
