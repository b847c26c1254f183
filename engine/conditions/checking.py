"""What can be known of a condition before a run: what its words refer to, and their kinds."""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass

from engine.conditions import kinds
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
    reference_text,
)
from engine.conditions.wrong import Undecided, Wrong
from engine.naming import did_you_mean

GUESSES_MAX = 3  # of names that were meant: each costs a look at all of them
PARAMS = "params"

_STATUS_WORDS = ", ".join(kinds.STATUSES[:-1]) + f" or {kinds.STATUSES[-1]}"
_OTHER_STATUSES = {
    "cached": 'a step reused from an earlier run reads "ok"',
    "timed_out": 'write "failed": that is what a step is that ran out of time',
    "success": 'did you mean "ok"?',
    "succeeded": 'did you mean "ok"?',
    "done": 'did you mean "ok"?',
    "error": 'did you mean "failed"?',
    "failure": 'did you mean "failed"?',
}
_DATE = re.compile(r"\d{4}-\d\d-\d\d")


@dataclass(frozen=True, slots=True)
class Scope:
    """What the condition of `step` may speak of.

    `is_ancestor(a, b)` tells whether step `a` has always ended before `b` is decided about;
    `params` gives the parameters' types, None for one that is not known. `near` are the names that
    a wrong one is compared with.
    """

    step: str
    steps: Container[str]
    params: Mapping[str, type | None]
    is_ancestor: Callable[[str, str], bool]
    near: Iterable[str] = ()


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
        self._guesses = GUESSES_MAX

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
                return Not(self._truths((operand,), "not")[0], offset), kinds.BOOLEAN
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
        self._texts_read(one, second)
        self._texts_read(other, first)

    def _texts_read(self, node: Node, kind: str) -> None:
        """Mind a quoted text that is to be read as a date."""
        if isinstance(node, Literal) and isinstance(node.value, str):
            try:
                kinds.in_kind(node.value, kind)
            except Undecided as why:
                self.add(node.offset, why.message, why.hint)

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
        for text in texts:
            self._status_word(text)

    def _status_word(self, text: Literal) -> None:
        if text.value in kinds.STATUSES:
            return
        shown = str(text.value)[:40]
        hint = _OTHER_STATUSES.get(shown.lower()) or did_you_mean(shown.lower(), kinds.STATUSES)
        hint = hint or f"a status is {_STATUS_WORDS}"
        self.add(text.offset, f"no step ends with the status '{shown}'", hint)

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
        self._mind_ancestor(step, offset)
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

    def _mind_ancestor(self, step: str, offset: int) -> None:
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
        first = text.partition(".")[0]
        if text in self._scope.params:
            hint = f"write {PARAMS}.{text}"
        elif text in kinds.STATUSES or _DATE.match(text):
            hint = f'text goes in quotes: "{text}"'
        else:
            hint = self._guess(first) or f'text goes in quotes: "{shown}"'
            shown = first if "." in text else shown
        self.add(word.offset, f"unknown step '{shown}'", hint)

    def _guess(self, name: str) -> str:
        self._guesses -= 1
        return did_you_mean(name, self._scope.near) if self._guesses >= 0 else ""


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
