"""The daily report's sources: what other programs print, and what our own store holds."""

from __future__ import annotations

import json
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import pytest

from engine.errors import Skip
from pipelines._daily import host, journal, packages, runs, services
from pipelines._daily.shapes import Package, Program, Unit
from pipelines._machine import commands, records
from pipelines._machine.journal import Entry, parse

APT = """\
NOTE: This is only a simulation!
Reading package lists...
Calculating upgrade...
The following packages have been kept back:
  linux-image-amd64
The following packages will be upgraded:
  libc6 openssl
Inst libc6 [2.36-9+deb12u8] (2.36-9+deb12u9 Debian:12.8/stable [amd64]) []
Inst libnew1 (1.0-1 Debian:12.8/stable [amd64])
Inst openssl [3.0.14-1] (3.0.15-1 Debian:12.8/stable, Debian-Security:12/stable-security [amd64])
Conf libc6 (2.36-9+deb12u9 Debian:12.8/stable [amd64])
"""

DNF = """\

curl.x86_64                 8.2.1-5.fc39            updates
python3-libs.x86_64         3.12.7-1.fc39           updates
Obsoleting Packages
old.x86_64                  1.0-1                   updates
    older.x86_64            0.9-1                   @fedora
"""

PACMAN = """\
linux 6.11.1.arch1-1 -> 6.11.6.arch1-1
curl 8.10.0-1 -> 8.11.0-1
held 1.0-1 -> 2.0-1 [ignored]
"""

UNITS = """\
nginx.service   loaded failed failed A high performance web server
certbot.timer   loaded failed failed
● odd.service   not-found failed failed odd.service
"""

SHOWN = """\
Result=timeout
Id=certbot.timer
StateChangeTimestamp=Mon 2026-11-23 03:12:44 UTC

Result=exit-code
Id=nginx.service
StateChangeTimestamp=
"""


def test_apt_lists_upgrades_with_security_first_and_no_new_packages() -> None:
    """Only what is installed waits; a security origin is found among several."""
    assert packages.parse_apt(APT) == [
        Package(name="openssl", old="3.0.14-1", new="3.0.15-1", security=True),
        Package(name="libc6", old="2.36-9+deb12u8", new="2.36-9+deb12u9", security=False),
    ]


def test_dnf_lists_updates_without_obsoletes() -> None:
    """The architecture is no part of the name, and obsoleted packages are no updates."""
    found = packages.parse_dnf(DNF)
    assert [(one["name"], one["new"]) for one in found] == [
        ("curl", "8.2.1-5.fc39"),
        ("python3-libs", "3.12.7-1.fc39"),
    ]


def test_pacman_lists_updates_without_ignored_ones() -> None:
    """What the user told pacman to ignore does not wait."""
    found = packages.parse_pacman(PACMAN)
    assert [(one["name"], one["old"], one["new"]) for one in found] == [
        ("curl", "8.10.0-1", "8.11.0-1"),
        ("linux", "6.11.1.arch1-1", "6.11.6.arch1-1"),
    ]


