"""What a person who mistypes a command is told, word for word."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from engine import testing
from engine.cli import options
from engine.cli.console import prepare_streams
from engine.cli.main import run_command
from engine.cli.pasted import pasteable
from engine.errors import UsageError


@pytest.mark.parametrize(
    ("words", "said", "hint"),
    [
        ([], "no command is given", "see `--help`"),
        (["--version"], "there is no option --version", "see `--help`"),
        (
            ["runn", "flow"],
            "there is no command 'runn'",
            "did you mean 'run'? to run a workflow: `run runn`",
        ),
        (
            ["my flow"],
            "there is no command 'my flow'",
            "see `--help`; to run a workflow: `run 'my flow'`",
        ),
        (["db", "x"], "there is no command 'db x'", "see `db --help`"),
        (["db"], "`db` needs WHAT", "see `db --help`"),
        (["run"], "`run` needs NAME", "write `run NAME [OPTION]...`"),
        (
            ["backfill", "flow", "--from", "1", "--to", "2"],
            "`backfill` needs --param",
            "write `backfill NAME --param P --from A --to B [OPTION]...`",
        ),
        (["run", "flow", "--worker", "3"], "`run` has no option --worker", "did you mean '--w"),
        (
            ["run", "flow", "--parallel=3"],
            "`run` has no option --parallel",
            "it belongs to `backfill`; see `run --help`",
        ),
        (["run", "a", "b"], "'b' is one word too many for `run`", "see `run --help`"),
        (
            ["run", "flow", "--set", "day", "2026-01-01"],
            "'2026-01-01' is one word too many for `run`",
            "write --set day=2026-01-01",
        ),
        (
            ["run", "flow", "--only", "a,", "b"],
            "'b' is one word too many for `run`",
            "write --only a,b",
        ),
        (
            ["run", "flow", "--mark-done", "a", "b"],
            "'b' is one word too many for `run`",
            "write --mark-done for each: --mark-done a --mark-done b",
        ),
        (["run", "flow", "--set"], "--set needs a value", "see `run --help`"),
        (
            ["run", "flow", "--fresh", "--from", "a"],
            "--from does not go with --fresh",
            "see `run --help`",
        ),
        (
            ["graph", "flow", "--format", "svg"],
            "--format does not take 'svg'",
            "give mermaid or dot",
        ),
        (["alerts", "sned"], "`alerts` does not take 'sned'", "give send or test"),
        (
            ["schedule"],
            "`schedule` needs one of show, install, verify, remove, pause, unpause",
            "",
        ),
        (
            ["schedule", "resume", "flow"],
            "`schedule` does not take 'resume'",
            "give one of show, install, verify, remove, pause, unpause",
        ),
        (["pause", "flow"], "there is no command 'pause'", "write `schedule pause`"),
    ],
)
def test_each_mistake_is_told_with_what_was_meant(words: list[str], said: str, hint: str) -> None:
    """What is wrong and what to write, in our words and not argparse's."""
    with pytest.raises(UsageError) as caught:
        options.parse(words)
    assert caught.value.message == said
    assert caught.value.hint.startswith(hint)


def test_a_command_in_a_hint_can_be_pasted(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has the program, and finds the project that the command was about."""
    monkeypatch.setattr(sys, "argv", ["/opt/x/kahnban", "show", "7", "--home", "my var"])
    assert pasteable("look with `show 7`, not `key: value`") == (
        "look with `/opt/x/kahnban --home 'my var' show 7`, not `key: value`"
    )
    monkeypatch.setattr(sys, "argv", ["/opt/x/kahnban", "--pipelines=p", "list"])
    assert pasteable("see `--help`") == "see `/opt/x/kahnban --pipelines=p --help`"
    for command in ("completion", "diff", "serve", "sql", "why"):
        assert pasteable(f"`{command} --help`").endswith(f"=p {command} --help`"), command


def test_a_sign_that_the_terminal_lacks_is_as_wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables stay tables where the locale is not UTF-8."""
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, "latin-1"))
    prepare_streams()
    print("✓ ok · – → ∅ … é ж", flush=True)
    assert written.getvalue() == b"+ ok \xb7 - > 0 ~ \xe9 \\u0436\n"


YAML = "steps: [{name: a, command: echo}]\n"


@pytest.fixture(name="place")
def _place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "pipelines"
    folder.mkdir()
    (folder / "flow.yaml").write_text(YAML)
    (tmp_path / "other.yaml").write_text(YAML)
    (tmp_path / "tool.py").write_text("x = 1\n")
    monkeypatch.chdir(tmp_path)
    return folder


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            "run flow.yaml",
            "'flow.yaml' is a file's name; a workflow goes by its own\nhint: write flow\n",
        ),
        (
            "schedule install flow --until 2999-01-01",
            "`schedule install` does not take --until\nhint: it belongs to `",
        ),
        (
            "schedule pause flow --user",
            "`schedule pause` does not take --user\nhint: it belongs to `",
        ),
        ("run pipelines/flow.yml", "goes by its own\nhint: write flow\n"),
        ("backfill ./flow --param a --from 1 --to 2", "goes by its own\nhint: write flow\n"),
        ("run other.yaml", "hint: move it into '{folder}', or name its folder with --pipelines\n"),
        ("run folw.yaml", "hint: did you mean 'flow'? it has: flow\n"),
        ("--pipelines . list --x", "`list` has no option --x\n"),
        (
            "--pipelines . run flow",
            "hint: the workflows may be in the folder below it: --pipelines {folder}\n",
        ),
        (
            "check flow.yml",
            "error: there is no file 'flow.yml'\nhint: write flow, the workflow's name\n",
        ),
        (
            "graph flow.yaml",
            "error: there is no file 'flow.yaml'\nhint: write flow, the workflow's name\n",
        ),
        ("check tool.py", "error: tool.py: there is no workflow in this file\n"),
        ("schedule show flow", 'hint: write schedule: "*-*-* 08:00:00"\n'),
    ],
)
def test_a_file_where_a_name_is_wanted(
    place: Path, capsys: pytest.CaptureFixture[str], words: str, said: str
) -> None:
    """Who names a file is told the name; who names nothing is told what there is."""
    assert run_command(words.split()) == 2
    assert said.format(folder=place) in capsys.readouterr().err


def test_a_folder_without_workflows_is_named(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And not the project's own, which has some."""
    (place.parent / "empty").mkdir()
    assert run_command(["check", "empty"]) == 2
    assert "error: there is no workflow in 'empty'\n" in capsys.readouterr().err


def test_steps_as_a_mapping_are_told_as_a_list(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Other tools write them so: the hint names the reader's own first step."""
    (place / "flow.yaml").write_text("steps:\n  fetch:\n    command: echo\n")
    assert run_command(["check", "flow"]) == 2
    hint = "hint: write `- name: fetch`, its keys below, and so on for each\n"
    assert capsys.readouterr().err.endswith(hint)


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize(
    ("workflow", "params", "said"),
    [
        ("flwo", {}, "did you mean 'flow'? it has: flow"),
        ("flow.yaml", {}, "write flow, the workflow's name"),
        ("flow", {"day": 1}, "it takes no parameters"),
    ],
)
def test_a_test_is_told_the_hints_too(workflow: str, params: dict[str, int], said: str) -> None:
    """Where no console prints them, pytest shows the error's notes."""
    with pytest.raises(UsageError) as caught:
        testing.run(workflow, params=params, replace={"a": None})
    assert caught.value.__notes__ == [f"hint: {said}"]
