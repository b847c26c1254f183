"""What a schedule that cannot be read was meant to say: "every day at 8am" is `*-*-* 08:00`."""

from __future__ import annotations

import re

from engine.schedule.calendar import DAYS

_EVERY = re.compile(r"(?:@?every +)?(?:([0-9]{1,3}) *)?(m|min|minutes?|h|hours?)\Z")
_CLOCK = re.compile(r"\b([0-9]{1,2})(?:[:.]([0-9]{2}))? *(am|pm|uhr|o'clock)?(?![\w:.*/-])")
_NAMED = "|".join(f"{day}s?|{day[:3]}" for day in DAYS)
_DAYS = re.compile(
    rf"\b(?:(?:every +)?(weekdays?|workdays?|weekends?)|(?:every +)?({_NAMED})"
    rf"(?: *(?:-|–|to|through) *({_NAMED}))?)\b"
)
_FILLERS = re.compile(r"\b(?:every +day|each +day|daily|every|each|at|on|and|the)\b|[,;\s]+")
_HOURS = 24


def meant(text: str) -> str:
    """Give the schedule in systemd's words, or nothing where anything is left to be guessed."""
    said = " ".join(text.lower().split())
    if found := _EVERY.match(said):
        return _interval(int(found[1] or 1), hours=found[2].startswith("h"))
    is_daily = "day" in said or "daily" in said
    days = [_days(*match) for match in _DAYS.findall(said)]
    said = _DAYS.sub(" ", said)
    times = [_time(*match) for match in _CLOCK.findall(said)]
    if _FILLERS.sub("", _CLOCK.sub(" ", said)) or "" in times or len(days) > 1:
        return ""
    if not (days or times or is_daily):
        return ""
    minutes = {time[3:] for time in times}
    if len(minutes) > 1:
        return ""
    hours = ",".join(time[:2] for time in times) or "00"
    clock = f"{hours}:{minutes.pop() if minutes else '00'}"
    return f"{days[0]} {clock}" if days else f"*-*-* {clock}"


def _interval(count: int, *, hours: bool) -> str:
    """Give what is due each time so many minutes or hours have passed, if that fits into a day."""
    whole = _HOURS if hours else 60
    if not count or whole % count:
        return ""
    if count == 1:
        return "hourly" if hours else "minutely"
    if count == whole:
        return "daily" if hours else "hourly"
    return f"00/{count}:00" if hours else f"*:0/{count}"


def _days(many: str, first: str, last: str) -> str:
    if many:
        return "Sat,Sun" if many.startswith("weekend") else "Mon..Fri"
    names = [name[:3].capitalize() for name in (first, last) if name]
    return "..".join(names)


def _time(hour: str, minute: str, half: str) -> str:
    """Give a time of day as HH:MM; nothing for a number that is none, or stands for itself."""
    number = int(hour)
    if half in ("am", "pm"):
        if not 1 <= number <= _HOURS // 2:
            return ""
        number = number % 12 + (12 if half == "pm" else 0)
    if number >= _HOURS or int(minute or 0) >= 60:
        return ""
    return f"{number:02}:{minute or '00'}"
