"""A step's fingerprint changes with its code and what that rests on, and with nothing else."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.fingerprint import Fingerprint, Fingerprints, difference, fingerprint
from engine.model import Step, shell

Load = Callable[..., Any]


@pytest.fixture
def load(tmp_path: Path) -> Iterator[Load]:
    """Give a function that makes a module of a source text, and the text's later versions."""
    made: list[str] = []

    def make(text: str, name: str = "work", **names: Any) -> Any:
        path = tmp_path / f"{name}.py"
        path.write_text(text, encoding="utf-8")
        # A rewritten file of equal size within one clock tick would look unchanged.
        os.utime(path, ns=(len(made), len(made)))
        module = types.ModuleType(f"kb_{name}")
        module.__file__ = str(path)
        sys.modules[module.__name__] = module
        made.append(module.__name__)
        vars(module).update(names)
        exec(compile(text, str(path), "exec"), vars(module))  # noqa: S102 - texts of this file
        return module

    yield make
    for name in made:
        sys.modules.pop(name, None)


@pytest.fixture
def change(load: Load, tmp_path: Path) -> Callable[..., str]:
    """Give a function that says how `run` of two source texts differs."""

    def compare(old: str, new: str, **names: Any) -> str:
        before = of(load(old, **names).run, tmp_path)
        after = of(load(new, **names).run, tmp_path)
        said = difference(before.parts, after.parts)
        assert (before.digest == after.digest) == (said == "")
        return said

    return compare


def of(run: Any, root: Path | None, **policy: Any) -> Fingerprint:
    """Take the fingerprint of a step named `work`."""
    return fingerprint(Step("work", run, **policy), root=root)


Change = Callable[..., str]

# -- the function's own code ----------------------------------------------------------------------


def test_comments_docstrings_and_layout_do_not_count(change: Change) -> None:
    """The same code written differently is the same step."""
    old = 'def run(ctx):\n    """Old."""\n    return {"a": 1, "b": (2 + 3)}\n'
    new = '#\ndef run(\n    ctx,\n):\n    # why\n    return {\n "a": 1,\n "b": 2 + 3,\n }\n'
    assert change(old, new) == ""


def test_changed_code_counts(change: Change) -> None:
    """Another constant in the body is another step."""
    assert (
        change("def run(ctx):\n    return 1\n", "def run(ctx):\n    return 2\n") == "code changed"
    )


def test_a_string_that_is_no_docstring_counts(change: Change) -> None:
    """Only the first string of a body is its docstring."""
    old = 'def run(ctx):\n    "doc"\n    return "a"\n'
    assert change(old, old.replace('"a"', '"b"')) == "code changed"


def test_none_and_a_bare_return_differ_from_a_value(change: Change) -> None:
    """Fields left out of the text do not make different code look equal."""
    assert change("def run(ctx):\n    return None\n", "def run(ctx):\n    return 0\n") != ""


def test_async_differs_from_plain(change: Change) -> None:
    """The kind of function counts."""
    assert change("def run(ctx): pass\n", "async def run(ctx): pass\n") == "code changed"


def test_lambdas_on_one_line_are_told_apart(load: Load, tmp_path: Path) -> None:
    """Each lambda is its own code, though they share a line and a name."""
    text = "a, b, c = (lambda ctx: 1 + 2), (lambda ctx: 2), (lambda ctx: (lambda: 1 + 2)())\n"
    module = load(text)
    first, second, third = (of(run, tmp_path) for run in (module.a, module.b, module.c))
    assert len({first.digest, second.digest, third.digest}) == 3
    assert of(load("\n\na = lambda ctx: 1 + 2\n").a, tmp_path) == first


@pytest.mark.parametrize("body", ["1 if ctx else 2", "ctx and 1", "[x for x in ctx]", "ctx"])
def test_a_lambda_is_found_beside_another(load: Load, tmp_path: Path, body: str) -> None:
    """Whatever its expression, a neighbour on the line does not count."""
    one = load(f"a, b = (lambda ctx: {body}), (lambda ctx: 1)\n").a
    two = load(f"a, b = (lambda ctx: {body}), (lambda ctx: 2)\n").a
    assert of(one, tmp_path) == of(two, tmp_path)


def test_decorators_are_looked_through(change: Change) -> None:
    """The function under a library's decorator is what counts."""
    head = "import functools\n\n\n@functools.lru_cache(maxsize={})\ndef run(ctx):\n    return {}\n"
    assert change(head.format(1, 1), head.format(2, 1)) == ""
    assert change(head.format(1, 1), head.format(1, 2)) == "code changed"


OWN_DECORATOR = """
import functools

def twice(times):
    def wrap(function):
        @functools.wraps(function)
        def inner(ctx):
            return [function(ctx) for _ in range(times)]
        return inner
    return wrap

@twice({times})
def run(ctx):
    return {value}
"""


