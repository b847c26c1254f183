"""Time zones of schedules: such as somebody names one, and the machine's own."""

from __future__ import annotations

import os
from contextlib import suppress
from datetime import UTC, tzinfo

from engine.naming import near
from engine.schedule.calendar import ScheduleRefused

LOCAL = "/etc/localtime"


def checked_zone(name: str) -> tzinfo:
    """Give the zone of an IANA name; raises `ScheduleRefused` if there is none."""
    from zoneinfo import ZoneInfo

    with suppress(Exception):  # whatever text that is no file name raises
        return ZoneInfo(name)
    raise ScheduleRefused(f"'{name}' is no time zone", _hint(str(name)))


def _hint(name: str) -> str:
    """Give the zone that was meant: one of that city, or that is spelt nearly so."""
    from zoneinfo import available_timezones

    zones, city = sorted(available_timezones()), name.casefold().replace(" ", "_")
    of_city = [zone for zone in zones if zone.casefold().rpartition("/")[2] == city]
    found = of_city[0] if of_city else near(name, zones)
    return f'did you mean "{found}"?' if found else 'give one such as "Europe/Berlin"'


def machine_zone() -> tzinfo:
    """Give the machine's zone, or the one that TZ names for this process."""
    from zoneinfo import ZoneInfo

    if name := os.environ.get("TZ", "").removeprefix(":"):
        with suppress(Exception):  # a rule, or a path: the machine's own then
            return ZoneInfo(name)
    return timers_zone()


def timers_zone() -> tzinfo:
    """Give the machine's own zone, with its changes of the clock: systemd knows no user's TZ."""
    from zoneinfo import ZoneInfo

    try:
        with open(LOCAL, "rb") as file:  # noqa: PTH123 - no need of pathlib
            return ZoneInfo.from_file(file)
    except (OSError, ValueError):
        return UTC
