"""Functions as text that changes only when their code does: syntax trees out of source files.

Comments, docstrings and layout leave no trace, and the text is the same on all Python versions
that parse the code alike. Also told from the source: which names a function refers to, and which
of the names around it the code changes as it runs (state, not configuration).
"""

from __future__ import annotations

import ast
import linecache
import types
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from engine.fingerprint.scopes import FunctionNode, Scope, state_of

Chain = tuple[str, ...]

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_WITH_DOCSTRING = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
# Not part of what the code does: `ctx` follows from the place, the others from the spelling.
_LEFT_OUT = frozenset({"ctx", "kind", "type_comment", "type_ignores"})
# The function as such: its name, its decorators and its defaults are looked at elsewhere.
_OUTER_LEFT_OUT = frozenset({"name", "decorator_list", "defaults", "kw_defaults"})

# Calls that give the same value at every import; what others give may differ from run to run.
_PURE = frozenset(
    [
        "Decimal",
        "Fraction",
        "Path",
        "PurePath",
        "UUID",
        "abs",
        "bool",
        "bytes",
        "compile",
        "date",
        "datetime",
        "dict",
        "encode",
        "float",
        "frozenset",
        "int",
        "join",
        "joinpath",
        "len",
        "list",
        "lower",
        "max",
        "min",
        "range",
        "resolve",
        "round",
        "set",
        "sorted",
        "split",
        "str",
        "strip",
        "sum",
        "timedelta",
        "tuple",
        "upper",
    ]
)


def dump(node: ast.AST, left_out: frozenset[str] = frozenset()) -> str:
    """Write a tree as text; fields that are None or empty, and `left_out` at the top, are not."""
    out: list[str] = []
    stack: list[object] = [(node, left_out)]
    while stack:
        item = stack.pop()
        if isinstance(item, str):
            out.append(item)
            continue
        at, without = item if isinstance(item, tuple) else (item, frozenset())
        if not isinstance(at, ast.AST):
            out.append(repr(at))
            continue
        out.append(type(at).__name__ + "(")
        stack.append(")")
        for name in reversed(at._fields):
            value = getattr(at, name, None)
            if name in _LEFT_OUT or name in without or value is None or value == []:
                continue
            if name == "body" and isinstance(at, _WITH_DOCSTRING) and _is_text(at.body[0]):
                value = at.body[1:]
            if isinstance(at, ast.JoinedStr):  # Python 3.12 puts empty pieces between
                value = [each for each in at.values if getattr(each, "value", None) != ""]
            # `arguments` hands the order on to its own fields: defaults of the outermost only.
            inner = without if isinstance(value, ast.arguments) else frozenset()
            if isinstance(value, list):
                stack.append("]")
                stack.extend((each, inner) for each in reversed(value))
                stack.append(f"{name}=[")
            else:
                stack.append((value, inner))
                stack.append(f"{name}=")
    return " ".join(out)