def test_own_decorators_count_as_helpers(change: Change) -> None:
    """A decorator of the project, and what it was given, is part of the step."""
    old = OWN_DECORATOR.format(times=2, value=1)
    assert change(old, OWN_DECORATOR.format(times=2, value=5)) == "code changed"
    said = change(old, OWN_DECORATOR.format(times=3, value=1))
    assert said == "helper 'work.twice.<locals>.wrap.<locals>.inner' changed"


# -- defaults, arguments, closures, constants -----------------------------------------------------


def test_a_changed_default_is_named(change: Change) -> None:
    """A default counts by its value, and is named."""
    assert change("def run(ctx, x=1): pass\n", "def run(ctx, x=2): pass\n") == "default 'x' changed"
    old, new = "def run(ctx, *, y=[1]): pass\n", "def run(ctx, *, y=[2]): pass\n"
    assert change(old, new) == "default 'y' changed"


def test_partial_arguments_are_named(load: Load, tmp_path: Path) -> None:
    """What a partial holds counts under the name of the parameter it fills."""
    work = load("def run(where, ctx, depth=1): pass\n").run
    one = of(functools.partial(work, "a", depth=2), tmp_path)
    assert difference(one.parts, of(functools.partial(work, "b", depth=2), tmp_path).parts) == (
        "argument 'where' changed"
    )
    assert difference(one.parts, of(functools.partial(work, "a", depth=3), tmp_path).parts) == (
        "argument 'depth' changed"
    )


CLOSURE = """
def make(where):
    def run(ctx):
        return where
    return run

run = make({})
"""


def test_closure_values_are_named(change: Change) -> None:
    """Plain data in a closure counts; order and type included."""
    assert change(CLOSURE.format("'a'"), CLOSURE.format("'b'")) == "closure value 'where' changed"
    assert change(CLOSURE.format("[1]"), CLOSURE.format("(1,)")) == "closure value 'where' changed"
    assert change(CLOSURE.format("{1, 2}"), CLOSURE.format("{2, 1}")) == ""


def test_module_constants_are_named(change: Change) -> None:
    """A constant of the module that the code uses counts; others do not."""
    text = "RATE = {}\nOTHER = {}\n\n\ndef run(ctx):\n    return RATE\n"
    assert change(text.format(1, 1), text.format(2, 1)) == "constant 'RATE' changed"
    assert change(text.format(1, 1), text.format(1, 2)) == ""


STATE = """
calls = []
count = {"n": 0}
total = 0

def run(ctx, seen=[]):
    global total
    calls.append("run")
    count["n"] += 1
    total += 1
    seen.append(1)
"""


def test_state_the_code_changes_is_not_configuration(load: Load, tmp_path: Path) -> None:
    """Running a step does not change what it is."""
    run = load(STATE).run
    before = of(run, tmp_path)
    run(None)
    assert of(run, tmp_path) == before


def test_state_in_closures_and_arguments(load: Load, tmp_path: Path) -> None:
    """A list that a step's closure or partial collects into does not count."""
    module = load(
        "def make(calls):\n    def run(ctx):\n        calls.append(1)\n    return run\n"
        "def note(calls, ctx):\n    calls.append(1)\n"
    )
    calls: list[int] = []
    run, note = module.make(calls), functools.partial(module.note, calls)
    before = of(run, tmp_path), of(note, tmp_path)
    run(None)
    note(None)
    assert calls == [1, 1]
    assert (of(run, tmp_path), of(note, tmp_path)) == before


def test_a_list_handed_to_a_helper_that_fills_it(load: Load, tmp_path: Path) -> None:
    """It is state, as if the step had changed it itself."""
    run = load(
        "calls = []\n\n\ndef note(into, text):\n    into.append(text)\n\n\n"
        "def run(ctx):\n    note(calls, 'run')\n"
    ).run
    before = of(run, tmp_path)
    run(None)
    assert of(run, tmp_path) == before


def test_constants_that_differ_from_import_to_import(change: Change) -> None:
    """What an unknown call gave counts by how it was asked for, not by what came out."""
    text = "START = {}\n\n\ndef run(ctx):\n    return START\n"
    assert change(text.format("id(object())"), text.format("id(object())  # again")) == ""
    said = "constant 'START' changed"
    assert change(text.format("hash('a')"), text.format("hash('b')")) == said
    assert change(text.format("frozenset('a')"), text.format("frozenset('b')")) == said


# -- helpers --------------------------------------------------------------------------------------

HELPERS = """
def deep(x):
    return x + {deep}

def clean(x):
    return deep(x)

def unused():
    return {unused}

def run(ctx):
    return clean(ctx)
"""


