"""`schedule install`, `verify` and `remove`, with stand-ins for systemctl and loginctl."""

from __future__ import annotations

import getpass
import os
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from engine.cli import timers
from engine.errors import UsageError
from engine.schedule import systemctl
from tests.system.project import Project

FLOW = 'workflow = Workflow("flow", schedule="SCHEDULE", tz="UTC").add(Step("a", does("a")))\n'
SYSTEMCTL = """\
#!/bin/sh
cd "$(dirname "$0")"
test -e dead && { echo "not booted with systemd" >&2; exit 1; }
echo "$*" >> calls
test -e fails && case "$*" in *"$(cat fails)"*) echo "bus is gone" >&2; exit 1;; esac
case "$*" in *NeedDaemonReload*) cat reload 2>/dev/null;; esac
exit 0
"""
LOGINCTL = '#!/bin/sh\ncat "$(dirname "$0")/linger" 2>/dev/null || exit 1\n'


class Machine:
    """A user's home with a systemd that writes down what it is told."""

    def __init__(self, project: Project) -> None:
        """Put the stand-ins where they are found first."""
        self.project = project
        self.bin = project.root.parent / "bin"
        self.units = project.root.parent / "config" / "systemd" / "user"
        self.bin.mkdir()
        for name, text in (("systemctl", SYSTEMCTL), ("loginctl", LOGINCTL)):
            (self.bin / name).write_text(text)
            (self.bin / name).chmod(0o755)
        (self.bin / "linger").write_text("Linger=yes\n")

    def schedule(self, *words: str, code: int = 0) -> str:
        """Call `schedule … --user`; gives what it prints."""
        env = {"PATH": f"{self.bin}:/usr/bin:/bin", "XDG_CONFIG_HOME": str(self.units.parents[1])}
        result = self.project.run("schedule", *words, "--user", **env)
        assert result.code == code, result.err
        return result.out + result.err

    def calls(self) -> list[str]:
        """Give what systemctl was told since the last look, questions left out."""
        path = self.bin / "calls"
        lines = path.read_text().splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        told = [line.removeprefix("--user --no-pager ") for line in lines]
        return [line for line in told if not line.startswith(("show", "is-"))]

    def files(self) -> list[str]:
        """Name the unit files that are there."""
        return sorted(path.name for path in self.units.iterdir())


@pytest.fixture
def machine(project: Project) -> Machine:
    """A user's machine with one workflow that has a schedule."""
    write(project, "*-*-* 08:00")
    return Machine(project)


def write(project: Project, schedule: str, name: str = "flow") -> None:
    """Write the workflow with a schedule."""
    project.write(name, FLOW.replace('"flow"', f'"{name}"').replace("SCHEDULE", schedule))


TIMER = "kahnban-flow.timer"
ALL = ["kahnban-flow.service", TIMER, "kahnban.alerts-flow.service"]
START = ["daemon-reload", f"enable --now -- {TIMER}"]
STOP = [f"disable --now -- {TIMER}", "daemon-reload"]


def test_units_follow_the_file(machine: Machine) -> None:
    """Installed, noted, in step; changed with the file; removed when it is gone."""
    project = machine.project
    out = machine.schedule("install", "flow")
    assert out.startswith(f"installed and started: {machine.units / TIMER}\nnext: ")
    assert " 08:00:00 UTC (" in out
    assert machine.files() == ALL
    assert machine.calls() == START
    noted = project.rows("SELECT workflow, calendar, zone FROM schedules")
    assert noted == [("flow", "*-*-* 08:00", "UTC")]
    assert machine.schedule("install") == "the units of 'flow' are in step\n"
    assert machine.calls() == []
    assert machine.schedule("install", "flow").startswith("the units of 'flow' are in step\nnext: ")
    assert machine.calls() == []
    assert machine.schedule("verify").startswith("the units of 'flow' are right\nnext: ")

    write(project, "30 9 * * 1-5")
    out = machine.schedule("verify", code=1)
    assert (
        "the units of 'flow' are not those of its file: `schedule install` brings them in step\n"
        "--- installed/kahnban-flow.timer\n" in out
    )
    assert "\n-OnCalendar=*-*-* 08:00 UTC\n+OnCalendar=Mon..Fri *-*-* 09:30:00 UTC\n" in out
    assert machine.schedule("install").startswith("changed and started: ")
    assert machine.calls() == START

    (project.root / "pipelines" / "flow.py").unlink()
    told = "the units of 'flow' are installed, and it has no schedule any more: `schedule install` "
    assert machine.schedule("verify", code=1).startswith(told)
    write(project, "09:30", "new")  # it has another name now
    told = "'flow' is gone: `schedule install` removes its units\n"
    assert machine.schedule("install", "new").endswith(told)
    machine.calls()
    stopped = "stopped and removed: the units of 'flow'\nthe units of 'new' are in step\n"
    assert machine.schedule("install") == stopped
    assert machine.calls() == STOP
    assert machine.files() == [name.replace("flow", "new") for name in ALL]
    assert project.rows("SELECT workflow FROM schedules") == [("new",)]


