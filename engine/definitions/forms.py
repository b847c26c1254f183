"""Forms a value may have: how it is read from a node, told in a message, said in JSON Schema.

Reading is strict: `"2"` is no number, `1` no yes, `no` no false.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.definitions.nodes import Kind, Node
from engine.definitions.source import Source
from engine.durations import DURATION_S_MAX, parse_duration
from engine.errors import FAULTS_SHOWN_MAX, DefinitionError, Fault
from engine.model import RETRIES_MAX
from engine.naming import NAME_LENGTH_MAX, check_name, near
from engine.records import record
from engine.text import printable


@dataclass(slots=True)
class Faults:
    """Collects what is wrong in one file."""

    source: Source
    found: list[Fault] = field(default_factory=list)

    @property
    def are_many(self) -> bool:
        """Whether there are more than are told: what costs time to say is left out then."""
        return len(self.found) > FAULTS_SHOWN_MAX * 10

    def add(self, node: Node, message: str, hint: str, *, lines: bool = False) -> None:
        """Note a fault at a key, or an item of a list; its message is one line, or `lines`."""
        if self.source.is_json:
            hint = _in_json(hint)
        if not lines:
            message, hint = printable(message[:_SAID_MAX]), printable(hint[:_SAID_MAX])
        self.found.append(Fault(message, hint, str(self.source.path), node.line, node.column))


@record
class Asked:
    """A key whose value is read; `what` names it in messages: "step 'fetch': retries"."""

    what: str
    key: Node
    faults: Faults
    required: bool = False

    def wrong(self, message: str, hint: str, item: Node | None = None) -> Any:
        """Note a fault at the key, or at an item that stands on a line of its own; give None."""
        at = self.key if item is None or item.line == self.key.line else item
        self.faults.add(at, f"{self.what} {message}", hint)

    def misfit(self, node: Node, form: Form, item: Node | None = None) -> Any:
        """Note that a value has not its form; give None."""
        hint = _rewritten(node, form, required=self.required)
        source = self.faults.source
        if node.kind is Kind.NOTHING and not source.is_json and "#" in source.line(node.line):
            hint = "put text that begins with # in quotes: it is a comment here"
        return self.wrong(f"is {node.shown()}, not {form.words}", hint, item)


@record
class Form:
    """What a value may be: `words` tells it in a message, `schema` in JSON Schema.

    `read` gives the value, or notes what is wrong and gives None.
    """

    words: str
    schema: Mapping[str, Any]
    read: Callable[[Asked, Node, Form], Any]
    example: str = ""

    def of(self, asked: Asked, node: Node) -> Any:
        """Read a value of this form."""
        return self.read(asked, node, self)


_QUOTED_IN_HINT = re.compile(r"`([^`]*)`")
_BARE = re.compile(r"[^\s\[\]{}:,\"…][^\[\]{}:,\"…]*")


def _in_json(hint: str) -> str:
    """Write what a hint quotes from YAML as JSON: `name: a` as `"name": "a"`."""

    def text(match: re.Match[str]) -> str:
        word = match[0].rstrip()
        return match[0] if word in ("true", "false") else f'"{word}"{match[0][len(word) :]}'

    return _QUOTED_IN_HINT.sub(lambda quote: f"`{_BARE.sub(text, quote[1])}`", hint)


CURLY = ("\u201c", "\u201d", "\u201e", "\u2018", "\u2019", "\xab")  # quotes that no format knows
_SAID_MAX = 1_000  # whatever it quotes
_SCALARS = (Kind.INTEGER, Kind.NUMBER, Kind.BOOLEAN)
_TRUTHS = {"yes": "true", "on": "true", "no": "false", "off": "false"}
_PLAIN = re.compile(r"-?(?:0|[1-9][0-9]*)\Z")


def _rewritten(node: Node, form: Form, *, required: bool) -> str:
    """Say what to write instead."""
    wanted = form.schema.get("type")
    if node.kind is Kind.NOTHING:
        return f"give {form.words}" + ("" if required else ", or leave the key out")
    if "enum" in form.schema:
        return f"give {form.words}"
    if wanted == "string" and node.written in ("{", "["):
        return f"put a value that begins with {node.written} in quotes"
    if wanted == "string" and node.kind in _SCALARS:
        return f'put it in quotes: "{node.written}"'
    word = node.value.strip().lower() if node.kind is Kind.TEXT else ""
    if (wanted == "integer" and _PLAIN.match(word)) or (
        wanted == "boolean" and word in ("true", "false")
    ):
        return f"write {word} without quotes"
    if wanted == "integer" and node.kind is Kind.NUMBER and node.value in range(RETRIES_MAX + 1):
        return f"write {int(node.value)}"
    if wanted == "boolean" and word in _TRUTHS:
        return f"write {_TRUTHS[word]}"
    return f"give {form.words}" + (f", such as {form.example}" if form.example else "")


def is_plain(asked: Asked, node: Node, item: Node | None = None) -> bool:
    """Tell whether a number is written in plain digits: `014` is 12 to some programs."""
    if node.kind is not Kind.INTEGER or _PLAIN.match(node.written):
        return True
    hint = "write it in plain digits"
    if node.written.lstrip("+-").isdigit():
        hint += f": {node.value}; with a 0 before it is octal to some programs"
    asked.wrong(f"is written {node.written}", hint, item)
    return False


def unique_pairs(node: Node, what: str, faults: Faults) -> list[tuple[Node, Node]]:
    """Give a mapping's pairs; a key that comes again is a fault, and left out."""
    first: dict[str, Node] = {}
    found = []
    for pair in node.value:
        key = pair[0]
        before = first.setdefault(key.name, key)
        if before is key:
            found.append(pair)
            continue
        lead = f"{what}: " if what else ""
        message = f"{lead}'{key.name}' is given twice, first in line {before.line}"
        faults.add(key, message, "keep one of the two")
    return found


