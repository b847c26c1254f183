"""How long a run's steps are expected to take, from how long they took: by that they are ordered.

A step's own median counts once it has ended well `TRUSTED` times. Before that it is drawn to the
median of its kind, and a step that is not known at all has that median: a single run may tell more
of its day than of the step. With one run to go by, its durations off by a factor of e, 16 workers
take over 22 recorded graphs 1.1 % longer than they would with all known; 1.4 % if that run is
believed, 2.3 % if kinds alone count (`benchmarks/makespan.py`).
"""

from __future__ import annotations

import functools
from collections.abc import Container, Mapping, Sequence
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any

from engine.model import Shell, Step
from engine.usual import Usual, median

TRUSTED = 3  # times that a step has ended well
KIND_COUNTS = 2  # times, beside those: so much is the median of its kind worth
WRAPPERS_MAX = 100
_WORDS_MAX = 8  # of a command, in which its program is looked for
_NAMED = (FunctionType, BuiltinFunctionType, MethodType, type)


def weights(
    steps: Sequence[Step], usual: Mapping[str, Usual], ended: Container[int] = ()
) -> list[int]:
    """Give each step's expected duration in microseconds; empty where nothing is known.

    A step that has ended as the run begins weighs nothing.
    """
    known = [usual.get(step.name) for step in steps]
    if all(found is not None and found[1] >= TRUSTED for found in known):
        expected = [found[0] for found in known if found is not None]
    elif any(known):
        expected = _estimated([kind_of(step.run) for step in steps], known)
    else:
        return []
    found = [0 if at in ended else round(seconds * 1e6) for at, seconds in enumerate(expected)]
    return found if any(found) else []


def _estimated(kinds: Sequence[object], known: Sequence[Usual | None]) -> list[float]:
    by_kind: dict[object, list[float]] = {}
    for kind, found in zip(kinds, known, strict=True):
        if found is not None:
            by_kind.setdefault(kind, []).append(found[0])
    of_kind = {kind: median(found_s) for kind, found_s in by_kind.items()}
    of_all = median(found[0] for found in known if found is not None)
    return [
        of_kind.get(kind, of_all) if found is None else _drawn(found, of_kind[kind])
        for kind, found in zip(kinds, known, strict=True)
    ]


def _drawn(found: Usual, kind_s: float) -> float:
    own_s, count = found
    if count >= TRUSTED:
        return own_s
    return (own_s * count + kind_s * KIND_COUNTS) / (count + KIND_COUNTS)


def kind_of(run: Any) -> object:
    """Give what steps of one kind have in common: a function, under what wraps it, or a program."""
    if isinstance(run, Shell):
        return _program(run.command)
    for _ in range(WRAPPERS_MAX):
        if isinstance(run, functools.partial):
            run = run.func
            continue
        if isinstance(run, _NAMED):
            return run.__module__, run.__qualname__
        try:  # past the attributes that a class of the user makes up
            run = object.__getattribute__(run, "__wrapped__")
        except AttributeError:
            break
    return type(run).__module__, type(run).__qualname__


def _program(command: str | tuple[str, ...]) -> str:
    """Give the first word that sets no variable."""
    words = command.split(maxsplit=_WORDS_MAX) if isinstance(command, str) else command
    return next((word for word in words if "=" not in word), "")
