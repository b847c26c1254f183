"""Steps marked as done, and runs of chosen steps, through the real core: same invariants."""

from __future__ import annotations

from engine.events import Claim, EndStep
from tests.simulation.simulator import simulate_chosen, simulate_marks

SEEDS = 400


def test_chains_with_marked_steps_keep_the_invariants() -> None:
    """A marked step never runs, and nothing after it starts before all above has ended."""
    marked = 0
    for seed in range(SEEDS):
        try:
            marked += sum(len(seen.marked) for seen in simulate_marks(seed).runs)
        except Exception as error:
            error.add_note(f"seed {seed}")
            raise
    assert marked > SEEDS / 2


def test_a_run_of_chosen_steps_runs_no_other() -> None:
    """Whatever the graph and its rules: only chosen steps are claimed, and each of them ends."""
    claimed = 0
    for seed in range(SEEDS):
        seen, chosen = simulate_chosen(seed)
        actions = [action for _, action in seen.actions()]
        claims = {seen.name(action.step) for action in actions if type(action) is Claim}
        ends = {seen.name(action.step) for action in actions if type(action) is EndStep}
        assert claims <= chosen, f"seed {seed}"
        assert ends == chosen, f"seed {seed}"
        claimed += len(claims)
    assert claimed > SEEDS / 2
