"""A change between two runs, and how its line is written. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from engine.records import record

Told = tuple[str, Any, Any, str]
"""What is told of a step: the text, both values, and its name; empty for none."""

NAMED_MAX = 5
VALUE_LENGTH_MAX = 60


@record
class Change:
    """Something that is other in the second run: its area, a short line, and both values.

    `steps` are those it is about; a line that holds for many is given once.
    """

    area: str
    line: str
    old: Any = None
    new: Any = None
    steps: tuple[str, ...] = ()


def grouped(area: str, told: Iterable[Told]) -> Iterator[Change]:
    """Put steps of which the same is to be told together: text, both values, step (or none)."""
    found: dict[str, tuple[Any, Any, list[str]]] = {}
    for text, old, new, step in told:
        _, _, steps = found.setdefault(text, (old, new, []))
        if step:
            steps.append(step)
    for text, (old, new, steps) in found.items():
        line = f"{named(steps)}: {text}" if steps else text
        yield Change(area, line, old, new, tuple(steps))


def named(steps: Sequence[str]) -> str:
    """Name steps, and how many more there are."""
    names = [f"'{step}'" for step in steps[:NAMED_MAX]]
    more = len(steps) - len(names)
    if more:
        return f"{', '.join(names)} and {more:,} more"
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def because(why: str) -> str:
    """Give the reason for which a step is done again so that it can stand in a sentence."""
    return "it was asked for" if why == "asked for" else why


def shown(value: Any) -> str:
    """Give a value as JSON, shortly."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    text = text or "(empty)"
    return text if len(text) <= VALUE_LENGTH_MAX else f"{text[: VALUE_LENGTH_MAX - 1]}…"