def _is_text(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


@dataclass(slots=True)
class FunctionSource:
    """What the source says of one function."""

    text: str
    chains: tuple[Chain, ...]  # names it reads, with the attributes after them: ("helpers", "f")
    defaults: dict[str, str]  # parameter: text of its default
    changed: frozenset[str]  # names whose value it changes, its own parameters included


@dataclass(slots=True)
class FileSource:
    """One parsed file."""

    functions: dict[tuple[int, str], FunctionNode] = field(default_factory=dict)
    lambdas: dict[int, list[ast.Lambda]] = field(default_factory=dict)
    classes: dict[str, ast.ClassDef] = field(default_factory=dict)
    state: set[str] = field(default_factory=set)  # outer names that functions change
    attributes: set[str] = field(default_factory=set)  # attributes changed outside of makers
    computed: dict[str, str] = field(default_factory=dict)  # globals by calls: how, as text


class Sources:
    """Parsed files and functions, each read once."""

    def __init__(self) -> None:
        self._files: dict[str, FileSource | None] = {}
        self._functions: dict[int, tuple[types.CodeType, FunctionSource | None]] = {}

    def file(self, filename: str) -> FileSource | None:
        """Give a file's parsed source, None if there is none or it cannot be parsed."""
        if filename not in self._files:
            self._files[filename] = _parse(filename)
        return self._files[filename]

    def function(self, code: types.CodeType) -> FunctionSource | None:
        """Give what the source says of a code object, None if there is no source."""
        # By id: equal code objects of two files are not the same. The reference keeps the id.
        known = self._functions.get(id(code))
        if known is None:
            known = self._functions[id(code)] = (code, self._read(code))
        return known[1]

    def _read(self, code: types.CodeType) -> FunctionSource | None:
        file = self.file(code.co_filename)
        nodes = _nodes_of(file, code) if file else []
        if not nodes:
            return None
        used = _names_of(code)
        chains = [chain for node in nodes for chain in chains_of(node) if chain[0] in used]
        defaults: dict[str, str] = {}
        changed: set[str] = set()
        for node in nodes:
            defaults.update(_defaults_of(node))
            for inner in _functions_in(node):
                changed |= Scope(inner).changed
        text = "\n".join(dump(node, _OUTER_LEFT_OUT) for node in nodes)
        return FunctionSource(text, tuple(dict.fromkeys(chains)), defaults, frozenset(changed))


def _parse(filename: str) -> FileSource | None:
    linecache.checkcache(filename)
    text = "".join(linecache.getlines(filename))
    if not text:
        return None
    try:
        tree = ast.parse(text)
        return _index(tree)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _index(tree: ast.Module) -> FileSource:
    file = FileSource(computed=_computed(tree))
    scopes: list[tuple[str, Scope]] = []
    stack: list[tuple[ast.AST, str]] = [(tree, "")]
    while stack:
        node, prefix = stack.pop()
        inner = prefix
        if isinstance(node, ast.ClassDef):
            file.classes[prefix + node.name] = node
            inner = f"{prefix}{node.name}."
        elif isinstance(node, ast.Lambda):
            file.lambdas.setdefault(node.lineno, []).append(node)
            inner = prefix + "<lambda>.<locals>."
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
            file.functions[first, node.name] = node
            inner = f"{prefix}{node.name}.<locals>."
        if isinstance(node, _FUNCTIONS):
            scopes.append((getattr(node, "name", ""), Scope(node)))
        stack.extend((child, inner) for child in ast.iter_child_nodes(node))
    file.state, file.attributes = state_of(scopes)
    return file


def _computed(tree: ast.Module) -> dict[str, str]:
    """Give the module's names whose value a call made that need not give it again."""
    found: dict[str, str] = {}
    for node in tree.body:
        if not isinstance(node, ast.Assign | ast.AnnAssign) or node.value is None:
            continue
        calls = (_called(each) for each in ast.walk(node.value) if isinstance(each, ast.Call))
        if all(name in _PURE for name in calls):
            continue
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        names = [n for t in targets for n in ast.walk(t) if isinstance(n, ast.Name)]
        found.update(dict.fromkeys([name.id for name in names], dump(node.value)))
    return found


def _called(call: ast.Call) -> str:
    function = call.func
    return str(getattr(function, "attr", getattr(function, "id", "")))


def _nodes_of(file: FileSource, code: types.CodeType) -> list[FunctionNode]:
    if code.co_name != "<lambda>":
        node = file.functions.get((code.co_firstlineno, code.co_name))
        return [node] if node else []
    found = file.lambdas.get(code.co_firstlineno, [])
    if len(found) > 1:
        # The body of a lambda is an expression, whose place its last instruction carries.
        places = set(code.co_positions())
        exact = [each for each in found if _place(each.body) in places]
        # Python 3.12 leaves a lambda that gives a constant without a place.
        exact = exact or [each for each in found if _compiles_to(each, code)][:1]
        found = exact if len(exact) == 1 else found
    return list(found)


def _compiles_to(node: ast.Lambda, code: types.CodeType) -> bool:
    """Tell whether the lambda is that code; true for every lambda that gives that constant."""
    whole = compile(ast.Expression(node), code.co_filename, "eval")
    made = [const for const in whole.co_consts if isinstance(const, types.CodeType)]
    wanted = (code.co_code, code.co_varnames, repr(code.co_consts))
    return any((each.co_code, each.co_varnames, repr(each.co_consts)) == wanted for each in made)


def _place(node: ast.expr) -> tuple[int | None, int | None, int | None, int | None]:
    return (node.lineno, node.end_lineno, node.col_offset, node.end_col_offset)


def _names_of(code: types.CodeType) -> set[str]:
    """Give the names that the code, or code inside it, does not hold as locals."""
    names: set[str] = set()
    stack = [code]
    while stack:
        at = stack.pop()
        names.update(at.co_names, at.co_freevars)
        stack.extend(const for const in at.co_consts if isinstance(const, types.CodeType))
    return names


def chains_of(node: ast.AST) -> Iterator[Chain]:
    """Give the names a tree reads, with their attributes, in order; decorators at the top not."""
    outer = getattr(node, "decorator_list", ()) if isinstance(node, _FUNCTIONS) else ()
    stack = [child for child in _children(node) if child not in outer]
    while stack:
        at = stack.pop()
        root, attributes = _root(at)
        if isinstance(root, ast.Name) and isinstance(root.ctx, ast.Load):
            yield (root.id, *attributes)
        else:
            stack.extend(_children(at))


def _children(node: ast.AST) -> list[ast.AST]:
    return list(ast.iter_child_nodes(node))[::-1]


def _root(node: ast.AST) -> tuple[ast.AST, list[str]]:
    attributes: list[str] = []
    while isinstance(node, ast.Attribute):
        attributes.append(node.attr)
        node = node.value
    return node, attributes[::-1]


def _defaults_of(node: FunctionNode) -> dict[str, str]:
    arguments = node.args
    positional = [*arguments.posonlyargs, *arguments.args]
    last = positional[len(positional) - len(arguments.defaults) :]
    pairs: list[tuple[ast.arg, ast.expr | None]] = list(zip(last, arguments.defaults, strict=True))
    pairs += zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    return {name.arg: dump(default) for name, default in pairs if default is not None}


def _functions_in(node: FunctionNode) -> Iterable[FunctionNode]:
    return [each for each in ast.walk(node) if isinstance(each, _FUNCTIONS)]
