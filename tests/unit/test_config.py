"""Workflows in YAML and JSON, as values: what a file says becomes a definition."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest

from engine.definitions import find_all, load, load_file, yaml_reader
from engine.definitions.loader import look_at
from engine.definitions.python_faults import raised_by
from engine.definitions.source import Source
from engine.errors import DefinitionError, UsageError
from engine.model import REQUIRED, OnOverrun, Param, Shell, TriggerRule

NIGHTLY = """\
name: nightly
description: Every night.
schedule: "*-*-* 02:30:00"
tz: Europe/Berlin
overlap: params
resume_within: 1h
alert_on: failure
dry_run: true
params:
  date: {type: date, default: today}
  region: eu
  rate: 0.5
  full: false
  size: {type: choice, choices: [s, m], default: m, help: how big}
  since: {type: datetime}
  on: {default: 3, choices: [3, 4]}
steps:
  - name: fetch
    fn: conftools.steps.fetch
    retries: 3
    timeout: 5m
    retry_on: [OSError, conftools.steps.OwnError]
    isolate: true
    grace: 2
  - name: no
    fn: conftools.steps.fetch
    on_overrun: wait
  - name: dump
    command: pg_dump app | gzip > "$OUT"
    output: backups/app.sql.gz
    env: {PGOPTIONS: "-c statement_timeout=0"}
    cwd: data
    ok_codes: [0, 3]
    depends_on: [fetch, "no"]
    trigger_rule: all_done
    backoff: 0
    backoff_max: 90
    version: "2"
  - {name: list, command: [ls, -l]}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Give the folder of workflows of a project with a package of its own."""
    package = tmp_path / "conftools"
    package.mkdir()
    (package / "steps.py").write_text(
        "class OwnError(Exception): pass\n"
        "def fetch(ctx): return 1\n"
        "def two(a, b): pass\n"
        "async def later(ctx): pass\n"
        "def parts(ctx): yield 1\n"
        "def more(ctx, limit=3): pass\n"
        "value = 3\n"
    )
    (package / "broken.py").write_text("import os\n\nRATE = 1 / 0\n")
    (package / "lazy.py").write_text("def __getattr__(name): raise RuntimeError(name)\n")
    (package / "rude.py").write_text("class Rude(BaseException): pass\nraise Rude('no')\n")
    (package / "lost.py").write_text("import nothing_of_the_kind\n")
    (tmp_path / "pipelines").mkdir()
    before = list(sys.path)
    yield tmp_path / "pipelines"
    assert sys.path == before
    for name in [name for name in sys.modules if name.split(".")[0] == "conftools"]:
        del sys.modules[name]


def write(folder: Path, name: str, text: str) -> Path:
    """Write a file of the project."""
    path = folder / name
    path.write_text(text, "utf-8")
    return path


def refused(path: Path) -> list[tuple[int | None, int | None, str, str]]:
    """Give what is wrong with a file: line, column, message, hint."""
    with pytest.raises(DefinitionError) as caught:
        load_file(path)
    return [(one.line, one.column, one.message, one.hint) for one in caught.value.faults]


def test_a_workflow_in_yaml(folder: Path) -> None:
    """It is what the same words make in Python."""
    path = write(folder, "nightly.yaml", NIGHTLY)
    found = load("nightly", folder)
    assert found.source == path
    assert (found.name, found.description) == ("nightly", "Every night.")
    assert (found.schedule, found.tz) == ("*-*-* 02:30:00", "Europe/Berlin")
    assert (found.overlap, found.resume_within_s) == ("params", 3600)
    assert (found.alert_on, found.dry_run) == ("failure", True)
    fetch, no, dump, words = found.steps
    assert fetch.run(None) == 1  # type: ignore[operator]
    assert (fetch.retries, fetch.timeout_s, fetch.isolate, fetch.grace_s) == (3, 300, True, 2)
    kinds: Any = fetch.retry_on
    assert [kind.__name__ for kind in kinds] == ["OSError", "OwnError"]
    assert (no.name, no.on_overrun) == ("no", OnOverrun.WAIT)
    command = 'pg_dump app | gzip > "$OUT"'
    env = (("PGOPTIONS", "-c statement_timeout=0"),)
    assert dump.run == Shell(command, env=env, cwd="data", ok_codes=(0, 3))
    assert (dump.output, dump.depends_on) == ("backups/app.sql.gz", ("fetch", "no"))
    assert (dump.trigger_rule, dump.backoff_s) == (TriggerRule.ALL_DONE, 0)
    assert (dump.backoff_s_max, dump.version) == (90, "2")
    assert words.run == Shell(("ls", "-l"))


def test_parameters(folder: Path) -> None:
    """They have the kind that is told, or that of their default."""
    write(folder, "nightly.yaml", NIGHTLY)
    assert dict(load("nightly", folder).params) == {
        "date": Param(date, "today"),
        "region": Param(str, "eu"),
        "rate": Param(float, 0.5),
        "full": Param(bool, default=False),
        "size": Param(str, "m", ("s", "m"), "how big"),
        "since": Param(datetime, REQUIRED),
        "on": Param(int, 3, (3, 4)),
    }


def test_json_is_the_same(folder: Path) -> None:
    """The same words in JSON make the same; `$schema` is for editors."""
    text = {"$schema": "x", "steps": [{"name": "a", "command": "x", "timeout": "5m"}]}
    write(folder, "j.json", json.dumps(text))
    write(folder, "y.yml", "steps: [{name: a, command: x, timeout: 5m}]")
    assert load("j", folder).steps == load("y", folder).steps
    assert load("j", folder).name == "j"


@pytest.mark.parametrize(
    ("plain", "value"),
    [
        *(("no", "no"), ("on", "on"), ("y", "y"), ("Off", "Off"), ("1:30", "1:30")),
        *(("true", True), ("False", False), ("0o14", 12), ("014", 14), ("0x1f", 31), ("+3", 3)),
        *(("1_000", "1_000"), ("2026-11-25", "2026-11-25"), ("1e3", 1000.0), (".5", 0.5)),
        *(("-.inf", -float("inf")), ("~", None), ("null", None), ("=", "="), ("<<", "<<")),
        *(("0b1", "0b1"), ("1.2.3", "1.2.3"), ("'1'", "1"), ('"true"', "true"), ("0o8", "0o8")),
        *(("٣", "٣"), ("-", "-"), ("+", "+"), (".", "."), ("1.", 1.0), ("NULL", None)),
    ],
)
def test_plain_scalars(plain: str, value: object) -> None:
    """They are what YAML 1.2 says; what was a value of another kind in 1.1 is text."""
    if plain == "-":
        plain = '"-"'
    node = yaml_reader.read(Source(Path("x.yaml"), f"x: {plain}\n")).value[0][1]
    assert (type(node.value), node.value) == (type(value), value)


def test_aliases_and_pyyaml_alone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An alias stands for what its anchor marks; without libyaml all is the same."""
    text = "steps:\n- {name: a, command: &c x, env: &e {A: b}}\n- {name: b, command: *c, env: *e}\n"
    path = write(folder, "x.yaml", text)
    found = load_file(path)
    assert found.steps[0].run == found.steps[1].run == Shell("x", env=(("A", "b"),))
    monkeypatch.setitem(sys.modules, "yaml._yaml", None)
    assert load_file(path).steps == found.steps
    assert refused(write(folder, "y.yaml", "steps:\n  - name:a\n    command: x\n")) == [
        (2, 5, "no space follows the colon of 'name'", "write `name: a`")
    ]


