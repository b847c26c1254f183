"""What is other in one run than in another: causes first, then their effects. Pure.

`changes(old, new)` gives facts, each with a short line; secrets are not masked here, nor is any
text made harmless for where it is shown.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from engine.reports.diff_words import Change, Told, grouped, named, shown

if TYPE_CHECKING:
    from engine.usual import Spread
    from store.run_facts import RunFacts


def changes(
    old: RunFacts, new: RunFacts, spreads: Mapping[str, Spread] | None = None
) -> tuple[Change, ...]:
    """Tell what is other in `new` than in `old`: what may be a cause first, then what came of it.

    `spreads` says how far apart a step's durations usually are; what differs less is not told.
    """
    from engine.reports.diff_effects import effects

    return (*causes(old, new), *effects(old, new, spreads or {}))


def causes(old: RunFacts, new: RunFacts) -> Iterator[Change]:
    """Tell what may be why a run went otherwise: what it was, was given, ran on and began from."""
    was, now = str(old.run["workflow"]), str(new.run["workflow"])
    if was != now:
        yield Change("workflow", f"a run of '{now}', not of '{was}'", was, now)
    yield from _definition(old, new)
    yield from _parameters(old, new)
    yield from grouped("context", _items("context value", old.context, new.context, quote=True))
    yield from grouped("environment", _items("", old.versions, new.versions))
    yield from _begin(old.run, new.run)


def _definition(old: RunFacts, new: RunFacts) -> Iterator[Change]:
    told: list[Told] = [("new", None, None, name) for name in new.steps if name not in old.steps]
    told += [("gone", None, None, name) for name in old.steps if name not in new.steps]
    for name, step in new.steps.items():
        before = old.steps.get(name)
        if before is None:
            continue
        if before.fingerprint != step.fingerprint:
            told += [(f"{_changed_parts(before.parts, step.parts)}", None, None, name)]
        if set(before.upstreams) != set(step.upstreams):
            was, now = list(before.upstreams), list(step.upstreams)
            text = f"depends on {named(now) or 'nothing'}, not on {named(was) or 'nothing'}"
            told += [(text, was, now, name)]
    yield from grouped("definition", told)
    before, zone = old.run.get("zone"), new.run.get("zone")
    if before != zone:
        here = "the machine's"
        line = f"time zone {zone or here}, was {before or here}"
        yield Change("definition", line, before, zone)


def _changed_parts(old: Mapping[str, str], new: Mapping[str, str]) -> str:
    """Name every part that differs, as in "code changed, version added"."""
    told = []
    for part in [*new, *(part for part in old if part not in new)]:
        if part != "upstreams" and old.get(part) != new.get(part):
            how = "changed" if part in old and part in new else "added"
            told.append(f"{part} {how if part in new else 'removed'}")
    return ", ".join(told) or "changed"


def _parameters(old: RunFacts, new: RunFacts) -> Iterator[Change]:
    was, now = json.loads(old.run["params"] or "{}"), json.loads(new.run["params"] or "{}")
    yield from grouped("parameters", _items("parameter", was, now, quote=True, values=True))


def _items(
    what: str,
    old: Mapping[str, Any],
    new: Mapping[str, Any],
    *,
    quote: bool = False,
    values: bool = False,
) -> Iterator[Told]:
    """Tell of each key that is new, gone, or has another value; a sum is not worth showing."""
    for key in [*new, *(key for key in old if key not in new)]:
        was, now = old.get(key), new.get(key)
        if key in old and key in new and was == now:
            continue
        name = f"{what} '{key}'" if quote else key
        show = shown if values else str
        if key not in old:
            text = "is new" if quote and not values else f"{show(now)} is new"
        elif key not in new:
            text = "is gone" if quote and not values else f"{show(was)} is gone"
        else:
            text = (
                "is another"
                if quote and not values
                else f"{'is ' * values}{show(now)}, was {show(was)}"
            )
        yield f"{name} {text}", was, now, ""


def _begin(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    for column, word in (("workers", "workers"), ("host", "host"), ("user", "user")):
        if old[column] != new[column]:
            line = f"{word} {new[column]}, was {old[column]}"
            yield Change("environment", line, old[column], new[column])
    was, now = _how_begun(old), _how_begun(new)
    if was != now:
        yield Change("begin", f"begun {now}; before {was}", was, now)


def _how_begun(run: Mapping[str, Any]) -> str:
    """Say how a run began, by what does not differ from run to run by itself."""
    how = f"by {run['started_by']}, "
    how += f"on from run {run['resumed_from']}" if run["resumed_from"] else "anew"
    only = json.loads(run["only_steps"] or "[]")
    return how + (f", only {named(only)}" if only else "")
