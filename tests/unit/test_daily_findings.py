"""From measurements to findings: every limit at its edge, the order, the words, the trend."""

from __future__ import annotations

import json
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest

from pipelines._daily import findings, trend
from pipelines._daily.shapes import Package, Services, SlowStep, Unit
from pipelines._machine.findings import Finding, headline, order, worst
from tests.unit import daily_day as made

GB = made.GB
NOW = datetime.fromisoformat(made.MEASURED_AT)


def judged(found: Any) -> list[tuple[str, str]]:
    """Give severity and place of each finding."""
    return [(one["severity"], one["where"]) for one in found]


def finding(severity: str, what: str = "w") -> Finding:
    """Give a finding of a severity."""
    return Finding(severity=severity, what=what, where="x", value="1", threshold="none", todo="t")


def test_a_machine_at_ease_has_no_findings() -> None:
    """Neither have quiet services, packages, journal and store."""
    assert list(findings.of_host(made.host())) == []
    assert list(findings.of_packages(made.packages(), NOW)) == []
    assert list(findings.of_services(Services(state="running", failed=[]))) == []
    assert list(findings.of_journal(made.journal())) == []
    assert list(findings.of_store(made.store(made.workflow_day("sales")))) == []


@pytest.mark.parametrize(
    ("percent", "expected"),
    [
        (79.9, []),
        (80.0, [("notice", "/srv")]),
        (89.9, [("notice", "/srv")]),
        (90.0, [("warning", "/srv")]),
        (94.9, [("warning", "/srv")]),
        (95.0, [("critical", "/srv")]),
        (100.0, [("critical", "/srv")]),
    ],
)
def test_a_full_disk_is_found_from_its_limits_on(
    percent: float, expected: list[tuple[str, str]]
) -> None:
    """Space and inodes have the same limits, and are judged apart."""
    by_space = made.host(made.disk("/srv", percent))
    by_inodes = made.host(made.disk("/srv", 10, percent))
    assert judged(findings.of_host(by_space)) == expected
    assert judged(findings.of_host(by_inodes)) == expected


def test_a_finding_says_what_where_how_much_and_what_to_do() -> None:
    """The command names the disk it is about."""
    (found,) = findings.of_host(made.host(made.disk("/srv", 96.0)))
    assert found == {
        "severity": "critical",
        "what": "disk is nearly full",
        "where": "/srv",
        "value": "96 %, 4.0 GB free",
        "threshold": "95 %",
        "todo": "find what fills it with: du -xh -d1 /srv | sort -h | tail",
    }


@pytest.mark.parametrize(
    ("key", "value", "severity"),
    [
        ("memory_available_bytes", 2.5 * GB, None),
        ("memory_available_bytes", 2.4 * GB, "notice"),
        ("memory_available_bytes", 1.28 * GB, "warning"),
        ("memory_available_bytes", 0.48 * GB, "critical"),
        ("swap_used_bytes", 1.9 * GB, None),
        ("swap_used_bytes", 2 * GB, "notice"),
        ("swap_used_bytes", 4 * GB, "warning"),
        ("load", [9.0, 9.0, 3.9], None),
        ("load", [0.0, 0.0, 4.0], "notice"),
        ("load", [0.0, 0.0, 8.0], "warning"),
        ("load", [0.0, 0.0, 16.0], "critical"),
        ("up_s", 179.9 * 86_400, None),
        ("up_s", 180.0 * 86_400, "notice"),
        ("zombies", 19, None),
        ("zombies", 20, "notice"),
        ("zombies", 200, "warning"),
    ],
)
def test_memory_swap_load_and_uptime_are_found_from_their_limits_on(
    key: str, value: Any, severity: str | None
) -> None:
    """A short burst of load is none: only the 15 minutes count."""
    machine = made.host()
    machine[key] = value  # type: ignore[literal-required]
    assert judged(findings.of_host(machine)) == ([(severity, "web1")] if severity else [])


@pytest.mark.parametrize(
    ("left", "severity"),
    [(None, None), (30.1, None), (30.0, "notice"), (14.0, "warning"), (3.0, "critical")],
)
def test_a_disk_that_fills_up_is_found_from_its_days_left(
    left: float | None, severity: str | None
) -> None:
    """Fewer days are worse."""
    growth: Any = {
        "mount": "/srv",
        "bytes_per_day": GB,
        "days_until_full": left,
        "span_days": 3.0,
        "used": [],
    }
    assert judged(findings.of_growth([growth])) == ([(severity, "/srv")] if severity else [])


