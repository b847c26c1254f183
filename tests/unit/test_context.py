"""A step reads what its ancestors wrote and nothing else; its writes wait for its success."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.context import INITIAL, Codec, ContextIndex, RunScope, StepContext
from engine.errors import ContextKeyError, SecretError, SupersededError, ValueNotStorable
from engine.model import StepStatus
from engine.ports import Paths
from engine.produced import Encoded
from engine.secrets import Secrets


def encode(key: str, value: Any) -> Encoded:
    """Encode as JSON."""
    try:
        data = json.dumps(value).encode()
    except TypeError:
        kind = type(value).__name__
        raise ValueNotStorable(f"key '{key}': cannot store {kind}", hint="use a file") from None
    return Encoded("json", data, "")


class StoredValues:
    """Values in the store; counts how often each is loaded."""

    def __init__(self) -> None:
        """Hold nothing."""
        self.held: dict[tuple[int, str], Encoded] = {}
        self.loaded: list[tuple[int, str]] = []

    def load(self, step: int, key: str) -> Encoded:
        """Give a value and note that it was asked for."""
        self.loaded.append((step, key))
        return self.held[step, key]


class Graph:
    """A run over a graph given as `name: upstreams`, in dependency order."""

    def __init__(self, root: Path = Path("/nowhere"), /, **steps: str) -> None:
        """Take each step's upstreams as words."""
        self.names = tuple(steps)
        upstreams = [[self.names.index(up) for up in ups.split()] for ups in steps.values()]
        self.values = StoredValues()
        self.index = ContextIndex(upstreams, self.names, generations(upstreams), self.values)
        self.scope = RunScope(
            workflow="daily",
            run_id=7,
            index=self.index,
            codec=Codec(encode, lambda encoded: json.loads(encoded.data)),
            params=MappingProxyType({"date": "2011-11-14"}),
            paths=Paths(root, root / "var", ""),
            secrets=Secrets(root / "var", {"TOKEN": "correct-horse", "SHORT": "abc"}),
        )

    def ctx(self, name: str, attempt: int = 1) -> StepContext:
        """Open a step's context."""
        log = logging.getLogger("test")
        step = self.names.index(name)
        return StepContext(self.scope, step, attempt, key_run=7, log=lambda: log)

    def wrote(self, name: str | None, **values: Any) -> None:
        """Commit what a step (None: whoever started the run) wrote."""
        step = INITIAL if name is None else self.names.index(name)
        self.index.record(step, [(key, encode(key, value)) for key, value in values.items()])


def generations(upstreams: Sequence[Sequence[int]]) -> list[int]:
    """Give each step's longest way from a source; upstreams come first in these tests."""
    result: list[int] = []
    for ups in upstreams:
        result.append(1 + max((result[up] for up in ups), default=-1))
    return result


def fault(ctx: StepContext, key: Any) -> tuple[str, str]:
    """Give message and hint of a read that is refused; `in` and `get` are as well."""
    with pytest.raises(ContextKeyError) as caught:
        ctx[key]
    for read in (ctx.__contains__, ctx.get):
        with pytest.raises(ContextKeyError) as again:
            read(key)
        assert again.value.message == caught.value.message
    return caught.value.message, caught.value.hint


# -- who sees what --------------------------------------------------------------------------------


def test_ancestors_at_any_distance_are_seen() -> None:
    """What the step's upstreams' upstreams wrote counts, and what the run began with."""
    graph = Graph(a="", b="a", c="b")
    graph.wrote(None, start=0)
    graph.wrote("a", x=1)
    graph.wrote("b", y=2)
    ctx = graph.ctx("c")
    assert (ctx["start"], ctx["x"], ctx["y"]) == (0, 1, 2)
    assert list(ctx) == ["start", "x", "y"]
    assert len(ctx) == 3
    assert dict(ctx) == {"start": 0, "x": 1, "y": 2}
    assert list(graph.ctx("a")) == ["start"]


