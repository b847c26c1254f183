"""Schedules: exact unit texts, escaping, crontab lines, refusals."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import UsageError
from engine.model import Definition
from engine.schedule.reading import schedule_of
from engine.schedule.unit_parts import Installation, exec_line, exec_words
from engine.schedule.units import cron_line, show, unit_stem, units
from engine.schedule.watch_units import show_watch, watch_stem, watch_units

SERVICE = """\
# kahnban {"workflow": "daily", "root": "/srv/flows", "home": "/srv/flows/var"}
[Unit]
Description=kahnban: run daily
OnFailure=kahnban.alerts-daily.service
Wants=network-online.target
After=network-online.target
RequiresMountsFor=/srv/flows /srv/flows/var

[Service]
# oneshot: `systemctl start` waits and tells how the run ended; a run may take as long as it takes.
Type=oneshot
TimeoutStartSec=infinity
User=ann
WorkingDirectory=/srv/flows
Environment=PYTHONUNBUFFERED=1
ExecStart=/opt/kb/bin/kahnban run daily --scheduled --home /srv/flows/var
SyslogIdentifier=kahnban-daily
# 75: a run is on already. 143: stopped by systemd; the next run goes on from there.
SuccessExitStatus=75 143
# TERM goes to the engine alone, which ends its steps itself and records how (5 s of grace).
KillMode=mixed
KillSignal=SIGTERM
TimeoutStopSec=30
# A step the kernel kills for its memory fails alone; core dumps would hold secrets.
OOMPolicy=continue
LimitCORE=0
"""

TIMER = """\
# kahnban {"workflow": "daily", "root": "/srv/flows", "home": "/srv/flows/var"}
[Unit]
Description=kahnban: when daily runs

[Timer]
OnCalendar=*-*-* 08:00:00 Europe/Berlin
# A start missed while the machine was off is made up for, once, at the next boot.
Persistent=true
AccuracySec=1s
Unit=kahnban-daily.service

[Install]
WantedBy=timers.target
"""

ALERTS = """\
# kahnban {"workflow": "daily", "root": "/srv/flows", "home": "/srv/flows/var"}
[Unit]
Description=kahnban: send the alerts daily left
Wants=network-online.target
After=network-online.target
RequiresMountsFor=/srv/flows /srv/flows/var

[Service]
Type=oneshot
TimeoutStartSec=300
User=ann
WorkingDirectory=/srv/flows
Environment=PYTHONUNBUFFERED=1
ExecStart=/opt/kb/bin/kahnban alerts send --home /srv/flows/var
SyslogIdentifier=kahnban-daily
LimitCORE=0
"""

HOW_TO_INSTALL = """\
# `schedule install` does all of this. By hand, save each part under its name in
# /etc/systemd/system, then:
#   systemctl daemon-reload
#   systemctl enable --now kahnban-daily.timer
"""


def definition(
    name: str = "daily",
    schedule: str | None = "*-*-* 08:00:00",
    tz: str | None = None,
) -> Definition:
    """Make a workflow with a schedule."""
    return Definition(name, (), schedule=schedule, tz=tz)


def place(*, root: str = "/srv/flows", program: str = "/opt/kb/bin/kahnban") -> Installation:
    """Make an installation for the user's own systemd."""
    return {
        "command": [program],
        "root": Path(root),
        "home": Path(root, "var"),
        "store_url": None,
        "user": None,
        "system": False,
    }


def machine() -> Installation:
    """Make an installation for the machine, as user ann."""
    return {**place(), "user": "ann", "system": True}


def setting(text: str, key: str) -> str:
    """Give the one value of a key of a unit."""
    (value,) = [line[len(key) + 1 :] for line in text.splitlines() if line.startswith(f"{key}=")]
    return value


def test_units_of_the_machine_read_exactly_so() -> None:
    """Service, timer and alerts service of a system installation, word for word."""
    made = units(definition(tz="Europe/Berlin"), **machine())
    assert made == {
        "kahnban-daily.service": SERVICE,
        "kahnban-daily.timer": TIMER,
        "kahnban.alerts-daily.service": ALERTS,
    }


def test_units_of_a_user_name_no_user_and_nothing_of_the_machine() -> None:
    """The user's own systemd knows no User=, no network-online.target and no mounts."""
    made = units(definition(), **place())
    for line in ("User=ann\n", "Wants=network-online.target\n", "After=network-online.target\n"):
        SERVICE.index(line)
    expected = SERVICE
    for line in (
        "User=ann\n",
        "Wants=network-online.target\n",
        "After=network-online.target\n",
        "RequiresMountsFor=/srv/flows /srv/flows/var\n",
    ):
        expected = expected.replace(line, "")
    assert made["kahnban-daily.service"] == expected