def test_a_changed_helper_is_named_at_any_distance(change: Change) -> None:
    """Functions the step calls count, also through others; those it does not call do not."""
    old = HELPERS.format(deep=1, unused=1)
    assert change(old, HELPERS.format(deep=2, unused=1)) == "helper 'work.deep' changed"
    assert change(old, HELPERS.format(deep=1, unused=2)) == ""


def test_helpers_of_other_modules(load: Load, tmp_path: Path) -> None:
    """`helpers.clean(x)` is followed into the project's module, with its constants."""
    text = "LIMIT = {limit}\n\n\ndef clean(x):\n    return {value}\n"
    main = "def run(ctx):\n    return helpers.clean(ctx), helpers.LIMIT\n"
    prints = [
        of(load(main, helpers=load(text.format(**values), "helpers")).run, tmp_path)
        for values in ({"limit": 1, "value": 1}, {"limit": 1, "value": 2}, {"limit": 2, "value": 1})
    ]
    assert difference(prints[0].parts, prints[1].parts) == "helper 'helpers.clean' changed"
    assert difference(prints[0].parts, prints[2].parts) == "constant 'helpers.LIMIT' changed"


def test_functions_outside_the_project_do_not_count(load: Load, tmp_path: Path) -> None:
    """A file outside the root, and the standard library, are not followed."""
    text = "import json\ndef clean(x): return {}\ndef run(ctx): return json.dumps(clean(ctx))\n"
    inside = of(load(text.format(1)).run, tmp_path)
    outside = of(load(text.format(1)).run, tmp_path / "elsewhere")
    assert sorted(inside.parts) == ["code", "helper 'work.clean'"]
    assert sorted(outside.parts) == ["code"]


def test_recursion_between_functions_ends(load: Load, tmp_path: Path) -> None:
    """Functions that call each other are each looked at once."""
    text = "def run(ctx):\n    return odd(ctx)\n\n\ndef odd(x):\n    return run(x) or odd(x)\n"
    assert sorted(of(load(text).run, tmp_path).parts) == ["code", "helper 'work.odd'"]


def test_a_long_chain_of_helpers(load: Load, tmp_path: Path) -> None:
    """Depth costs no recursion."""
    lines = [f"def f{n}(x):\n    return f{n + 1}(x)\n" for n in range(2_000)]
    module = load("".join(lines) + "def f2000(x):\n    return 1\n")
    assert len(of(module.f0, tmp_path).parts) == 2_001


CLASSES = """
class Base:
    def shared(self):
        return {base}

class Fetch(Base):
    '''What it does.'''
    def __init__(self, url):
        self.url = url
        self.calls = 0

    def __call__(self, ctx):
        self.calls += 1
        return self.url

    def other(self, ctx):
        return {other}

run = Fetch({url!r})
method = Fetch({url!r}).other
"""


def test_callable_objects_and_methods(load: Load, change: Change, tmp_path: Path) -> None:
    """Their class, its bases and their plain attributes count, what they count up does not."""
    old = {"base": 1, "other": 1, "url": "a"}
    text = CLASSES.format(**old)
    assert change(text, CLASSES.format(**{**old, "url": "b"})) == "attribute 'url' changed"
    assert change(text, CLASSES.format(**{**old, "other": 2})) == "helper 'work.Fetch' changed"
    assert change(text, CLASSES.format(**{**old, "base": 2})) == "helper 'work.Base' changed"
    assert change(text, text.replace("What it does", "Else")) == ""
    module = load(text)
    before = of(module.run, tmp_path), of(module.method, tmp_path)
    module.run(None)
    assert (of(module.run, tmp_path), of(module.method, tmp_path)) == before
    assert before[0].digest != before[1].digest


# -- the step's policy ----------------------------------------------------------------------------


def nothing(_ctx: object) -> None:
    """Do nothing."""


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        ({"version": "2"}, "version changed"),
        ({"trigger_rule": "all_done"}, "trigger rule changed"),
        ({"when": lambda ctx: ctx}, "when changed"),
    ],
)
def test_policy_is_part_of_a_step(policy: dict[str, Any], said: str) -> None:
    """What decides whether and when a step runs counts."""
    old, new = of(nothing, None), of(nothing, None, **policy)
    assert difference(old.parts, new.parts) == said
    assert old.digest != new.digest


def test_policy_that_does_not_count() -> None:
    """Retries, timeouts and the order of upstreams are not what a step is."""
    old = of(nothing, None, depends_on=["a", "b"])
    assert of(nothing, None, depends_on=["b", "a"], retries=5, timeout=3) == old


def test_commands_count() -> None:
    """A command counts by its text, its words, and its output file."""
    one = of(shell("echo a"), None, output="x")
    assert difference(one.parts, of(shell("echo b"), None, output="x").parts) == "command changed"
    assert difference(one.parts, of(shell("echo a"), None, output="y").parts) == "output changed"
    assert of(shell("echo a"), None).digest != of(shell(["echo a"]), None).digest


