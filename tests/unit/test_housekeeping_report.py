"""Where disks are heading, and the report of all that was found."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from engine import Step, Workflow
from pipelines._housekeeping import report
from pipelines._housekeeping.disks import earlier_figures, heading
from pipelines._housekeeping.shapes import Certificates, Disks, LargeFiles, Logins, Tries
from pipelines._machine.disks import Disk
from pipelines._machine.findings import headline, order

GB = 1_000_000_000
NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)


def disk(used: float = 60, total: float = 100, mount: str = "/srv") -> Disk:
    """Make a disk of so many gigabytes."""
    return Disk(
        mount=mount,
        device="/dev/sda1",
        kind="ext4",
        total_bytes=int(total * GB),
        used_bytes=int(used * GB),
        free_bytes=int((total - used) * GB),
        used_percent=round(100 * used / total, 1),
        inodes_percent=5.0,
    )


def before(days: float, one: Disk) -> Disks:
    """Make the figures of an earlier run."""
    moment = NOW - timedelta(days=days)
    return Disks(measured_at=moment.isoformat(), disks=[one], growth=[])


@pytest.mark.parametrize(
    ("earlier", "days"),
    [
        ([(1, 58), (2, 56), (3, 54)], 20.0),
        ([(1, 58), (2, 56)], None),  # three figures are too few
        ([(0.6, 58), (1.2, 56), (1.9, 54)], None),  # less than two days say too little
        ([(0.5, 58), (1.5, 54), (2.0, 52)], 10.0),
        ([(1, 60), (2, 60), (3, 60)], None),
        ([(1, 62), (2, 64), (3, 66)], None),
        ([(1, 40), (2, 59), (3, 41), (4, 60), (5, 40)], None),  # filled and cleared in turns
        ([(0.01, 59), (0.02, 58), (0.03, 57), (2, 56)], None),  # many runs in an hour are one
    ],
)
def test_a_disk_is_heading_somewhere_on_enough_evidence(
    earlier: list[tuple[float, float]], days: float | None
) -> None:
    """Four figures over two days, of which most pairs rise; else nothing is said."""
    found = heading(disk(60), NOW, [before(ago, disk(used)) for ago, used in earlier])
    assert (found["days_until_full"] if found else None) == days


def test_a_disk_made_larger_is_another_disk() -> None:
    """What was known of it says nothing any more; nor do other disks."""
    grown = [before(ago, disk(50 - ago, total=80)) for ago in (1, 2, 3)]
    other = [before(ago, disk(50 - ago, mount="/other")) for ago in (1, 2, 3)]
    assert heading(disk(60), NOW, [*grown, *other]) is None


def test_earlier_figures_come_from_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newest first, of this workflow's own step; what has another form is left out."""
    monkeypatch.setenv("ENGINE_HOME", str(tmp_path))
    url = f"sqlite:///{tmp_path}/runs.db"
    now = datetime.now(UTC)  # noqa: TID251 - held against what the store says of its own runs

    def run(name: str, value: Any) -> None:
        workflow = Workflow(name).add(Step("disks", lambda _ctx: value))
        assert workflow.run(store=url, fresh=True)["status"] == "ok"

    assert earlier_figures(url, ("housekeeping", "disks"), now) == []
    old, new = before(2, disk(1)), before(1, disk(2))
    run("housekeeping", old)
    run("other", before(3, disk(3)))
    for odd in (
        7,
        {"measured_at": "2026-11-25T12:00:00"},
        {"measured_at": "now", "disks": []},
        {"measured_at": "2026-11-25T12:00:00", "disks": []},
        {"measured_at": "2026-11-25T12:00:00Z", "disks": [{"mount": "/"}]},
    ):
        run("housekeeping", odd)
    run("housekeeping", new)
    assert earlier_figures(url, ("housekeeping", "disks"), now) == [new, old]
    later = now + timedelta(days=15)
    assert earlier_figures(url, ("housekeeping", "disks"), later) == []


LARGE = LargeFiles(
    roots=["/"],
    files=[
        {"path": "/srv/a b.iso", "size_bytes": 3 * GB, "changed_at": "2026-11-24T09:00:00+00:00"}
    ],
    count=2,
    total_bytes=4 * GB,
    looked_at=1000,
    unread=3,
    left=1,
)
LOGINS = Logins(
    log="the journal",
    since="2026-11-24T12:00:00+00:00",
    total=52,
    sources=2,
    tries=[
        Tries(user="ada", source="10.0.0.2", count=12, came_in=True),
        Tries(user="root\x1b[31m", source="10.0.0.1", count=40, came_in=False),
    ],
    cut=False,
)
CERTIFICATES = Certificates(
    certificates=[
        {
            "path": "/etc/a.pem",
            "subject": "a.example.org",
            "expires_at": "2026-11-30T12:00:00+00:00",
            "days_left": 5.0,
        }
    ],
    broken=[],
    unread=["/etc/c.pem"],
)
PRUNED = {
    "workflows": [
        {
            "workflow": "daily",
            "runs": [1, 2],
            "rows_kept": [3],
            "rows": 9,
            "value_bytes": 1000,
            "file_bytes": 2000,
            "stuck": [],
        }
    ]
}

