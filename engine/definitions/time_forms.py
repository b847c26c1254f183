"""Forms of what a timer is told: a workflow's schedule, its time zone, its hardening."""

from __future__ import annotations

from typing import Any

from engine.definitions.forms import Asked, Form, read_filled
from engine.definitions.nodes import Node
from engine.schedule.calendar import ScheduleRefused
from engine.schedule.hardening import STRICT, WORDS, read_hardening
from engine.schedule.reading import read_schedule
from engine.schedule.zones import zone_named


def _read_zone(asked: Asked, node: Node, form: Form) -> Any:
    given = read_filled(asked, node, form)
    try:
        return given if given is None else str(zone_named(given))
    except ScheduleRefused as refused:
        return asked.wrong(f'is "{given}", not {form.words}', refused.hint)


def _read_schedule(asked: Asked, node: Node, form: Form) -> Any:
    given = read_filled(asked, node, form)
    if given is None:
        return None
    try:
        read_schedule(given)
    except ScheduleRefused as refused:
        return asked.wrong(f'is "{given}": {refused.reason}', refused.hint)
    return given


def _read_hardening(asked: Asked, node: Node, form: Form) -> Any:
    given = read_filled(asked, node, form)
    if given is None:
        return None
    try:
        read_hardening(given)
    except ScheduleRefused as refused:
        return asked.wrong(f'is "{given}": {refused.reason}', refused.hint)
    return given


_FILLED = {"type": "string", "pattern": r"\S"}
ZONE = Form("an IANA time zone", _FILLED, _read_zone)
SCHEDULE = Form("a systemd calendar expression, or cron's five fields", _FILLED, _read_schedule)
_WORD = f"({'|'.join((STRICT, *WORDS))})"
HARDENING = Form(
    "words with spaces between",
    {"type": "string", "pattern": rf"^\s*{_WORD}(\s+{_WORD})*\s*$"},
    _read_hardening,
)