def test_a_commands_surroundings_count_where_they_are_given() -> None:
    """`env`, `cwd` and `ok_codes` are named; without them a command is what it was before."""
    plain = of(shell("a"), None)
    assert set(plain.parts) == {"command"}
    assert plain.digest == of(shell("a", env={}, cwd=None, ok_codes=(0,)), None).digest
    one = of(shell("a", env={"A": "1"}, cwd="x", ok_codes=(0, 1)), None)
    cases: list[tuple[dict[str, Any], str]] = [
        ({"env": {"A": "2"}, "cwd": "x", "ok_codes": (0, 1)}, "env changed"),
        ({"env": {"A": "1"}, "cwd": "y", "ok_codes": (0, 1)}, "cwd changed"),
        ({"env": {"A": "1"}, "cwd": "x", "ok_codes": (0, 2)}, "ok_codes changed"),
        ({"env": {"A": "1"}, "cwd": "x", "ok_codes": (1, 0)}, ""),
    ]
    for options, said in cases:
        assert difference(one.parts, of(shell("a", **options), None).parts) == said


def test_difference_tells_new_and_gone_helpers() -> None:
    """A helper on one side only was added or removed."""
    assert difference({"code": "1"}, {"code": "1", "helper 'a.b'": "2"}) == "helper 'a.b' added"
    assert difference({"code": "1", "helper 'a.b'": "2"}, {"code": "1"}) == "helper 'a.b' removed"


# -- hard cases -----------------------------------------------------------------------------------


def test_functions_without_source(tmp_path: Path) -> None:
    """Without a source the bytecode decides; a C function counts by its name."""
    made = []
    for value in (1, 2, 1):
        names: dict[str, Any] = {}
        exec(f"def run(ctx): return {value}", names)  # noqa: S102 - a function without a file
        made.append(of(names["run"], tmp_path))
    assert made[0] == made[2]
    assert difference(made[0].parts, made[1].parts) == "code changed"
    assert of(len, tmp_path).digest != of(repr, tmp_path).digest


def test_a_source_that_cannot_be_parsed(load: Load, tmp_path: Path) -> None:
    """A file broken after its import falls back to the bytecode."""
    run = load("def run(ctx):\n    return 1\n").run
    (tmp_path / "work.py").write_text("def run(:\n", encoding="utf-8")
    assert list(of(run, tmp_path).parts) == ["code"]


class Hostile:
    """An object that breaks whatever looks at it."""

    def __repr__(self) -> str:
        """Fail."""
        raise RuntimeError("repr")

    def __eq__(self, other: object) -> bool:
        """Fail."""
        raise RuntimeError("eq")

    def __hash__(self) -> int:
        """Fail."""
        raise RuntimeError("hash")

    def __getattr__(self, name: str) -> Any:
        """Fail."""
        raise RuntimeError(name)

    @property
    def __class__(self) -> Any:
        """Fail."""
        raise RuntimeError("class")

    @__class__.setter
    def __class__(self, value: Any) -> None:
        raise RuntimeError("class")


def test_hostile_values_do_no_harm(load: Load) -> None:
    """A value that fails at every touch counts by its type."""
    hostile = Hostile()
    module = load(
        "def make(value):\n    def run(ctx, x=value): return value, OTHER\n    return run\n",
        OTHER=hostile,
    )
    run = functools.partial(module.make(hostile), x=[hostile, {"a": hostile}])
    parts = of(run, None).parts
    assert {"closure value 'value'", "default 'x'", "argument 'x'"} < set(parts)


def test_the_same_in_every_process(tmp_path: Path) -> None:
    """Neither the hash seed nor the process leaves a trace."""
    (tmp_path / "mod.py").write_text(
        "KINDS = {'a', 'b', 'c', 'd'}\n\n\ndef helper():\n    return KINDS\n\n\n"
        "def run(ctx, x=frozenset('xyz')):\n    return helper(), KINDS\n",
        encoding="utf-8",
    )
    program = (
        "import mod; from pathlib import Path; from engine.model import Step;"
        "from engine.fingerprint import fingerprint;"
        "print(fingerprint(Step('s', mod.run), root=Path('.')))"
    )
    paths = f"{Path(__file__).parents[2]}{os.pathsep}{tmp_path}"
    said = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONPATH": paths, "PYTHONHASHSEED": seed},
            cwd=tmp_path,
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(said) == 1
    assert "helper 'mod.helper'" in said.pop()


def test_a_function_is_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps that share a function share its parts."""
    prints = Fingerprints(None)
    first = prints.of(Step("a", nothing))
    monkeypatch.setattr("engine.fingerprint.inspection.Project.look_at", None)
    assert prints.of(Step("b", nothing)) is first
    assert prints.of(Step("c", nothing, depends_on=["a"])).parts["code"] == first.parts["code"]
