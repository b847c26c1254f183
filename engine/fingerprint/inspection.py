"""What functions, classes and values consist of, and what of the user's own project they use."""

from __future__ import annotations

import functools
import hashlib
import sys
import types
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.fingerprint.ownership import OwnFiles
from engine.fingerprint.plain import plain_text, type_name

if TYPE_CHECKING:
    from engine.fingerprint.syntax import FileSource, FunctionSource, Sources

_NO_NAMES: frozenset[str] = frozenset()
WRAPPERS_MAX = 100


def short_hash(text: str) -> str:
    """Digest a text to 16 hex digits, enough to tell one part's versions apart."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def is_a(value: object, kind: type) -> bool:
    """Tell a value's real type; `isinstance` would ask the value's own `__class__`."""
    return issubclass(type(value), kind)


@dataclass(slots=True)
class Record:
    """What one function or class consists of, and the own functions and classes it uses."""

    name: str = ""
    parts: dict[str, str] = field(default_factory=dict)
    uses: list[Any] = field(default_factory=list)
    subject: object = None


class Project:
    """Looks at functions, classes and values, and knows which are the user's own."""

    def __init__(self, root: Path | None) -> None:
        self._files = OwnFiles(root)
        self._root = str(root.resolve()) if root else ""
        self._syntax: Sources | None = None

    @property
    def _sources(self) -> Sources:
        if self._syntax is None:
            from engine.fingerprint.syntax import Sources  # a workflow of commands needs no parser

            self._syntax = Sources()
        return self._syntax

    # -- what is whose ----------------------------------------------------------------------------

    def own_of(self, value: Any) -> list[Any]:
        """Give `value`, or what it wraps or is an instance of, as far as that is the user's own."""
        found: list[Any] = []
        stack = [value]
        for _ in range(WRAPPERS_MAX):
            if not stack:
                break
            at = stack.pop()
            if is_a(at, types.FunctionType) or is_a(at, type):
                if self._files.holds(_file_of(at)):
                    found.append(at)
            else:
                stack += _inside(at)
            inner = attribute(at, "__wrapped__")
            if inner is not None:
                stack.append(inner)
        return found

    # -- functions and classes --------------------------------------------------------------------

    def look_at(self, target: Any) -> Record:
        """Make the record of a function or class, by its source where there is one."""
        if is_a(target, types.FunctionType):
            return self._function(target)
        if is_a(target, type):
            return self._class(target)
        name = attribute(target, "__qualname__") or type_name(target)
        return Record(name=str(name), parts={"code": short_hash(f"{type_name(target)} {name}")})

    def _function(self, function: types.FunctionType) -> Record:
        code = function.__code__
        record = Record(name=self._files.module_name(code.co_filename) + code.co_qualname)
        source = self._sources.function(code)
        file = self._sources.file(code.co_filename) if source else None
        state: frozenset[str] | set[str] = file.state if file else _NO_NAMES
        record.parts["code"] = short_hash(source.text if source else _bytecode(function))
        self._defaults(function, source, record)
        closure = dict(zip(code.co_freevars, function.__closure__ or (), strict=True))
        for name, cell in closure.items():
            try:
                value = cell.cell_contents
            except ValueError:  # not bound yet
                continue
            self._note(f"closure value '{name}'", value, record, is_state=name in state)
        chains = source.chains if source else [(name,) for name in code.co_names]
        for chain in chains:
            if chain[0] not in closure:
                self._global(chain, function.__globals__, record, file)
        return record

    def _defaults(
        self, function: types.FunctionType, source: FunctionSource | None, record: Record
    ) -> None:
        code = function.__code__
        values = function.__defaults__ or ()
        names = code.co_varnames[code.co_argcount - len(values) : code.co_argcount]
        defaults = {**dict(zip(names, values, strict=False)), **(function.__kwdefaults__ or {})}
        for name, value in defaults.items():
            written = source.defaults.get(name, "") if source else ""
            state = source is not None and name in source.changed
            self._note(f"default '{name}'", value, record, is_state=state, written=written)

    def _class(self, cls: type) -> Record:
        from engine.fingerprint.syntax import chains_of, dump

        qualname = str(type.__getattribute__(cls, "__qualname__"))
        filename = _file_of_class(cls)
        record = Record(name=self._files.module_name(filename) + qualname)
        file = self._sources.file(filename) if filename else None
        node = file.classes.get(qualname) if file else None
        methods = [each for each in _namespace(cls).values() if is_a(each, types.FunctionType)]
        record.parts["code"] = short_hash(
            dump(node) if node else "\n".join([qualname, *map(_bytecode, methods)])
        )
        for base in type.__getattribute__(cls, "__mro__")[1:]:
            record.uses += self.own_of(base)
        names = _namespace_of_module(cls, methods)
        for chain in dict.fromkeys(chains_of(node)) if node else ():
            self._global(chain, names, record, file)
        return record

    def _global(
        self,
        chain: tuple[str, ...],
        names: dict[str, Any],
        record: Record,
        file: FileSource | None,
    ) -> None:
        """Note what a name (with attributes, where it is a module) stands for."""
        if chain[0].startswith("__") or chain[0] not in names:
            return
        value = names[chain[0]]
        used, changed, home = 1, file.state if file else set(), file
        while is_a(value, types.ModuleType) and used < len(chain):
            members = types.ModuleType.__getattribute__(value, "__dict__")
            filename = members.get("__file__")
            if chain[used] not in members or type(filename) is not str:
                return
            if not self._files.holds(filename):
                return
            value = members[chain[used]]
            home = self._sources.file(filename)
            changed = (home.state if home else set()) | (file.attributes if file else set())
            used += 1
        name = ".".join(chain[:used])
        record.uses += self.own_of(value)
        text = None if chain[used - 1] in changed else plain_text(value, self._root)
        if text is not None:
            computed = home.computed.get(chain[used - 1]) if home else None
            record.parts[f"constant '{name}'"] = short_hash(computed or text)

    # -- values -----------------------------------------------------------------------------------

    def _note(
        self, part: str, value: Any, record: Record, *, is_state: bool = False, written: str = ""
    ) -> None:
        """Note a value: plain data by its content, all else by its type and what it rests on."""
        text = None if is_state else plain_text(value, self._root)
        if text is None:
            text = type_name(value)
            record.uses += self.own_of(value)
        record.parts[part] = short_hash(written + text)

    def note_partial(self, bound: functools.partial[Any], record: Record) -> None:
        """Note the arguments that a partial holds, by the names of the parameters they fill."""
        function = bound.func
        while type(function) is functools.partial:
            function = function.func
        code = function.__code__ if isinstance(function, types.FunctionType) else None
        source = self._sources.function(code) if code else None
        changed = source.changed if source else _NO_NAMES
        names = code.co_varnames[: code.co_argcount] if code else ()
        for position, value in enumerate(bound.args):
            name = names[position] if position < len(names) else str(position)
            self._note(f"argument '{name}'", value, record, is_state=name in changed)
        for name, value in bound.keywords.items():
            self._note(f"argument '{name}'", value, record, is_state=name in changed)

    def note_instance(self, instance: Any, record: Record) -> None:
        """Note a callable object or a method's owner: its class, and its plain attributes."""
        record.uses += self.own_of(instance)
        if is_a(instance, type) or is_a(instance, types.ModuleType):
            return
        file = self._sources.file(_file_of_class(type(instance)))
        changed = file.attributes if file else set()
        members = attribute(instance, "__dict__")
        for name, value in members.items() if type(members) is dict else ():
            if isinstance(name, str) and name not in changed:
                self._note(f"attribute '{name}'", value, record)