# -- text -----------------------------------------------------------------------------------------

_SECRET = re.compile(r"(?:PASSWORD|PASSWD|SECRET|TOKEN|API_?KEY)\Z", re.IGNORECASE)


def is_secret(name: str) -> bool:
    """Tell whether a name says that its value is a secret."""
    return _SECRET.search(name) is not None


def sound(asked: Asked, node: Node, item: Node | None = None) -> Any:
    """Give a node's text, if it is one that an operating system takes."""
    text: str = node.value
    if "\0" in text:
        return asked.wrong("holds a NUL character", "take it out", item)
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            return asked.wrong("holds half a surrogate pair", r"write both: \ud83d\ude00", item)
    return text


def _read_text(asked: Asked, node: Node, form: Form) -> Any:
    if node.kind is not Kind.TEXT:
        return asked.misfit(node, form)
    return sound(asked, node)


def read_filled(asked: Asked, node: Node, form: Form) -> Any:
    """Read text that is not blank."""
    if node.kind is Kind.TEXT and not node.value.strip():
        node = Node(Kind.NOTHING, None, node.line, node.column)
    return _read_text(asked, node, form)


def text() -> Form:
    """Any text, the empty one too."""
    return Form("text", {"type": "string"}, _read_text)


def filled(words: str, example: str = "") -> Form:
    """Text that is not blank."""
    return Form(words, {"type": "string", "pattern": r"\S"}, read_filled, example)


_DOTTED = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)+\Z")


def is_dotted(asked: Asked, name: str, item: Node | None = None) -> bool:
    """Tell whether a name is dotted as Python's are: `package.module.function`."""
    if _DOTTED.match(name):
        return True
    hint = "write package.module.name"
    if _DOTTED.match(name.replace(":", ".")):
        hint = f"write {name.replace(':', '.')}"
    elif _DOTTED.match(name.replace("/", ".")):
        hint = f"write {name.removesuffix('.py').replace('/', '.')}"
    elif name.isidentifier():
        hint = f"name its module too: mypackage.steps.{name}"
    elif name.endswith("()") and _DOTTED.match(name[:-2]):
        hint = f"name it without calling it: {name[:-2]}"
    asked.wrong(f'is "{name}", which is no dotted name', hint, item)
    return False


def _read_dotted(asked: Asked, node: Node, form: Form) -> Any:
    given = read_filled(asked, node, form)
    return given if given is not None and is_dotted(asked, given) else None


DOTTED = Form(
    "the dotted name of a Python function",
    {"type": "string", "pattern": r"^[^\s.:]+(\.[^\s.:]+)+$"},
    _read_dotted,
    "mypackage.steps.fetch",
)


def _named(kind: str) -> Form:
    def read(asked: Asked, node: Node, form: Form) -> Any:
        text = _read_text(asked, node, form)
        if text is None:
            return None
        try:
            return check_name(kind, text)
        except DefinitionError as error:
            message = error.message.replace(repr(text), repr(text[:60] + "…" * (len(text) > 60)))
            curly = "take the curly quotes away; " if text.startswith(CURLY) else ""
            asked.faults.add(asked.key, message, f"{curly}{error.hint}")
            return None

    odd = r"\s\x7f\u2000-\u206f"
    pattern = rf"^[^{odd}\x00-\x2f:-@\[-`{{-~][^{odd}\x00-,/:-@\[-^`{{-~]*$"
    schema = {"type": "string", "pattern": pattern, "maxLength": NAME_LENGTH_MAX}
    return Form("a name", schema, read)


WORKFLOW_NAME = _named("workflow")
STEP_NAME = _named("step")