def test_the_nearest_of_ordered_writers_wins() -> None:
    """A later step writes over an earlier one, and any step over the initial context."""
    graph = Graph(a="", b="a", c="b", d="a b c", e="a b")
    graph.wrote(None, x="initial")
    assert graph.ctx("d")["x"] == "initial"
    graph.wrote("a", x="a")
    assert graph.ctx("c")["x"] == "a"
    graph.wrote("c", x="c")
    graph.wrote("b", x="b")
    assert graph.ctx("d")["x"] == "c"
    assert graph.ctx("e")["x"] == "b"
    assert graph.ctx("b")["x"] == "a"


def test_two_unordered_writers_are_refused_by_name() -> None:
    """Which one would win cannot depend on timing."""
    graph = Graph(a="", b="", c="a", join="b c", after="join")
    graph.wrote("c", x=1)
    graph.wrote("b", x=2)
    said = (
        "step 'join' reads key 'x', which both 'b' and 'c' wrote, in no fixed order",
        "let one depend on the other, or write under different keys",
    )
    assert fault(graph.ctx("join"), "x") == said
    graph.wrote("join", x=3)
    assert graph.ctx("after")["x"] == 3


def test_a_key_of_a_step_it_does_not_depend_on_is_refused() -> None:
    """The error names the writer and the missing dependency."""
    graph = Graph(a="", b="")
    graph.wrote("a", x=1)
    assert fault(graph.ctx("b"), "x") == (
        "step 'b' reads key 'x' of step 'a' but does not depend on it",
        "add depends_on=['a'] to step 'b'",
    )


def test_a_key_named_like_a_foreign_step_is_refused_before_it_is_written() -> None:
    """So the error does not depend on which of the two was faster."""
    graph = Graph(a="", b="")
    before = fault(graph.ctx("b"), "a")
    graph.wrote("a", a=1)
    assert fault(graph.ctx("b"), "a") == before
    assert before[1] == "add depends_on=['a'] to step 'b'"


def test_a_key_of_a_later_step_is_refused_without_proposing_a_cycle() -> None:
    """A dependency on one's own dependant is no way out."""
    graph = Graph(a="", b="a")
    assert fault(graph.ctx("a"), "b") == (
        "step 'a' reads key 'b' of step 'b', which runs after it",
        "turn the dependency round, or do not read 'b' here",
    )


def test_a_visible_writer_goes_over_an_invisible_one() -> None:
    """What others write elsewhere in the graph makes no difference."""
    graph = Graph(a="", b="", c="a")
    graph.wrote("b", x="b")
    graph.wrote("a", x="a")
    assert graph.ctx("c")["x"] == "a"
    graph.wrote(None, b="initial")
    assert graph.ctx("c")["b"] == "initial"


def test_unknown_keys() -> None:
    """A KeyError that says what could be meant; `in` and `get` follow."""
    graph = Graph(a="", b="a", alone="")
    graph.wrote("a", summary=1, rows=2)
    ctx = graph.ctx("b")
    with pytest.raises(KeyError) as caught:
        ctx["sumary"]
    assert str(caught.value) == (
        "step 'b' reads key 'sumary', which no step before it wrote (did you mean 'summary'?)"
    )
    with pytest.raises(ContextKeyError) as other:
        ctx["zzz"]
    assert other.value.hint == "it may read: rows, summary"
    with pytest.raises(ContextKeyError) as none:
        graph.ctx("alone")["zzz"]
    assert none.value.hint == "no step before it wrote anything"
    assert "sumary" not in ctx
    assert ctx.get("sumary") is None
    assert ctx.get("sumary", 5) == 5
    assert ctx.get("rows", 5) == 2


def test_an_upstream_that_returned_nothing() -> None:
    """Its name is just not there: that is no fault of the graph."""
    ctx = Graph(a="", b="a").ctx("b")
    assert "a" not in ctx
    with pytest.raises(ContextKeyError) as caught:
        ctx["a"]
    assert caught.value.message == "step 'b' reads key 'a', but step 'a' left nothing there"
    assert "b" not in ctx


