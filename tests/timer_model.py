"""What is to be told of a timer's runs: a model, written from the words of docs/schedule.md."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

HOUR = 3_600.0
REMIND_S = 20 * HOUR

# How a run ends: its steps `a` and then `b`, each ok, skipped or failed by a word; `died` where the
# engine was killed in it.
ENDS: dict[str, dict[str, str]] = {
    "ok": {"a": "ok", "b": "ok"},
    "fail a": {"a": "ValueError", "b": "ok"},
    "fail a else": {"a": "TypeError", "b": "ok"},
    "fail b": {"a": "ok", "b": "ValueError"},
    "fail a b": {"a": "ValueError", "b": "TypeError"},
    "part": {"a": "ok", "b": "skipped"},
    "crash": {"a": "died"},
    "crash b": {"a": "ok", "b": "died"},
    "fail a, crash b": {"a": "ValueError", "b": "died"},
}
DIED, WRONG = "died", "wrong definition"

Told = tuple[str, str, str, int]  # kind, step, error, failures: of a reminder since the last word


@dataclass
class Open:
    """An incident that is open."""

    failures: int
    told_at: float
    since: int = 0


@dataclass
class Incidents:
    """What is open, and all that was told, by run."""

    open: dict[tuple[str, str], Open] = field(default_factory=dict)
    told: list[tuple[int, Told]] = field(default_factory=list)

    def fails(self, run: int, step: str, error: str, at: float) -> None:
        """Open it; else count it, and remind of it if nothing was said for long enough."""
        known = self.open.get((step, error))
        if known is None:
            self.open[step, error] = Open(1, at)
            self.told.append((run, ("opened", step, error, 1)))
            return
        known.failures += 1
        known.since += 1
        if at - known.told_at >= REMIND_S:
            self.told.append((run, ("reminder", step, error, known.since)))
            known.told_at, known.since = at, 0

    def closes(self, run: int, step: str) -> None:
        """Close what is open of a step, whatever its error."""
        for key in [key for key in self.open if key[0] == step]:
            self.told.append((run, ("closed", *key, self.open.pop(key).failures)))

    def ends(self, run: int, steps: dict[str, str], at: float, *, reused: str = "") -> None:
        """Take a run that has ended, or whose end was recorded, at a moment."""
        bad = {step: how for step, how in steps.items() if how not in ("ok", "skipped", DIED)}
        for step, error in bad.items():
            self.fails(run, step, error, at)
        has_died = DIED in steps.values()
        if has_died:
            self.fails(run, "", DIED, at)
        for step, how in steps.items():
            if how == "ok" and step != reused:
                self.closes(run, step)
        if not bad and not has_died:
            self.closes(run, "")


@dataclass
class Slots:
    """What becomes of each slot: a run, or why none."""

    catchup: str
    pauses: list[tuple[int, int]] = field(default_factory=list)  # since when and until when
    undecided: list[int] = field(default_factory=list)
    decided: dict[int, str] = field(default_factory=dict)

    def pause(self, since: int, until: int) -> None:
        """Pause; this takes the place of the pause that it is in."""
        self.pauses = [(begun, min(ends, since)) for begun, ends in self.pauses]
        self.pauses.append((since, until))

    def is_paused(self, at: float) -> bool:
        """Whether it is paused at a moment."""
        return any(since <= at < until for since, until in self.pauses)

    def pass_over(self, slots: Iterable[int], why: str) -> None:
        """Record that slots get no run."""
        for slot in list(slots):
            self.undecided.remove(slot)
            self.decided[slot] = why

    def wanted(self) -> list[int]:
        """Give those that are to be run now, the oldest first; the others are passed over."""
        for since, until in self.pauses:
            paused = [slot for slot in self.undecided if since <= slot < until]
            self.pass_over(paused, "paused by ann")
        if self.catchup == "all":
            return list(self.undecided)
        self.pass_over(self.undecided[:-1], "missed")
        return list(self.undecided)

    def has_run(self, slot: int) -> None:
        """Record that a slot has a run."""
        self.pass_over([slot], "run")