def one_of(words: Iterable[str], meant: Mapping[str, str] | None = None) -> Form:
    """One of some words; `meant` has, by word, what others call it."""
    known = list(map(str, words))
    others = {other: word for word, said in (meant or {}).items() for other in said.split()}

    def read(asked: Asked, node: Node, form: Form) -> Any:
        if node.kind is Kind.TEXT and node.value in known:
            return str(node.value)
        if node.kind is not Kind.TEXT:
            return asked.misfit(node, form)
        said = node.value[:NAME_LENGTH_MAX].strip().lower().replace("-", "_")
        guess = others.get(said) or near(said, known)
        hint = f"did you mean '{guess}'?" if guess else f"give {form.words}"
        return asked.wrong(f"is {node.shown()}, not {form.words}", hint)

    return Form(f"one of {', '.join(known)}", {"type": "string", "enum": known}, read)


# -- numbers, durations, truth --------------------------------------------------------------------


def integer(least: int, most: int) -> Form:
    """A whole number within bounds."""

    def read(asked: Asked, node: Node, form: Form) -> Any:
        if node.kind is not Kind.INTEGER or not least <= node.value <= most:
            return asked.misfit(node, form)
        return int(node.value) if is_plain(asked, node) else None

    schema = {"type": "integer", "minimum": least, "maximum": most}
    return Form(f"an integer from {least} to {most}", schema, read, "3")


def _read_boolean(asked: Asked, node: Node, form: Form) -> Any:
    return bool(node.value) if node.kind is Kind.BOOLEAN else asked.misfit(node, form)


_DURATION = r"^(?=.)([0-9]+(\.[0-9]+)?h)?([0-9]+(\.[0-9]+)?m)?([0-9]+(\.[0-9]+)?s)?$"
_PART = (
    r"([0-9]+(?:[.,][0-9]+)?) *"
    r"(ms|msecs?|milliseconds?|s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?|w|weeks?)"
    r"(?:[ ,]+(?:and +)?|(?=[0-9])|\Z)"
)
_IN_WORDS = re.compile(rf"(?:{_PART})+\Z", re.IGNORECASE)
_PARTS = re.compile(_PART, re.IGNORECASE)
_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_NO_LIMIT = ("none", "never", "no", "off", "unlimited", "infinite", "infinity", "inf", "forever")
_CLOCK = re.compile(r"([0-9]+):([0-9]{2})(?::([0-9]{2}))?\Z")
_DURATION_HINT = "give seconds, or text like 90s, 5m, 1h30m"


def _read_duration(asked: Asked, node: Node, form: Form) -> Any:
    if node.kind not in (Kind.TEXT, Kind.INTEGER, Kind.NUMBER):
        return asked.misfit(node, form)
    if not is_plain(asked, node):
        return None
    try:
        parse_duration(asked.what, node.value, zero=form is DURATION_OR_0)
    except DefinitionError as error:
        if node.kind is Kind.TEXT and "out of range" not in error.message:
            return asked.wrong(f"is {node.shown()}, not a duration", _duration_hint(node.value))
        asked.faults.add(asked.key, error.message, error.hint)
    return node.value


def _duration_hint(text: str) -> str:
    text = text.strip()
    clock = _CLOCK.match(text)
    if _IN_WORDS.match(text[:_WORDS_MAX]):
        return f"write {_summed(text)}; {_DURATION_HINT.removeprefix('give ')} are taken"
    if _PLAIN.match(text):
        return f"write {text} without quotes"
    if text.lower() in _NO_LIMIT:
        return "leave the key out"
    if clock and clock[3]:
        return f"write {clock[1]}h{clock[2]}m{clock[3]}s"
    if clock:
        return f"write {clock[1]}m{clock[2]}s, or {clock[1]}h{clock[2]}m"
    return _DURATION_HINT


_WORDS_MAX = 60


def _summed(text: str) -> str:
    """Write as a duration what is one in words."""
    parts = [
        (float(amount.replace(",", ".")), "ms" if unit.startswith(("ms", "milli")) else unit[0])
        for amount, unit in _PARTS.findall(text[:_WORDS_MAX].lower())
    ]
    if len(parts) == 1 and parts[0][1] in "smh":
        return f"{parts[0][0]:g}{parts[0][1]}"
    seconds = sum(amount * _MS[unit] for amount, unit in parts) / 1_000
    hours, rest = divmod(seconds, 3_600)
    minutes, rest = divmod(rest, 60)
    shown = ((hours, "h"), (minutes, "m"), (rest, "s"))
    return "".join(f"{amount:.10g}{unit}" for amount, unit in shown if amount)


def _duration(bounds: Mapping[str, float]) -> Form:
    number = {"type": "number", "maximum": DURATION_S_MAX, **bounds}
    schema = {"anyOf": [number, {"type": "string", "pattern": _DURATION}]}
    return Form("a duration", schema, _read_duration, "300, 90s, 5m, 1h30m")


DURATION = _duration({"exclusiveMinimum": 0})
DURATION_OR_0 = _duration({"minimum": 0})
BOOLEAN = Form("true or false", {"type": "boolean"}, _read_boolean)