def test_the_status_of_an_ancestor() -> None:
    """A cached one reads `ok`; others are refused with what is missing."""
    graph = Graph(a="", b="a", c="b", other="", d="c")
    ended = [StepStatus.CACHED, StepStatus.FAILED]
    graph.index.follow(ended.__getitem__)
    ctx = graph.ctx("c")
    assert (ctx.status("a"), ctx.status("b")) == ("ok", "failed")
    for step, message, hint in (
        ("other", " but does not depend on it", "add depends_on=['other'] to step 'c'"),
        ("othr", ", which is unknown", "did you mean 'other'?"),
        ("c", ": itself", "do not ask for 'c' here"),
        ("d", ", which runs after it", "turn the dependency round, or do not ask for 'd' here"),
    ):
        with pytest.raises(ContextKeyError) as caught:
            ctx.status(step)
        assert caught.value.message == f"step 'c' asks for the status of step '{step}'{message}"
        assert caught.value.hint == hint


def test_what_one_ancestor_itself_left() -> None:
    """Whatever others wrote under the same key, or after it."""
    graph = Graph(a="", b="a", c="a b", other="")
    graph.wrote("a", x=1, a=None)
    graph.wrote("b", x=2)
    graph.wrote("other", y=3)
    ctx = graph.ctx("c")
    assert (ctx.left_by("a", "x"), ctx.left_by("b", "x")) == (1, 2)
    assert (ctx.left_by("a", "a", 5), ctx.left_by("b", "b", 5), ctx.left_by("a", "y")) == (
        None,
        5,
        None,
    )
    with pytest.raises(ContextKeyError) as caught:
        ctx.left_by("other", "y")
    assert caught.value.message == (
        "step 'c' asks for what is left by step 'other' but does not depend on it"
    )


@pytest.mark.parametrize("key", ["", "x" * 201, "a\nb", "a\0", "\ud800", 3, None])
def test_unusable_keys_are_refused(key: Any) -> None:
    """Keys are 1 to 200 printable characters."""
    ctx = Graph(a="").ctx("a")
    with pytest.raises(ContextKeyError):
        ctx[key] = 1
    fault(ctx, key)
    ctx["ü" * 200] = 1


# -- big graphs -----------------------------------------------------------------------------------


def test_a_chain_of_a_hundred_thousand_steps() -> None:
    """No recursion; each step reading what the first one wrote costs little."""
    size = 100_000
    upstreams: list[list[int]] = [[at - 1] if at else [] for at in range(size)]
    names = [f"s{at}" for at in range(size)]
    index = ContextIndex(upstreams, names, range(size), StoredValues())
    index.record(0, [("x", encode("x", 1))])
    assert index.writer_for(size - 1, "x") == 0
    assert all(index.writer_for(reader, "x") == 0 for reader in range(1, size, 7))
    assert index.visible(size - 1) == {"x"}


def test_a_key_rewritten_along_a_chain() -> None:
    """The search ends at the nearest writer."""
    size = 3_000
    upstreams: list[list[int]] = [[at - 1] if at else [] for at in range(size)]
    index = ContextIndex(upstreams, [str(at) for at in range(size)], range(size), StoredValues())
    for at in range(size):
        assert index.writer_for(at, "x") == (at - 1 if at else None)
        index.record(at, [("x", encode("x", at))])


# -- copies and loading ---------------------------------------------------------------------------


def test_each_attempt_has_its_own_copy() -> None:
    """Changing what was read changes nothing for others, nor for the next attempt."""
    graph = Graph(a="", b="a", c="a")
    graph.wrote("a", rows=[1])
    ctx = graph.ctx("b")
    ctx["rows"].append(2)
    assert ctx["rows"] == [1, 2]
    assert ctx.writes() == ()
    assert graph.ctx("b", 2)["rows"] == [1]
    assert graph.ctx("c")["rows"] == [1]


def test_large_and_cached_values_are_loaded_when_read() -> None:
    """Values over 1 MB, and those of cached steps, stay in the store until then."""
    graph = Graph(a="", b="a", c="b")
    large, cached = "x" * (1 << 20), {"from": "an earlier run"}
    graph.values.held = {(0, "large"): encode("large", large), (1, "old"): encode("old", cached)}
    graph.wrote("a", large=large, small=1)
    graph.index.record_keys(1, ["old"])
    ctx = graph.ctx("c")
    assert list(ctx) == ["large", "old", "small"]
    assert graph.values.loaded == []
    assert (ctx["small"], ctx["large"], ctx["old"], ctx["old"]) == (1, large, cached, cached)
    assert graph.values.loaded == [(0, "large"), (1, "old")]


