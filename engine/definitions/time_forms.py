"""Forms of a workflow's times: its schedule and its time zone."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Any

from engine.definitions.forms import Asked, Form, read_filled
from engine.definitions.nodes import Node
from engine.schedule.calendar import DAYS, SHORTHANDS

_DAY = "(?:" + "|".join(f"{day[:3]}(?:{day[3:]})?" for day in DAYS) + ")"
_WORD = re.compile(
    rf"{_DAY}(?:(?:\.\.|,|-){_DAY})*,?\Z"  # days
    r"|(?=[^~:-]*[~:-])[0-9*][0-9*,./:~-]*\Z"  # a date or a time
    r"|@[0-9]+\Z",
    re.IGNORECASE,
)
_HINT = "write it as systemd does: *-*-* 08:00:00, Mon..Fri *-*-* 08:00, hourly, daily, weekly"


def _zone(text: str) -> str | None:
    from zoneinfo import ZoneInfo

    with suppress(Exception):  # whatever text that is no file name raises
        return ZoneInfo(text).key
    return None


def _read_zone(asked: Asked, node: Node, form: Form) -> Any:
    given = read_filled(asked, node, form)
    if given is not None and _zone(given) is None:
        return asked.wrong(f'is "{given}", not {form.words}', 'give one such as "Europe/Berlin"')
    return given


def _read_schedule(asked: Asked, node: Node, form: Form) -> Any:
    given = read_filled(asked, node, form)
    if given is None:
        return None
    words = given.split()
    if len(words) > 1 and _WORD.match(words[-1]) is None and _zone(words[-1]):
        words.pop()
    if words[0].lower() in SHORTHANDS:
        words.pop(0)
        if not words:
            return given
    elif len(words) <= 3 and all(map(_WORD.match, words)):
        return given
    hint = _HINT
    if len(given.split()) in (5, 6) and "*" in given:
        hint = "cron's fields are not taken; " + hint
    elif given.startswith("@") and given[1:].lower() in SHORTHANDS:
        hint = f"write {given[1:].lower()}"
    return asked.wrong(f'is "{given}", not {form.words}', hint)


_FILLED = {"type": "string", "pattern": r"\S"}
ZONE = Form("an IANA time zone", _FILLED, _read_zone)
SCHEDULE = Form("a systemd calendar expression", _FILLED, _read_schedule)
