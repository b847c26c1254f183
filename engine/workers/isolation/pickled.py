"""How isolated steps reach a process of their own without a file: pickled, by import."""

from __future__ import annotations

import io
import pickle
import sys
from collections.abc import Iterable
from types import FunctionType
from typing import Any

from engine.errors import DefinitionError
from engine.model import Step

HINT = "put it into a module that can be imported, or run the workflow by its file: run NAME"


class _Pickler(pickle.Pickler):
    """Refuses what another process would not find."""

    def reducer_override(self, thing: Any) -> Any:
        """Refuse what is of the program's main file; leave all else to pickle."""
        if isinstance(thing, FunctionType | type):
            name, home = thing.__qualname__, thing.__module__
            if home == "__main__":
                raise pickle.PicklingError(f"'{name}' is of the main program, '__main__'")
            if home in sys.modules and getattr(sys.modules[home], "__spec__", None) is None:
                raise pickle.PicklingError(f"'{name}' is of '{home}', which was made, not imported")
        return NotImplemented


def pickled(step: Step) -> bytes:
    """Give an isolated step as another process can load it.

    Raises `DefinitionError` for functions of `__main__`, lambdas and local functions, and for
    arguments and strategies that cannot be pickled.
    """
    file = io.BytesIO()
    try:
        _Pickler(file).dump(step)
    except Exception as error:
        raise DefinitionError(
            f"step '{step.name}': isolate=True needs what another process can import: {error}",
            hint=HINT,
        ) from error
    return file.getvalue()


def check_importable(steps: Iterable[Step]) -> None:
    """Refuse, before anything is begun, isolated steps that could not be handed over."""
    for step in steps:
        if step.isolate:
            pickled(step)
