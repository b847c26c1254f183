"""What can be known of a condition before a run: what its words refer to, and their kinds."""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import field
from typing import Any

from engine.conditions import STATUSES, kinds
from engine.conditions.tree import (
    Both,
    Compare,
    Either,
    Items,
    Literal,
    Node,
    Not,
    Parameter,
    Status,
    Value,
    Word,
    literal_text,
    reference_text,
)
from engine.conditions.wrong import Undecided, Wrong
from engine.naming import did_you_mean
from engine.records import record

PARAMS = "params"

_STATUS_WORDS = ", ".join(STATUSES[:-1]) + f" or {STATUSES[-1]}"
_OTHER_STATUSES = {
    "cached": 'a step reused from an earlier run reads "ok"',
    "timed_out": 'write "failed": that is what a step is that ran out of time',
    "success": 'did you mean "ok"?',
    "succeeded": 'did you mean "ok"?',
    "passed": 'did you mean "ok"?',
    "completed": 'did you mean "ok"?',
    "timeout": 'write "failed": that is what a step is that ran out of time',
    "done": 'did you mean "ok"?',
    "error": 'did you mean "failed"?',
    "failure": 'did you mean "failed"?',
}
_EQUAL = frozenset({"==", "!=", "in", "not in"})
_DATE = re.compile(r"\d{4}-\d\d-\d\d")


@record
class Scope:
    """What the condition of `step` may speak of.

    `is_ancestor(a, b)` tells whether step `a` has always ended before `b` is decided about;
    `params` gives the parameters' types, None for one that is not known, and `choices` the values
    of those that have choices. `statuses` gives those in which a step may have ended when this one
    is asked. `guess` asks for the step that a wrong name may mean.
    """

    step: str
    steps: Container[str]
    params: Mapping[str, type | None]
    is_ancestor: Callable[[str, str], bool]
    guess: Callable[[str], str] = lambda _: ""
    choices: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    statuses: Callable[[str], Sequence[str]] = lambda _: STATUSES


def check(tree: Node, scope: Scope) -> tuple[Node, list[Wrong]]:
    """Tie a parsed condition to what its words refer to; give the tied tree and all faults."""
    checker = _Checker(scope)
    tied, kind = checker.tie(tree)
    if kind not in (kinds.BOOLEAN, None):
        hint = 'compare it with something, as in fetch.rows > 0 or fetch.status == "ok"'
        checker.add(tree.offset, f"the condition is {kind}, not true or false", hint)
    return tied, sorted(checker.faults)


