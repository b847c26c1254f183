"""A workflow on a timer, driven through slots on a clock that is moved on, and its model.

The real `run --scheduled`, but for the command line: its decisions, locks, runs, crashes (the
engine is killed), what the next command makes of those, pauses, catch-up, delivery.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from queue import SimpleQueue
from random import Random
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

from engine import Skip, Step, Workflow
from engine.alerts import slack
from engine.cli import project as cli_project
from engine.cli.scheduled import failures_recorded
from engine.clock import SystemClock
from engine.errors import DefinitionError
from engine.ports import Paths
from engine.secrets import Secrets
from engine.session import Environment, RunRequest, alerting, launch, run_workflow
from engine.session.deciding.compiled import compile_definition
from engine.session.timer import run_scheduled
from store import pauses
from store.connection import Database
from store.database import open_writer, path_of
from store.history import History
from tests.timer_model import DIED, ENDS, HOUR, WRONG, Incidents, Slots

if TYPE_CHECKING:
    import pytest

TURNS = 20
EVERY_S = 6 * HOUR
TURN_WORDS = {"run": 12, "off": 2, "skip": 2, "pause": 1, "wrong": 2, "resume": 3}
END_WORDS = dict(zip(ENDS, (8, 4, 2, 3, 2, 2, 2, 1, 1), strict=True))


class Clock(SystemClock):
    """The real clock, moved on by hand."""

    def __init__(self) -> None:
        """Begin just after a slot."""
        super().__init__()
        self._anchor = 1_700_006_400.0 - self.now() + 60  # 2023-11-15 00:01 UTC

    def go(self, seconds: float) -> None:
        """Let time pass."""
        self._anchor += seconds

    def at_us(self) -> int:
        """Give the time as it is stored."""
        return self.stamp(self.now())


@dataclass
class Timer:
    """A workflow of steps `a` and `b`, whose timer fires every six hours, and its model."""

    folder: Path
    seed: int
    draw: Random = field(init=False)
    clock: Clock = field(default_factory=Clock)
    told: Incidents = field(default_factory=Incidents)
    runs: int = 0
    dead: list[tuple[int, dict[str, str]]] = field(default_factory=list)  # not recorded yet
    resumable: int = 0
    log: list[str] = field(default_factory=list)
    by_hand: str = ""  # how the run ends that somebody starts
    is_on: Event = field(default_factory=Event)
    may_end: Event = field(default_factory=Event)

    def __post_init__(self) -> None:
        """Write nothing yet."""
        self.draw = Random(self.seed)
        catchup = self.draw.choice(["latest", "all", "none"])
        self.slots = Slots(catchup)
        self.ends: dict[int, str] = {}  # by slot
        settings = {
            "SLACK_WEBHOOK_URL": "https://hooks.slack.com/services/x",
            "ENGINE_REMIND_AFTER": "20h",
            "ENGINE_ALERT_ON": "failure",
        }
        home = self.folder / "var"
        self.env = Environment(
            paths=Paths(self.folder, home, f"sqlite:///{home}/runs.db"),
            secrets=Secrets(home, settings),
            clock=self.clock,
            environ=settings,
        )
        self.flow = self.made(catchup=catchup)

    def made(self, **options: Any) -> Workflow:
        """Make the workflow."""
        return (
            Workflow("flow", schedule="*-*-* 00/6:00:00", tz="UTC", **options)
            .add(Step("a", self.body("a"), retries=0))
            .add(Step("b", self.body("b"), depends_on=["a"], trigger_rule="all_done", retries=0))
        )

    def body(self, name: str) -> Callable[[Any], None]:
        """Make a step's function, which ends as its slot's word says."""

        def run(ctx: Any) -> None:
            if ctx.slot is None and name == "a":
                self.is_on.set()
                assert self.may_end.wait(60)
            word = self.by_hand if ctx.slot is None else self.ends[round(ctx.slot.timestamp())]
            how = ENDS[word].get(name, "ok")
            match how:
                case "skipped":
                    raise Skip("not today")
                case "died":
                    os.kill(os.getpid(), signal.SIGKILL)
                case "ok":
                    return
                case "ValueError":
                    raise ValueError(f"row {ctx.run_id} of '/tmp/x' at {self.clock.at_us()}")
                case _:
                    raise TypeError(f"row {ctx.run_id}")

        return run

    def database(self) -> Database:
        """Open the store."""
        return open_writer(path_of(self.env.paths.store_url))

    def slot(self) -> int:
        """Give the newest slot that has come."""
        return round(self.clock.at_us() / 1e6 // EVERY_S * EVERY_S)

    # -- what happens -----------------------------------------------------------------------------

    def turn(self, word: str) -> None:
        """Let a slot come, and what the word says."""
        slot = self.slot()
        if word != "resume":
            self.slots.undecided.append(slot)
            self.ends[slot] = self.draw.choices(list(END_WORDS), list(END_WORDS.values()))[0]
            self.log.append(f"{word} ({self.ends[slot]})")
        if word == "pause":
            until = slot + round(self.draw.choice([1, 2]) * EVERY_S)
            self.slots.pause(slot - 60, until)
            ends = until * 1_000_000
            new = pauses.Pause("flow", (slot - 60) * 1_000_000, "ann", ends, "moving", None)
            database = self.database()
            pauses.pause(database, new)
            database.close()
        match word:
            case "off":
                pass
            case "skip":
                self.fire_beside()
            case "wrong":
                self.fire_wrongly()
            case "resume":
                self.resume(slot)
            case _:
                self.fire()
        if word != "resume":
            self.clock.go(EVERY_S)

    def fire(self, *, is_on: bool = False) -> None:
        """Do what `run --scheduled` does, in a process of its own where that may die."""
        due = self.expect(is_on=is_on)
        if any(DIED in ENDS[self.ends[slot]].values() for slot in due):
            in_child(lambda: list(self.scheduled()))
        else:
            list(self.scheduled())

    def fire_beside(self) -> None:
        """Fire while a run by hand is on, which ends thereafter."""
        self.died()
        self.by_hand = self.draw.choice(["ok", "fail a", "fail b"])
        self.log.append(f"beside it by hand ({self.by_hand})")
        self.is_on.clear()
        self.may_end.clear()
        env = replace(self.env, inbox=SimpleQueue())
        request = RunRequest(fresh=True)
        run = Thread(target=run_workflow, args=(self.flow.definition(), request, env))
        run.start()
        assert self.is_on.wait(60)
        self.runs += 1
        number = self.runs
        self.fire(is_on=True)
        self.may_end.set()
        run.join()
        self.told.ends(number, ENDS[self.by_hand], self.clock.at_us() / 1e6)

    def died(self) -> None:
        """Take in the runs whose engine died, as a command records them now."""
        for run, steps in self.dead:
            self.told.ends(run, steps, self.clock.at_us() / 1e6)
        self.dead.clear()

    def scheduled(self) -> Iterator[dict[str, Any]]:
        """Run what is due."""
        return run_scheduled(self.flow.definition(), RunRequest(started_by="timer"), self.env)

    def expect(self, *, is_on: bool = False, wrong: bool = False) -> list[int]:
        """Say what is to come of firing now; gives the slots that are run."""
        at = self.clock.at_us() / 1e6
        self.died()
        if self.slots.is_paused(at):
            self.slots.pass_over(self.slots.undecided, "paused by ann")
            return []
        if wrong or is_on:
            if self.slots.catchup == "all":
                self.runs += 1
            else:
                (slot,) = self.slots.wanted()
                self.runs += 1
                self.slots.has_run(slot)
            if wrong:
                self.told.ends(self.runs, {"": WRONG}, at)
            return []
        ran = self.slots.wanted()
        for number, slot in enumerate(ran):
            self.slots.has_run(slot)
            self.runs += 1
            steps = ENDS[self.ends[slot]]
            if DIED in steps.values():
                self.dead.append((self.runs, steps))
                return ran[: number + 1]
            self.told.ends(self.runs, steps, at)
            if self.ends[slot] == "fail b":
                self.resumable = self.runs
        return ran

    def fire_wrongly(self) -> None:
        """Fire while the definition cannot be loaded."""
        self.expect(wrong=True)
        parsed = argparse.Namespace(
            name="flow", dry_run=False, workers=4, quiet=True, json_logs=False
        )
        fault = DefinitionError(f"line {self.draw.randrange(99)}: no such step 'x'")
        paused = self.slots.is_paused(self.clock.at_us() / 1e6)
        try:
            with failures_recorded(parsed, self.env.paths, self.env.secrets):
                raise fault
        except DefinitionError:
            assert not paused
        else:
            assert paused

    def resume(self, slot: int) -> None:
        """Go on, by hand, from a run whose `b` failed: its `a` is reused."""
        del slot
        if not self.resumable or self.dead:
            return
        request = RunRequest(resume=str(self.resumable), started_by="hand")
        (ended,) = [s for s, word in self.ends.items() if self.run_of(s) == self.resumable]
        is_ok = self.draw.random() < 0.6
        self.ends[ended] = "ok" if is_ok else "fail b"
        self.log.append(f"resume {self.resumable} ({self.ends[ended]})")
        run_workflow(self.flow.definition(), request, self.env)
        self.runs += 1
        at = self.clock.at_us() / 1e6
        self.told.ends(self.runs, ENDS[self.ends[ended]], at, reused="a")
        self.resumable = 0

    def run_of(self, slot: int) -> int | None:
        """Give the run that a slot has in the store."""
        database = self.database()
        sql = "SELECT run_id FROM slot_rows WHERE slot = ?"
        row = database.raw.execute(sql, (slot * 1_000_000,)).fetchone()
        database.close()
        return None if row is None else row[0]

    # -- what is found ----------------------------------------------------------------------------

    def judge(self, outbox: Path) -> None:
        """Hold the store, and what was sent, to the model."""
        database = self.database()
        while History(database).undelivered():  # on a busy machine a run's end has no time for all
            alerting.deliver_due(database, History(database), self.env)
        sent = outbox.read_text("utf-8").splitlines()
        rows = database.raw.execute(
            "SELECT run_id, kind, facts FROM alert_rows WHERE incident_id IS NOT NULL"
        ).fetchall()
        found = []
        for run, kind, text in rows:
            facts = json.loads(text)
            count = facts.get("since", facts["failures"])
            found.append((run, (kind, facts["step"], named(facts["error"]), count)))
        assert sorted(found) == sorted(self.told.told), (self.slots.catchup, self.log)
        open_ = database.raw.execute(
            "SELECT step, error, failures FROM incident_rows WHERE closed_at IS NULL"
        ).fetchall()
        expected = {(*key, known.failures) for key, known in self.told.open.items()}
        assert {(step, named(error), n) for step, error, n in open_} == expected, self.log
        words = Counter(kind for _, (kind, *_) in self.told.told)
        assert words["opened"] == words["closed"] + len(self.told.open)
        decided = database.raw.execute("SELECT slot, reason FROM slot_rows").fetchall()
        reasons = {slot // 1_000_000: why.partition(":")[0] or "run" for slot, why in decided}
        assert reasons == self.slots.decided, self.log
        statuses = database.raw.execute("SELECT status FROM alert_rows").fetchall()
        assert set(statuses) <= {("sent",)}
        assert len(sent) == len(statuses)
        assert not [text for text in sent if "repeat" in text]
        database.close()


def named(error: str) -> str:
    """Give the model's word for an error."""
    if "its engine died" in error:
        return DIED
    return WRONG if error.startswith("line ") else error.partition(":")[0]