def test_the_watch_has_a_timer_of_its_own(machine: Machine) -> None:
    """Installed beside a workflow called `watch`, verified and kept in step; noted nowhere."""
    machine.project.write("watch", FLOW.replace("SCHEDULE", "08:00").replace('"flow', '"watch'))
    machine.schedule("install", "watch")
    machine.calls()
    out = machine.schedule("install", "--watch")
    timer = Path(out.removeprefix("installed and started: ").rstrip("\n"))
    assert timer.parent == machine.units
    assert re.fullmatch(r"kahnban\.watch-[\w.-]+-[0-9a-f]{8}\.timer", timer.name)
    assert machine.calls() == ["daemon-reload", f"enable --now -- {timer.name}"]
    assert [name for name in machine.files() if not name.startswith("kahnban.watch-")] == [
        name.replace("flow", "watch") for name in ALL
    ]
    assert machine.project.rows("SELECT workflow FROM schedules") == [("watch",)]
    service = timer.with_suffix(".service")
    whole = service.read_text()
    assert whole.startswith('# kahnban {"workflow": "--watch", "root": "')
    service.write_text(whole.replace("SuccessExitStatus=1\n", ""))
    out = machine.schedule("verify", code=1)
    assert "the units of '--watch' are not as they would be made now: `" in out
    assert "\n+SuccessExitStatus=1\n" in out
    assert f"changed and started: {timer}\n" in machine.schedule("install")
    assert service.read_text() == whole
    machine.calls()
    assert machine.schedule("remove", "--watch") == "stopped and removed: the units of '--watch'\n"
    assert machine.calls() == [f"disable --now -- {timer.name}", "daemon-reload"]
    assert machine.files() == [name.replace("flow", "watch") for name in ALL]
    out = machine.schedule("install", "watch", "--watch", code=2)
    assert out.startswith("error: --watch is the timer of `watch`, not of a workflow")
    (machine.bin / "linger").write_text("Linger=no\n")
    assert "loginctl enable-linger " in machine.schedule("install", "--watch", code=2)


def test_only_our_own_units_are_touched(machine: Machine) -> None:
    """A file that is not this project's is refused, and neither changed nor removed."""
    machine.units.mkdir(parents=True)
    (machine.units / TIMER).write_text("[Timer]\n")
    out = machine.schedule("install", "flow", code=2)
    assert f"'{machine.units / TIMER}' is there, and is not of this project and home" in out
    told = f"no units of 'flow' in {machine.units} are of this project and home\n"
    assert machine.schedule("remove", "flow") == told
    assert (machine.units / TIMER).read_text() == "[Timer]\n"
    assert machine.calls() == []


def test_a_schedule_without_units_is_forgotten(machine: Machine) -> None:
    """Fired by cron, its workflow gone: `remove` needs no systemd to end the waiting."""
    project = machine.project
    Path(machine.bin / "dead").touch()
    none = f"no units of 'flow' in {machine.units} are of this project and home\n"
    assert machine.schedule("remove", "flow") == none
    assert not project.store.exists()
    assert project.run("run", "flow", "--scheduled").code == 0
    (project.root / "pipelines" / "flow.py").unlink()
    forgotten = "forgotten: no slot of 'flow' is waited for any more\n"
    assert machine.schedule("remove", "flow") == none + forgotten
    assert project.rows("SELECT * FROM schedules") == []
    assert machine.schedule("remove", "flow") == none


def test_units_of_other_projects_are_told(machine: Machine) -> None:
    """A workflow of one that is there is to be renamed; what a moved one left, removed."""
    machine.schedule("install", "flow")
    timer, elsewhere = machine.units / TIMER, machine.project.root.parent
    text = timer.read_text()
    for root, hint in (
        (elsewhere, "rename one of the two workflows: units are named by them\n"),
        (
            elsewhere / "gone",
            f"moved:\nsystemctl --user disable --now {TIMER}; rm -f {timer.parent}",
        ),
    ):
        for name in ALL:
            (machine.units / name).write_text(text.replace(str(machine.project.root), str(root)))
        out = machine.schedule("install", "flow", code=2)
        told = f" is there, and is not of this project and home; it is that of {root}\n"
        assert told in out
        assert hint in out
        assert told in machine.schedule("verify", "flow", code=1)


def test_an_installation_that_fails_leaves_what_was_there(machine: Machine) -> None:
    """Nothing, or the units from before; the same command again mends it."""
    project, fails = machine.project, machine.bin / "fails"
    fails.write_text("enable --now")
    told = machine.schedule("install", "flow", code=3)
    assert f"enable --now -- {TIMER}': bus is gone; nothing is installed\n" in told
    assert machine.files() == []
    assert project.rows("SELECT * FROM schedules") == []
    fails.unlink()
    machine.schedule("install", "flow")
    before = (machine.units / TIMER).read_text()
    write(project, "09:30")
    fails.write_text("daemon-reload")
    assert "': bus is gone; its units are as they were\n" in machine.schedule("install", code=3)
    assert (machine.units / TIMER).read_text() == before
    assert project.rows("SELECT calendar FROM schedules") == [("*-*-* 08:00",)]
    fails.unlink()
    assert machine.schedule("install").startswith("changed and started: ")
    assert project.rows("SELECT calendar FROM schedules") == [("09:30",)]
    (machine.bin / "reload").write_text("NeedDaemonReload=no\n\nNeedDaemonReload=yes\n")
    told = f"systemd goes by '{TIMER}' as it was before: `schedule install` tells it\n"
    assert machine.schedule("verify", code=1).startswith(told)
    assert machine.schedule("install").startswith("started: ")


