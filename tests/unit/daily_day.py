"""A made-up day for the tests of the daily report: one of each kind of trouble, and a quiet one."""

from __future__ import annotations

from pipelines._daily.shapes import (
    Backup,
    Day,
    ErrorGroup,
    Failure,
    Figures,
    Host,
    Journal,
    Package,
    Packages,
    Program,
    Services,
    SlowStep,
    StoreDay,
    Unit,
    WorkflowDay,
)
from pipelines._machine.disks import Disk
from pipelines._machine.findings import Finding, order
from pipelines._machine.growth import Growth

GB = 1 << 30
MEASURED_AT = "2026-11-23T07:00:02+00:00"


def disk(mount: str = "/", used_percent: float = 40.0, inodes_percent: float | None = 5.0) -> Disk:
    """Give a disk of 100 GB."""
    used = int(used_percent * GB)
    return Disk(
        mount=mount,
        device="/dev/sda1",
        kind="ext4",
        total_bytes=100 * GB,
        used_bytes=used,
        free_bytes=100 * GB - used,
        used_percent=used_percent,
        inodes_percent=inodes_percent,
    )


def host(*disks: Disk) -> Host:
    """Give a machine at ease, with one disk unless others are given."""
    return Host(
        name="web1",
        system="Debian GNU/Linux 12 (bookworm)",
        kernel="6.1.0-28-amd64",
        measured_at=MEASURED_AT,
        up_s=12 * 86_400.0 + 3600,
        cores=4.0,
        load=[0.4, 0.6, 0.8],
        memory_total_bytes=16 * GB,
        memory_available_bytes=10 * GB,
        memory_limited=False,
        swap_total_bytes=4 * GB,
        swap_used_bytes=0,
        disks=list(disks) or [disk()],
        processes=212,
        zombies=0,
        by_memory=[
            Program(name="postgres", count=14, memory_bytes=3 * GB, cpu_percent=4.2),
            Program(name="gunicorn", count=9, memory_bytes=GB, cpu_percent=31.0),
            Program(name="redis-server", count=1, memory_bytes=GB // 3, cpu_percent=0.8),
        ],
        by_cpu=[
            Program(name="gunicorn", count=9, memory_bytes=GB, cpu_percent=31.0),
            Program(name="postgres", count=14, memory_bytes=3 * GB, cpu_percent=4.2),
        ],
    )


def packages(*waiting: Package) -> Packages:
    """Give a package manager whose lists are fresh."""
    return Packages(
        manager="apt-get",
        waiting=list(waiting),
        refreshed_at="2026-11-23T05:12:00+00:00",
        reboot=False,
        reboot_for=[],
    )


def journal(*groups: ErrorGroup) -> Journal:
    """Give a journal with these groups."""
    return Journal(
        since="2026-11-22T00:00:00+00:00",
        total=sum(group["count"] for group in groups),
        cut=False,
        limits="",
        groups=list(groups),
    )


def errors(source: str, message: str, count: int = 1, priority: int = 3) -> ErrorGroup:
    """Give a group of journal entries."""
    return ErrorGroup(
        source=source,
        message=message,
        count=count,
        priority=priority,
        first="2026-11-22T02:00:00+00:00",
        last="2026-11-23T06:58:00+00:00",
    )


def store(*workflows: WorkflowDay) -> StoreDay:
    """Give a store's last day without failures or retries."""
    return StoreDay(
        since="2026-11-22T07:00:00.000Z",
        runs=sum(one["runs"] for one in workflows),
        retries=0,
        workflows=list(workflows),
        failures=[],
        slowest=[],
    )


def workflow_day(workflow: str, last_status: str = "ok", failed: int = 0) -> WorkflowDay:
    """Give three runs of a workflow."""
    return WorkflowDay(
        workflow=workflow,
        runs=3,
        ok=3 - failed,
        failed=failed,
        last_status=last_status,
        seconds=75.0,
    )


def figures(
    day: str, used_bytes: int = 40 * GB, mount: str = "/", **changed: int | None
) -> Figures:
    """Give a day's figures, measured at seven."""
    made = Figures(
        date=day,
        measured_at=f"{day}T07:00:00+00:00",
        host="web1",
        disks={
            mount: {
                "used_bytes": used_bytes,
                "total_bytes": 100 * GB,
                "used_percent": round(used_bytes / GB, 1),
            }
        },
        memory_percent=37.5,
        load_per_core=0.2,
        updates=0,
        failed_units=0,
        journal_errors=0,
        runs=3,
        failed_runs=0,
        findings=0,
    )
    made.update(changed)  # type: ignore[typeddict-item]
    return made


def day(*findings: Finding, **changed: object) -> Day:
    """Give a day on which all was looked at and nothing was wrong but `findings`."""
    made = Day(
        date="2026-11-23",
        measured_at=MEASURED_AT,
        name="web1",
        run=418,
        host=host(),
        packages=packages(),
        services=Services(state="running", failed=[]),
        journal=journal(),
        store=store(workflow_day("sales")),
        skipped={},
        findings=list(findings),
        figures=figures("2026-11-23"),
        before=None,
        growth=[],
    )
    made.update(changed)  # type: ignore[typeddict-item]
    return made


def bad_day() -> Day:
    """Give a day with something in every section."""
    from datetime import datetime

    from pipelines._daily import findings

    machine = host(disk("/", 61.0), disk("/srv", 96.2, None), disk("/var/log", 86.0))
    machine["memory_available_bytes"] = GB
    machine["swap_used_bytes"] = 3 * GB
    waiting = packages(
        Package(name="openssl", old="3.0.14-1", new="3.0.15-1", security=True),
        Package(name="curl", old="7.88.1-10", new="7.88.1-11", security=False),
    )
    units = Services(
        state="degraded",
        failed=[
            Unit(
                name="certbot.service",
                description="Renew certificates",
                result="exit-code",
                since="Mon 2026-11-23 03:12:44 UTC",
            )
        ],
    )
    said = journal(
        errors("sshd", "error: kex_exchange_identification: Connection closed by 203.0.113.9", 37),
        errors("kernel", "Out of memory: Killed process 4121 (gunicorn) total-vm:2118200kB"),
    )
    runs = store(workflow_day("sales", "failed", 1), workflow_day("invoices", failed=1))
    runs["retries"] = 6
    runs["failures"] = [
        Failure(
            run=411,
            workflow="sales",
            step="fetch",
            error="FileNotFoundError: sales-2026-11-22.csv is not there",
        )
    ]
    runs["slowest"] = [
        SlowStep(run=412, workflow="invoices", step="render", duration_s=61.0, typical_s=12.0)
    ]
    growth = [
        Growth(
            mount="/srv",
            bytes_per_day=2 * GB,
            days_until_full=1.9,
            span_days=6.0,
            used=[int(GB * share) for share in (84.0, 86.1, 88.0, 90.3, 92.0, 94.4, 96.2)],
        )
    ]
    found = order(
        [
            *findings.of_host(machine),
            *findings.of_growth(growth),
            *findings.of_services(units),
            *findings.of_store(runs),
            *findings.of_packages(waiting, datetime.fromisoformat(MEASURED_AT)),
            *findings.of_journal(said),
        ]
    )
    now = figures(
        "2026-11-23", int(96.2 * GB), "/srv", updates=2, failed_units=1, journal_errors=38
    )
    return day(
        *found,
        host=machine,
        packages=waiting,
        services=units,
        journal=said,
        store=runs,
        growth=growth,
        figures=now,
        before=figures("2026-11-22", int(94.4 * GB), "/srv", updates=1, journal_errors=12),
    )


def backup() -> Backup:
    """Give what the backup step made."""
    return Backup(
        archive="/srv/kahnban/var/backups/daily-2026-11-23.tar.gz",
        sha256="0" * 64,
        size_bytes=5 << 20,
        files=3,
        store=True,
        left_out=[],
    )