STEP = {"name": "a", "command": "x"}
LATER = "is async, or a generator: called, it has not run yet"
LOST = """\
'conftools.lost' cannot be imported: ROOT/conftools/lost.py:1: \
ModuleNotFoundError: No module named 'nothing_of_the_kind'
    import nothing_of_the_kind
    ^"""
BROKEN = """\
'conftools.broken' cannot be imported: ROOT/conftools/broken.py:3: \
ZeroDivisionError: division by zero
    RATE = 1 / 0
           ^"""

# -- what is imported -----------------------------------------------------------------------------


def test_nothing_is_imported_of_a_faulty_file(folder: Path) -> None:
    """Not before everything else in it holds."""
    text = "steps:\n- {name: a, fn: conftools.steps.fetch}\n- {name: b, fn: a.b, depends_on: [c]}\n"
    told = refused(write(folder, "x.yaml", text))
    assert told == [(3, 22, "step 'b' depends on unknown step 'c'", "the steps are a, b")]
    assert "conftools" not in sys.modules


def test_what_is_imported_is_told(folder: Path) -> None:
    """Each module that the file names, with where it was found; no other of the project."""
    found = look_at(write(folder, "nightly.yaml", NIGHTLY), in_folder=True)
    assert found.imports == {"conftools.steps": str(folder.parent / "conftools/steps.py")}
    assert "conftools.broken" not in sys.modules