@pytest.mark.parametrize("spoiled", ["store", "folder"])
def test_nothing_is_installed_where_something_cannot_be_written(
    machine: Machine, spoiled: str
) -> None:
    """A store that refuses is asked before a unit is written; of a folder it is said."""
    if spoiled == "store":
        machine.project.home.mkdir(mode=0o700)
        machine.project.store.write_text("this is none, and as long as one must be " * 99)
        assert "is not a database" in machine.schedule("install", "flow", code=3)
        assert not machine.units.exists()
        assert machine.calls() == []
        return
    machine.units.parents[1].mkdir()
    machine.units.parents[0].touch()
    told = f"cannot be written to '{machine.units}': Not a directory; nothing is installed\n"
    assert f"{told}mend that, then install them again\n" in re.sub(
        r"\n *(hint: )?", "\n", machine.schedule("install", "flow", code=3)
    )
    mine: Any = SimpleNamespace(system=False, folder=machine.units)
    told = f"make '{machine.units}' yours to write, then "  # --user was given
    assert timers._may_write(mine, PermissionError()) == told
    assert machine.project.rows("SELECT * FROM schedules") == []


def test_what_is_no_unit_of_ours_holds_up_nothing(machine: Machine) -> None:
    """A pipe, and a first line that nobody can read; an end of a line is a difference."""
    machine.schedule("install", "flow")
    os.mkfifo(machine.units / "kahnban-pipe.timer")
    (machine.units / "kahnban-deep.timer").write_text("# kahnban " + "[" * 100_000)
    timer = machine.units / TIMER
    timer.write_bytes(timer.read_bytes().replace(b"=true\n", b"=true\r\n"))
    out = machine.schedule("verify", code=1)
    assert "\n-Persistent=true\\x0d\n+Persistent=true\n" in out


def test_a_broken_workflow_keeps_its_units(machine: Machine) -> None:
    """What cannot be read is no reason to stop a timer: said, and 1."""
    machine.schedule("install", "flow")
    machine.project.write("flow", "workflow = None +\n")
    out = machine.schedule("install", code=1)
    assert out.startswith("'flow' is broken, and its units stay as they are: ")
    assert machine.files() == ALL
    assert machine.schedule("verify", code=1).startswith("'flow' is broken: ")


def test_what_changes_a_unit_beside_it_is_told_of(machine: Machine) -> None:
    """As `systemctl edit` does it: the timer is not what its workflow says."""
    machine.schedule("install", "flow")
    edited = machine.units / f"{TIMER}.d" / "override.conf"
    edited.parent.mkdir()
    edited.write_text("[Timer]\nOnCalendar=yearly\n")
    assert machine.schedule("verify", code=1).startswith(
        f"'{edited}' changes the unit beside it\nnext: "
    )


def test_a_user_without_a_session_is_told_to_linger(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """By `su` and `sudo -u` a user's systemd is found all the same, or was never started."""
    monkeypatch.setattr(systemctl, "SESSIONS", tmp_path)
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    for name in ("systemctl", "loginctl"):
        (tmp_path / name).write_text('#!/bin/sh\ntest -n "$XDG_RUNTIME_DIR"\n')
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert "it ended with 1" in systemctl.reachable(system=False)
    place: Any = SimpleNamespace(system=False, where={})
    monkeypatch.setattr(systemctl, "BOOTED", tmp_path)
    with pytest.raises(UsageError) as caught:
        timers._check_systemd(place)
    assert caught.value.hint == f"run: loginctl enable-linger {getpass.getuser()}"
    monkeypatch.setattr(systemctl, "BOOTED", tmp_path / "none")
    with pytest.raises(systemctl.NoSystemd):
        timers._check_systemd(place)
    (tmp_path / str(os.geteuid())).mkdir()
    assert systemctl.reachable(system=False) == ""


@pytest.mark.parametrize(
    ("spoiled", "code", "told"),
    [
        ("linger", 2, "hint: run: loginctl enable-linger "),
        ("dead", 3, "hint: without systemd, put this into a crontab:\n0 8 * * * cd "),
    ],
)
def test_what_could_not_work_is_refused(
    machine: Machine, spoiled: str, code: int, told: str
) -> None:
    """A user who does not linger, or no systemd at all: nothing is written, a way is named."""
    if spoiled == "linger":
        (machine.bin / "linger").write_text("Linger=no\n")
    else:
        Path(machine.bin / "dead").touch()
        machine.project.write("flow", FLOW.replace("SCHEDULE", "08:00").replace(', tz="UTC"', ""))
    assert told in machine.schedule("install", "flow", code=code)
    assert not machine.units.exists()
    assert not machine.project.store.exists()
