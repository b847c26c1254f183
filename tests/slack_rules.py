"""What Slack's documents say of a message's limits, asked of the JSON as a server gets it.

Nothing of how alerts are made is used here: who sends and who checks are not to share a mistake.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

TEXT_MAX = 40_000
TEXTS = {"header": 150, "section": 3_000}
PARTS = {"fields": (10, 2_000), "elements": (10, 3_000)}


def refusal(body: Mapping[str, Any]) -> str:
    """Give the code that Slack refuses a message with; nothing where it takes it."""
    text, blocks = body.get("text"), body.get("blocks")
    if not isinstance(text, str) or not text:
        return "no_text"
    if _size(text) > TEXT_MAX:
        return "msg_too_long"
    if not isinstance(blocks, list) or not 1 <= len(blocks) <= 50:
        return "invalid_blocks"
    return "" if all(map(_is_block, blocks)) else "invalid_blocks"


def _is_block(block: Any) -> bool:
    kind = block.get("type") if isinstance(block, Mapping) else None
    if kind == "divider":
        return True
    if kind == "context":
        return _are_texts(block.get("elements"), *PARTS["elements"])
    if kind not in TEXTS:
        return False
    text, fields = block.get("text"), block.get("fields")
    if text is None and fields is None:
        return False
    is_good = text is None or _is_text(text, TEXTS[kind], plain=kind == "header")
    return is_good and (fields is None or _are_texts(fields, *PARTS["fields"]))


def _are_texts(given: Any, most: int, size: int) -> bool:
    return (
        isinstance(given, list)
        and 1 <= len(given) <= most
        and all(_is_text(text, size) for text in given)
    )


def _is_text(given: Any, size: int, *, plain: bool = False) -> bool:
    kinds = ("plain_text",) if plain else ("plain_text", "mrkdwn")
    is_kind = isinstance(given, Mapping) and given.get("type") in kinds
    text = given.get("text") if is_kind else None
    return isinstance(text, str) and 1 <= _size(text) <= size


def _size(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2