def test_security_updates_are_a_warning_and_take_the_others_along() -> None:
    """One finding, not two, for one command to run."""
    secure = Package(name="openssl", old="1", new="2", security=True)
    other = Package(name="curl", old="1", new="2", security=False)
    (found,) = findings.of_packages(made.packages(secure, other), NOW)
    assert (found["severity"], found["what"]) == ("warning", "security updates wait: openssl")
    assert found["value"] == "1 package, and 1 other update"
    (found,) = findings.of_packages(made.packages(other), NOW)
    assert (found["severity"], found["what"]) == ("notice", "updates wait")


@pytest.mark.parametrize(
    ("refreshed_at", "severity"),
    [
        ("2026-11-16T07:00:03+00:00", None),
        ("2026-11-16T07:00:02+00:00", "notice"),
        ("2026-10-24T07:00:02+00:00", "warning"),
    ],
)
def test_old_package_lists_are_found(refreshed_at: str, severity: str | None) -> None:
    """They know of fewer updates than there are."""
    packages = made.packages()
    packages["refreshed_at"] = refreshed_at
    expected = [(severity, "apt-get")] if severity else []
    assert judged(findings.of_packages(packages, NOW)) == expected


def test_a_pending_restart_names_what_it_is_for() -> None:
    """Up to four packages by name."""
    packages = made.packages()
    packages["reboot"], packages["reboot_for"] = True, ["a", "b", "c", "d", "e"]
    (found,) = findings.of_packages(packages, NOW)
    assert (found["severity"], found["what"]) == (
        "notice",
        "a restart is pending for a, b, c, d and 1 more",
    )


def test_each_failed_unit_is_a_finding() -> None:
    """Each wants its own repair."""
    units = [
        Unit(name=name, description="Web", result="exit-code", since="") for name in ("a", "b")
    ]
    found = list(findings.of_services(Services(state="degraded", failed=units)))
    assert judged(found) == [("warning", "a"), ("warning", "b")]
    assert found[0]["what"] == "a unit has failed: Web"


def test_memory_kills_and_grave_entries_stand_out_of_the_journals_number() -> None:
    """A memory kill is not told a second time as a grave entry."""
    journal = made.journal(
        made.errors("kernel", "Out of memory: Killed process 9 (x)", 2, priority=2),
        made.errors("raid", "array degraded", 1, priority=1),
        made.errors("sshd", "refused", 7),
    )
    found = list(findings.of_journal(journal))
    assert judged(found) == [
        ("warning", "journal"),
        ("warning", "raid"),
        ("notice", "most from kernel"),
    ]
    assert found[0]["value"] == "2 times"
    journal["groups"].pop()
    journal["total"] = 9
    assert len(list(findings.of_journal(journal))) == 2


@pytest.mark.parametrize("status", ["failed", "interrupted"])
def test_a_workflow_whose_last_run_went_wrong_is_a_warning(status: str) -> None:
    """One that has recovered since is only worth knowing."""
    store = made.store(
        made.workflow_day("sales", status, 1), made.workflow_day("invoices", failed=2)
    )
    assert judged(findings.of_store(store)) == [("warning", "sales"), ("notice", "invoices")]


def test_retries_and_slow_steps_are_found_from_their_limits_on() -> None:
    """Quick steps are never called slow, nor is one that nothing is known about."""
    store = made.store(made.workflow_day("sales"))
    store["retries"] = 4
    store["slowest"] = [
        SlowStep(run=1, workflow="w", step="slow", duration_s=30.0, typical_s=10.0),
        SlowStep(run=1, workflow="w", step="nearly", duration_s=29.9, typical_s=10.0),
        SlowStep(run=1, workflow="w", step="quick", duration_s=9.9, typical_s=0.1),
        SlowStep(run=1, workflow="w", step="new", duration_s=900.0, typical_s=None),
    ]
    assert judged(findings.of_store(store)) == [("notice", "w / slow")]
    store["retries"] = 5
    assert judged(findings.of_store(store))[0] == ("notice", "workflows")


