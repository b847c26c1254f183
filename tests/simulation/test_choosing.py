"""Steps marked as done, and runs of chosen steps, through the real core: same invariants."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest

from engine.board import Board
from engine.events import Claim, EndStep
from engine.model import StepStatus
from engine.plan import StepState
from tests.simulation.invariants import Broken
from tests.simulation.simulator import simulate_chosen, simulate_marks

SEEDS = 300


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
        # The store can be busy for longer than the loop's patience.
        assert ends == chosen or seen.died, f"seed {seed}"
        claimed += len(claims)
    assert claimed > SEEDS / 2


def passed_by(patch: pytest.MonkeyPatch) -> None:
    """What is after a step that has ended ahead does not wait for what is above that."""
    restore = Board._restore

    def wrong(self: Board, states: Iterable[StepState]) -> None:
        restore(self, states)
        ahead = sorted(self._ahead)
        self._ahead.clear()
        due = [down for step in ahead for down in self._pass_on(step)]
        self._fresh += [step for step in due if self.status[step] is StepStatus.WAITING]

    patch.setattr(Board, "_restore", wrong)


def only_skipped(patch: pytest.MonkeyPatch) -> None:
    """A step that is not chosen counts as skipped, however it had ended."""

    def wrong(self: Board, step: int) -> list[int]:
        return self._frontier.end(step, self.status[step])

    patch.setattr(Board, "_pass_on", wrong)


@pytest.mark.parametrize(
    ("plant", "run", "broken"),
    [
        (passed_by, simulate_marks, "no_step_starts_before_its_rule_allows"),
        (passed_by, simulate_chosen, "no_step_starts_before_its_rule_allows"),
        (only_skipped, simulate_chosen, "skips_give_the_true_reason"),
    ],
)
def test_a_planted_bug_is_found(
    plant: Callable[[pytest.MonkeyPatch], None],
    run: Callable[[int], object],
    broken: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each breaks its invariant in some run."""
    plant(monkeypatch)
    found = set()
    for seed in range(SEEDS):
        try:
            run(seed)
        except (Broken, AssertionError) as error:
            found.add(getattr(error, "which", ""))
            if broken in found:
                return
    pytest.fail(f"{broken} is not among {found}")