WHOLE = """\
1 thing on web cannot wait
Wednesday, 25 November 2026, 12:00
Not all was looked at: see the end.

CRITICAL  a certificate is about to expire: a.example.org
  /etc/a.pem: 5 days left, to 2026-11-30 (limit 7 days)
  -> renew it, then reload its servers; look at it with: openssl x509 -noout -text -in /etc/a.pem

WARNING  disk is nearly full
  /srv: 91 %, 8.4 GB free (limit 90 %)
  -> find what fills it with: du -xh -d1 /srv | sort -h | tail

WARNING  a login after many failed ones
  10.0.0.2: 12 failed tries before
  -> ask who that was; see: last -i; if nobody knows, change the password

NOTICE  somebody tried to log in and failed
  from 2 sources, by the journal: 52 times (limit 20)
  -> allow keys only (PasswordAuthentication no), or limit who may connect

NOTICE  2 large new files
  the largest is /srv/a b.iso: 3.7 GB in all
  -> remove what nobody needs; see: ls -l '/srv/a b.iso'

Disks
-----
  91 %  /srv, 8.4 GB free

Certificates
------------
2026-11-30  a.example.org  /etc/a.pem

Failed logins
-------------
    12 × ada from 10.0.0.2, then came in
    40 × root�[31m from 10.0.0.1

Large new files
---------------
 2.8 GB  2026-11-24  /srv/a b.iso
and 1 more

Old runs
--------
daily: 3 runs let go, 2.9 kB

Not looked at
-------------
large new files: 1 folder and what is below, for want of time (walk_s)
large new files: 3 folders closed to this user
certificates: not there, or closed to this user: /etc/ssl/b.pem, /etc/c.pem
"""


def test_the_whole_report() -> None:
    """The gravest first, each with what to do; then all that was seen, and what was not."""
    disks = Disks(measured_at=NOW.isoformat(), disks=[disk(91)], growth=[])
    found = {
        "disks": disks,
        "large_files": LARGE,
        "logins": LOGINS,
        "find_certificates": {"count": 1, "paths": ["/etc/a.pem"], "unread": ["/etc/ssl/b.pem"]},
        "certificates": CERTIFICATES,
    }
    findings = order(list(report.judged(found, PRUNED, 30)))
    said = headline(findings, "web")
    pruned, missing = report.told_of_pruning(PRUNED), list(report._incomplete(found))
    assert report.text(said, NOW, findings, found, pruned, missing) == WHOLE


def test_a_report_of_nothing() -> None:
    """Where no look was possible there is a headline, and no section without lines."""
    nothing = dict.fromkeys(report.LOOKS)
    assert list(report.judged(nothing, None, 30)) == []
    assert report.told_of_pruning(None) == []
    said = report.text("All is well on web", NOW, [], nothing, [], ["disks: no"])
    assert said == (
        "All is well on web\nWednesday, 25 November 2026, 12:00\n"
        "Not all was looked at: see the end.\n\n"
        "Not looked at\n-------------\ndisks: no\n"
    )


def test_no_failed_login_is_said_with_its_log() -> None:
    """None is an answer, and by which log it was given belongs to it."""
    none = Logins(
        log="/var/log/btmp", since=LOGINS["since"], total=0, sources=0, tries=[], cut=False
    )
    assert list(report._login_lines(none)) == ["none since 2026-11-24, by /var/log/btmp"]
    assert list(report.of_logins(none)) == []


def test_runs_that_stay_are_a_finding() -> None:
    """What `db prune` could not take away is told with the path."""
    stuck = {"workflows": [{**PRUNED["workflows"][0], "stuck": ["run 1 keeps '/x': no"]}]}
    nothing = dict.fromkeys(report.LOOKS)
    (found,) = report.judged(nothing, stuck, 30)
    assert (found["severity"], found["where"]) == ("warning", "run 1 keeps '/x': no")
    assert report.told_of_pruning({"workflows": []}) == ["none was due to go"]


def test_a_disk_that_fills_up_says_when() -> None:
    """Beside its figures, in about so many days."""
    growth = heading(disk(60), NOW, [before(ago, disk(60 - 2 * ago)) for ago in (1, 2, 3)])
    assert growth is not None
    disks = Disks(measured_at=NOW.isoformat(), disks=[disk(60)], growth=[growth])
    assert list(report._disk_lines(disks)) == ["  60 %  /srv, 37 GB free, full in about 20 days"]
    (found,) = report.of_disks(disks)
    assert (found["severity"], found["value"]) == ("notice", "20 days left at 1.9 GB a day")


def test_a_machine_without_certificates_has_been_looked_at() -> None:
    """None is an answer, and no look that is missing."""
    found = {"find_certificates": {"count": 0, "paths": [], "unread": []}, "certificates": None}
    assert list(report._certificate_lines(found)) == ["none found"]