def _inside(value: Any) -> list[Any]:
    """Give what a value that is neither function nor class rests on."""
    if type(value) is functools.partial:
        return [value.func, *value.args, *value.keywords.values()]
    if type(value) is types.MethodType:
        return [value.__self__, value.__func__]
    return [] if is_a(value, types.ModuleType) else [type(value)]


def _file_of(target: Any) -> str:
    function: bool = is_a(target, types.FunctionType)
    return str(target.__code__.co_filename) if function else _file_of_class(target)


def attribute(value: object, name: str) -> Any:
    """Read an attribute without the class's own `__getattr__`."""
    try:
        if issubclass(type(value), type):
            assert isinstance(value, type)
            return _namespace(value).get(name)
        return object.__getattribute__(value, name)
    except Exception:  # noqa: BLE001 - a property may do anything
        return None


def _namespace(cls: type) -> Mapping[str, Any]:
    namespace: Mapping[str, Any] = type.__getattribute__(cls, "__dict__")
    return namespace


def in_class(cls: type, name: str) -> Any:
    """Find what a class or one of its bases defines under `name`, without calling descriptors."""
    for each in type.__getattribute__(cls, "__mro__"):
        if name in _namespace(each):
            return _namespace(each)[name]
    return None


def _file_of_class(cls: type) -> str:
    for member in _namespace(cls).values():
        if is_a(member, types.FunctionType):
            filename = member.__code__.co_filename
            qualname = type.__getattribute__(cls, "__qualname__")
            if member.__code__.co_qualname.startswith(f"{qualname}.") and filename[:1] != "<":
                return str(filename)
    module = sys.modules.get(str(type.__getattribute__(cls, "__module__")))
    filename = attribute(module, "__file__")
    return filename if isinstance(filename, str) else ""


def _namespace_of_module(cls: type, methods: list[types.FunctionType]) -> dict[str, Any]:
    module = sys.modules.get(str(type.__getattribute__(cls, "__module__")))
    if module is not None:
        return vars(module)
    return methods[0].__globals__ if methods else {}


def _bytecode(function: types.FunctionType) -> str:
    """Describe a function that has no source; not the same in every version of Python."""
    texts = [function.__globals__.get("__name__", "")]
    stack = [function.__code__]
    while stack:
        code = stack.pop()
        inner = [const for const in code.co_consts if isinstance(const, types.CodeType)]
        plain = [plain_text(const) for const in code.co_consts if const not in inner]
        texts.append(f"{code.co_qualname} {code.co_code.hex()} {code.co_names} {plain}")
        stack.extend(inner)
    return "\n".join(map(str, texts))