def in_child(program: Callable[[], object]) -> None:
    """Carry out in a child of this process, which is killed in it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # our threads have ended
        child = os.fork()
    if child == 0:
        try:
            program()
        except BaseException:  # noqa: BLE001 - told, and then not what was to come
            traceback.print_exc()
        finally:
            os._exit(0)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL


def play(folder: Path, seed: int, patch: pytest.MonkeyPatch, turns: int = TURNS) -> None:
    """Make a sequence of so many slots, and one run that is ok after them; hold it to the model."""
    timer = Timer(folder, seed)
    outbox = folder / "sent"
    outbox.touch()

    def sends(_url: str, text: str, *_: object, **__: object) -> None:
        with outbox.open("a", encoding="utf-8") as file:
            file.write(text.replace("\n", " ") + "\n")

    definition = timer.flow.definition()
    compiled = compile_definition(definition, folder)  # reading this file takes as long as a run
    patch.setattr(launch, "compile_definition", lambda *_: compiled)
    patch.setattr(slack, "send", sends)
    patch.setattr(cli_project, "environment_in", lambda *_: timer.env)
    words = timer.draw.choices(list(TURN_WORDS), list(TURN_WORDS.values()), k=turns - 1)
    for word in ["run", *words]:
        timer.turn(word)
    for _ in range(3):  # a pause lasts for two slots at most
        timer.turn("run")
    timer.judge(outbox)