def test_no_package_manager_is_a_reason_to_skip(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reason names what was looked for."""
    monkeypatch.setattr(packages, "have", lambda _program: False)
    with pytest.raises(Skip, match=r"^no package manager that can be asked \(apt-get, dnf, pacman"):
        packages.measure()


def test_failed_units_are_read_with_and_without_description() -> None:
    """A leading mark, a missing description and systemctl's own order do not matter."""
    units = services.parse_units(UNITS)
    assert [(unit["name"], unit["description"]) for unit in units] == [
        ("certbot.timer", ""),
        ("nginx.service", "A high performance web server"),
        ("odd.service", "odd.service"),
    ]


def test_details_go_to_the_unit_they_name() -> None:
    """`systemctl show` prints its blocks in an order of its own."""
    units = services.with_details(services.parse_units(UNITS), SHOWN)
    assert units[0] == Unit(
        name="certbot.timer", description="", result="timeout", since="Mon 2026-11-23 03:12:44 UTC"
    )
    assert [unit["result"] for unit in units] == ["timeout", "exit-code", ""]


def test_services_are_skipped_without_systemd(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """In a container there is none."""
    monkeypatch.setattr(services, "RUNNING", tmp_path / "none")
    with pytest.raises(Skip, match=r"^systemd is not running here$"):
        services.measure()


def _entry(**fields: object) -> str:
    return json.dumps({"__REALTIME_TIMESTAMP": "1795417200000000", "PRIORITY": "3", **fields})


def test_journal_entries_are_read_whatever_their_form() -> None:
    """Binary messages come as bytes, repeated fields as lists, missing ones not at all."""
    text = "\n".join(
        [
            _entry(MESSAGE="plain", SYSLOG_IDENTIFIER="sshd"),
            _entry(MESSAGE=[104, 105, 255], _COMM="cat"),
            _entry(MESSAGE=["first", "second"], _SYSTEMD_UNIT="web.service", PRIORITY="2"),
            _entry(MESSAGE=None),
            "{cut off",
            "[]",
        ]
    )
    at = "2026-11-23T07:00:00+00:00"
    assert list(parse(text)) == [
        Entry("sshd", "plain", 3, at),
        Entry("cat", "hi�", 3, at),
        Entry("web", "first", 2, at),
        Entry("?", "", 3, at),
    ]


def test_journal_entries_that_differ_in_numbers_are_one_group() -> None:
    """Most frequent first, then the graver; the text is that of the last entry."""
    entries = [
        Entry("sshd", "refused 10.0.0.9 port 1022", 3, "2026-11-23T03:00:00+00:00"),
        Entry("disk", "sda\n  failing", 2, "2026-11-23T01:00:00+00:00"),
        Entry("sshd", "refused 10.0.0.1 port 22", 4, "2026-11-23T02:00:00+00:00"),
        Entry("cron", "no mail", 3, "2026-11-23T01:00:00+00:00"),
    ]
    groups = journal.group(entries)
    assert [(one["source"], one["message"], one["count"], one["priority"]) for one in groups] == [
        ("sshd", "refused 10.0.0.9 port 1022", 2, 3),
        ("disk", "sda failing", 1, 2),
        ("cron", "no mail", 1, 3),
    ]
    assert (groups[0]["first"][11:16], groups[0]["last"][11:16]) == ("02:00", "03:00")


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("took 12.5 s at 10:22:01", "took # s at #"),
        ("at 0x7ffe12 in deadbeef99", "at # in #"),
        ("id 123e4567-e89b-12d3-a456-426614174000 gone", "id # gone"),
        ("decade facade", "decade facade"),
    ],
)
def test_what_varies_in_a_message_is_left_out_of_its_pattern(message: str, expected: str) -> None:
    """Numbers, addresses and identifiers vary; words of hex letters do not."""
    assert journal.pattern(message) == expected


def test_a_missing_program_is_a_reason_to_skip() -> None:
    """The reason names it."""
    with pytest.raises(Skip, match=r"^no kahnban-no-such-program on this machine$"):
        commands.look(["kahnban-no-such-program"])


def test_a_failing_program_is_a_reason_to_skip_in_its_own_words() -> None:
    """The first line it says on standard error; without one, its exit code."""
    with pytest.raises(Skip, match=r"^sh failed: no rights here$"):
        commands.look(["sh", "-c", "echo; echo no rights here >&2; exit 1"])
    with pytest.raises(Skip, match=r"^sh failed: exit code 3$"):
        commands.look(["sh", "-c", "exit 3"])


def test_a_program_is_asked_in_the_c_locale_without_input() -> None:
    """Parsing must not depend on the user's language, nor wait for a keyboard."""
    out, _ = commands.look(["sh", "-c", 'cat; printf %s "$LC_ALL"'])
    assert out == "C"


def test_an_exit_code_that_is_an_answer_is_taken() -> None:
    """`dnf check-update` ends with 100 when there are updates."""
    assert commands.look(["sh", "-c", "echo yes; exit 100"], ok=(0, 100)) == ("yes\n", "")


