"""Hostile names, errors, outputs and arguments: whatever is printed, no terminal obeys it."""

from __future__ import annotations

import json
import os
import re

import pytest

from tests.system.project import Project, statuses

# ESC and its 8-bit likes, bidi marks, separators and invisible marks, as in `engine.text`.
OBEYED = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f]"
)

FLOW = r"""
H = ("\x1b[31mred\x1b]0;title\x07 \u202eevil\u2066 \u2028 \x00 \x85 \x9b2J \udc80 \U000e0041"
     "<script>alert(1)</script> <!channel> ]]> %s \r\n2026-01-01 08:00:00 ERROR forged")

def bad(ctx):
    print(H)
    print(H, file=sys.stderr)
    ctx.log.warning(H)
    raise ValueError(H)

def skipped(ctx):
    raise Skip(H)

workflow = (
    Workflow("flow", description=H, params={"a": Param(str, default="x")})
    .add(Step("bad", bad, retries=0))
    .add(Step("skipped", skipped))
    .add(Step("sh", shell(r"printf '\033[2J\r\n\302\205x\377\000\n'; exit 3"), retries=0))
)
"""
BAD = "\x1b[31m\u202e\x9b2J"


def test_no_terminal_obeys_what_it_is_shown(project: Project) -> None:
    """Not from a step, a parameter, a file's name or an argument; JSON says the same, escaped."""
    project.write("flow", FLOW)
    project.write("broken", f'raise ValueError("{BAD!r}")'.replace("'", ""))
    project.write(f"b\n{BAD}", "")
    project.write(os.fsdecode(b"caf\xe9"), "raise ValueError(__file__)")
    run = project.run("run", "flow", "--set", f"a={BAD}")
    shown = [(run, 1)]
    shown += [
        (project.run(*words), code)
        for words, code in (
            (["show"], 0),
            (["report", "--json"], 0),
            (["history", BAD], 0),
            (["list"], 0),
            (["list", "--json"], 0),
            (["check"], 2),
            (["run", "broken"], 2),
            (["show", BAD], 2),
            (["run", "flow", "--set", f"{BAD}=1"], 2),
            (["list", "--pipelines", f"/x{BAD}"], 2),
        )
    ]
    for result, code in shown:
        assert result.code == code, result.err
        assert OBEYED.search(result.out + result.err) is None, repr(result.out + result.err)
        assert not re.search(r"^2026-01-01", result.out + result.err, re.MULTILINE)
    assert "\n✗ caf\\udce9 is broken\n" in shown[4][0].out
    report = json.loads(shown[2][0].out)
    assert report["params"]["a"] == BAD
    error = report["steps"][0]["error"]
    assert error.startswith("ValueError: \x1b[31mred\x1b]0;title\x07 \u202eevil\u2066 \u2028")
    assert "\U000e0041<script>" in error
    (file,) = (project.home / "reports").glob("*.json")
    assert OBEYED.search(file.read_text("utf-8")) is None
    assert json.loads(file.read_text("utf-8"))["steps"] == report["steps"]


