"""What is wrong with a YAML file's syntax, in words that say what to write instead.

The parser's own words name its rules; ours are found in the text around the place.
"""

from __future__ import annotations

import re
from typing import Any, NoReturn

from engine.definitions.forms import CURLY
from engine.definitions.source import Source
from engine.records import record

Told = tuple[str, str, int]  # what is wrong, a hint, and the line

_NO_SPACE = re.compile(r"[ ]*(?:- +)*([A-Za-z_]\w*):([^\s:/].*)")
_KEY = re.compile(r"[ ]*(?:- +)*([^\s:#](?:[^:]|:(?! |$))*):(?: |$)")
_VALUE = re.compile(r"[ ]*(?:- +)*(?:[^\s:#][^:]*: +)?(.)")
_CLOSING = {"[": "]", "{": "}"}
_QUOTES = {"'": "single", '"': "double"}
_ALIKE = "\N{NO-BREAK SPACE}\N{ZERO WIDTH SPACE}\N{IDEOGRAPHIC SPACE}"


_LINES_LOOKED_AT = 1_000
_KEY_LENGTH_MAX = 1_024  # of YAML's parsers


@record
class _Case:
    """What the parser says, and where: `opened` is where the thing it was reading began."""

    source: Source
    problem: str
    context: str
    line: int
    column: int
    opened: int
    opened_column: int
    last: Any

    def text(self, number: int) -> str:
        return self.source.line(number)

    @property
    def above(self) -> int:
        """The line before this one that says something; 0 if there is none."""
        return self.saying(self.line - 1)

    def saying(self, number: int) -> int:
        """Give the line that says something, from this one upwards; 0 if none near does."""
        for near in range(number, max(0, number - _LINES_LOOKED_AT), -1):
            if self.text(near).partition("#")[0].strip():
                return near
        return 0

    @property
    def ended(self) -> str:
        """What the last thing read was, if this line ends it: a quote, a bracket, `*`."""
        name = type(self.last).__name__
        if self.last is None or self.last.end_mark.line + 1 != self.line:
            return ""
        if name == "ScalarEvent":
            return self.last.style if self.last.style in _QUOTES else ""
        if name == "AliasEvent":
            return "*"
        before = self.text(self.line)[: self.last.end_mark.column].rstrip()
        return before[-1] if name.endswith("EndEvent") and before.endswith(("]", "}")) else ""


def explain(source: Source, error: Any, last: Any) -> NoReturn:
    """Raise a fault of ours for what the parser says; `last` is the last thing that it read."""
    mark = error.problem_mark or error.context_mark
    opened = error.context_mark or mark
    line = mark.line + 1
    least = max(1, line - _LINES_LOOKED_AT)
    while line > least and not source.line(line).strip():
        line -= 1  # the end of the file, mostly
    case = _Case(
        source,
        str(error.problem or ""),
        str(error.context or ""),
        line,
        mark.column,
        opened.line + 1,
        opened.column,
        last,
    )
    tab = _tab(case, mark.line + 1)
    if tab:
        source.refuse("a tab indents this line, and YAML takes no tabs", "indent with spaces", *tab)
    for look in _LOOKS:
        told = look(case)
        if told:
            message, hint, line = told
            break
    source.refuse(message, hint, line, source.first_word(line))


def _tab(case: _Case, stopped: int) -> tuple[int, int] | None:
    for number in (stopped, case.line, case.opened):
        text = case.text(number)
        indent = text[: len(text) - len(text.lstrip(" \t-"))]
        if "\t" in indent:
            return number, indent.index("\t") + 1
    return None


def _quoted(case: _Case) -> Told | None:
    if "quoted scalar" not in case.context:
        return None
    if "escape" in case.problem or "hex" in case.problem:
        hint = r"write \\ for a backslash, or put the value in single quotes"
        return "in double quotes a backslash begins an escape, and this is none", hint, case.line
    mark = case.text(case.opened)[case.opened_column : case.opened_column + 1]
    hint = f"close it; a {mark} that is part of the text goes in {_other(mark)} quotes"
    return f"the quote {mark} opened in this line is not closed", hint, case.opened


def _other(mark: str) -> str:
    return "single" if mark == '"' else "double"


