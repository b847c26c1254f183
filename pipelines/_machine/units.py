"""Numbers as a person reads them."""

from __future__ import annotations

from datetime import datetime

DAY_S = 86_400
HOUR_S = 3600
MINUTE_S = 60


def size(count: float) -> str:
    """Give bytes in powers of 1024 with three figures at most: `1.5 GB`, `210 MB`."""
    amount, power = float(abs(count)), 0
    while round(amount, 1) >= 1000 and power < len(_BYTES) - 1:  # four digits read badly
        amount, power = amount / 1024, power + 1
    sign = "-" if count < 0 else ""
    digits = 0 if power == 0 or round(amount, 1) >= 10 else 1
    return f"{sign}{amount:.{digits}f} {_BYTES[power]}"


_BYTES = ("B", "kB", "MB", "GB", "TB", "PB")


def percent(value: float) -> str:
    """Give a percentage without digits that say nothing."""
    return f"{value:.1f} %" if 0 < abs(value) < 10 else f"{value:.0f} %"


def span(seconds: float) -> str:
    """Give a length of time in its two largest units: `3 d 4 h`, `2 min 5 s`, `0.4 s`."""
    if round(seconds, 1) < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    days, rest = divmod(whole, DAY_S)
    hours, rest = divmod(rest, HOUR_S)
    minutes, secs = divmod(rest, MINUTE_S)
    parts = [(days, "d"), (hours, "h"), (minutes, "min"), (secs, "s")]
    first = next(place for place, (amount, _) in enumerate(parts) if amount)
    return " ".join(f"{amount} {unit}" for amount, unit in parts[first : first + 2] if amount)


def days(count: float) -> str:
    """Give a number of days in words: `1 day`, `12 days`, `over a year`."""
    if count > 365:
        return "over a year"
    whole = int(count)
    if whole < 1:
        return "less than a day"
    return several(whole, "day")


def several(count: int, noun: str, plural: str = "") -> str:
    """Give a count with its noun: `1 disk`, `2 disks`."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def names(words: list[str], most: int = 4) -> str:
    """Join words, and count those over `most`: `a, b and 3 more`."""
    shown = ", ".join(words[:most])
    rest = len(words) - most
    return f"{shown} and {rest} more" if rest > 0 else shown


def clock(moment: str) -> str:
    """Give the local time of day of an ISO moment: `08:00`."""
    return f"{datetime.fromisoformat(moment).astimezone():%H:%M}"


def weekday(day: str) -> str:
    """Give an ISO date in full: `Monday, 23 November 2026`."""
    on = datetime.fromisoformat(day)
    return f"{_WEEKDAYS[on.weekday()]}, {on.day} {_MONTHS[on.month - 1]} {on.year}"


def month(number: int) -> str:
    """Give the name of a month."""
    return _MONTHS[number - 1]


# Not strftime's: a locale set by some other step must not change a report's language.
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)


def several_cores(cores: float) -> str:
    """Give a number of cores, which in a container may be a share: `4 cores`, `0.5 cores`."""
    return "1 core" if cores == 1 else f"{cores:g} cores"