@pytest.mark.parametrize(
    ("fn", "message", "hint"),
    [
        ("steps.fetsch", "module 'conftools.steps' has no 'fetsch'", "did you mean 'fetch'?"),
        (
            "steps.value",
            "'conftools.steps.value' is of type int, not a function",
            "name a function",
        ),
        ("steps.OwnError", "'conftools.steps.OwnError' is a class, not a function", "name a"),
        ("steps.two", "'conftools.steps.two' cannot be called with ctx alone", "name a"),
        *(
            (f"steps.{one}", f"'conftools.steps.{one}' {LATER}", "name a")
            for one in ("later", "parts")
        ),
        ("stepps.x", "there is no module 'conftools.stepps'", "it is looked for in '"),
        ("a.b.x", "there is no module 'conftools.a', which 'conftools.a.b' would be in", "it is"),
        ("steps", "'conftools.steps' is a module, not a function", "name what is to be called in"),
        (
            "lazy.x",
            (
                "'conftools.lazy' cannot be imported: ROOT/conftools/lazy.py:1: RuntimeError: x\n"
                "    def __getattr__(name): raise RuntimeError(name)\n                           ^"
            ),
            "mend the line shown",
        ),
        (
            "rude.x",
            (
                "'conftools.rude' cannot be imported: ROOT/conftools/rude.py:2: "
                "conftools.rude.Rude: no\n"
                "    raise Rude('no')\n    ^"
            ),
            "mend the line shown",
        ),
        ("lost.x", LOST, "install 'nothing_of_the_kind' into this environment, or mend the import"),
        ("broken.x", BROKEN, "mend the line shown"),
    ],
)
def test_functions_that_are_none(fn: str, message: str, hint: str, folder: Path) -> None:
    """They are told at their key, with where it went wrong in the user's own file."""
    path = write(folder, "x.yaml", f"steps:\n  - name: a\n    fn: conftools.{fn}\n")
    ((line, column, told, advice),) = refused(path)
    assert (line, column) == (3, 5)
    assert told == f"step 'a': {message.replace('ROOT', str(folder.parent))}"
    assert advice.startswith(hint)


def test_exceptions_that_are_none(folder: Path) -> None:
    """A builtin's name, or a dotted one, of an exception."""
    step = "  - {name: NAME, command: x, retry_on: [KIND]}\n"
    kinds = ["OSEror", "conftools.steps.fetch", "OwnError", "print"]
    steps = [step.replace("NAME", f"s{at}").replace("KIND", one) for at, one in enumerate(kinds)]
    told = refused(write(folder, "x.yaml", "steps:\n" + "".join(steps)))
    assert [(line, message) for line, _, message, _ in told] == [
        (at + 2, f"step 's{at}': '{kind}' is no exception") for at, kind in enumerate(kinds)
    ]
    assert told[0][3] == "did you mean 'OSError'?"