class _Checker:
    def __init__(self, scope: Scope) -> None:
        self.faults: list[Wrong] = []
        self._scope = scope
        self._nots = 0  # around what is looked at

    def add(self, offset: int, message: str, hint: str) -> None:
        """Note a fault."""
        self.faults.append(Wrong(offset, message, hint))

    def tie(self, node: Node) -> tuple[Node, str | None]:
        """Give a node with its words tied, and its kind, None if only a run knows it."""
        match node:
            case Both(parts, offset):
                return Both(self._truths(parts, "and"), offset), kinds.BOOLEAN
            case Either(parts, offset):
                return Either(self._truths(parts, "or"), offset), kinds.BOOLEAN
            case Not(operand, offset):
                self._nots += 1
                (tied,) = self._truths((operand,), "not")
                self._nots -= 1
                return Not(tied, offset), kinds.BOOLEAN
            case Compare():
                return self._comparison(node)
            case Word():
                return self._word(node)
            case Literal(value):
                return node, kinds.kind_of(value)
            case Items():
                return node, kinds.LIST
            case _:
                return node, None

    def _truths(self, parts: tuple[Node, ...], word: str) -> tuple[Node, ...]:
        tied = []
        for part in parts:
            one, kind = self.tie(part)
            tied.append(one)
            if kind not in (kinds.BOOLEAN, None):
                hint = "write a comparison on each side" if word != "not" else "compare it"
                self.add(part.offset, f"'{word}' needs true or false, and this is {kind}", hint)
        return tuple(tied)

    # -- comparisons ------------------------------------------------------------------------------

    def _comparison(self, node: Compare) -> tuple[Node, str]:
        tied = [self.tie(operand) for operand in node.operands]
        for (left, first), (right, second), word in zip(tied, tied[1:], node.words, strict=False):
            if first is not None and second is not None:
                self._compared(word, (left, first), (right, second))
        operands = tuple(operand for operand, _ in tied)
        return Compare(operands, node.words, node.offset), kinds.BOOLEAN

    def _compared(self, word: str, left: tuple[Node, str], right: tuple[Node, str]) -> None:
        (one, first), (other, second) = left, right
        if kinds.STATUS in (first, second):
            self._with_status(word, left, right)
            return
        why = kinds.why_not(word, first, second)
        if why:
            self.add(one.offset, f"this compares {first} with {second}: {why}", _hint(one, other))
            return
        if isinstance(other, Items) and word in ("in", "not in"):
            fitting = [i for i in other.items if _fits(first, i)]
            if other.items and not fitting:
                kind = kinds.kind_of(other.items[0].value)
                message = f"this looks for {first} among what is {kind}"
                self.add(one.offset, message, _hint(one, other.items[0]))
                return
            literals = fitting
        else:
            literals = [node for node in (one, other) if isinstance(node, Literal)]
        for literal in literals:
            against = second if literal is one else first
            if self._reads(literal, against) and word in _EQUAL:
                self._choice(literal, other if literal is one else one)

    def _reads(self, literal: Literal, kind: str) -> bool:
        """Tell whether a text is one of the kind beside it, such as a date; note it if not."""
        try:
            kinds.in_kind(literal.value, kind)
        except Undecided as why:
            self.add(literal.offset, f"'{str(literal.value)[:40]}' is not {kind}", why.hint)
            return False
        return True

    def _choice(self, literal: Literal, against: Node) -> None:
        """Note a value that is none of the choices of the parameter beside it."""
        choices = self._scope.choices.get(against.name) if isinstance(against, Parameter) else None
        if not choices or not isinstance(against, Parameter) or literal.value is None:
            return
        if not any(kinds.compare("==", choice, literal.value) for choice in choices):
            shown = literal_text(literal.value)
            guess = did_you_mean(str(literal.value), map(str, choices))
            hint = guess or f"its choices are {', '.join(map(str, choices))}"
            self.add(literal.offset, f"parameter '{against.name}' is never {shown}", hint)

    def _with_status(self, word: str, left: tuple[Node, str], right: tuple[Node, str]) -> None:
        (one, first), (other, second) = left, right
        texts = [node for node in (one, other) if isinstance(node, Literal)]
        wrong = word not in ("==", "!=") or not {first, second} <= {kinds.STATUS, kinds.TEXT}
        if word in ("in", "not in") and first == kinds.STATUS and isinstance(other, Items):
            texts, wrong = list(other.items), False
        if wrong:
            hint = 'write == "ok", or in ["ok", "skipped"]'
            self.add(one.offset, "a status is compared with a text or a list of texts", hint)
            return
        known = [self._status_word(text) for text in texts]
        status = one if isinstance(one, Status) else other
        if known and all(known) and isinstance(status, Status) and not self._nots:
            self._possible(word, status, {text.value for text in texts})

    def _possible(self, word: str, status: Status, wanted: set[Any]) -> None:
        """Note a comparison that the step's trigger rule lets never be true."""
        known = self._scope.statuses(status.step)
        if any((one in wanted) is (word in ("==", "in")) for one in known):
            return
        step = self._scope.step
        told = f"{', '.join(known[:-1])} or {known[-1]}" if len(known) > 1 else known[0]
        message = f"this is never true: step '{step}' runs only if '{status.step}' is {told}"
        hint = "give the step another trigger_rule: all_done, or one_failed to run after failures"
        self.add(status.offset, message, hint)

    def _status_word(self, text: Literal) -> bool:
        if text.value in STATUSES:
            return True
        shown = str(text.value)[:40]
        hint = _OTHER_STATUSES.get(shown.lower()) or did_you_mean(shown.lower(), STATUSES)
        hint = hint or f"a status is {_STATUS_WORDS}"
        self.add(text.offset, f"no step ends with the status '{shown}'", hint)
        return False

    # -- words ------------------------------------------------------------------------------------

    def _word(self, word: Word) -> tuple[Node, str | None]:
        text, offset, scope = word.text, word.offset, self._scope
        step, path = _split(text, scope.steps)
        if text == PARAMS or text.startswith(f"{PARAMS}."):
            if step is not None:
                message = f"'{text}' may be a parameter or what step '{step}' left"
                self.add(offset, message, f"give step '{step}' another name")
                return word, None
            return self._parameter(word)
        if step is None:
            self._unknown_step(word)
            return word, None
        self._check_ancestor(step, offset)
        if "" in path:
            self.add(offset, f"'{text}' has nothing between two dots", "name a key after each dot")
            return word, None
        if not path or path[0] != "status":
            return Value(step, path, offset), None
        if len(path) > 1:
            self.add(offset, f"'{text}': a status has no parts", f"write {step}.status")
        return Status(step, offset), kinds.STATUS

    def _parameter(self, word: Word) -> tuple[Node, str | None]:
        name, dot, _ = word.text.removeprefix(f"{PARAMS}.").partition(".")
        params = self._scope.params
        if word.text == PARAMS or not name:
            self.add(word.offset, "this names no parameter", self._params_hint(""))
            return word, None
        if name not in params:
            self.add(word.offset, f"unknown parameter '{name[:40]}'", self._params_hint(name))
            return word, None
        if dot:
            message = f"'{word.text}': a parameter has no parts"
            self.add(word.offset, message, f"write {PARAMS}.{name}")
        kind = params[name]
        return Parameter(name, word.offset), None if kind is None else kinds.kind_of_type(kind)

    def _params_hint(self, name: str) -> str:
        names = list(self._scope.params)
        if not names:
            return "the workflow has no parameters"
        guess = did_you_mean(name, names) if name else ""
        return guess or f"write {PARAMS}.{names[0]}" + (", …" if len(names) > 1 else "")

    def _check_ancestor(self, step: str, offset: int) -> None:
        own, is_ancestor = self._scope.step, self._scope.is_ancestor
        if step == own:
            message = "a condition is asked before its own step has run"
            self.add(offset, message, "speak of the steps before it")
        elif not is_ancestor(step, own):
            if is_ancestor(own, step):
                message, hint = (
                    f"step '{step}' runs after step '{own}'",
                    "turn the dependency round",
                )
            else:
                message = f"step '{own}' does not depend on step '{step}'"
                hint = f"add '{step}' to the depends_on of step '{own}'"
            self.add(offset, message, hint)

    def _unknown_step(self, word: Word) -> None:
        text = word.text
        shown = text if len(text) <= 40 else f"{text[:40]}…"
        first, _, rest = text.partition(".")
        known, _ = _split(rest, self._scope.steps)
        if known:
            shown, hint = first[:40], f"begin with the step: {rest[:40]}"
        elif rest and rest in self._scope.params:
            shown, hint = first[:40], f"write {PARAMS}.{rest}"
        elif text[0].isdigit() and not _DATE.match(text):
            hint = f'numbers are plain digits; text goes in quotes: "{shown}"'
        elif text in self._scope.params:
            hint = f"write {PARAMS}.{text}"
        elif text in STATUSES or _DATE.match(text):
            hint = f'text goes in quotes: "{text}"'
        else:
            hint = self._scope.guess(first)
            if "." in text:
                shown = first if len(first) <= 40 else f"{first[:40]}…"
                hint = hint or f"name a step that comes before, or a parameter: {PARAMS}.NAME"
            hint = hint or f'text goes in quotes: "{shown}"'
        self.add(word.offset, f"unknown step '{shown}'", hint)


def _split(text: str, steps: Container[str]) -> tuple[str | None, tuple[str, ...]]:
    """Give the longest step that `text` begins with, and the keys after it."""
    end = len(text)
    while end > 0:
        if text[:end] in steps:
            rest = text[end + 1 :]
            return text[:end], tuple(rest.split(".")) if end < len(text) else ()
        end = text.rfind(".", 0, end)
    return None, ()


def _fits(kind: str, item: Literal) -> bool:
    return not kinds.why_not("==", kind, kinds.kind_of(item.value))


def _hint(one: Node, other: Node) -> str:
    for node, against in ((one, other), (other, one)):
        quoted = isinstance(node, Literal) and isinstance(node.value, str)
        if quoted and isinstance(against, Parameter):
            return f"leave out the quotes, or look at what {reference_text(against)} is"
    return "both sides are of one kind: numbers, texts or dates"