def test_store_and_pipelines_are_handed_on() -> None:
    """What was chosen on the command line holds for the scheduled run and its alerts too."""
    chosen: Installation = {
        **place(),
        "command": ["/v/bin/python", "-m", "engine"],
        "store_url": "sqlite:////data/runs.db",
        "pipelines": Path("/etc/flows"),
    }
    made = units(definition(), **chosen)
    options = "--home /srv/flows/var --store sqlite:////data/runs.db --pipelines /etc/flows"
    assert (
        setting(made["kahnban-daily.service"], "ExecStart")
        == f"/v/bin/python -m engine run daily --scheduled {options}"
    )
    assert (
        setting(made["kahnban.alerts-daily.service"], "ExecStart")
        == f"/v/bin/python -m engine alerts send {options}"
    )


def test_odd_paths_are_escaped_as_systemd_reads_them() -> None:
    """Percent, dollar, quotes, backslash and spaces reach the program as they are."""
    text = units(definition(), **place(root='/srv/50% $A "b" \\c d'))["kahnban-daily.service"]
    assert setting(text, "WorkingDirectory") == '/srv/50%% $A "b" \\c d'
    assert (
        setting(text, "ExecStart") == "/opt/kb/bin/kahnban run daily --scheduled --home "
        '"/srv/50%% $$A \\"b\\" \\\\c d/var"'
    )


@pytest.mark.parametrize(
    ("program", "line"),
    [
        ("/a b/prog", '"/a b/prog" x'),
        ("/50%/prog", '"/50%%/prog" x'),
        ("/a$b/prog", '/bin/sh -c "exec \\"$$0\\" \\"$$@\\"" "/a$$b/prog" x'),
        ("/a'b/prog", '/bin/sh -c "exec \\"$$0\\" \\"$$@\\"" "/a\'b/prog" x'),
    ],
)
def test_a_program_systemd_would_refuse_goes_through_sh(program: str, line: str) -> None:
    """Quotes, backslashes, dollars and glob characters may not stand in a program's path."""
    assert exec_line([program, "x"]) == line


@given(
    st.text(st.characters(exclude_categories=["C", "Z"]), max_size=9).map("/p".__add__),
    st.lists(st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=9)),
)
def test_a_command_reads_back_as_it_was_written(program: str, rest: list[str]) -> None:
    """Escaping is undone exactly, whatever the words hold."""
    assert exec_words(exec_line([program, *rest])) == [program, *rest]


def test_unit_names_are_ascii_and_fit() -> None:
    """Other letters are escaped a byte at a time; a name too long for systemd keeps a digest."""
    assert unit_stem("a-b_c.d") == "kahnban-a-b_c.d"
    assert unit_stem("übung") == "kahnban-\\xc3\\xbcbung"
    long, other = unit_stem("日" * 60), unit_stem("日" * 61)
    assert long.startswith("kahnban-\\xe6\\x97\\xa5")
    assert long != other
    assert long.isascii()
    assert len(f"{long}.alerts.service") <= 255
    assert len(long.rpartition("-")[2]) == 16


def test_the_alerts_unit_never_takes_the_name_of_a_workflow() -> None:
    """`daily` and a workflow called `daily-alerts` have no file in common."""
    assert not set(units(definition("daily"), **place())) & set(
        units(definition("daily-alerts"), **place())
    )


def test_units_of_the_watch_read_exactly_so() -> None:
    """Named after the project's folder, whatever that is called; no workflow's units are so."""
    made = watch_units(**machine())
    stem = "kahnban.watch-flows-dc6b2531"
    assert made == {
        f"{stem}.service": """\
# kahnban {"workflow": "--watch", "root": "/srv/flows", "home": "/srv/flows/var"}
[Unit]
Description=kahnban: watch schedules and runs
Wants=network-online.target
After=network-online.target
RequiresMountsFor=/srv/flows /srv/flows/var

[Service]
Type=oneshot
TimeoutStartSec=300
User=ann
WorkingDirectory=/srv/flows
Environment=PYTHONUNBUFFERED=1
ExecStart=/opt/kb/bin/kahnban watch --alert --home /srv/flows/var
SyslogIdentifier=kahnban.watch
# 1: something is wrong, which it has told; nothing is wrong with the watch itself.
SuccessExitStatus=1
LimitCORE=0
""",
        f"{stem}.timer": f"""\
# kahnban {{"workflow": "--watch", "root": "/srv/flows", "home": "/srv/flows/var"}}
[Unit]
Description=kahnban: when schedules and runs are watched

[Timer]
OnCalendar=*:6/10 UTC
AccuracySec=30s
Unit={stem}.service

[Install]
WantedBy=timers.target
""",
    }
    assert re.fullmatch(
        r"kahnban\.watch-my_flows_b-[0-9a-f]{8}", watch_stem(place(root="/srv/my flows@%b"))
    )
    assert watch_stem(place(root="/a/flows")) != watch_stem(place(root="/b/flows"))
    assert show_watch(**place()).endswith(
        "# Without systemd, in a crontab:\n6-56/10 * * * * cd /srv/flows && "
        "/opt/kb/bin/kahnban watch --alert --home /srv/flows/var >/dev/null\n"
    )


