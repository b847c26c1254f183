"""What functions change as they run: their state, as against their configuration."""

from __future__ import annotations

import ast
from typing import NamedTuple

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda

_MUTATORS = frozenset(
    {
        "add",
        "append",
        "appendleft",
        "clear",
        "difference_update",
        "discard",
        "extend",
        "extendleft",
        "insert",
        "intersection_update",
        "pop",
        "popitem",
        "popleft",
        "remove",
        "reverse",
        "setdefault",
        "sort",
        "symmetric_difference_update",
        "update",
    }
)
_MAKERS = frozenset({"__init__", "__new__", "__post_init__", "__set_name__"})


class Passed(NamedTuple):
    """A name handed to a function of the same file, by position."""

    to: str
    position: int
    name: str


class Scope:
    """One function's own scope: what it binds, and what it changes of whatever it is given."""

    def __init__(self, node: FunctionNode) -> None:
        arguments = (each for each in ast.walk(node.args) if isinstance(each, ast.arg))
        self.bound: set[str] = {each.arg for each in arguments}
        self.changed: set[str] = set()
        self.attributes: set[str] = set()
        self.passed: list[Passed] = []
        self.parameters = [each.arg for each in (*node.args.posonlyargs, *node.args.args)]
        self._outer: set[str] = set()
        body = node.body if isinstance(node.body, list) else [node.body]
        stack: list[ast.AST] = list(body)
        while stack:
            at = stack.pop()
            if isinstance(at, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                self.bound.add(at.name)
                continue
            if not isinstance(at, ast.Lambda):
                self._visit(at)
                stack.extend(ast.iter_child_nodes(at))
        # A rebound name of an outer scope is changed, one of this scope is just bound.
        self.changed |= self.bound & self._outer
        self.bound -= self._outer

    def _visit(self, node: ast.AST) -> None:
        if isinstance(node, ast.Global | ast.Nonlocal):
            self._outer.update(node.names)
        elif isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            self.bound.add(node.id)
        elif isinstance(node, ast.alias):
            self.bound.add((node.asname or node.name).partition(".")[0])
        elif isinstance(node, ast.Attribute | ast.Subscript):
            if not isinstance(node.ctx, ast.Load):
                self._change(node)
        elif isinstance(node, ast.Call):
            called = node.func
            if isinstance(called, ast.Attribute) and called.attr in _MUTATORS:
                self._change(called.value)
            elif isinstance(called, ast.Name):
                names = ((at, a.id) for at, a in enumerate(node.args) if isinstance(a, ast.Name))
                self.passed += [Passed(called.id, position, name) for position, name in names]

    def _change(self, node: ast.AST) -> None:
        while isinstance(node, ast.Attribute | ast.Subscript):
            if isinstance(node, ast.Attribute):
                self.attributes.add(node.attr)
            node = node.value
        if isinstance(node, ast.Name):
            self.changed.add(node.id)


def state_of(scopes: list[tuple[str, Scope]]) -> tuple[set[str], set[str]]:
    """Give outer names that named functions of one file change, and attributes they change."""
    state: set[str] = set()
    attributes: set[str] = set()
    changing = {
        (name, position)
        for name, scope in scopes
        for position, parameter in enumerate(scope.parameters)
        if name and parameter in scope.changed
    }
    for name, scope in scopes:
        handed_on = {each.name for each in scope.passed if (each.to, each.position) in changing}
        state |= (scope.changed | handed_on) - scope.bound
        if name not in _MAKERS:
            attributes |= scope.attributes
    return state, attributes
