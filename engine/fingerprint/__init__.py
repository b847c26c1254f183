"""What a step is, for "has it changed?": its code and all that the code rests on, as short hashes.

A fingerprint has one hash per named part, so that the first part that differs can be named. It
covers the function under decorators and partials, the functions and classes of the user's own
project it uses (at any distance), defaults, arguments, closure values and constants of plain data,
and the step's command, version, trigger rule, condition and output. Values that the code itself
changes as it runs are state and do not count; upstreams are compared by their names (see
`engine.resume`). No code of the user is called.
"""

from __future__ import annotations

import functools
import hashlib
import types
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.conditions import Condition
from engine.fingerprint.inspection import (
    WRAPPERS_MAX,
    Project,
    Record,
    attribute,
    in_class,
    is_a,
    short_hash,
)
from engine.model import Shell, Step, TriggerRule
from engine.records import record

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


_USUAL_RULE = TriggerRule.ALL_SUCCESS  # to ask the enum for it takes longer


@record
class Fingerprint:
    """A step's digest and the hash of each of its parts."""

    digest: str
    parts: dict[str, str]


def fingerprint(step: Step, *, root: Path | None) -> Fingerprint:
    """Take one step's fingerprint; for many take one `Fingerprints` for all."""
    return Fingerprints(root).of(step)


def difference(old: Mapping[str, str], new: Mapping[str, str]) -> str:
    """Say which part differs first, as in "helper 'shop.clean' changed"; empty if none does."""
    for part in [*new, *(part for part in old if part not in new)]:
        if old.get(part) != new.get(part):
            if not part.startswith("helper ") or (part in old and part in new):
                return f"{part} changed"
            return f"{part} {'added' if part in new else 'removed'}"
    return ""


class Fingerprints:
    """Takes the fingerprints of one definition's steps; each function is looked at once.

    Make a new one for each run: what it has seen of files and values it does not look at again.
    """

    def __init__(self, root: Path | None) -> None:
        """Count functions in files below `root` as own; without it, all but libraries'."""
        self._project = Project(root)
        self._bodies: dict[int, tuple[object, Fingerprint]] = {}
        self._records: dict[int, Record] = {}
        self._known: dict[str, Fingerprint] = {}

    def of(self, step: Step) -> Fingerprint:
        """Take a step's fingerprint; equal ones are one object."""
        known = self._bodies.get(id(step.run))
        body = known[1] if known else self._body(step.run)
        plain = step.trigger_rule is _USUAL_RULE and step.when is None
        if plain and not step.version and step.output is None:
            return body
        parts = {}
        if step.version:
            parts["version"] = short_hash(step.version)
        if step.trigger_rule is not _USUAL_RULE:
            parts["trigger rule"] = short_hash(step.trigger_rule)
        if isinstance(step.when, Condition):
            parts["when"] = short_hash(step.when.text)
        elif step.when is not None:
            assert callable(step.when)
            parts["when"] = self._body(step.when).digest[:16]
        if step.output is not None:
            parts["output"] = short_hash(step.output)
        text = f"{body.digest}|{parts}"
        digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
        return self._known.setdefault(digest, Fingerprint(digest, {**body.parts, **parts}))

    def _body(self, run: Callable[..., Any] | Shell) -> Fingerprint:
        known = self._bodies.get(id(run))
        if known is None:
            parts = _parts_of_command(run) if isinstance(run, Shell) else self._parts_of(run)
            text = "\n".join(f"{part}={parts[part]}" for part in sorted(parts))
            digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
            # The reference keeps the id from being given to another object.
            known = self._bodies[id(run)] = (run, Fingerprint(digest, parts))
        return known[1]

    def _parts_of(self, run: Callable[..., Any]) -> dict[str, str]:
        main = Record()
        target = self._unwrap(run, main)
        record = self._record(target)
        parts = {**record.parts, **main.parts}
        helpers: dict[str, list[str]] = {}
        seen = {id(target)}
        queue = [*main.uses, *record.uses]
        for used in queue:  # grows as it is gone through: no recursion, however deep the calls
            if id(used) in seen:
                continue
            seen.add(id(used))
            helper = self._record(used)
            helpers.setdefault(helper.name, []).append(repr(sorted(helper.parts.items())))
            queue.extend(helper.uses)
        for name, texts in helpers.items():
            parts[f"helper '{name}'"] = short_hash("\n".join(sorted(texts)))
        return parts

    def _unwrap(self, target: Any, main: Record) -> Any:
        """Go down to the function or class that does the work; note what lies on the way."""
        for _ in range(WRAPPERS_MAX):
            inner = attribute(target, "__wrapped__")
            if type(target) is functools.partial:
                self._project.note_partial(target, main)
                target = target.func
            elif type(target) is types.MethodType:
                self._project.note_instance(target.__self__, main)
                target = target.__func__
            elif inner is not None and callable(inner):
                main.uses += self._project.own_of(target)
                target = inner
            elif is_a(target, types.FunctionType) or is_a(target, type):
                return target
            else:
                call = in_class(type(target), "__call__")
                if type(call) is not types.FunctionType:
                    return target
                self._project.note_instance(target, main)
                target = call
        return target

    def _record(self, target: Any) -> Record:
        record = self._records.get(id(target))
        if record is None:
            record = self._records[id(target)] = self._project.look_at(target)
            record.subject = target
        return record


def _parts_of_command(shell: Shell) -> dict[str, str]:
    parts = {"command": short_hash(repr(shell.command))}
    if shell.env:
        parts["env"] = short_hash(repr(shell.env))
    if shell.cwd is not None:
        parts["cwd"] = short_hash(shell.cwd)
    if shell.ok_codes != (0,):
        parts["ok_codes"] = short_hash(repr(shell.ok_codes))
    return parts
