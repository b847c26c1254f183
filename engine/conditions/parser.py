"""From text to tree: recursive descent, bounded in length and depth.

either   both ("or" both)*
both     opposite ("and" opposite)*
opposite "not" opposite | compare
compare  operand (("==" | "!=" | "<" | "<=" | ">" | ">=" | "in" | "not in") operand)*
operand  number | text | "true" | "false" | "null" | list | name | "(" either ")"
"""

from __future__ import annotations

from engine.conditions.tokens import Kind, Token, tokens
from engine.conditions.tree import (
    Both,
    Compare,
    Either,
    Items,
    Literal,
    Node,
    Not,
    Word,
)
from engine.conditions.wrong import Wrong, WrongSyntax

LENGTH_MAX = 1_000
DEPTH_MAX = 50

_CONSTANTS = {"true": True, "false": False, "null": None}
_KEYWORDS = frozenset({"and", "or", "not", "in"})
_SIGNS = frozenset({"==", "!=", "<", "<=", ">", ">="})
_SPELLED_ELSE = {"True": "true", "False": "false", "None": "null"}
_SPELLED_ELSE |= {
    word: word.lower() for word in ("AND", "OR", "NOT", "IN", "TRUE", "FALSE", "NULL")
}
_ONE_WAY = ({"<", "<="}, {">", ">="})


def parse(text: str) -> Node:
    """Parse a condition. Raises `WrongSyntax` with the first fault."""
    if len(text) > LENGTH_MAX:
        hint = f"{LENGTH_MAX:,} go: let a step before it find out, and ask for what that left"
        raise WrongSyntax(Wrong(0, f"the condition is {len(text):,} characters long", hint))
    return _Parser(text).whole()


