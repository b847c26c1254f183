"""From a workflow's schedule to a systemd timer or a crontab line, and checking the result."""

from __future__ import annotations

from engine.schedule.calendar import on_calendar
from engine.schedule.units import Installation, cron_line, show, unit_stem, units
from engine.schedule.verify import NOT_VERIFIED, verify

__all__ = [
    "NOT_VERIFIED",
    "Installation",
    "cron_line",
    "on_calendar",
    "show",
    "unit_stem",
    "units",
    "verify",
]