def test_memory_for_values_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bound values are left to the store; recording again replaces."""
    monkeypatch.setattr("engine.ancestry.HELD_BYTES_MAX", 6)
    graph = Graph(a="", b="a")
    graph.wrote("a", x=1111, y=2222)
    graph.wrote("a", x=3333)
    graph.values.held[0, "y"] = encode("y", "stored")
    ctx = graph.ctx("b")
    assert (ctx["x"], ctx["y"]) == (3333, "stored")
    assert graph.values.loaded == [(0, "y")]


# -- writing --------------------------------------------------------------------------------------


def test_writes_are_read_back_and_handed_over() -> None:
    """By this attempt at once, by others only after the commit."""
    graph = Graph(a="", b="a")
    ctx = graph.ctx("a")
    ctx["x"] = (1, 2)
    ctx["y"] = 1
    ctx["x"] = [3]
    assert ctx["x"] == [3]
    assert "x" in ctx
    assert list(ctx) == ["x", "y"]
    assert ctx.writes() == (("x", encode("x", [3])), ("y", encode("y", 1)))
    assert "x" not in graph.ctx("b")


def test_a_value_is_encoded_at_the_write() -> None:
    """Changing it later is not a write."""
    ctx = Graph(a="").ctx("a")
    rows = [1]
    ctx["rows"] = rows
    rows.append(2)
    assert ctx["rows"] == [1]
    ctx["rows"].append(3)
    assert ctx.writes() == (("rows", encode("rows", [1])),)


def test_what_cannot_be_stored_fails_at_the_write() -> None:
    """The error names step and key, and the old value stays."""
    ctx = Graph(a="").ctx("a")
    ctx["x"] = 1
    with pytest.raises(ValueNotStorable) as caught:
        ctx["x"] = {1, 2}
    assert caught.value.message == "step 'a': key 'x': cannot store set"
    assert caught.value.hint == "use a file"
    assert ctx["x"] == 1


def test_taking_writes_back() -> None:
    """Own writes can be deleted, those of others cannot."""
    graph = Graph(a="", b="a")
    graph.wrote("a", x=1, y=2)
    ctx = graph.ctx("b")
    ctx.update(x=10, z=30, w=40)
    assert ctx.pop("w") == 40
    assert ctx["x"] == 10
    del ctx["x"]
    assert ctx["x"] == 1
    with pytest.raises(ContextKeyError, match="cannot delete key 'y': it did not write it"):
        del ctx["y"]
    with pytest.raises(ContextKeyError):
        ctx.pop("y", None)
    assert ctx.pop("unknown", 7) == 7
    assert ctx.setdefault("y", 9) == 2
    assert ctx.setdefault("new", [1]) == [1]
    assert ctx.popitem() == ("new", [1])
    ctx.clear()
    assert ctx.writes() == ()
    with pytest.raises(ContextKeyError, match="nothing that could be taken back"):
        ctx.popitem()


def test_the_return_value() -> None:
    """It is stored under the step's name, unless it is None."""
    graph = Graph(a="")
    ctx = graph.ctx("a")
    ctx.set_return(None)
    assert ctx.writes() == ()
    ctx.set_return(0)
    assert ctx.writes() == (("a", encode("a", 0)),)
    both = graph.ctx("a")
    both["a"] = 1
    both.set_return(None)
    with pytest.raises(ContextKeyError) as caught:
        both.set_return(2)
    assert caught.value.message == "step 'a' wrote the key 'a' and returned a value as well"


def test_a_closed_context_takes_no_more_writes(tmp_path: Path) -> None:
    """A timed-out attempt can still read, but changes nothing and leaves no file."""
    graph = Graph(tmp_path, a="", b="a")
    graph.wrote("a", x=1)
    ctx = graph.ctx("b")
    ctx["y"] = 1
    with ctx.output("f.txt") as file:
        file.write("text")
    ctx.close("timed out after 1s")
    assert ctx["x"] == 1
    refused = "step 'b' cannot write any more: timed out after 1s"
    with pytest.raises(SupersededError, match=refused):
        ctx["y"] = 2
    with pytest.raises(SupersededError, match=refused):
        del ctx["y"]
    with pytest.raises(SupersededError, match=refused):
        ctx.clear()
    with pytest.raises(SupersededError, match=refused):
        ctx.output("g.txt")
    assert ctx.files() == ()
    assert list(tmp_path.iterdir()) == []