def test_hardening_is_written_if_asked_for_each_part_explained() -> None:
    """The user's own systemd is not asked for what it cannot do."""
    asked = Definition("daily", (), schedule="08:00", hardening="no-new-privileges read-only")
    text = units(asked, **machine())["kahnban-daily.service"]
    assert text.endswith("""LimitCORE=0
# no-new-privileges: no step gains rights: sudo, ping and the like stop working.
NoNewPrivileges=yes
RestrictSUIDSGID=yes
# read-only: steps write below the project, the home and the folders for temporary files only.
ProtectSystem=strict
ReadWritePaths=/srv/flows /srv/flows/var -/tmp -/var/tmp
""")
    text = units(asked, **place())["kahnban-daily.service"]
    assert text.endswith("""NoNewPrivileges=yes
RestrictSUIDSGID=yes
# read-only is left out: only the machine's systemd can do it.
""")


@pytest.mark.parametrize("schedule", [None, "", "  "])
def test_without_a_schedule_there_is_nothing_to_write(schedule: str | None) -> None:
    """The error says which argument is missing."""
    with pytest.raises(UsageError) as caught:
        units(definition(schedule=schedule), **place())
    assert caught.value.message == "workflow 'daily' has no schedule"
    assert caught.value.hint == 'write Workflow("daily", …, schedule="*-*-* 08:00:00")'


def test_a_schedule_cannot_write_into_the_unit() -> None:
    """A line break in a schedule or zone is refused, not written."""
    with pytest.raises(UsageError, match="it holds what no schedule holds"):
        schedule_of(definition(schedule="daily\nExecStart=/bin/rm"))
    with pytest.raises(UsageError, match="is no time zone"):
        schedule_of(definition(schedule="daily", tz="UTC\n[Install]"))


def test_the_zone_stands_once() -> None:
    """A zone in the schedule is kept; a second, other one is refused."""
    for schedule, tz in (("Sat  12:00 UTC", None), ("Sat 12:00 UTC", "UTC"), ("Sat 12:00", "UTC")):
        timer = units(definition(schedule=schedule, tz=tz), **place())["kahnban-daily.timer"]
        assert setting(timer, "OnCalendar") == "Sat 12:00 UTC"
    with pytest.raises(UsageError) as caught:
        schedule_of(definition(schedule="daily UTC", tz="Europe/Berlin"))
    assert (
        caught.value.message == "workflow 'daily': schedule 'daily UTC': it names the zone 'UTC', "
        "and tz= 'Europe/Berlin'"
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"command": []}, "no program to schedule"),
        ({"command": ["python"]}, "the program 'python' is no absolute path"),
        ({"home": Path("var")}, "the home 'var' is no absolute path"),
        (
            {"root": Path("/a\nb")},
            "'/a\\nb' holds a control character and cannot be written into a unit",
        ),
        (
            {"root": Path("/a\\")},
            "the project root '/a\\\\' ends in a space or backslash, which systemd cannot name",
        ),
        (
            {"store_url": "postgresql://u:hush-hush@h/d"},
            "the store's URL holds a password, and units hold no secrets",
        ),
        ({"user": "ann"}, "user 'ann' given for units of the user's own systemd"),
    ],
)
def test_what_cannot_be_written_is_refused(change: dict[str, Any], message: str) -> None:
    """One sentence says what is wrong; a password is never repeated."""
    with pytest.raises(UsageError) as caught:
        units(definition(), **cast("Installation", {**place(), **change}))
    assert caught.value.message == message
    assert "hush" not in caught.value.hint


CRON = "cd /srv/flows && /opt/kb/bin/kahnban run daily --scheduled -q --home /srv/flows/var"


