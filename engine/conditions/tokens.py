"""The words, numbers, texts and signs that a condition is made of."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from enum import Enum, auto
from typing import NamedTuple
from unicodedata import category, normalize

from engine.conditions.tree import Scalar
from engine.conditions.wrong import Wrong, WrongSyntax

_START = re.compile(r"[ \t\r\n]*")
_ASCII_WORD = re.compile(r"[A-Za-z0-9_.\-]*")
_NUMBER_BEGINS = frozenset("-0123456789")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?\Z")
_SIGN = re.compile(r"===|!==|==|!=|<=|>=|<>|=>|&&|\|\||[<>=!()\[\],]")
_ESCAPES = {"\\": "\\", '"': '"', "'": "'", "n": "\n", "t": "\t"}
_CLOSED_BY = {'"': '"', "'": "'"}

_KNOWN = frozenset({"==", "!=", "<", "<=", ">", ">=", "(", ")", "[", "]", ","})
_INSTEAD = {  # how others write it, and how it is written here
    "=": "==",
    "===": "==",
    "!==": "!=",
    "<>": "!=",
    "=>": ">=",
    "&&": "and",
    "||": "or",
    "!": "not",
    "&": "and",
    "|": "or",
}
_HINTS = {
    "+": "conditions do not calculate: let the step before leave the figure",
    "$": "write names as they are, without $ or braces",
    "{": "write names as they are, without $ or braces",
    "}": "write names as they are, without $ or braces",
    "?": 'write "A and B or not A and C"',
    "“": "use straight quotes",
    "”": "use straight quotes",
    "‘": "use straight quotes",  # noqa: RUF001 - what word processors make of '
    "’": "use straight quotes",
    "„": "use straight quotes",
    "#": "a condition takes no comment",
    ";": "one condition goes into one `when`: join two with and, or",
}
_HINTS |= dict.fromkeys("-*/%^~", _HINTS["+"])


class Kind(Enum):
    """What a token is."""

    WORD = auto()
    LITERAL = auto()  # a number or a quoted text
    SIGN = auto()
    END = auto()


class Token(NamedTuple):
    """A token: `text` as it is written, `value` of a literal."""

    kind: Kind
    text: str
    offset: int
    value: Scalar = None


def tokens(text: str) -> Iterator[Token]:
    """Give the tokens of `text`, an `END` last. Raises `WrongSyntax`."""
    at = 0
    while (found := _START.match(text, at)) and (at := found.end()) < len(text):
        char = text[at]
        if char in _CLOSED_BY:
            token, at = _quoted(text, at)
        elif _in_word(char) and (char != "-" or text[at + 1 : at + 2].isdigit()):
            token, at = _word(text, at)
        else:
            token = _sign(text, at)
            at += len(token.text)
        yield token
    yield Token(Kind.END, "", len(text))


def _in_word(char: str) -> bool:
    if char.isascii():
        return char.isalnum() or char in "_.-"
    return category(char)[0] in "LNM"


def _word(text: str, at: int) -> tuple[Token, int]:
    match = _ASCII_WORD.match(text, at)
    assert match
    end = match.end()
    while end < len(text) and _in_word(text[end]):
        end += 1
    word = text[at:end]
    if word[0] in _NUMBER_BEGINS and _NUMBER.match(word):
        value = Decimal(word) if "." in word else int(word)
        return Token(Kind.LITERAL, word, at, value), end
    if word[0] in "-.":
        hint = "write numbers as -5 or 0.5, and names as they are"
        raise WrongSyntax(Wrong(at, f"'{word}' is neither a number nor a name", hint))
    return Token(Kind.WORD, word if word.isascii() else normalize("NFC", word), at), end


def _quoted(text: str, at: int) -> tuple[Token, int]:
    quote = text[at]
    value = []
    end = at + 1
    while end < len(text) and text[end] != quote:
        if text[end] == "\\":
            escaped = _ESCAPES.get(text[end + 1 : end + 2])
            if escaped is None:
                hint = r"write \\ for a backslash; others are \" \' \n \t"
                raise WrongSyntax(Wrong(end, "a backslash that stands for nothing", hint))
            value.append(escaped)
            end += 2
        else:
            value.append(text[end])
            end += 1
    if end >= len(text):
        raise WrongSyntax(Wrong(at, "this quote is not closed", f"end the text with {quote}"))
    return Token(Kind.LITERAL, text[at : end + 1], at, "".join(value)), end + 1


def _sign(text: str, at: int) -> Token:
    match = _SIGN.match(text, at)
    sign = match[0] if match else text[at]
    if sign in _KNOWN:
        return Token(Kind.SIGN, sign, at)
    if sign in _INSTEAD:
        raise WrongSyntax(Wrong(at, f"'{sign}' is not known here", f"write {_INSTEAD[sign]}"))
    shown = f"'{sign}'" if sign.isprintable() else f"the character U+{ord(sign):04X}"
    hint = _HINTS.get(sign, "text goes in quotes")
    raise WrongSyntax(Wrong(at, f"{shown} is not known here", hint))
