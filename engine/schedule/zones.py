"""Time zones: by name, and the machine's own."""

from __future__ import annotations

import os
from contextlib import suppress
from datetime import UTC, tzinfo

from engine.schedule.calendar import ScheduleRefused

LOCAL = "/etc/localtime"


def zone_named(name: str) -> tzinfo:
    """Give the zone of an IANA name; raises `ScheduleRefused` if there is none."""
    from zoneinfo import ZoneInfo

    with suppress(Exception):  # whatever text that is no file name raises
        return ZoneInfo(name)
    raise ScheduleRefused(f"'{name}' is no time zone", 'give one such as "Europe/Berlin"')


def machine_zone() -> tzinfo:
    """Give the machine's zone, with its changes of the clock."""
    from zoneinfo import ZoneInfo

    if name := os.environ.get("TZ", "").removeprefix(":"):
        with suppress(Exception):  # a rule, or a path: the machine's own then
            return ZoneInfo(name)
    try:
        with open(LOCAL, "rb") as file:  # noqa: PTH123 - no need of pathlib
            return ZoneInfo.from_file(file)
    except (OSError, ValueError):
        return UTC
