"""What can name a workflow or a step, and which name was meant by one that names nothing."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from engine.errors import DefinitionError

NAME_LENGTH_MAX = 100
NAME_BYTES_MAX = 200  # a file name holds 255 bytes, and logs add a suffix

GUESSED_AMONG_MAX = 100_000  # names, of which each takes 6 µs to be compared

BACKFILL_SUFFIX = ".backfill"  # ends what a backfill's own run is a run of; no workflow's name

_SETTING_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,99}\Z")


def name_fault(name: object) -> str:
    """Say why `name` can name nothing; nothing if it can."""
    if not isinstance(name, str):
        return f"is not text but {type(name).__name__}"
    if _PLAIN_NAME.match(name):
        return ""
    if not name:
        return "is empty"
    if len(name) > NAME_LENGTH_MAX or len(name.encode("utf-8", "surrogatepass")) > NAME_BYTES_MAX:
        return f"is longer than {NAME_LENGTH_MAX} characters or {NAME_BYTES_MAX} bytes"
    if unicodedata.normalize("NFC", name) != name:
        return "is not in Unicode normal form NFC"
    for position, char in enumerate(name):
        category = unicodedata.category(char)
        word = category[0] == "L" or category == "Nd"
        inner = position > 0 and (char in "_.-" or category in {"Mn", "Mc"})
        if not (word or inner):
            return f"holds {char!r} at position {position + 1}"
    return ""


def check_name(kind: str, name: object) -> str:
    """Give back `name` if it can name a workflow or a step, else raise `DefinitionError`.

    Letters and digits of any script, then also `_ . -`; NFC; at most 100 characters and 200 bytes.
    """
    if isinstance(name, str) and _PLAIN_NAME.match(name):
        return name  # as most are: a step less to go down for each of a million
    fault = name_fault(name)
    if fault:
        raise DefinitionError(
            f"{kind} name {name!r} {fault}",
            hint="start with a letter or digit, go on with letters, digits, '_', '.' or '-'",
        )
    assert isinstance(name, str)
    return name


def checked_ping(workflow: str, name: object) -> str | None:
    """Give the name of a setting that holds a URL; a URL itself is refused, as it is a secret."""
    if name is None:
        return None
    if isinstance(name, str) and _SETTING_NAME.match(name):
        return name
    shown = "a URL" if isinstance(name, str) and "://" in name else repr(name)
    raise DefinitionError(
        f"workflow '{workflow}': ping is {shown}, not the name of a secret",
        hint="put PING_URL=https://… into var/env, and give its name, PING_URL",
    )


def did_you_mean(wanted: str, names: Iterable[str]) -> str:
    """Ask for the nearest of `names`; nothing if none is near."""
    found = near(wanted, names)
    return f"did you mean '{found}'?" if found else ""


def near(wanted: str, names: Iterable[str]) -> str:
    """Give the nearest of `names`; nothing if none is near. Capitals count least.

    Among very many only those that differ in capitals are looked for.
    """
    import difflib  # wanted for errors only

    known, folded = list(names), wanted.casefold()
    same = [name for name in known if name.casefold() == folded]
    found = same
    if not found and len(known) <= GUESSED_AMONG_MAX:
        found = difflib.get_close_matches(wanted, known, n=1)
    return found[0] if found else ""