def _after_end(case: _Case) -> Told | None:
    """Something follows what has ended: a quote within quotes, `[ -f x ] && …`."""
    end = case.ended
    if not end or "flow" in case.context:
        return None
    if end in _QUOTES and case.last.start_mark.line + 1 < case.line:
        began = case.last.start_mark.line + 1
        hint = f"close it in line {began}"
        return f"the quote {end} opened in line {began} is closed only here", hint, case.line
    if end in _QUOTES:
        inside = "''" if end == "'" else r"\""
        hint = f"put the whole value in {_other(end)} quotes, or write {inside} for {end} inside"
        return f"text follows the closing quote {end}", hint, case.line
    if end == "*":
        return _begins_with("*", case.line)
    hint = f"put a value that begins with {'[' if end == ']' else '{'} in quotes as a whole"
    return f"text follows the closing {end}", hint, case.line


def _begins_with(char: str, line: int) -> Told:
    return f"a value cannot begin with {char}", "put the whole value in quotes", line


def _first_char(case: _Case) -> Told | None:
    """Characters that mean something at the beginning of a value."""
    char = case.text(case.line)[case.column : case.column + 1]
    if "cannot start any token" in case.problem:
        return _begins_with(char, case.line) if char.strip() else None
    item = case.text(case.opened).lstrip()
    if "alias" in case.context and item.startswith("* "):
        return _other_dash(item, case.opened)
    if "anchor" in case.context or "alias" in case.context or "tag" in case.context:
        value = _VALUE.match(case.text(case.opened))
        return _begins_with(value[1] if value and value[1] in "&*!" else "& * or !", case.opened)
    if "tag handle" in case.problem:
        return _begins_with("!", case.line)
    if "directive" in case.context + case.problem:
        return "a line that begins with % is a directive", "put it in quotes, or out", case.line
    if "block scalar" in case.context:
        hint = "begin the text in the next line, indented; or put the whole value in quotes"
        return "text follows | or >, which begins text of several lines", hint, case.opened
    return None


def _flow(case: _Case) -> Told | None:
    """Within brackets."""
    if "flow" not in case.context and "']'" not in case.problem:
        return None
    bracket = case.text(case.opened)[case.opened_column : case.opened_column + 1]
    if bracket not in _CLOSING:
        return None
    closing = _CLOSING[bracket]
    where = "this line" if case.opened == case.line else f"line {case.opened}"
    message = f"the {bracket} opened in {where} is not closed with {closing}"
    hint = f"close it; put a value that begins with {bracket} in quotes"
    if case.opened == case.line:
        hint = f"put a value that begins with {bracket} in quotes; a list is [a, b]"
    return message, hint, case.line


def _no_dash_space(case: _Case) -> Told | None:
    """`-name: a`, which is a key that begins with a dash."""
    for number in (case.line, case.above, case.opened):
        text = case.text(number).lstrip()
        if re.match(r"-[A-Za-z_]", text):
            return "no space follows the dash", f"write `- {text[1:41]}`", number
    return None


def _conflict(case: _Case) -> Told | None:
    for number in (case.above, case.line, case.opened):
        if case.text(number).startswith(("<<<<<<<", "=======", ">>>>>>>")):
            return (
                "a merge conflict is left in this file",
                "settle it, and take its marks out",
                number,
            )
    return None


def _no_space(case: _Case) -> Told | None:
    """`name:fetch`, which is no key and a value, but a word."""
    if "':'" not in case.problem and "mapping values" not in case.problem:
        return None
    for number in (case.opened, case.line, case.above):
        match = _NO_SPACE.match(case.text(number))
        if match:
            message = f"no space follows the colon of '{match[1]}'"
            return message, f"write `{match[1]}: {match[2].strip()[:40]}`", number
    return None


def _colon(case: _Case) -> Told | None:
    """A second colon in a line, or a first one where a text goes on."""
    if "mapping values" not in case.problem:
        return None
    before = case.text(case.line)[: case.column]
    key = _KEY.match(before)
    if key:
        message = f"the value of '{key[1]}' holds ': ', which would begin another key"
        value = before[key.end() :].lstrip()
        kind = "straight " if value.startswith(CURLY) else ""
        return message, f"put the whole value in {kind}quotes", case.line
    told = _keyless(case)
    if told:
        return told
    if len(before) > _KEY_LENGTH_MAX:
        return "a key of that length is not taken", "give it a shorter name", case.line
    fitting = case.source.first_word(case.above) - 1
    hint = f"indent it by {fitting}, as line {case.above}" if fitting else "do not indent it"
    message = f"this line is indented deeper than line {case.above}, whose text it continues"
    return message, hint, case.line


