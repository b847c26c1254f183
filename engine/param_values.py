"""One value of a parameter: the types there are, what each takes as text, how values are shown."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path, PurePath
from typing import Any

_INT = re.compile(r"[+-]?[0-9]+\Z")
_FLOAT = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?\Z")
_BOOL = {"true": True, "yes": True, "1": True, "on": True}
_BOOL |= {"false": False, "no": False, "0": False, "off": False}
DAYS_BACK = {"today": 0, "yesterday": 1}
SHOWN_LENGTH = 80  # characters of a text in a message

CHOICE = "choice"  # the name of text with choices
TYPES: dict[str, type] = {"str": str, "int": int, "float": float, "bool": bool}
TYPES |= {"date": date, "datetime": datetime, "path": Path, CHOICE: str}
TYPE_NAMES = tuple(TYPES)
TYPES_HINT = "choose str, int, float, bool, date, datetime, path or choice"
FORMS: dict[type, tuple[str, str]] = {  # what a value is to be, and an example of it
    str: ("text", "eu"),
    int: ("a whole number", "3"),
    float: ("a finite number", "2.5"),
    bool: ("true or false (yes, no, on, off, 1, 0)", "true"),
    date: ("a date (YYYY-MM-DD, today or yesterday)", "2011-11-14"),
    datetime: ("a date and time (ISO 8601)", "2011-11-14T08:00:00+00:00"),
    Path: ("a path", "data/in.csv"),
}


class MisfitError(Exception):
    """A value does not fit its type; the text says what it is."""


def known_type(type_: object) -> type | None:
    """Give the type that a parameter's `type` means, by name or itself; None for any other."""
    if type(type_) is str:
        return TYPES.get(type_)
    if type_ is PurePath or type_ is type(Path()):
        return Path
    return next((known for known in FORMS if known is type_), None)


def value_of(type_: type, value: object, today: date | None) -> Any:
    """Give `value` as a `type_`, from text or from a value of it, else raise `MisfitError`.

    Without `today` the texts "today" and "yesterday" are no dates.
    """
    try:
        if isinstance(value, str):
            text = str.__str__(value)
            text.encode()
            if type_ is date and today is not None and text.strip().lower() in DAYS_BACK:
                return today - timedelta(days=DAYS_BACK[text.strip().lower()])
            return _PARSERS[type_](text)
        return _accepted(type_, value)
    except UnicodeEncodeError:
        raise MisfitError("not valid Unicode") from None
    except MisfitError:
        raise
    except Exception:  # noqa: BLE001 - a value's own methods may raise anything
        raise MisfitError(shown(value)) from None


def _accepted(type_: type, value: object) -> Any:
    """Give a value of the right type as its text would read, so that a resume sees the same."""
    is_number = isinstance(value, int) and not isinstance(value, bool)
    if type_ is bool and isinstance(value, bool):
        return value
    if type_ is int and isinstance(value, int) and is_number:
        return _PARSERS[int](str(int(value)))
    if type_ is float and isinstance(value, int | float) and (is_number or type(value) is not bool):
        return _number(float(value))
    if type_ is datetime and isinstance(value, datetime):
        return datetime.fromisoformat(datetime.isoformat(value))
    if type_ is date and isinstance(value, date) and not isinstance(value, datetime):
        return date.fromisoformat(date.isoformat(value))
    if type_ is Path and isinstance(value, PurePath):
        str(value).encode()
        return _path(str(value))
    raise MisfitError(shown(value))


def _whole(text: str) -> int:
    if not _INT.match(text.strip()):
        raise ValueError
    return int(text)


def _number(value: float) -> float:
    if not math.isfinite(value):
        raise ValueError
    return value + 0.0  # -0.0 equals 0.0 and is to be recorded as it


def _float(text: str) -> float:
    if not _FLOAT.match(text.strip()):
        raise ValueError
    return _number(float(text))


def _path(text: str) -> Path:
    if not text or "\0" in text:
        raise ValueError
    return Path(text)


_PARSERS: dict[type, Callable[[str], Any]] = {
    str: lambda text: text,
    int: _whole,
    float: _float,
    bool: lambda text: _BOOL[text.strip().lower()],
    date: lambda text: date.fromisoformat(text.strip()),
    datetime: lambda text: datetime.fromisoformat(text.strip()),
    Path: _path,
}


def shown(value: object) -> str:
    """Name a value in a message: plain ones as they are, others by type, never by their repr."""
    if type(value) is str:
        return repr(value if len(value) <= SHOWN_LENGTH else value[:SHOWN_LENGTH] + "…")
    if type(value) in {bool, float, date, datetime, type(Path())}:
        return f"'{text_of(value)}'" if type(value) is not float else repr(value)
    if type(value) is int:
        return str(value) if value.bit_length() < SHOWN_LENGTH else "an int of many digits"
    return with_article(type(value).__name__)


def with_article(noun: str) -> str:
    """Put "a" or "an" before a noun."""
    return f"{'an' if noun[:1].lower() in 'aeiou' else 'a'} {noun}"


def listed(choices: tuple[Any, ...]) -> str:
    """Name a parameter's choices."""
    return ", ".join(text_of(choice) for choice in choices)


def text_of(value: object) -> str:
    """Give the text that `value_of` reads as the value."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, date):  # a datetime too
        return value.isoformat()
    return repr(value) if isinstance(value, float) else str(value)