# -- the other attributes -------------------------------------------------------------------------


def test_what_an_attempt_knows_of_itself() -> None:
    """Names, numbers, paths and parameters, the latter read-only; values never in its repr."""
    graph = Graph(a="")
    ctx = graph.ctx("a", 3)
    ctx["x"] = "value"
    assert (ctx.step, ctx.workflow, ctx.run_id, ctx.attempt) == ("a", "daily", 7, 3)
    assert ctx.idempotency_key == "7/a"
    assert ctx.paths.home == Path("/nowhere/var")
    assert ctx.params["date"] == "2011-11-14"
    assert repr(ctx) == "<context of step 'a', attempt 3, run 7 of 'daily'>"
    with pytest.raises(TypeError):
        ctx.params["date"] = "x"  # type: ignore[index]


def test_secrets() -> None:
    """A missing one is an error that says where to put it, unless there is a default."""
    ctx = Graph(a="").ctx("a")
    assert ctx.secret("TOKEN") == "correct-horse"
    assert ctx.secret("ABSENT", default=None) is None
    with pytest.raises(SecretError, match="secret 'ABSENT' is not set") as caught:
        ctx.secret("ABSENT")
    assert "/nowhere/var/env (chmod 600)" in caught.value.hint
    with pytest.raises(SecretError, match="too short"):
        ctx.secret("SHORT", default=None)


def test_output_files(tmp_path: Path) -> None:
    """They lie below the project root and are named after run, step and attempt."""
    ctx = Graph(tmp_path, a="").ctx("a", 2)
    assert ctx.files() == ()
    with ctx.output("out/f.txt") as file:
        file.write("text")
    (written,) = ctx.files()
    assert written.target == str(tmp_path / "out/f.txt")
    assert Path(written.temporary).name.startswith(".kahnban-7-a-2-")


def test_the_index_serves_many_threads() -> None:
    """Readers and the recording runner do not disturb each other."""
    size = 200
    graph = Graph(**{"a": "", **{f"s{n}": "a" for n in range(size)}})
    graph.wrote("a", x=1)
    faults: list[BaseException] = []

    def read() -> None:
        try:
            for n in range(size):
                ctx = graph.ctx(f"s{n}")
                assert ctx["x"] == 1
                assert list(ctx) == ["x"]
        except BaseException as error:  # noqa: BLE001 - handed to the main thread
            faults.append(error)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for n in range(size):
        graph.wrote(f"s{n}", **{f"k{n}": n})
    for thread in threads:
        thread.join()
    assert faults == []


@st.composite
def runs(draw: st.DrawFn) -> tuple[list[list[int]], set[int], bool]:
    """Draw a graph, who wrote the key, and whether the initial context holds it."""
    size = draw(st.integers(1, 9))
    upstreams = [sorted(draw(st.sets(st.integers(0, at - 1)))) if at else [] for at in range(size)]
    return upstreams, draw(st.sets(st.integers(0, size - 1))), draw(st.booleans())


@given(runs())
@settings(max_examples=300, deadline=None)
def test_readers_see_what_the_definition_says(run: tuple[list[list[int]], set[int], bool]) -> None:
    """On any graph the pruned, remembering search agrees with plain sets of ancestors."""
    upstreams, writers, initial = run
    above: list[set[int]] = []
    for ups in upstreams:
        above.append(set(ups).union(*(above[up] for up in ups)))
    names = [f"s{at}" for at in range(len(upstreams))]
    index = ContextIndex(upstreams, names, generations(upstreams), StoredValues())
    for step in writers:
        index.record_keys(step, ["x"])
    index.record_keys(INITIAL, ["x"] if initial else [])
    for reader, ancestors in enumerate(above):
        seen = writers & ancestors
        last = [each for each in seen if seen - {each} <= above[each]]
        if (seen and not last) or (not seen and not initial and writers - {reader}):
            with pytest.raises(ContextKeyError):
                index.writer_for(reader, "x")
        else:
            expected = last[0] if last else INITIAL if initial else None
            assert index.writer_for(reader, "x") == expected
        assert index.visible(reader) == ({"x"} if seen or initial else set())