@pytest.mark.parametrize("home", [None, "/proc"])
def test_no_home_folder_is_needed(
    project: Project, home: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """HOME may be missing, read-only or another's: nothing of ours is kept there."""
    project.write("flow", 'workflow = Workflow("flow").add(Step("a", shell("echo a")))')
    monkeypatch.delenv("HOME", raising=False)
    more = {} if home is None else {"HOME": home}
    result = project.run("run", "flow", **more)
    assert result.code == 0, result.err


def test_modules_of_the_project_are_not_taken_for_others(project: Project) -> None:
    """A project may have a `store` or an `email` of its own; they are its own alone."""
    for name in ("store", "yaml", "email", "calendar", "sqlalchemy", "json", "decimal"):
        (project.root / f"{name}.py").write_text(f"open('effects.txt', 'a').write('{name} ')\n")
    (project.root / "helpers.py").write_text("import later\n\ndef f(ctx): return later.N\n")
    (project.root / "later.py").write_text("N = 3\n")
    (project.root / "pipelines" / "flow.yaml").write_text(
        "steps:\n"
        "- {name: a, fn: helpers.f, isolate: true}\n"
        "- {name: b, command: 'true', depends_on: [a], when: a == 3}\n"
    )
    result = project.run("run", "flow")
    assert (result.code, project.effects()) == (0, []), result.err
    assert statuses(project.report("flow")) == {"a": "ok", "b": "ok"}


def test_only_the_named_file_is_loaded(project: Project) -> None:
    """Not its neighbours, nor a module or function that a parameter, a value or a name names."""
    project.write("evil", 'effect("evil"); workflow = Workflow("evil")')
    project.write("_helper", 'effect("helper")')
    (project.root / "payload.py").write_text('open("effects.txt", "a").write("payload\\n")\n')
    project.write(
        "flow",
        """
def gives(ctx):
    return {"run": "payload:main", "__reduce__": "os:system", "~import": "payload", "~tuple": 1}

def takes(ctx):
    assert ctx["gives"]["~import"] == "payload"
    if not Path("go").exists():
        raise ValueError(ctx.params["call"])

workflow = Workflow("flow", params={"call": Param(str, default="payload:main")})
workflow = workflow.add(Step("gives", gives)).add(Step("takes", takes, ["gives"], retries=0))
""",
    )
    assert project.run("run", "flow").code == 1
    (project.root / "go").touch()
    assert statuses(project.report("flow")) == {"gives": "cached", "takes": "ok"}
    assert project.run("show").code == 0
    assert project.effects() == []


FLOOD = """
def prints(ctx):
    print("x" * 999_999)
    for _ in range(250):
        print("y" * 60_000)
    sys.stdout.buffer.write(b"\\xff\\x00" * 1000)
    return 1

command = r"head -c 15000000 /dev/zero; printf '\377\377'"
workflow = Workflow("flow").add(Step("prints", prints)).add(Step("command", shell(command)))
"""


def test_a_flood_of_output_is_capped(project: Project) -> None:
    """More than a log takes, bytes, and no line end in 15 MB: cut, said, and the step is ok."""
    project.write("flow", FLOOD)
    result = project.run("run", "flow", "-q")
    assert result.code == 0, result.err
    (folder,) = (project.home / "logs" / "flow").iterdir()
    sizes = {path.name: path.stat().st_size for path in folder.iterdir()}
    assert set(sizes) == {"prints.1.log", "command.1.log"}
    assert all(0 < size < 10_100_000 for size in sizes.values()), sizes
    text = (folder / "prints.1.log").read_text("utf-8")
    assert text.count("(line cut)") == 1
    assert text.endswith("WARNING output cut: the attempt has logged 10 MB\n")
    assert OBEYED.search(text) is None


def test_values_too_large_and_very_many(project: Project) -> None:
    """2 GB are refused before they are copied; thousands of small values are nothing special."""
    project.write(
        "flow",
        """
def many(ctx):
    for number in range(20_000):
        ctx[f"k{number}"] = "x" * 1_000

workflow = (
    Workflow("flow")
    .add(Step("many", many))
    .add(Step("reads", lambda ctx: ctx["k19999"][:3] + str(len(list(ctx))), ["many"]))
    .add(Step("large", lambda ctx: bytes(2_000_000_000), retries=0))
)
""",
    )
    report = project.report("flow", code=1)
    assert statuses(report) == {"many": "ok", "reads": "ok", "large": "failed"}
    ((value,),) = project.rows("SELECT data FROM outputs WHERE step = 'reads'")
    assert value == b'"xxx20000"'
    ((error,),) = project.rows("SELECT error FROM attempts WHERE step = 'large'")
    assert "over 100,000,000 bytes encoded" in error
