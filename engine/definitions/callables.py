"""The Python that a definition names: functions and exceptions, imported by dotted names."""

from __future__ import annotations

import builtins
import contextlib
import importlib
import sys
from typing import Any

from engine.errors import DefinitionError


def function(dotted: str) -> Any:
    """Import what `package.module.function` names. Raises `DefinitionError`."""
    found = _named(dotted)
    if not callable(found):
        raise DefinitionError(
            f"'{dotted}' is not a function but {type(found).__name__}",
            hint="name a function that takes ctx",
        )
    return found


def exception(dotted: str) -> type[BaseException]:
    """Give the exception of this name: a builtin one, or an imported one."""
    found = getattr(builtins, dotted, None) if "." not in dotted else _named(dotted)
    if not (isinstance(found, type) and issubclass(found, BaseException)):
        raise DefinitionError(
            f"'{dotted}' is no exception",
            hint="name a builtin one (OSError), or one with its module (package.module.Error)",
        )
    return found


def _named(dotted: str) -> Any:
    module, dot, attribute = dotted.rpartition(".")
    if not dot or not all(part.isidentifier() for part in dotted.split(".")):
        hint = f"write {dotted.replace(':', '.')}" if ":" in dotted else "write module.function"
        raise DefinitionError(f"'{dotted}' is not the dotted name of something", hint=hint)
    try:
        with contextlib.redirect_stdout(sys.stderr):  # stdout is for results
            loaded = importlib.import_module(module)
    except (Exception, SystemExit) as error:
        raise DefinitionError(
            f"'{module}' cannot be imported: {type(error).__name__}: {error}",
            hint="mend that, or the name",
        ) from error
    if not hasattr(loaded, attribute):
        raise DefinitionError(f"'{module}' has no '{attribute}'", hint="mend the name")
    return getattr(loaded, attribute)
