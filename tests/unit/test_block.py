"""The block that stands below the log of a run: exact lines at several widths."""

from __future__ import annotations

import pytest

from engine.eta import Left
from engine.events import Action, BackOff, Claim, EndAttempt, EndStep, LeaveBehind, RecordStart
from engine.model import AttemptOutcome, StepStatus
from engine.reports.block import Block, Progress, told_left
from engine.text import columns

OK, FAILED = AttemptOutcome.OK, AttemptOutcome.FAILED
NAMES = ["fetch", "日本語", "transform\x1b[31m", "load", "flaky", "report", "mail", "tidy"]
USUAL = {1: 20.0, 2: 15.0, 3: 61.0, 4: 0.4}


def claim(step: int, at: float | None, number: int = 1) -> Claim:
    """Claim an attempt for a worker that is free, or with None for one to come."""
    return Claim(step, number, at, report=False)


def ended(step: int, at: float, status: StepStatus = StepStatus.OK) -> list[Action]:
    """End a step by its first attempt."""
    outcome = OK if status is StepStatus.OK else FAILED
    return [EndAttempt(step, 1, outcome, 0.0, at), EndStep(step, status, at)]


@pytest.fixture
def progress() -> Progress:
    """Give a run at 130 s: one step cached, one failed and so one skipped, one waits, two run."""
    ended_as = [StepStatus.CACHED, *[None] * 7]
    progress = Progress(NAMES, ended_as, workers=4)
    progress.take([claim(3, 0.0), claim(4, 0.0), claim(5, 0.0)], 0.0)
    progress.take([EndAttempt(4, 1, FAILED, 0.0, 1.0), BackOff(4, 1, 138.2)], 1.0)
    progress.take([*ended(5, 2.0, StepStatus.FAILED), EndStep(6, StepStatus.SKIPPED, 2.0)], 2.0)
    progress.take([claim(2, 90.0), claim(1, 118.0)], 118.0)
    return progress


def lines(progress: Progress, width: int, left: Left | None = None, most: int = 10) -> list[str]:
    """Give the block at 130 s without colour."""
    return Block(progress, USUAL.get).lines(130.0, left, width=width, most=most, colour=False)


def test_at_80_columns(progress: Progress) -> None:
    """What has ended and what became of it; the end expected; the longest step first."""
    assert lines(progress, 80, Left(170.0, 120.0, 290.0)) == [
        "━━━━━━━─────────────  3/8  1 failed · 1 skipped · 1 cached · 1 retried",
        "about 3m left (2–5m)",
        "▶ load               2m 10s, slow: usually 1m 01s",
        "▶ transform\\x1b[31m  40s, slow: usually 15.0s",
        "▶ 日本語             12s, usually 20.0s",
        "⏱ flaky              retry in 9s, attempt 2",
    ]


def test_at_60_and_40_columns(progress: Progress) -> None:
    """Names give way to times, counts go whole; no line is as wide as the terminal."""
    assert lines(progress, 60, Left(170.0)) == [
        "━━━━━──────────  3/8  1 failed · 1 skipped · 1 cached",
        "about 3m left",
        "▶ load               2m 10s, slow: usually 1m 01s",
        "▶ transform\\x1b[31m  40s, slow: usually 15.0s",
        "▶ 日本語             12s, usually 20.0s",
        "⏱ flaky              retry in 9s, attempt 2",
    ]
    narrow = lines(progress, 40, Left(170.0))
    assert narrow == [
        "━━━───────  3/8  1 failed · 1 skipped",
        "about 3m left",
        "▶ load      2m 10s, slow: usually 1m 0…",
        "▶ transfo…  40s, slow: usually 15.0s",
        "▶ 日本語    12s, usually 20.0s",
        "⏱ flaky     retry in 9s, attempt 2",
    ]
    assert max(map(columns, narrow)) <= 39


def test_the_end_stands_beside_the_bar_where_there_is_room(progress: Progress) -> None:
    """Without history nothing is said of it."""
    (head, *_) = lines(progress, 110, Left(50.0, 31.0, 70.0))
    assert head == (
        "━━━━━━━━━━─────────────────  3/8  1 failed · 1 skipped · 1 cached · 1 retried"
        "  about 50s left (30s–1m)"
    )
    assert lines(progress, 100)[0].endswith("1 retried")


def test_of_many_steps_the_longest_are_shown() -> None:
    """What waits for its retry has up to three lines of ten; the rest is counted."""
    progress = Progress([f"s{at}" for at in range(40)], [None] * 40, workers=20)
    progress.take([claim(at, float(at)) for at in range(20)], 0.0)
    for at in range(20, 26):
        progress.take([claim(at, 0.0), EndAttempt(at, 1, FAILED, 0.0, 1.0)], 1.0)
        progress.take([BackOff(at, 1, 200.0 - at)], 1.0)
    shown = lines(progress, 80)
    assert len(shown) == 10
    assert " ".join(line.split()[1] for line in shown[1:-1]) == "s0 s1 s2 s3 s4 s25 s24 s23"
    assert shown[-1] == "… and 15 more running, 3 more to be retried"
    few = lines(progress, 80, most=4)
    assert few[1:] == [
        "▶ s0   2m 10s",
        "⏱ s25  retry in 45s, attempt 2",
        "… and 19 more running, 5 more to be retried",
    ]


def test_a_queued_attempt_takes_the_place_of_one_that_ended() -> None:
    """What is claimed ahead runs from then; one whose start is told, from that."""
    progress = Progress(["a", "b", "c"], [None] * 3, workers=1)
    progress.take([claim(0, 0.0), claim(1, None), claim(2, None)], 0.0)
    assert progress.running == {0: 0.0}
    progress.take(ended(0, 5.0), 5.0)
    assert progress.running == {1: 5.0}
    progress.take([RecordStart(1, 1, 5.5), LeaveBehind(1, 1)], 9.0)
    assert (progress.running, progress.done) == ({2: 9.0}, 1)


@pytest.mark.parametrize(
    ("left", "text"),
    [
        (Left(0.0), "about 1s left"),
        (Left(7.4, 7.0, 7.4), "about 7s left"),
        (Left(40.0, 28.0, 57.0), "about 40s left (30–55s)"),
        (Left(59.0, 50.0, 125.0), "about 1m left (50s–2m)"),
        (Left(4200.0, 3540.0, 9000.0), "about 1h 10m left (59m–2h 30m)"),
        (Left(200_000.0), "about 2d 08h left"),
    ],
)
def test_nobody_knows_it_to_the_second(left: Left, text: str) -> None:
    """The expected end is told roughly, its spread only where it is one."""
    assert told_left(left) == text


def test_colour_changes_no_letter(progress: Progress) -> None:
    """Signs, bar and slow steps have one."""
    painted = Block(progress, USUAL.get).lines(130.0, None, width=80, colour=True)
    told = "\x1b[33m  2m 10s, slow: usually 1m 01s\x1b[0m"
    assert painted[1] == f"\x1b[33m▶ \x1b[0m\x1b[33mload             \x1b[0m{told}"
    for code in (0, 1, 2, 31, 32, 33, 36):
        painted = [line.replace(f"\x1b[{code}m", "") for line in painted]
    assert painted == lines(progress, 80)
