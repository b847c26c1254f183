"""Durations as users write them."""

from __future__ import annotations

import re
from datetime import timedelta

from engine.errors import DefinitionError

_DURATION = re.compile(
    r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?\Z", re.ASCII
)
_TIME_OF_DAY = re.compile(r"([01]\d|2[0-3]):[0-5]\d\Z", re.ASCII)
DURATION_S_MAX = 366 * 86_400.0

Duration = float | int | str | timedelta


def parse_duration(what: str, value: object, *, zero: bool = False) -> float:
    """Seconds in `value`: a number of seconds, text like "90s" "5m" "1h30m", or a timedelta.

    Raises `DefinitionError` naming `what` if it is anything else, negative, not finite, over a
    year, or zero where `zero` is not allowed.
    """
    seconds = _seconds(value)
    if seconds is None:
        raise DefinitionError(
            f"{what} is {value!r}, not a duration",
            hint='give seconds, or text like "90s", "5m", "1h30m"',
        )
    if not (0 <= seconds <= DURATION_S_MAX) or (seconds == 0 and not zero):
        least = "0" if zero else "more than 0"
        raise DefinitionError(
            f"{what} is {value!r}, out of range", hint=f"give {least} and at most 366 days"
        )
    return seconds


def _seconds(value: object) -> float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, int | float):
        return float(min(value, 2 * DURATION_S_MAX))  # a whole number may be too big for a float
    if isinstance(value, str) and value and (match := _DURATION.match(value)) and match[0]:
        hours, minutes, seconds = (float(part or 0) for part in match.groups())
        return hours * 3600 + minutes * 60 + seconds
    return None


def checked_deadline(workflow: str, value: object) -> float | str | None:
    """Give a time of day, `HH:MM`, as it is, or a duration as seconds; raises `DefinitionError`."""
    if value is None or (isinstance(value, str) and _TIME_OF_DAY.match(value)):
        return value
    try:
        return parse_duration(f"workflow '{workflow}': deadline", value)
    except DefinitionError as error:
        error.message = error.message.replace("not a", "not a time of day or a", 1)
        error.hint = 'give a time of day, "09:30", or a duration after the slot, "2h"'
        raise