def test_programs_of_one_name_are_added_up_and_ranked() -> None:
    """Thirty small processes of one browser are one heavy program."""
    programs = host.group([("web", 10, 1.0), ("db", 15, 0.5), ("web", 10, 2.25), ("a", 15, 0.0)])
    assert host.top(programs, "memory_bytes") == [
        Program(name="web", count=2, memory_bytes=20, cpu_percent=3.2),
        Program(name="a", count=1, memory_bytes=15, cpu_percent=0.0),
        Program(name="db", count=1, memory_bytes=15, cpu_percent=0.5),
    ]


@pytest.mark.parametrize(
    ("cgroup", "expected"),
    [
        ({}, (1000, 400, False)),
        ({"memory.max": "max\n", "memory.current": "9"}, (1000, 400, False)),
        ({"memory.max": "2000", "memory.current": "9"}, (1000, 400, False)),
        ({"memory.max": "500\n", "memory.current": "300\n"}, (500, 200, True)),
        (
            {
                "memory.max": "500",
                "memory.current": "300",
                "memory.stat": "anon 1\ninactive_file 50",
            },
            (500, 250, True),
        ),
    ],
)
def test_a_containers_memory_limit_counts_where_it_is_smaller(
    cgroup: dict[str, str], expected: tuple[int, int, bool]
) -> None:
    """Its idle file cache is available."""
    assert host.memory_within(1000, 400, cgroup) == expected


@pytest.mark.parametrize(
    ("cpu_max", "expected"), [("", 4.0), ("max 100000", 4.0), ("50000 100000\n", 0.5), ("9 1", 4.0)]
)
def test_a_containers_share_of_the_cores_counts(cpu_max: str, expected: float) -> None:
    """The quota over the period, at most the cores there are."""
    assert host.cores_within(4, cpu_max) == expected


def test_the_machine_under_the_tests_can_be_measured(tmp_path: Path) -> None:
    """Root's disk is there once, memory adds up, and this very process is among the programs."""
    found = host.measure(tmp_path)
    mounts = [disk["mount"] for disk in found["disks"]]
    assert "/" in mounts
    assert len(set(mounts)) == len(mounts)
    assert 0 < found["memory_available_bytes"] <= found["memory_total_bytes"]
    assert len(found["load"]) == 3
    assert found["processes"] >= 1
    assert found["by_memory"]