def test_the_current_folder_is_no_place_to_import_from(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A module that lies where the command is called, outside the project, is not found."""
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "confevil.py").write_text("raise SystemExit('imported')\n")
    monkeypatch.chdir(elsewhere)
    monkeypatch.setattr(sys, "path", [str(elsewhere), "", *sys.path])
    path = write(folder, "x.yaml", "steps: [{name: a, fn: confevil.x}]\n")
    assert refused(path)[0][2] == "step 'a': there is no module 'confevil'"
    monkeypatch.undo()


# -- times ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "schedule",
    [
        *("Sat,Thu,Mon..Wed,Sat..Sun", "Mon,Sun 12-*-* 2,1:23", "Wed *-1", "Wed..Wed,Wed *-1"),
        *(
            "Wed, 17:48",
            "Wed..Sat,Tue 12-10-17 1:2:3",
            "*-*-7 0:0:0",
            "10-15",
            "monday *-12-* 17:00",
        ),
        *("Mon,Fri *-*-3,1,2 *:30:45", "12,14,13,12:20,10,30", "12..14:10,20,30", "daily", "*:2/3"),
        *("mon,fri *-1/2-1,3 *:30:45", "03-05 08:05:40", "08:05:40", "05:40", "2003-03-05"),
        *("2003-02..04-05", "2003-03-05 05:40 UTC", "weekly Pacific/Auckland", "HOURLY", "*:*:*"),
        *("daily UTC", "Mon..Fri *-*-* 08:00 Europe/Berlin", "*-*~3", "*-02~03", "05-31 10:00"),
    ],
)
def test_schedules(schedule: str, folder: Path) -> None:
    """Whatever systemd takes is taken, its manual's examples among them."""
    write(folder, "x.json", json.dumps({"schedule": schedule, "steps": [STEP]}))
    assert load("x", folder).schedule == schedule


@pytest.mark.parametrize(
    "schedule",
    [
        *(
            "@5",
            "every day",
            "8am",
            "at 08:00",
            "daily 8am",
            "daily daily",
            "8",
            "*",
        ),
        *("Mon-Fri at 8:00", "* * * *", "R/PT1H", "1h", "08.00", "08:00 CET+1", "montag 08:00"),
    ],
)
def test_what_is_no_schedule(schedule: str, folder: Path) -> None:
    """Instants, intervals and words."""
    path = write(folder, "x.json", json.dumps({"schedule": schedule, "steps": [STEP]}))
    (message,) = [message for _, _, message, _ in refused(path)]
    assert message.startswith(f'schedule is "{schedule}": ')


def test_the_zone_by_its_former_name_in_python(folder: Path) -> None:
    """The refusal says what the argument is called."""
    text = 'from engine import Workflow\nworkflow = Workflow("x", timezone="UTC")\n'
    ((line, _, message, hint),) = refused(write(folder, "x.py", text))
    assert (line, hint) == (2, "write tz=")
    assert message.endswith("unexpected keyword argument 'timezone'")


# -- files ----------------------------------------------------------------------------------------


def test_one_file_for_a_name(folder: Path) -> None:
    """Two that could be meant are refused, and both named."""
    write(folder, "a.yaml", "steps: [{name: a, command: x}]\n")
    write(folder, "a.json", '{"steps": [{"name": "a", "command": "x"}]}')
    with pytest.raises(DefinitionError) as caught:
        load("a", folder)
    assert caught.value.message == f"{folder}: 'a.yaml' and 'a.json' both define the workflow 'a'"
    assert [found.error is None for found in find_all(folder)] == [False, False]


def test_the_name_is_the_files(folder: Path, tmp_path: Path) -> None:
    """In the folder of workflows; a file elsewhere may be called anything."""
    text = "name: b\nsteps: [{name: a, command: x}]\n"
    write(folder, "a.yaml", text)
    with pytest.raises(DefinitionError) as caught:
        load("a", folder)
    (fault,) = caught.value.faults
    assert (fault.line, fault.column) == (1, 1)
    assert fault.message == "the workflow is named 'b', its file 'a.yaml'"
    assert fault.hint == "leave name out, or rename the file to b.yaml"
    assert load_file(write(tmp_path, "my draft.yaml", text)).name == "b"
    told = refused(write(tmp_path, "my draft.yaml", text[8:]))
    assert told[0][2] == (
        "the workflow has no name, and its file's name 'my draft' holds ' ' at position 3"
    )


def test_what_is_no_workflow(folder: Path) -> None:
    """Names that begin with `_` or `.` are none, nor are folders."""
    write(folder, "_shared.yaml", "x")
    write(folder, ".hidden.json", "x")
    (folder / "dir.yaml").mkdir()
    assert list(find_all(folder)) == []
    with pytest.raises(UsageError) as caught:
        load("dir", folder)
    assert caught.value.message == f"there is no workflow 'dir' in '{folder}'"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_cannot_be_read(folder: Path) -> None:
    """It is told as the file's fault."""
    path = write(folder, "a.yaml", "")
    path.chmod(0)
    with pytest.raises(DefinitionError, match="cannot be read: Permission denied"):
        load_file(path)


def test_a_file_that_may_not_be_read_is_told_as_that(tmp_path: Path) -> None:
    """Nothing in it is wrong: no line is named, and none is to be mended."""
    file = tmp_path / "flow.py"
    told = raised_by(PermissionError(13, "Permission denied", str(file)), root=tmp_path, file=file)
    assert str(told) == f"{file}: cannot be read: permission denied"
    assert told.hint == "let this user read it"
