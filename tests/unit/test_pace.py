"""How far ahead of free workers is claimed, and that the most urgent step never pays for it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from random import Random  # noqa: TID251 - seeded: the same seed draws the same graph

import pytest

from engine.ancestry import ContextIndex
from engine.events import Action
from engine.model import RunStatus
from engine.produced import Encoded
from engine.runner import AHEAD_MAX, Pace, Ports, Runner
from engine.scheduler import Scheduler
from tests.builders import plan, steps
from tests.fakes import Body, FakeClock, FakeStore, FakeWorkers

WORKERS = 4
COMMIT_S = 0.001


class _NoValues:
    """No values are stored."""

    def load(self, step: int, key: str) -> Encoded:
        """Have none."""
        raise KeyError(step, key)


class Timed:
    """When each body of a run began and ended, on virtual time: a commit takes a millisecond."""

    def __init__(self, text: str, durations_s: Sequence[float]) -> None:
        """Run it to its end."""
        self.clock = FakeClock()
        self.commits = 0
        core = plan(text)
        self.graph = core.graph
        count = len(durations_s)
        self.began, self.ended = [0.0] * count, [0.0] * count
        store = FakeStore(before=self._commit, after=lambda _: None)
        store.begin_run(count)
        workers = FakeWorkers(
            self.clock, lambda step, _: Body(durations_s[step]), workers=WORKERS, seen=self._note
        )
        index = ContextIndex(
            core.graph.upstreams, core.graph.names, core.graph.generations, _NoValues()
        )
        ports = Ports(
            clock=self.clock,
            workers=workers,
            store=store,
            index=index,
            publish=lambda _: None,
            observe=lambda _actions, _now: None,
        )
        self.scheduler = Scheduler(core, workers=WORKERS)
        end = Runner(self.scheduler, steps(text), ports).run()
        assert end.status is RunStatus.OK

    def _commit(self, _: Sequence[Action]) -> None:
        self.commits += 1
        self.clock.pass_to(self.clock.now() + COMMIT_S)

    def _note(self, seen: tuple[str, float, int, int]) -> None:
        what, at, step, _ = seen
        (self.began if what == "begin" else self.ended)[step] = at

    @property
    def makespan_s(self) -> float:
        """From the first begin to the last end."""
        return max(self.ended) - min(self.began)

    def overtaken(self, *, waits_s: float, handed_over: bool = False) -> Iterable[str]:
        """Name each step that was ready for so long while a less urgent one began.

        With `handed_over` a step that began the moment that another ended must not go before any.
        """
        ranks, ends = self.scheduler.ranks, set(self.ended)
        for step, names in enumerate(self.graph.names):
            begun = self.began[step]
            slack_s = 0.0 if handed_over and begun in ends else waits_s
            for other, ups in enumerate(self.graph.upstreams):
                ready = max((self.ended[up] for up in ups), default=0.0)
                if ranks[other] < ranks[step] and ready + slack_s <= begun < self.began[other]:
                    yield f"{names} began at {begun}, {self.graph.names[other]} ready at {ready}"


def drawn(seed: int, count: int) -> str:
    """Draw a graph whose paths are of all lengths."""
    draw = Random(seed)
    words = []
    for at in range(count):
        above = range(max(0, at - 12), at)
        ups = sorted({draw.choice(above) for _ in range(draw.randint(0, 2)) if above})
        words.append(f"s{at}" + (">" + ",".join(f"s{up}" for up in ups) if ups else ""))
    return " ".join(words)


def wide(count: int) -> str:
    """No step waits for another."""
    return " ".join(f"s{at}" for at in range(count))


def test_nothing_is_known_nothing_is_claimed_ahead() -> None:
    """Not before the first attempt has ended."""
    pace = Pace(4)
    pace.note_commit(1.0)
    assert pace.ahead() == 0
    pace.note_finished([])
    assert pace.ahead() == 0


def test_as_much_as_four_commits_take() -> None:
    """Short steps lie ready for all workers; the number has a bound."""
    pace = Pace(4)
    pace.note_commit(0.01)  # smoothed: 2 ms
    pace.note_finished([0.001])
    assert pace.ahead() == 32
    fast = Pace(4)
    fast.note_commit(0.01)
    fast.note_finished([1e-9])
    assert fast.ahead() == AHEAD_MAX


def test_one_for_each_worker_where_a_hand_over_counts() -> None:
    """Up to steps of a thousand commits; for longer ones it is not worth a claim."""
    pace = Pace(4)
    pace.note_commit(0.01)
    pace.note_finished([0.01])
    assert pace.ahead() == 4
    pace.note_finished([1.9])
    assert pace.ahead() == 4
    pace.note_finished([2.1])
    assert pace.ahead() == 0


def test_one_long_step_counts_at_once() -> None:
    """Then a free worker always finds the most urgent step; short ones win back slowly."""
    pace = Pace(4)
    pace.note_commit(0.01)
    pace.note_finished([2**-11] * 10)
    assert pace.ahead() == 65
    pace.note_finished([10.0])
    assert pace.ahead() == 0
    pace.note_finished([0.0001])
    assert pace.ahead() == 0


def test_no_time_is_lost_between_steps_that_are_alike() -> None:
    """40 steps of 50 ms on 4 workers: only the first waves wait for a commit."""
    timed = Timed(wide(40), [0.05] * 40)
    assert timed.makespan_s <= 0.5 + 2 * COMMIT_S
    assert not [*timed.overtaken(waits_s=0.0)]


@pytest.mark.parametrize("seed", range(8))
def test_a_claim_ahead_takes_no_ones_turn(seed: int) -> None:
    """Whoever goes on without a commit goes on with what would have been chosen anyway."""
    draw = Random(seed)
    timed = Timed(drawn(seed, 60), [draw.uniform(0.01, 0.9) for _ in range(60)])
    assert not [*timed.overtaken(waits_s=2 * COMMIT_S, handed_over=True)]


@pytest.mark.parametrize("seed", range(8))
def test_an_urgent_step_goes_before_long_ones_that_are_queued(seed: int) -> None:
    """Also those claimed when all steps seemed to be short: it waits for two commits at most."""
    draw = Random(seed)
    count = 250
    durations_s = [draw.choice([1e-5] * 60 + [2.0]) for _ in range(count)]
    timed = Timed(drawn(seed, count), durations_s)
    assert timed.commits < count
    assert not [*timed.overtaken(waits_s=2 * COMMIT_S)]


def test_so_do_hundreds_of_urgent_ones() -> None:
    """As many lie before the queued ones as can be done in a commit: else those would begin."""
    urgent, late = 300, 200
    draw = Random(0)
    text = " ".join(["root", *(f"u{at}>root" for at in range(urgent)), wide(late)])
    often_long = [draw.choice([1e-5] * 10 + [2.0]) for _ in range(late)]
    timed = Timed(text, [2.0, *[1e-5] * urgent, *often_long])
    assert timed.commits < urgent
    assert not [*timed.overtaken(waits_s=2 * COMMIT_S)]