SCHEMA = """
CREATE TABLE runs (id INTEGER PRIMARY KEY, workflow, status, params, started_at, finished_at,
                   resumed_from, root_run, note);
CREATE TABLE step_runs (run_id, step, status, started_at, finished_at, duration_s, note,
                        source_run, attempts);
CREATE TABLE attempts (run_id, step, number, outcome, started_at, finished_at, duration_s, error);
INSERT INTO runs VALUES
  (1, 'sales', 'ok', '{}', '2026-11-20T06:00:00.000Z', '2026-11-20T06:00:05.000Z', NULL, 1, ''),
  (2, 'sales', 'ok', '{}', '2026-11-22T08:00:00.000Z', '2026-11-22T08:00:30.000Z', NULL, 2, ''),
  (3, 'sales', 'failed', '{}', '2026-11-23T06:00:00.000Z', '2026-11-23T06:00:02.500Z', NULL, 3, ''),
  (4, 'daily', 'running', '{}', '2026-11-23T07:00:00.000Z', NULL, NULL, 4, ''),
  (5, 'other', 'skipped', '{}', '2026-11-22T09:00:00.000Z', '2026-11-22T09:00:00.000Z', NULL,
   5, '');
INSERT INTO step_runs VALUES
  (1, 'fetch', 'ok', NULL, NULL, 2.0, '', NULL, 1),
  (2, 'fetch', 'ok', NULL, NULL, 30.0, '', NULL, 1),
  (2, 'mail', 'cached', NULL, NULL, 0, '', 1, 0),
  (3, 'fetch', 'failed', NULL, '2026-11-23T06:00:02.000Z', 2.4, '', NULL, 1),
  (3, 'mail', 'skipped', NULL, NULL, NULL, 'dependency failed: fetch', NULL, 0),
  (4, 'fetch_journal', 'skipped', NULL, NULL, NULL, 'no journalctl on this machine', NULL, 0);
INSERT INTO attempts VALUES
  (2, 'fetch', 1, 'ok', NULL, NULL, 30.0, NULL),
  (3, 'fetch', 1, 'failed', NULL, NULL, 1.0, 'OSError: first'),
  (3, 'fetch', 2, 'failed', NULL, NULL, 1.0, 'Traceback:
  File "sales.py"
OSError: no such drop

');
"""


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Make a small store, at a path with marks that a URL gives a meaning to."""
    path = tmp_path / "a b%20#" / "runs.db"
    path.parent.mkdir()
    connection = sqlite3.connect(path)
    connection.executescript(SCHEMA)
    connection.close()
    return path


NOW = datetime(2026, 11, 23, 7, 0, 1, tzinfo=UTC)
DAY_BEFORE = datetime(2026, 11, 22, 7, 0, 1, tzinfo=UTC)


def test_the_last_day_is_read_from_the_public_views(store: Path) -> None:
    """Runs by workflow, the one in trouble first; the run that asks and older ones are left out."""
    found = runs.measure(f"sqlite:///{store}", DAY_BEFORE, NOW, but=4)
    assert (found["runs"], found["retries"]) == (3, 1)
    assert [
        (one["workflow"], one["runs"], one["ok"], one["failed"], one["last_status"], one["seconds"])
        for one in found["workflows"]
    ] == [("other", 1, 0, 0, "", 0.0), ("sales", 2, 1, 1, "failed", 32.5)]
    assert found["failures"] == [
        {"run": 3, "workflow": "sales", "step": "fetch", "error": "OSError: no such drop"}
    ]
    assert found["slowest"] == [
        {"run": 2, "workflow": "sales", "step": "fetch", "duration_s": 30.0, "typical_s": 2.0},
        {"run": 3, "workflow": "sales", "step": "fetch", "duration_s": 2.4, "typical_s": 16.0},
    ]


def test_why_steps_were_skipped_is_read_from_the_store(store: Path) -> None:
    """Only those of the run asked for."""
    assert records.notes(f"sqlite:///{store}", 4, "skipped") == {
        "fetch_journal": "no journalctl on this machine"
    }


def test_the_store_is_opened_so_that_it_cannot_be_written(store: Path) -> None:
    """Reading works, writing does not."""
    from sqlalchemy import text
    from sqlalchemy.exc import OperationalError

    engine = records.open_read_only(store)
    with engine.connect() as connected:
        assert connected.execute(text("SELECT count(*) FROM runs")).scalar() == 5
        with pytest.raises(OperationalError, match=r"readonly"):
            connected.execute(text("DELETE FROM runs"))
    engine.dispose()


@pytest.mark.parametrize("url", ["sqlite:///{}/none.db", "sqlite://", "sqlite:///:memory:"])
def test_without_a_store_the_source_is_skipped(url: str, tmp_path: Path) -> None:
    """And none is made."""
    with pytest.raises(Skip, match=r"^no store of ours to read$"):
        runs.measure(url.format(tmp_path), DAY_BEFORE, NOW, but=1)
    assert list(tmp_path.iterdir()) == []
    assert records.notes(url.format(tmp_path), 1, "skipped") == {}


def test_runs_that_began_nothing_say_nothing_about_a_workflow() -> None:
    """A run skipped because another was on leaves the last outcome as it was."""
    run = {"workflow": "w", "started_at": None, "finished_at": None}
    (day,) = runs.by_workflow([{**run, "status": "ok"}, {**run, "status": "skipped"}])
    assert (day["runs"], day["ok"], day["last_status"], day["seconds"]) == (2, 1, "ok", 0.0)
