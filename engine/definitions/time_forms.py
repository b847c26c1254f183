"""Forms of what a timer is told: a workflow's schedule, its time zone, its hardening."""

from __future__ import annotations

from typing import Any

from engine.definitions.forms import DURATION, Asked, Form, read_filled
from engine.definitions.nodes import Kind, Node
from engine.durations import checked_deadline
from engine.errors import DefinitionError
from engine.naming import checked_ping
from engine.schedule.calendar import ScheduleRefused
from engine.schedule.hardening import STRICT, WORDS, read_hardening
from engine.schedule.reading import read_schedule
from engine.schedule.zones import checked_zone


def _read_zone(asked: Asked, node: Node, form: Form) -> Any:
    given = read_filled(asked, node, form)
    try:
        return given if given is None else str(checked_zone(given))
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


def _read_deadline(asked: Asked, node: Node, form: Form) -> Any:
    if node.kind not in (Kind.TEXT, Kind.INTEGER, Kind.NUMBER):
        return asked.misfit(node, form)
    try:
        return checked_deadline("", node.value)
    except DefinitionError as error:
        return asked.wrong(f"is {node.shown()}, not {form.words}", error.hint)


def _read_ping(asked: Asked, node: Node, form: Form) -> Any:
    given = read_filled(asked, node, form)
    try:
        return checked_ping("", given)
    except DefinitionError as error:
        return asked.wrong(f"is not {form.words}", error.hint)


_FILLED = {"type": "string", "pattern": r"\S"}
ZONE = Form("an IANA time zone", _FILLED, _read_zone)
SCHEDULE = Form("a systemd calendar expression, or cron's five fields", _FILLED, _read_schedule)
_WORD = f"({'|'.join((STRICT, *WORDS))})"
HARDENING = Form(
    "words with spaces between",
    {"type": "string", "pattern": rf"^\s*{_WORD}(\s+{_WORD})*\s*$"},
    _read_hardening,
)
_TIME_OF_DAY = {"type": "string", "pattern": "^([01][0-9]|2[0-3]):[0-5][0-9]$"}
DEADLINE = Form(
    "a time of day or a duration",
    {"anyOf": [*DURATION.schema["anyOf"], _TIME_OF_DAY]},
    _read_deadline,
    '"09:30", 2h',
)
PING = Form(
    "the name of a secret", {"type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_]*$"}, _read_ping
)