def test_the_worst_comes_first_and_equals_keep_their_order() -> None:
    """The order of the sources is the order of a reader's interest."""
    found = [
        finding("notice", "a"),
        finding("critical"),
        finding("notice", "b"),
        finding("warning"),
    ]
    ordered = order(found)
    assert [one["severity"] for one in ordered] == ["critical", "warning", "notice", "notice"]
    assert [one["what"] for one in ordered[2:]] == ["a", "b"]
    assert worst(found) == "critical"
    assert worst([]) == "ok"


@pytest.mark.parametrize(
    ("severities", "expected"),
    [
        ([], "All is well on web1"),
        (["notice"], "web1 is well; 1 thing to know"),
        (["notice", "warning"], "1 thing on web1 needs attention"),
        (["warning", "warning"], "2 things on web1 need attention"),
        (["critical", "warning"], "1 thing on web1 cannot wait"),
    ],
)
def test_the_headline_counts_the_worst(severities: list[str], expected: str) -> None:
    """One sentence for the whole day."""
    assert headline([finding(one) for one in severities], "web1") == expected


def test_growth_is_the_median_slope_and_tells_the_days_left() -> None:
    """One day's big file, gone the next day, moves nothing."""
    used = {18: 50, 19: 51, 20: 90, 21: 53, 22: 54}
    earlier = [made.figures(f"2026-11-{on}", share * GB) for on, share in used.items()]
    now = made.figures("2026-11-23", 55 * GB)
    (one,) = trend.growth(earlier, now, made.host(made.disk("/", 55.0)))
    assert one["bytes_per_day"] == GB
    assert one["days_until_full"] == 45.0
    assert one["span_days"] == 5.0
    assert one["used"][-1] == 55 * GB


def test_growth_needs_half_a_day_the_same_disk_and_a_slope() -> None:
    """A run an hour ago says nothing; a disk made larger is another one; shrinking never fills."""
    now, machine = made.figures("2026-11-23"), made.host()
    hour_ago = made.figures("2026-11-22")
    hour_ago["measured_at"] = "2026-11-23T06:00:00+00:00"
    assert trend.growth([hour_ago], now, machine) == []
    resized = made.figures("2026-11-22")
    resized["disks"]["/"]["total_bytes"] += 1
    assert trend.growth([resized], now, machine) == []
    assert trend.growth([], now, machine) == []
    (shrinking,) = trend.growth([made.figures("2026-11-22", 41 * GB)], now, machine)
    assert shrinking["days_until_full"] is None


def test_earlier_figures_are_those_of_this_host_before_the_day(tmp_path: Path) -> None:
    """Damaged files, other hosts, the day itself and what is too old are left out."""
    days = ["2026-11-08", "2026-11-09", "2026-11-21", "2026-11-22", "2026-11-23", "2026-11-24"]
    for on in days:
        (tmp_path / f"daily-{on}.json").write_text(json.dumps(made.figures(on)))
    other = made.figures("2026-11-20")
    other["host"] = "elsewhere"
    (tmp_path / "daily-2026-11-20.json").write_text(json.dumps(other))
    (tmp_path / "daily-2026-11-19.json").write_text('{"date": "2026-11-19"')
    (tmp_path / "daily-2026-11-18.json").write_text('{"date": "2026-11-18"}')
    (tmp_path / "daily-2026-11-17.json").write_text("[1]")
    earlier = trend.load_earlier(tmp_path, date(2026, 11, 23), "web1")
    assert [one["date"] for one in earlier] == ["2026-11-09", "2026-11-21", "2026-11-22"]
    assert trend.last_before(earlier, date(2026, 11, 23)) == made.figures("2026-11-22")
    assert trend.last_before(earlier[:1], date(2026, 11, 23)) is None
    assert trend.load_earlier(tmp_path / "none", date(2026, 11, 23), "web1") == []


def test_figures_of_a_source_nobody_could_read_are_none() -> None:
    """None is not zero: a skipped journal has not been without errors."""
    kept = trend.figures(
        "2026-11-23",
        made.MEASURED_AT,
        host=made.host(),
        packages=None,
        services=None,
        journal=None,
        store=made.store(made.workflow_day("sales", failed=2)),
    )
    assert kept["memory_percent"] == 37.5
    assert kept["load_per_core"] == 0.2
    assert kept["disks"]["/"]["used_bytes"] == 40 * GB
    assert (kept["updates"], kept["failed_units"], kept["journal_errors"]) == (None, None, None)
    assert (kept["runs"], kept["failed_runs"]) == (3, 2)
