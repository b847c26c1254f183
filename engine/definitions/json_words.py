"""What is wrong with a JSON file's syntax, in words that say what to write instead."""

from __future__ import annotations

import re

from engine.definitions.forms import CURLY

_WORD = re.compile(r"[+-]?[\w.$]+(?:[+-]\w+)?")
_NUMBER = re.compile(r"[+-]?(?:0[xob])?[0-9a-f_]*\.?[0-9]*(?:e[+-]?[0-9]+)?\Z", re.IGNORECASE)
_MEANT = {"True": "true", "False": "false", "None": "null", "TRUE": "true", "FALSE": "false"}
_NO_NUMBERS = ("NaN", "Infinity", "+Infinity", "-Infinity")
_ESCAPES = r"""write \\ for a backslash; JSON knows \" \\ \/ \b \f \n \r \t \u0041"""


def no_value(text: str, at: int) -> tuple[str, str]:
    """Say what stands where a value is expected."""
    told = _anywhere(text, at)
    if told:
        return told
    match = _WORD.match(text, at)
    word = match[0] if match else text[at]
    if not text[:at].strip() and (word == "-" or re.compile(r"[\w-]+ *:").match(text, at)):
        return "this is YAML, not JSON", "name the file .yaml, or write { } and double quotes"
    if word in _MEANT:
        return f"{word} is Python's word", f"write {_MEANT[word]}"
    if word in _NO_NUMBERS:
        return f"JSON has no {word}", "give a finite number, or leave the key out"
    if word in ("undefined", "null") or not match:
        return f"{word} is no value", "give one, or leave the key out"
    if _NUMBER.match(word) and word[-1:].isalnum() | (word[-1:] == "."):
        return f"{word} is not how JSON writes a number", _digits(word)
    return f"{word[:40]} stands without quotes", f'write "{word[:40]}"'


def _digits(word: str) -> str:
    plain = word.lstrip("+").replace("_", "")
    try:
        number = float(plain) if not plain.lower().startswith(("0x", "0o", "0b")) else int(plain, 0)
    except ValueError:
        return "write it in plain digits"
    return f"write {number:g}" if len(plain) < 8 else "write it in plain digits"


def no_key(text: str, at: int, *, first: bool) -> tuple[str, str]:
    """Say what stands where a key is expected."""
    told = _anywhere(text, at)
    if told:
        return told
    match = _WORD.match(text, at)
    if match:
        return f"the key {match[0][:40]} stands without quotes", f'write "{match[0][:40]}": …'
    expected = "a key or }" if first else "a key"
    if text.startswith(("{{", "{%"), at - 1):
        return "a template stands without quotes", "put the whole value in double quotes"
    return f"'{text[at]}' stands where {expected} is expected", 'write "key": value'


def after_value(text: str, at: int, bracket: str, closing: str, line: int) -> tuple[str, str]:
    """Say what stands where a comma or the end is expected; `bracket` was opened in `line`."""
    char = text[at]
    told = _anywhere(text, at)
    if told and char not in {'"', "'"}:
        return told
    if char in "]}":
        message = f"'{char}' stands where '{closing}' is expected: the '{bracket}' of line {line}"
        return message, f"close the '{bracket}' with '{closing}'"
    if char == ":" and bracket == "[":
        return "a colon in a list", 'a list holds values; put "key": value in { }'
    if char == ":":
        return "a second colon after a key", "put the value in double quotes"
    return "a comma is missing before this", "put a comma between two values"


def _anywhere(text: str, at: int) -> tuple[str, str] | None:
    """Say what is wrong with a character that JSON allows in no place; None of any other."""
    char = text[at]
    if text.startswith(("//", "/*", "#"), at):
        return "JSON has no comments", "take it out, or write the workflow in YAML"
    if char == "'":
        return "JSON knows no single quotes", "write text in double quotes"
    if char in CURLY:
        return f"{char} is a curly quote", 'write straight double quotes: "'
    if char == ",":
        return "a comma with nothing before it", "take the comma out"
    if char.isspace() and char not in " \t\r\n":
        return "a space that is none to JSON", "write a plain space"
    return None


def bad_string(message: str, text: str, begin: int, at: int) -> tuple[str, str, int]:
    """Say what is wrong in a string, and where."""
    if "Unterminated" in message or at >= len(text) or text[at] in "\r\n":
        return (
            'the quote " opened here is not closed in its line',
            r"close it; \n is a line end",
            begin,
        )
    if "control" in message:
        return "a tab within quotes", r"write \t", at
    return "this is no escape of JSON", _ESCAPES, at
