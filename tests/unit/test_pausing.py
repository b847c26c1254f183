"""What is asked of a pause: by when it ends, and why it was made."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest

from engine.cli.main import run_command
from engine.slots import PAUSED_BY_ITSELF
from store import locks, pauses, slots
from store.database import open_writer
from tests.store.filled import begun
from tests.system.project import Project

SECRET = "sekret-0123456789"


@pytest.fixture
def flow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Give a project with a schedule, entered."""
    project = Project(tmp_path)
    project.write(
        "flow",
        'workflow = Workflow("flow", schedule="08:00", tz="America/Chicago")\n'
        'workflow.add(Step("one", shell("true")))',
    )
    project.home.mkdir()
    (project.home / "env").write_text(f"TOKEN={SECRET}\n")
    (project.home / "env").chmod(0o600)
    monkeypatch.chdir(project.root)
    return project


@pytest.mark.parametrize(
    ("until", "why"),
    [
        ("9999-12-31 23:59", "is too far ahead"),  # in UTC there is no such time
        ("9999-12-31T00:00-12:00", "is too far ahead"),
        ("0001-01-01", "is past"),
        ("2026-11-01 00:00", "is past"),
        ("tomorrow", "is no date"),
    ],
)
def test_an_end_that_cannot_be_is_refused(
    flow: Project, until: str, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is recorded: a date that could not be shown would break `list` for good."""
    assert run_command(["schedule", "pause", "flow", "--until", until]) == 2
    assert why in capsys.readouterr().err
    assert not flow.store.exists()


def test_a_schedule_that_paused_itself_is_wrong(
    flow: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    """`watch` once said that all is well while no slot got a run; a person's pause is meant."""
    assert run_command(["schedule", "pause", "flow"]) == 0
    assert run_command(["watch"]) == 0
    with closing(open_writer(flow.store)) as store:
        why = "3 scheduled runs in a row failed"
        new = pauses.Pause("flow", 1_000_000, PAUSED_BY_ITSELF, None, why, None)
        pauses.pause(store, new)
    capsys.readouterr()
    assert run_command(["watch"]) == 1
    told = f"the schedule of flow is paused by itself: {why}; `schedule unpause flow` ends that"
    assert capsys.readouterr().out == f"paused: {told}\n"
    assert run_command(["watch", "--json"]) == 1
    (paused,) = json.loads(capsys.readouterr().out)["paused"]
    assert paused == {"workflow": "flow", "since": "1970-01-01T00:00:01Z", "text": told}


def test_a_schedule_that_cannot_be_read_here_stops_no_watch(
    flow: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    """A zone that the machine lost once ended `watch` for all, as a run with a deadline was on."""
    flow.home.mkdir(exist_ok=True)
    with closing(open_writer(flow.store)) as store:
        lock = locks.acquire(flow.store, "flow")
        assert lock is not None
        owner = locks.this_process(lock.name)
        lock.begin(owner)
        begun(store, "a", owner=owner.to_text(), started_by="timer", slot=1)
        with store.write() as cursor:
            slots.note(cursor, "flow", ("08:00", "No/Such"), {"deadline": 1.0}, 0)
    assert run_command(["watch"]) == 0
    lock.release()
    assert capsys.readouterr().out.startswith("all is well")


def test_a_dry_run_says_that_a_workflow_without_a_schedule_is_paused(
    flow: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    """As cron's run does; it once planned a run that there would not be."""
    flow.write("cron", 'workflow = Workflow("cron").add(Step("one", shell("true")))')
    dry = ["run", "cron", "--scheduled", "--dry-run"]
    assert run_command(dry) == 0
    assert "nothing to do" not in capsys.readouterr().out
    assert not flow.store.exists()
    assert run_command(["schedule", "pause", "cron", "--reason", f"by {SECRET}"]) == 0
    capsys.readouterr()
    assert run_command(dry) == 0
    head, end = capsys.readouterr().out.splitlines()
    user = flow.rows("SELECT paused_by FROM pauses")[0][0]
    why = f"paused by {user}: by *** (until `schedule unpause cron`)"
    assert (head, end) == (f"dry run of cron: nothing is changed ({why})", "nothing to do")


def test_a_pause_of_a_workflow_that_is_gone_can_be_ended(
    flow: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its file is no longer needed for that; a name that nothing has is refused as ever."""
    assert run_command(["schedule", "pause", "flow", "--reason", "moving"]) == 0
    user = flow.rows("SELECT paused_by FROM pauses")[0][0]
    (flow.root / "pipelines" / "flow.py").unlink()
    capsys.readouterr()
    assert run_command(["schedule", "unpause", "flow"]) == 0
    assert capsys.readouterr().out == f"'flow' is no longer paused by {user}: moving\n"
    assert run_command(["schedule", "unpause", "flow"]) == 2
    assert "'flow'" in capsys.readouterr().err


def test_a_reason_is_masked_before_it_is_cut(flow: Project) -> None:
    """A secret across the limit leaves none of its beginning."""
    assert run_command(["schedule", "pause", "flow", "--reason", "x" * 490 + SECRET]) == 0
    assert flow.rows("SELECT reason FROM pauses") == [("x" * 490 + "***",)]


def test_a_reason_is_masked_by_secrets_that_came_later(
    flow: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    """The store has it as it was given; who is shown it sees none of it."""
    later = "lateral-9876543210"
    assert run_command(["schedule", "pause", "flow", "--reason", f"by {later}"]) == 0
    (flow.home / "env").write_text(f"TOKEN={later}\n")
    capsys.readouterr()
    for words in (
        ["list"],
        ["list", "--json"],
        ["schedule", "verify", "flow"],
        ["schedule", "unpause", "flow"],
    ):
        assert run_command(words) == 0
        told = capsys.readouterr().out
        assert "by ***" in told
        assert later not in told
