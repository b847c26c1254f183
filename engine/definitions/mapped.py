"""Mappings read by the table of what they may say."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, field
from typing import Any

from engine.definitions.fields import PYTHON_ONLY, STEP, Table
from engine.definitions.forms import Asked, Faults
from engine.definitions.nodes import Node
from engine.definitions.several import unique_pairs
from engine.naming import near


@dataclass(slots=True)
class Mapped:
    """A mapping whose keys have been read: values by key, and where each key stands."""

    what: str
    node: Node
    values: dict[str, Any] = field(default_factory=dict)
    keys: dict[str, Node] = field(default_factory=dict)

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


def read_fields(read: Mapped, table: Table, faults: Faults) -> None:
    """Read what a mapping says by the table of what it may say."""
    lead = f"{read.what}: " if read.what else ""
    for key, value in unique_pairs(read.node, read.what, faults):
        known = table.get(key.name)
        read.keys[key.name] = key
        if known is None:
            faults.add(key, f"{lead}unknown key '{key.name}'", _meant(key.name, table))
            continue
        read.values[key.name] = known.form.of(Asked(f"{lead}{key.name}", key, faults), value)
    for known in table.fields:
        if known.required and known.name not in read.keys:
            message = f"{read.what or 'the workflow'} has no {known.name}"
            faults.add(read.place, message, f"add it: {_EXAMPLES[known.name]}")


_EXAMPLES = {"name": "`name: fetch`", "steps": "`steps: [{name: hello, command: echo hello}]`"}


def _meant(key: str, table: Table) -> str:
    """Say which key is meant by one that is none."""
    hidden = [char for char in key if char != " " and unicodedata.category(char) in _UNSEEN]
    if hidden:
        name = unicodedata.name(hidden[0], f"U+{ord(hidden[0]):04X}").lower()
        return f"take the {name} out of it"
    if key == "<<":
        return "merge keys are not taken: write the keys themselves"
    guess = table.elsewhere.get(key.lower()) or near(key, table.names)
    if table is STEP and key in PYTHON_ONLY:
        return f"that is only in Python; did you mean '{guess}'?"
    return f"did you mean '{guess}'?" if guess else f"known keys are {', '.join(table.names)}"


_UNSEEN = ("Cf", "Zs", "Zl", "Zp", "Cc")
