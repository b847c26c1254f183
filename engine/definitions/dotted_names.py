"""The Python that a definition names: functions and exceptions, imported by dotted names.

Only the modules named are imported, and none from the current folder unless that is the project.
"""

from __future__ import annotations

import builtins
import contextlib
import importlib
import inspect
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

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
            raise DefinitionError(f"'{dotted}' is {kind}, not a function", hint=_TAKES_CTX)
        if not _takes_one(found):
            raise DefinitionError(f"'{dotted}' cannot be called with ctx alone", hint=_TAKES_CTX)
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
        loaded = self._imported(module)
        if not hasattr(loaded, attribute):
            guess = did_you_mean(attribute, dir(loaded))
            raise DefinitionError(
                f"module '{module}' has no '{attribute}'", hint=guess or "name what it defines"
            )
        return getattr(loaded, attribute)

    def _imported(self, module: str) -> Any:
        if module in self._wrong:
            raise self._wrong[module]
        try:
            with contextlib.redirect_stdout(sys.stderr), _project_first(self._root):
                loaded = importlib.import_module(module)
        except (Exception, SystemExit) as error:
            self._wrong[module] = self._failed(module, error)
            raise self._wrong[module] from error
        self.imported[module] = getattr(loaded, "__file__", None) or "Python itself"
        return loaded

    def _failed(self, module: str, error: BaseException) -> DefinitionError:
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        if missing and f"{module}.".startswith(f"{missing}."):
            told = f"there is no module '{missing}'"
            if missing != module:
                told += f", which '{module}' would be in"
            hint = f"it is looked for in '{self._root}' first, then among what is installed"
            return DefinitionError(told, hint=hint)
        cause = raised_by(error, root=self._root, file=self._file)
        told = cause.message.removeprefix(f"{self._file}:1: ")
        return DefinitionError(f"'{module}' cannot be imported: {told}", hint=cause.hint)


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


@contextlib.contextmanager
def _project_first(root: Path) -> Iterator[None]:
    """Look in the project first, and not where the command happens to be called."""
    before = list(sys.path)
    here = str(Path.cwd())
    named = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    rest = [
        entry
        for entry in before
        if entry != str(root) and (entry not in ("", here) or here in named)
    ]
    sys.path[:] = [str(root), *rest]
    try:
        yield
    finally:
        sys.path[:] = before
