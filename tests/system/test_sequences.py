"""Any sequence of a timer's runs: each incident opened once, reminded of as stated, closed once."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine import Step, Workflow
from engine.alerts import slack
from engine.session import pruning
from store import incidents, pauses, reconcile
from tests.system.timer import EVERY_S, Timer, play

SEEDS = int(os.environ.get("KAHNBAN_SEQUENCES", "2"))
FIRST = int(os.environ.get("KAHNBAN_SEED", "0"))


def with_sql(name: str, old: str, new: str) -> Callable[[pytest.MonkeyPatch], None]:
    """Plant a fault into a statement."""

    def plant(patch: pytest.MonkeyPatch) -> None:
        sql = getattr(incidents, name)
        assert old in sql
        patch.setattr(incidents, name, sql.replace(old, new))

    return plant


def reused_counts(patch: pytest.MonkeyPatch) -> None:
    """A step that was reused has recovered, too."""
    with_sql("_IS_OK", "CROSS JOIN", "LEFT JOIN")(patch)
    with_sql("_IS_OK", ", 'ok') = 'ok'", ", 'ok') IN ('ok', 'cached')")(patch)


def no_crash(patch: pytest.MonkeyPatch) -> None:
    """What is recorded of a crash is not told."""
    real = incidents.settle

    def forgets(*values: Any, crashed: bool) -> bool:
        del crashed
        return real(*values)

    patch.setattr(reconcile, "settle", forgets)


def by_words(patch: pytest.MonkeyPatch) -> None:
    """An error is another one if its numbers are."""
    patch.setattr(incidents, "fingerprint", lambda error: error)


def no_pause(patch: pytest.MonkeyPatch) -> None:
    """A pause holds nothing up."""
    patch.setattr(pauses, "current", lambda *_: None)


# Each with the first sequence of eight slots that finds it.
PLANTED = {
    "reminded again each time": (
        with_sql("_OPEN", "coalesce(reminded_at, 0)", "opened_at"),
        2,
    ),
    "closed by a step that was reused": (reused_counts, 20),
    "closed by another step": (with_sql("_IS_OK", "d.name = ?3", "d.name <> ?3"), 0),
    "opened while it is open": (by_words, 2),
    "a failure is not counted": (with_sql("_FAILED_AGAIN", "failures + 1", "failures"), 2),
    "the crash is forgotten": (no_crash, 0),
    "the pause is not obeyed": (no_pause, 14),
}


@pytest.mark.parametrize("name", PLANTED)
def test_planted_faults_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """By a short sequence."""
    plant, seed = PLANTED[name]
    plant(monkeypatch)
    with pytest.raises((AssertionError, ValueError)):
        play(tmp_path, seed, monkeypatch, turns=8)


def test_a_schedule_that_has_paused_itself_is_told_of_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its timer, as often as incidents are; of a pause that somebody made nothing reminds."""
    timer = Timer(tmp_path, 0)
    timer.slots.catchup = "latest"
    sent: list[str] = []
    monkeypatch.setattr(slack, "send", lambda _url, text, *_, **__: sent.append(text))
    monkeypatch.setattr(timer, "flow", timer.made(pause_after=1))
    why = "a scheduled run failed"
    for turn in range(6):
        timer.ends[timer.slot()] = "fail a"
        list(timer.scheduled())
        timer.clock.go(EVERY_S)
        if turn == 4:  # 24 hours after the alert
            assert sent[1:] == [
                f"the schedule of flow is paused: {why}",
                f"the schedule of flow is still paused: {why}",
            ]
    database = timer.database()
    at_us = timer.clock.at_us()
    pauses.pause(database, pauses.Pause("flow", at_us, "ann", None, "moving", None))
    database.close()
    timer.clock.go(10 * EVERY_S)
    monkeypatch.setattr(pruning, "KEEP_DAYS", 1)
    list(timer.scheduled())
    assert len(sent) == 3
    database = timer.database()
    kept = "SELECT count(*), count(run_id) FROM slot_rows"  # those of a day, and that of the run
    assert database.raw.execute(kept).fetchone() == (5, 1)
    database.close()


def test_so_is_a_workflow_without_a_schedule(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crontab fires it: while it was paused by itself, nobody was told again."""
    timer = Timer(tmp_path, 0)
    sent: list[str] = []
    monkeypatch.setattr(slack, "send", lambda _url, text, *_, **__: sent.append(text))
    flow = Workflow("flow", pause_after=1).add(Step("a", lambda _: 1 // 0, retries=0))
    monkeypatch.setattr(timer, "flow", flow)
    for _ in range(6):
        list(timer.scheduled())
        timer.clock.go(EVERY_S)
    assert ["still paused" in text for text in sent] == [False, False, True]


@pytest.mark.parametrize("seed", range(FIRST, FIRST + SEEDS))
def test_every_sequence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """As docs/schedule.md tells it."""
    play(tmp_path, seed, monkeypatch)