class _Parser:
    def __init__(self, text: str) -> None:
        self._tokens = list(tokens(text))
        self._at = 0

    @property
    def _next(self) -> Token:
        return self._tokens[self._at]

    def whole(self) -> Node:
        if self._at_end:
            hint = 'write one, such as fetch.rows > 0 or fetch.status == "ok"'
            raise WrongSyntax(Wrong(0, "the condition is empty", hint))
        node = self._either(0)
        if not self._at_end:
            raise self._unexpected()
        return node

    @property
    def _at_end(self) -> bool:
        return self._next.kind is Kind.END

    def _either(self, depth: int) -> Node:
        first = self._both(depth)
        parts = [first]
        while self._takes_word("or"):
            parts.append(self._both(depth))
        return Either(tuple(parts), first.offset) if len(parts) > 1 else first

    def _both(self, depth: int) -> Node:
        first = self._opposite(depth)
        parts = [first]
        while self._takes_word("and"):
            parts.append(self._opposite(depth))
        return Both(tuple(parts), first.offset) if len(parts) > 1 else first

    def _opposite(self, depth: int) -> Node:
        self._check_depth(depth)
        offset = self._next.offset
        if self._takes_word("not"):
            return Not(self._opposite(depth + 1), offset)
        return self._compare(depth)

    def _compare(self, depth: int) -> Node:
        first = self._operand(depth)
        operands, words = [first], []
        while (word := self._takes_comparison()) is not None:
            words.append(word)
            operands.append(self._operand(depth))
            if len(words) > 1 and not any(set(words) <= way for way in _ONE_WAY):
                hint = "join two comparisons with and, or use parentheses"
                offset = operands[-2].offset
                raise WrongSyntax(Wrong(offset, "this is compared to both sides", hint))
        return Compare(tuple(operands), tuple(words), first.offset) if words else first

    def _takes_comparison(self) -> str | None:
        token = self._next
        if token.kind is Kind.SIGN and token.text in _SIGNS:
            self._at += 1
            return token.text
        if self._takes_word("in"):
            return "in"
        if token == (Kind.WORD, "not", token.offset, None):
            after = self._tokens[self._at + 1]
            if after.kind is Kind.WORD and after.text == "in":
                self._at += 2
                return "not in"
        return None

    def _operand(self, depth: int) -> Node:
        token = self._next
        if token.kind is Kind.LITERAL:
            self._at += 1
            return Literal(token.value, token.offset)
        if token.kind is Kind.WORD and token.text not in _KEYWORDS:
            self._check_spelling(token)
            self._at += 1
            if token.text in _CONSTANTS:
                return Literal(_CONSTANTS[token.text], token.offset)
            return Word(token.text, token.offset)
        if self._takes_sign("("):
            node = self._either(depth + 1)
            self._close(token, ")")
            return node
        if self._takes_sign("["):
            return self._list(token)
        raise self._unexpected()

    def _list(self, opened: Token) -> Items:
        items: list[Literal] = []
        while not self._takes_sign("]"):
            node = self._operand(0) if self._next.kind is not Kind.SIGN else None
            if not isinstance(node, Literal):
                offset = node.offset if node else self._next.offset
                if self._next.kind is Kind.END:
                    self._close(opened, "]")
                hint = 'write it as in ["a", "b"]'
                raise WrongSyntax(Wrong(offset, "a list holds numbers and quoted texts", hint))
            items.append(node)
            if not self._takes_sign(","):
                self._close(opened, "]")
                break
        return Items(tuple(items), opened.offset)

    # -- tokens -----------------------------------------------------------------------------------

    def _takes_word(self, word: str) -> bool:
        token = self._next
        if token.kind is not Kind.WORD or token.text != word:
            return False
        self._at += 1
        return True

    def _takes_sign(self, sign: str) -> bool:
        token = self._next
        if token.kind is not Kind.SIGN or token.text != sign:
            return False
        self._at += 1
        return True

    def _close(self, opened: Token, sign: str) -> None:
        if self._takes_sign(sign):
            return
        if self._next.kind is Kind.END:
            message = f"this '{opened.text}' is not closed"
            raise WrongSyntax(Wrong(opened.offset, message, f"add the '{sign}'"))
        raise self._unexpected()

    def _check_depth(self, depth: int) -> None:
        if depth > DEPTH_MAX:
            message = f"more than {DEPTH_MAX} parentheses or nots within each other"
            hint = "let a step before it find out, and ask for what that left"
            raise WrongSyntax(Wrong(self._next.offset, message, hint))

    def _check_spelling(self, token: Token) -> None:
        right = _SPELLED_ELSE.get(token.text)
        if right is not None:
            message = f"'{token.text}' is not known here"
            raise WrongSyntax(Wrong(token.offset, message, f"write {right}"))

    def _unexpected(self) -> WrongSyntax:
        token = self._next
        if token.kind is Kind.END:
            hint = "write what it is compared with, or take the last word out"
            return WrongSyntax(Wrong(token.offset, "the condition ends too early", hint))
        if token.kind is Kind.WORD:
            self._check_spelling(token)
        hint = _hint_for(token, self._tokens[self._at - 1] if self._at else None)
        return WrongSyntax(Wrong(token.offset, f"{_shown(token)} cannot stand here", hint))


def _shown(token: Token) -> str:
    return token.text if token.text[0] in "'\"" else f"'{token.text}'"


_RULES = {"success": "all_success", "always": "all_done", "failure": "one_failed"}
_OTHER_WAY = 'write it the other way round: "text" in STEP.KEY'
_INSTEAD = {
    "is": "write == or !=",
    "contains": _OTHER_WAY,
    "includes": _OTHER_WAY,
    ")": "take it out, or open it before",
    ",": 'a list is written ["a", "b"]',
}


def _hint_for(token: Token, before: Token | None) -> str:
    if token.kind is not Kind.LITERAL and token.text in _INSTEAD:
        return _INSTEAD[token.text]
    if before is not None and before.kind is Kind.WORD and token.text in ("(", "["):
        if token.text == "[":
            return "write keys with dots: STEP.KEY, STEP.0"
        if before.text in _RULES:
            return f"that is the step's trigger_rule: {_RULES[before.text]}"
        return "there are no functions: ask for what a step left, or for its status"
    if token.kind is Kind.LITERAL and token.text[0] == "-":
        return "conditions do not calculate: let the step before leave the figure"
    if token.kind in (Kind.WORD, Kind.LITERAL) and token.text not in _KEYWORDS:
        return "put a comparison, and, or between; text of several words goes in quotes"
    return "something is missing before it"
