"""The checker of event logs: silent on a sound chain, and each fault has its sentence."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.checker import Effect, Entry, effects_of, faults

GRAPH = {"a": [], "b": ["a"], "c": ["a"], "d": ["b"]}

SOUND = """
1 claimed a 1
1 attempt a 1 failed
1 claimed a 2
1 attempt a 2 ok
1 step a ok
1 claimed b 1
1 claimed c 1
1 attempt c 1 ok
1 step c ok
1 attempt b 1 abandoned
1 step b interrupted
1 step d cancelled
1 run interrupted
2 step a cached
2 step c cached
2 claimed b 1
2 attempt b 1 ok
2 step b ok
2 claimed d 1
2 attempt d 1 ok
2 step d ok
2 run ok
"""

EFFECTS = ["1/a/1", "1/a/2", "1/b/1", "1/c/1", "2/b/1", "2/d/1"]


def log_of(text: str) -> list[Entry]:
    """Read a log as it is written above; numbers of the sequence are given here."""
    entries: list[Entry] = []
    for line in text.strip().splitlines():
        run, event, *rest = line.split()
        run_id = int(run)
        seq = sum(entry.run_id == run_id for entry in entries) + 1
        step = rest.pop(0) if event != "run" else None
        number = int(rest.pop(0)) if event in ("claimed", "attempt") else None
        entries.append(Entry(run_id, seq, event, step, number, rest[0] if rest else None))
    return entries


def test_a_sound_chain_has_no_faults() -> None:
    """A retry, a death of the engine and a continuation are as they should be."""
    assert faults(log_of(SOUND), effects_of(EFFECTS), GRAPH) == []


def swap(one: str, other: str) -> Callable[[str], str]:
    """Let two lines change places."""
    return lambda text: text.replace(one, "*").replace(other, one).replace("*", other)


def put(line: str, after: str) -> Callable[[str], str]:
    """Add a line."""
    return lambda text: text.replace(after, f"{after}\n{line}")


def drop(line: str) -> Callable[[str], str]:
    """Take a line out."""
    return lambda text: text.replace(f"{line}\n", "")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (swap("1 step a ok", "1 claimed b 1"), "claimed before the end of its upstream 'a'"),
        (put("1 claimed d 1", "1 run interrupted"), "something after the run's end"),
        (put("1 claimed b 2", "1 claimed b 1"), "claimed while another attempt is live"),
        (drop("1 claimed a 2"), "an end of an attempt that is not live"),
        (lambda text: text.replace("claimed d 1", "claimed d 2"), "attempts are not numbered"),
        (put("2 claimed c 1\n2 attempt c 1 ok", "2 step a cached"), "run again after run 1"),
        (put("2 claimed a 1\n2 attempt a 1 ok", "2 step a cached"), "claimed after the step's end"),
        (put("1 step c ok", "1 step c ok"), "a second end of the step"),
        (lambda text: text.replace("attempt d 1 ok", "attempt d 1 failed"), "ok without an"),
        (put("2 step d cached", "1 run interrupted"), "cached, and never ok in the chain"),
        (drop("1 run interrupted"), "the run has no end"),
        (drop("1 step d cancelled"), "the run's end without one of 'd'"),
        (drop("1 attempt b 1 abandoned"), "a step's end with a live attempt"),
        (
            lambda text: text.replace("2 step d ok", "2 step d failed"),
            "ok with a step that was not",
        ),
        (put("1 dreamt a 1", "1 step a ok"), "an unknown event"),
    ],
)
def test_a_fault_in_the_log_is_named(change: Callable[[str], str], said: str) -> None:
    """Each thing that must not be is found where it is."""
    text = change(SOUND)
    assert text != SOUND
    found = faults(log_of(text), effects_of(EFFECTS), GRAPH)
    assert any(said in fault for fault in found), found


def test_a_gap_is_named() -> None:
    """A log that lost a line is not taken for whole."""
    log = log_of(SOUND)
    del log[3]
    assert any("the sequence has gaps" in fault for fault in faults(log, [], GRAPH))


def test_a_step_that_was_ok_may_run_again_after_an_upstream() -> None:
    """Redone work is no fault where something it builds on was done anew."""
    text = SOUND
    for step in "ac":
        anew = f"2 claimed {step} 1\n2 attempt {step} 1 ok\n2 step {step} ok"
        text = text.replace(f"2 step {step} cached", anew)
    found = faults(log_of(text), effects_of([*EFFECTS, "2/a/1", "2/c/1"]), GRAPH)
    assert [fault.partition("): ")[2] for fault in found] == ["run again after run 1 had it ok"]
    assert "step='a'" in found[0]


@pytest.mark.parametrize(
    ("effects", "said"),
    [
        ([*EFFECTS, "2/c/1"], "an effect without a claim"),
        ([*EFFECTS, "2/d/1"], "2 effects of one attempt"),
        (EFFECTS[:-1], "ok without its effect"),
    ],
)
def test_a_fault_in_the_effects_is_named(effects: list[str], said: str) -> None:
    """What was done is held against what was recorded."""
    (fault,) = faults(log_of(SOUND), effects_of(effects), GRAPH)
    assert said in fault


def test_effects_of_other_chains_do_not_count() -> None:
    """Only the effects of the runs at hand are looked at."""
    assert faults(log_of(SOUND), [*effects_of(EFFECTS), Effect(9, "a", 1)], GRAPH) == []


MARKED = """
1 claimed a 1
1 attempt a 1 ok
1 step a ok
1 claimed b 1
1 attempt b 1 failed
1 step b failed
1 claimed c 1
1 attempt c 1 ok
1 step c ok
1 step d skipped
1 run failed
2 step b ok
2 step a cached
2 step c cached
2 claimed d 1
2 attempt d 1 ok
2 step d ok
2 run ok
"""


def test_a_marked_step_is_ok_without_an_attempt() -> None:
    """No other is; and one that was tried in its run was not marked."""
    effects = effects_of(["1/a/1", "1/b/1", "1/c/1", "2/d/1"])
    log = log_of(MARKED)
    (fault,) = faults(log, effects, GRAPH)
    assert fault.endswith("ok without an attempt that was")
    marked = [
        entry._replace(marked=(entry.run_id, entry.event, entry.step) == (2, "step", "b"))
        for entry in log
    ]
    assert faults(marked, effects, GRAPH) == []
    tried = [entry._replace(marked=entry[2:4] == ("step", "d")) for entry in marked]
    assert "marked as done, and not simply ok" in " ".join(faults(tried, effects, GRAPH))


def test_what_builds_on_a_marked_step_may_run_again() -> None:
    """Its values are other ones."""
    text = MARKED.replace("2 step c cached\n2 claimed d", "2 claimed c 1\n2 claimed d")
    text = text.replace("2 run ok", "2 attempt c 1 ok\n2 step c ok\n2 run ok")
    text = text.replace("2 step b ok\n2 step a cached", "2 step a ok\n2 step b ok")
    log = [
        entry._replace(marked=entry[:1] == (2,) and entry[2:4] in (("step", "a"), ("step", "b")))
        for entry in log_of(text)
    ]
    effects = effects_of(["1/a/1", "1/b/1", "1/c/1", "2/c/1", "2/d/1"])
    assert faults(log, effects, GRAPH) == []
