"""The zone in which people are shown times, and how a time says which that is.

A time says its zone where the machine's clock would show another, and where the clock shows it
twice, as it is set back.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, tzinfo
from functools import cache


@cache
def zone_named(name: str | None) -> tzinfo | None:
    """Give the zone of a recorded name; None, for the machine's, if there is none.

    One that this machine does not know is shown as UTC, which the times then say.
    """
    if not name:
        return None
    from zoneinfo import ZoneInfo  # 4 ms, for workflows that name a zone only

    with suppress(Exception):  # whatever text that is no file name raises
        return ZoneInfo(name)
    return UTC


def is_elsewhere(at: datetime) -> bool:
    """Whether the machine's clock shows another time than that of the zone that `at` is in."""
    return at.utcoffset() != at.astimezone().utcoffset()


def is_twice(at: datetime, zone: tzinfo | None) -> bool:
    """Whether the clock of a zone shows the time of `at`, which is in it, a second time."""
    first, second = (at.replace(tzinfo=zone, fold=fold) for fold in (0, 1))
    if zone is None:
        first, second = first.astimezone(), second.astimezone()
    return first.utcoffset() != second.utcoffset()


def mark(at: datetime, zone: tzinfo | None) -> str:
    """Give what a time that stands alone has to say of its zone: " CEST", or nothing."""
    here = at.astimezone(zone)
    needed = is_twice(here, zone) or (zone is not None and is_elsewhere(here))
    return f" {here:%Z}" if needed else ""


def only_if_twice(at: datetime, zone: tzinfo | None) -> str:
    """As `mark`, for a time whose zone is said elsewhere, such as in the head of its table."""
    here = at.astimezone(zone)
    return f" {here:%Z}" if is_twice(here, zone) else ""


def head_of(zone: tzinfo | None) -> str:
    """Say the zone of a table or a page: " (Europe/Berlin)", or nothing for the machine's."""
    return f" ({zone})" if zone is not None else ""