def _keyless(case: _Case) -> Told | None:
    """A line above that was to be a key or an item, and is text that goes on here."""
    number, source = case.above, case.source
    text = case.text(number).strip()
    before = case.saying(number - 1)
    if text.startswith(_DASHES):
        return _other_dash(text, number)
    continues = before > 0 and not case.text(before).rstrip().endswith(":")
    if continues and source.first_word(number) > source.first_word(before):
        return None
    if number < 1 or _KEY.match(text):
        return None
    word = text.removeprefix("- ").split(" ")[0][:40]
    if "\N{FULLWIDTH COLON}" in word:
        return "the colon here is not the one that YAML knows", "write a plain `: `", number
    if "=" in word:
        name, _, value = text.partition("=")
        return f"no colon follows '{name[:40]}'", f"write `{name[:40]}: {value[:40]}`", number
    if text.startswith("- "):
        return f"no colon follows '{word}'", f"write `- name: {word}`", number
    hint = f"write `{word}:`, and its value in this line or below it, indented"
    return f"no colon follows '{word}'", hint, number


def _other_dash(text: str, line: int) -> Told:
    hint = f"write `- {text[1:41].strip()}`"
    return f"{text[0]} begins no item of a list: a plain dash does", hint, line


_DASHES = ("\N{EN DASH}", "\N{EM DASH}", "\N{MINUS SIGN}", "\N{BULLET}", "\N{HYPHEN}", "* ")


def _no_colon(case: _Case) -> Told | None:
    if "':'" not in case.problem:
        return None
    hint = "write `key: value`; text of several lines goes below `key: |`, indented"
    if "{" in case.text(case.opened):
        hint = "within { } a space follows each colon"
    return "this line is no `key: value`", hint, case.opened


def _dash(case: _Case) -> Told | None:
    if "sequence entries" not in case.problem:
        return None
    hint = "begin the list in the next line, or write [a, b]"
    return "a list cannot begin in the line of its key", hint, case.line


def _indentation(case: _Case) -> Told | None:
    problem = case.problem
    if not any(word in problem for word in ("expected key", "'-'", "block end", "document start")):
        return None
    line, text = case.line, case.text(case.line)
    indent = len(text) - len(text.lstrip(" "))
    if any(char in text[: indent + 2] for char in _ALIKE):
        hint = "indent with plain spaces"
        return "a character that looks like a space indents this line", hint, line
    if "document start" in problem:
        return _outside(case, indent)
    in_list = "sequence" in case.context or "collection" in case.context
    if in_list and indent == case.opened_column and not text.lstrip().startswith("-"):
        hint = "begin it with `- `, or indent it deeper to belong to the item above"
        return "this line stands where an item of a list is expected", hint, line
    if not in_list and indent == case.opened_column and text.lstrip().startswith("- "):
        hint = "indent the list deeper, or begin it under its own key"
        return "an item of a list stands among keys", hint, line
    fitting = case.source.first_word(case.above) - 1
    if text.lstrip().startswith("-"):
        fitting = case.opened_column
    hint = f"indent it by {fitting}, as the lines above it"
    return f"this line is indented by {indent}, which fits no line above it", hint, line


def _outside(case: _Case, indent: int) -> Told:
    """What follows where the document is over."""
    above = case.text(case.above)
    if indent < len(above) - len(above.lstrip(" ")):
        return "this line is indented less than the lines above", "indent all keys alike", case.line
    hint = "a workflow is one mapping: `name: …`, `steps:` and so on, all indented alike"
    return "this line is outside of what is above", hint, case.line


def _rest(case: _Case) -> Told:
    char = case.text(case.line)[case.column : case.column + 1]
    if char and char in "]},?":
        return f"'{char}' stands where a value is expected", "put the value in quotes", case.line
    hint = "look at the indentation, quotes and brackets here and in the line above"
    return "this line is not YAML", hint, case.line


_LOOKS = (
    _quoted,
    _after_end,
    _first_char,
    _flow,
    _conflict,
    _no_dash_space,
    _no_space,
    _colon,
    _no_colon,
    _dash,
    _indentation,
    _rest,
)
