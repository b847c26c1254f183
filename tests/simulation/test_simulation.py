"""Thousands of seeded chains through the real core; KAHNBAN_SIM_RUNS asks for more of them.

KAHNBAN_SIM_RUNS=10000 ./dev test tests/simulation/test_simulation.py
"""

from __future__ import annotations

import os

from engine.events import Claim
from tests.simulation.invariants import RunSeen
from tests.simulation.simulator import claims, simulate

# Read at import: each test runs without the developer's settings.
RUNS_MIN = int(os.environ.get("KAHNBAN_SIM_RUNS", "3000"))
FIRST_SEED = int(os.environ.get("KAHNBAN_SIM_SEED", "0"))


def test_every_chain_keeps_the_invariants() -> None:
    """Crashes, stops, hangs, sleeps and bad stores break no invariant; a failure names its seed."""
    runs, seed = 0, FIRST_SEED
    while runs < RUNS_MIN:
        try:
            runs += len(simulate(seed).runs)
        except Exception as error:
            error.add_note(f"seed {seed}: KAHNBAN_SIM_SEED={seed} KAHNBAN_SIM_RUNS=1 repeats it")
            raise
        seed += 1


def test_same_seed_same_trace() -> None:
    """A seed gives the same chain again: all ticks, actions, times and bodies."""
    for seed in range(20):
        first, second = simulate(seed), simulate(seed)
        assert [seen.ticks for seen in first.runs] == [seen.ticks for seen in second.runs]
        assert [seen.happened for seen in first.runs] == [seen.happened for seen in second.runs]


def test_a_wall_clock_that_jumps_moves_nothing() -> None:
    """Set forward or back at any moment, it changes no tick and no time."""
    for seed in range(100):
        calm, jumping = simulate(seed), simulate(seed, wall_jumps=True)
        assert [seen.ticks for seen in calm.runs] == [seen.ticks for seen in jumping.runs]
        assert [seen.happened for seen in calm.runs] == [seen.happened for seen in jumping.runs]


def test_the_simulator_meets_every_trouble() -> None:
    """The chains are no walk in the park: every kind of event and end is among them."""
    chains = [simulate(seed) for seed in range(300)]
    seen = [run for chain in chains for run in chain.runs]
    ticks = [tick for run in seen for tick in run.ticks]
    assert sum(claims(chain) for chain in chains) > 500
    assert {type(event).__name__ for tick in ticks for event in tick.events} == {
        "AttemptFinished",
        "AttemptOverran",
        "AttemptStarted",
        "AttemptWithdrawn",
        "EngineHalted",
        "StopRequested",
    }
    assert {type(action).__name__ for tick in ticks for action in tick.actions} == {
        "BackOff",
        "Claim",
        "Decide",
        "EndAttempt",
        "EndRun",
        "EndStep",
        "LeaveBehind",
        "RecordStart",
        "StopAttempt",
    }
    assert {run.stored.status for run in seen} == {"ok", "failed", "interrupted", "cancelled"}
    assert {row.outcome for run in seen for row in run.stored.attempts.values()} == {
        "ok",
        "failed",
        "timed_out",
        "cancelled",
        "interrupted",
        "abandoned",
    }
    assert any(run.died for run in seen)
    kinds = [[kind for _, kind in run.stops()] for run in seen]
    assert {kind for stops in kinds for kind in stops} == {"signal", "cancel", "bound"}
    assert any("cancel" in stops and stops.index("cancel") < len(stops) - 1 for stops in kinds)
    assert any(_cleans_up(run) for run in seen)
    assert any(run.slack_s > 600 for run in seen)
    assert any(tick.ahead for tick in ticks)
    assert any(state.used and state.next_attempt_at for run in seen for state in run.states)


def _cleans_up(run: RunSeen) -> bool:
    """Whether a step is claimed after a cancel."""
    index = run.stopped_at("cancel")
    ticks = run.ticks[index:] if index is not None else []
    return any(type(action) is Claim for tick in ticks for action in tick.actions)
