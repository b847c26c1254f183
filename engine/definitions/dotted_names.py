"""The Python that a definition names: functions and exceptions, imported by dotted names.

Only the modules named are imported, and none from the current folder unless that is the project.
"""

from __future__ import annotations

import builtins
import contextlib
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engine.definitions.importing import project_first
from engine.definitions.python_faults import raised_by
from engine.errors import DefinitionError
from engine.naming import did_you_mean


class Names:
    """Resolves the dotted names of one file; `imported` says which modules, and from where."""

    def __init__(self, file: Path, root: Path) -> None:
        self._file = file
        self._root = root
        self._wrong: dict[str, DefinitionError] = {}
        self.imported: dict[str, str] = {}

    def function(self, dotted: str) -> Callable[..., Any]:
        """Give the function of this name. Raises `DefinitionError`."""
        found = self._named(dotted)
        if not callable(found) or isinstance(found, type):
            kind = "a class" if isinstance(found, type) else f"of type {type(found).__name__}"
            kind = "a module" if inspect.ismodule(found) else kind
            raise DefinitionError(f"'{dotted}' is {kind}, not a function", hint=_TAKES_CTX)
        if not _takes_one(found):
            raise DefinitionError(f"'{dotted}' cannot be called with ctx alone", hint=_TAKES_CTX)
        if any(is_kind(found) for is_kind in _LATER):
            told = f"'{dotted}' is async, or a generator: called, it has not run yet"
            raise DefinitionError(told, hint="name a plain function; it may use asyncio.run(…)")
        return found  # type: ignore[no-any-return]

    def exception(self, dotted: str) -> type[BaseException]:
        """Give the exception of this name: a builtin one, or an imported one."""
        if "." not in dotted:
            found = getattr(builtins, dotted, None)
            names = [one for one, value in vars(builtins).items() if _is_exception(value)]
            hint = did_you_mean(dotted, names) or "one of your own is named with its module"
        else:
            found = self._named(dotted)
            hint = "name a class that comes from Exception"
        if isinstance(found, type) and issubclass(found, BaseException):
            return found
        raise DefinitionError(f"'{dotted}' is no exception", hint=hint)

    def _named(self, dotted: str) -> Any:
        module, _, attribute = dotted.rpartition(".")
        loaded = self._imported(dotted, module)
        try:
            return getattr(loaded, attribute)
        except AttributeError:
            pass
        except Exception as error:  # of the module's own `__getattr__`
            raise self._failed(dotted, module, error) from error
        if self._is_module(dotted):
            told = f"'{dotted}' is a module, not a function"
            raise DefinitionError(told, hint=f"name what is to be called in it: {dotted}.NAME")
        guess = did_you_mean(attribute, dir(loaded))
        guess = _OF_FILE.format(module) if attribute == "py" else guess
        raise DefinitionError(
            f"module '{module}' has no '{attribute}'", hint=guess or "name what it defines"
        )

    def _is_module(self, dotted: str) -> bool:
        with project_first(self._root), contextlib.suppress(Exception):
            return importlib.util.find_spec(dotted) is not None
        return False

    def _imported(self, dotted: str, module: str) -> Any:
        if module in self._wrong:
            raise self._wrong[module]
        try:
            with contextlib.redirect_stdout(sys.stderr), project_first(self._root):
                loaded = importlib.import_module(module)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            self._wrong[module] = self._failed(dotted, module, error)
            raise self._wrong[module] from error
        self.imported[module] = getattr(loaded, "__file__", None) or "Python itself"
        return loaded

    def _failed(self, dotted: str, module: str, error: BaseException) -> DefinitionError:
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        if missing and f"{module}.".startswith(f"{missing}."):
            told = f"there is no module '{missing}'"
            if missing != module:
                told += f", which '{module}' would be in"
            hint = f"it is looked for in '{self._root}' first, then among what is installed"
            hint = _OF_FILE.format(module) if dotted.endswith(".py") else hint
            return DefinitionError(told, hint=hint)
        cause = raised_by(error, root=self._root, file=self._file)
        told = cause.message.removeprefix(f"{self._file}:1: ")
        return DefinitionError(f"'{module}' cannot be imported: {told}", hint=cause.hint)


_OF_FILE = "name a function of that file: {}.NAME"
_LATER = (inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction)
_TAKES_CTX = "name a function that is called with one argument, ctx"


def _is_exception(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, BaseException)


def _takes_one(function: Callable[..., Any]) -> bool:
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # some builtins have none
        return True
    try:
        signature.bind(None)
    except TypeError:
        return False
    return True
