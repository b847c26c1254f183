"""What a run looks like through time, as its page reads it."""

from __future__ import annotations

from engine.events import BackOff, Claim, EndAttempt
from engine.model import AttemptOutcome
from engine.produced import Encoded
from store.connection import Database
from store.history import History
from store.timeline import HEAD_BYTES, VALUES_MAX, Head, Tried
from tests.store.filled import NO_SHA, begun, did, end, us, value


def test_attempts_come_in_order_with_those_that_are_on(database: Database) -> None:
    """Each has its times, its outcome and when it is due again; one that is on has no end."""
    journal = begun(database, "a b>a c")
    did(journal, 0, at=1.0, took=2.0)
    journal.commit_tick([Claim(2, 1, 1.0, report=False)])
    failed = EndAttempt(2, 1, AttemptOutcome.FAILED, 1.0, 2.0, "boom")
    journal.commit_tick([failed, BackOff(2, 1, 9.0)])
    journal.commit_tick([Claim(1, 1, 4.0, report=False)])
    history = History(database)
    found = history.timeline(journal.run_id)
    tries = [
        Tried(0, 1, "ok", us(1), us(3), None),
        Tried(1, 1, None, us(4), None, None),
        Tried(2, 1, "failed", us(1), us(2), us(9)),
    ]
    assert found.attempts == tries
    assert (found.workers, found.upstreams) == (4, [[], [0], []])
    some = history.timeline(journal.run_id, [1, 2])
    assert (some.attempts, some.upstreams) == (tries[1:], [])


def test_values_are_told_by_how_they_begin(database: Database) -> None:
    """Those of the caller come first; a large one is cut, and of many some are read."""
    large = b'"' + b"x" * HEAD_BYTES + b'"'
    journal = begun(database, "a b", context=[("day", value(b'"monday"'))])
    outputs = [(f"k{at:03}", value()) for at in range(VALUES_MAX)]
    did(journal, 0, writes=[("big", Encoded("json", large, NO_SHA)), *outputs])
    end(journal)
    found = History(database).timeline(journal.run_id)
    assert found.values[:3] == [
        Head("", "day", "json", 8, b'"monday"'),
        Head("a", "big", "json", len(large), large[:HEAD_BYTES]),
        Head("a", "k000", "json", 1, b"1"),
    ]
    assert (len(found.values), found.values_in_all) == (VALUES_MAX, VALUES_MAX + 2)