@pytest.mark.parametrize(
    ("schedule", "fields"),
    [
        ("*-*-* 08:00:00", "0 8 * * *"),
        ("08:05", "5 8 * * *"),
        ("minutely", "* * * * *"),
        ("hourly", "0 * * * *"),
        ("daily", "0 0 * * *"),
        ("weekly", "0 0 * * 1"),
        ("monthly", "0 0 1 * *"),
        ("quarterly", "0 0 1 */3 *"),
        ("yearly", "0 0 1 1 *"),
        ("Mon..Fri 08:00", "0 8 * * 1-5"),
        ("Mon-Fri *-*-* 08:00", "0 8 * * 1-5"),
        ("Mon,wednesday 6:30", "30 6 * * 1,3"),
        ("Sat..Sun 6:30", "30 6 * * 0,6"),
        ("Mon..Sun 6:30", "30 6 * * *"),
        ("*:0/15", "*/15 * * * *"),
        ("*:5/15", "5,20,35,50 * * * *"),
        ("08..18:00/30", "*/30 8-18 * * *"),
        ("*-*-1,15 06:30", "30 6 1,15 * *"),
        ("*-02-01..03 0:0:0", "0 0 1-3 2 *"),
        ("Sat", "0 0 * * 6"),
        ("0 8 1,15 * mon", "0 8 1,15 * mon"),
        ("@weekly", "0 0 * * 0"),
    ],
)
def test_cron_says_the_same(schedule: str, fields: str) -> None:
    """The part of OnCalendar= that five fields hold."""
    assert cron_line(definition(schedule=schedule), **place()) == f"{fields} {CRON}"


@pytest.mark.parametrize(
    ("schedule", "why"),
    [
        ("08:00:30", "the seconds of '08:00:30'"),
        ("*:*:0/10", "the seconds of '*:*:0/10'"),
        ("2027-01-01 08:00", "the year of '2027-01-01 08:00'"),
        ("*-*~1 08:00", "'*-*~1 08:00' (days counted from the end of the month)"),
        ("Mon *-*-01", "a day of the week and of the month at once (cron takes either)"),
    ],
)
def test_cron_says_what_it_cannot(schedule: str, why: str) -> None:
    """No line that would run at other times: a comment instead."""
    assert (
        cron_line(definition(schedule=schedule), **place())
        == f"# cron cannot say {why}: no crontab line for '{schedule}'"
    )


@pytest.mark.parametrize(
    ("machine", "zone", "fields"),
    [
        ("Europe/Berlin", "Europe/Berlin", "30 8 * * *"),
        ("Europe/Paris", "Europe/Berlin", "30 8 * * *"),
        ("UTC", "Europe/Berlin", "30 * * * *"),
        ("UTC", "Asia/Kathmandu", "45 * * * *"),
        ("UTC", "Australia/Lord_Howe", "*/30 * * * *"),  # half an hour of summer time
    ],
)
def test_cron_knows_no_zone(
    monkeypatch: pytest.MonkeyPatch, machine: str, zone: str, fields: str
) -> None:
    """Where the machine's zone is another it asks every hour at that minute; a comment says so."""
    monkeypatch.setenv("TZ", machine)
    line, *told = cron_line(definition(schedule="8:30", tz=zone), **place()).splitlines()
    assert line == f"{fields} {CRON}"
    why = f"# Each hour, as cron has no {zone}: what is not due yet is not run."
    assert told == ([] if fields == "30 8 * * *" else [why])


def test_cron_needs_no_zone_for_what_is_the_same_in_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is due each five minutes is asked for as ever, and nothing is said."""
    monkeypatch.setenv("TZ", "UTC")
    schedule = definition(schedule="*/5 * * * *", tz="Europe/Berlin")
    assert cron_line(schedule, **place()) == f"*/5 * * * * {CRON}"


def test_cron_line_survives_percent_and_shell() -> None:
    """Cron takes a bare percent sign for a line break; sh splits words."""
    line = cron_line(definition(), **place(root="/srv/50% $A 'b'"))
    assert line.count("%") == line.count("\\%") == 2
    words = shlex.split(line.replace("\\%", "%").removeprefix("0 8 * * * "))
    assert words[:2] == ["cd", "/srv/50% $A 'b'"]
    assert words[-1] == "/srv/50% $A 'b'/var"


def test_show_gives_the_files_and_what_to_do_with_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """All parts under their names, in order, then the installation and the crontab line."""
    monkeypatch.setenv("TZ", "UTC")
    assert show(definition(tz="Europe/Berlin"), **machine()) == (
        f"# kahnban-daily.service\n{SERVICE}\n"
        f"# kahnban-daily.timer\n{TIMER}\n"
        f"# kahnban.alerts-daily.service\n{ALERTS}\n"
        f"{HOW_TO_INSTALL}\n"
        "# Without systemd, in a crontab (what is missed is caught up by the next start):\n"
        f"0 * * * * {CRON}\n"
        "# Each hour, as cron has no Europe/Berlin: what is not due yet is not run.\n"
    )


def test_show_for_a_user_says_how_to_run_while_logged_out() -> None:
    """The user's systemd ends with the last session unless it lingers."""
    text = show(definition("übung"), **place())
    assert (
        "# `schedule install` does all of this. By hand, save each part under its name in\n"
        "# ~/.config/systemd/user, then:\n"
        "#   systemctl --user daemon-reload\n"
        "#   systemctl --user enable --now 'kahnban-\\xc3\\xbcbung.timer'\n"
        "#   loginctl enable-linger        # run while you are logged out, too\n"
    ) in text
