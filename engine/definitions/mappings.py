"""Mappings read by the table of what they may say."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from engine.definitions.fields import PYTHON_ONLY, STEP, WORKFLOW, Table
from engine.definitions.forms import CURLY, Asked, Faults, unique_pairs
from engine.definitions.nodes import Kind, Node
from engine.naming import NAME_LENGTH_MAX, near


@dataclass(slots=True)
class Mapped:
    """A mapping whose keys have been read: values by key, and where each key stands."""

    what: str
    node: Node
    values: dict[str, Any] = field(default_factory=dict)
    keys: dict[str, Node] = field(default_factory=dict)
    meant: set[str] = field(default_factory=set)  # by keys that are none

    def says(self, *names: str) -> bool:
        """Tell whether one of the keys is there, or seems to be meant."""
        return any(name in self.keys or name in self.meant for name in names)

    def item(self, key: str, text: str) -> Node:
        """Give the item of a list under `key` that has this text."""
        value = next(value for at, value in self.node.value if at is self.keys[key])
        return next(item for item in value.value if item.value == text)  # type: ignore[no-any-return]

    @property
    def place(self) -> Node:
        """Where a fault of the whole stands: at the name, else at the first key."""
        named = self.keys.get("name")
        if named is None and self.node.value:
            named = self.node.value[0][0]
        return named or self.node


_LISTS = ("steps",)  # not meant by `jobs: {…}`, which has no steps yet


@lru_cache(maxsize=1_000)  # typos come again
def _near(wanted: str, *names: str) -> str:
    return near(wanted, names) if len(wanted) <= NAME_LENGTH_MAX else ""


def read_fields(read: Mapped, table: Table, faults: Faults) -> None:
    """Read what a mapping says by the table of what it may say."""
    lead = f"{read.what}: " if read.what else ""
    for key, value in unique_pairs(read.node, read.what, faults):
        known = table.fields.get(key.name)
        read.keys[key.name] = key
        if known is None:
            guess = table.elsewhere.get(key.name.lower()) or _near(key.name, *table.names)
            if guess not in _LISTS or value.kind is Kind.LIST:
                read.meant.add(guess)
            hint = _hint(key, value, guess, table)
            faults.add(key, f"{lead}unknown key '{key.name}'", hint)
            continue
        asked = Asked(f"{lead}{key.name}", key, faults, required=known.required)
        read.values[key.name] = known.form.of(asked, value)
    for known in table.fields.values():
        if known.required and not read.says(known.name):
            message = f"{read.what or 'the workflow'} has no {known.name}"
            faults.add(read.place, message, f"add it: {_EXAMPLES[known.name]}")


_EXAMPLES = {"name": "`name: fetch`", "steps": "`steps: [{name: hello, command: echo hello}]`"}


def _hint(key: Node, value: Node, guess: str, table: Table) -> str:
    """Say what to write for a key that is none."""
    name = key.name
    if name == "<<":
        return "merge keys are not taken: write the keys themselves"
    hidden = [char for char in name if char != " " and unicodedata.category(char) in _UNSEEN]
    if hidden:
        what = unicodedata.name(hidden[0], f"U+{ord(hidden[0]):04X}").lower()
        return f"take the {what} out of it"
    if name != name.strip() or name.startswith(CURLY):
        return f"take the {'curly quotes away' if name.startswith(CURLY) else 'space out of it'}"
    if table is WORKFLOW and name in STEP.names:
        return "that is a key of a step"
    if table is STEP and name in WORKFLOW.names:
        return "that is a key of the workflow, not of a step"
    if guess:
        only = "that is only in Python; " if table is STEP and name in PYTHON_ONLY else ""
        return f"{only}did you mean '{guess}'?"
    if table is STEP and value.kind is Kind.MAPPING:
        return f"write `name: {name}`, and the keys of the step beside it"
    return f"known keys are {', '.join(table.names)}"


_UNSEEN = ("Cf", "Zs", "Zl", "Zp", "Cc")
