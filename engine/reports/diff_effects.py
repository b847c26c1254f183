"""What came of it that one run was other than another: how its steps ended, and what they left."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from engine.reports.diff_words import Change, Told, because, grouped, named
from engine.text import human_duration

if TYPE_CHECKING:
    from engine.usual import Spread
    from store.run_facts import RunFacts, StepFacts

LEAST_S = 0.1  # what differs by less is no one's concern
LEAST_SHARE = 0.1
DONE = ("ok", "cached")


def effects(old: RunFacts, new: RunFacts, spreads: Mapping[str, Spread]) -> Iterator[Change]:
    """Tell how the run and its steps ended otherwise, and what they decided, took and left."""
    yield from _outcome(old.run, new.run)
    both = {name: (old.steps[name], step) for name, step in new.steps.items() if name in old.steps}
    yield from grouped("status", _statuses(both))
    yield from grouped("attempts", _attempts(both))
    yield from grouped("decisions", _decisions(both))
    yield from grouped("duration", _durations(both, spreads))
    if old.run["pruned_at"] is None and new.run["pruned_at"] is None:
        yield from grouped("outputs", _outputs(both))


_Both = Mapping[str, "tuple[StepFacts, StepFacts]"]


def _outcome(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    if old["status"] != new["status"]:
        line = f"the run is {new['status']}, was {old['status']}"
        yield Change("outcome", line, old["status"], new["status"])


def _statuses(both: _Both) -> Iterator[Told]:
    for name, (old, new) in both.items():
        was, now = old.told.status, new.told.status
        if was != now:
            why = new.told.note.partition("\n")[0] if now in ("failed", "skipped") else ""
            yield f"{now}{f' ({why})' if why else ''}, before {was}", was, now, name
        elif now == "failed" and _error(old) != _error(new):
            yield (
                f"failed with {_error(new)}, before with {_error(old)}",
                _error(old),
                _error(new),
                name,
            )
        elif (was_by := old.told.marked_by) != (now_by := new.told.marked_by):
            how = f"marked as done by {now_by}" if now_by else "ran, before it was marked as done"
            yield how, was_by, now_by, name


def _error(step: StepFacts) -> str:
    return step.told.error.partition("\n")[0] or step.told.note


def _attempts(both: _Both) -> Iterator[Told]:
    for name, (old, new) in both.items():
        was, now = old.told.made, new.told.made
        if was != now and was and now:
            yield f"{now} attempt{'' if now == 1 else 's'}, {was} before", was, now, name


def _decisions(both: _Both) -> Iterator[Told]:
    for name, (old, new) in both.items():
        was, now = _condition(old), _condition(new)
        if was and now and was["holds"] != now["holds"]:
            text = f"its condition {'holds' if now['holds'] else 'does not hold'}"
            values = _values(was["values"], now["values"])
            yield f"{text}{f': {values}' if values else ''}", was["values"], now["values"], name
        if old.why != new.why and new.why:
            yield f"redone, as {because(new.why)}", old.why, new.why, name


def _condition(step: StepFacts) -> Mapping[str, Any] | None:
    asked = [one.facts for one in step.decisions if one.what == "condition"]
    return asked[-1] if asked else None


def _values(old: Mapping[str, str], new: Mapping[str, str]) -> str:
    return ", ".join(
        f"{name} is {value}" + (f", was {old[name]}" if name in old else "")
        for name, value in new.items()
        if old.get(name) != value
    )


def _durations(both: _Both, spreads: Mapping[str, Spread]) -> Iterator[Told]:
    for name, (old, new) in both.items():
        was, now = _took_s(old), _took_s(new)
        if was is None or now is None:
            continue
        usual = spreads.get(name)
        range_s = usual.high_s - usual.low_s if usual else 0.0
        if abs(now - was) <= max(range_s, LEAST_S, LEAST_SHARE * max(was, now)):
            continue
        text = f"took {human_duration(now)}, {human_duration(was)} before"
        if usual and usual.of > 2:
            low, high = human_duration(usual.low_s), human_duration(usual.high_s)
            text += f" (usually {low})" if low == high else f" (usually {low} to {high})"
        yield text, was, now, name


def _took_s(step: StepFacts) -> float | None:
    """Give what the attempt took that was ok: waits for retries are not the step's own."""
    last = step.tries[-1] if step.tries else None
    if last is None or last.outcome != "ok" or last.started_at is None or last.finished_at is None:
        return None
    return (last.finished_at - last.started_at) / 1e6


def _outputs(both: _Both) -> Iterator[Told]:
    for name, (old, new) in both.items():
        if old.told.status not in DONE or new.told.status not in DONE:
            continue
        for what, was, now in (("", old.values, new.values), ("file ", old.files, new.files)):
            other = [key for key in now if key in was and was[key] != now[key]]
            added = [key for key in now if key not in was]
            gone = [key for key in was if key not in now]
            for word, keys in (("another", other), ("a new", added), ("no", gone)):
                if keys:
                    yield f"left {word} {what}{named(keys)}", was, now, name
