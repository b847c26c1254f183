"""What the steps hand to each other: plain dicts, so that the store keeps them as JSON."""

from __future__ import annotations

from typing import TypedDict

from pipelines._machine.disks import Disk
from pipelines._machine.findings import Finding
from pipelines._machine.growth import Growth


class Program(TypedDict):
    """All processes of one name together; 100 % of CPU is one core."""

    name: str
    count: int
    memory_bytes: int
    cpu_percent: float


class Host(TypedDict):
    """The machine at one moment."""

    name: str
    system: str
    kernel: str
    measured_at: str
    up_s: float
    cores: float
    load: list[float]
    memory_total_bytes: int
    memory_available_bytes: int
    memory_limited: bool
    swap_total_bytes: int
    swap_used_bytes: int
    disks: list[Disk]
    processes: int
    zombies: int
    by_memory: list[Program]
    by_cpu: list[Program]


class Package(TypedDict):
    """A package that an update waits for."""

    name: str
    old: str
    new: str
    security: bool


class Packages(TypedDict):
    """What the package manager knows without asking the network."""

    manager: str
    waiting: list[Package]
    refreshed_at: str | None
    reboot: bool
    reboot_for: list[str]


class Unit(TypedDict):
    """A failed systemd unit."""

    name: str
    description: str
    result: str
    since: str


class Services(TypedDict):
    """The state of systemd as a whole and the units it calls failed."""

    state: str
    failed: list[Unit]


class ErrorGroup(TypedDict):
    """Journal entries of one source that differ only in numbers."""

    source: str
    message: str
    count: int
    priority: int
    first: str
    last: str


class Journal(TypedDict):
    """Errors in the journal; `limits` says what this user could not see."""

    since: str
    total: int
    cut: bool
    limits: str
    groups: list[ErrorGroup]


class WorkflowDay(TypedDict):
    """The last day of one workflow."""

    workflow: str
    runs: int
    ok: int
    failed: int
    last_status: str
    seconds: float


class Failure(TypedDict):
    """A step that failed for good."""

    run: int
    workflow: str
    step: str
    error: str


class SlowStep(TypedDict):
    """One of the longest steps; `typical_s` is the median of its earlier successes."""

    run: int
    workflow: str
    step: str
    duration_s: float
    typical_s: float | None


class StoreDay(TypedDict):
    """What our own store says about the last day."""

    since: str
    runs: int
    retries: int
    workflows: list[WorkflowDay]
    failures: list[Failure]
    slowest: list[SlowStep]


class DiskFigures(TypedDict):
    """What is remembered of a disk."""

    used_bytes: int
    total_bytes: int
    used_percent: float


class Figures(TypedDict):
    """A day's numbers, kept to compare later days with; None where nobody looked."""

    date: str
    measured_at: str
    host: str
    disks: dict[str, DiskFigures]
    memory_percent: float | None
    load_per_core: float | None
    updates: int | None
    failed_units: int | None
    journal_errors: int | None
    runs: int | None
    failed_runs: int | None
    findings: int


class Day(TypedDict):
    """Everything a report shows."""

    date: str
    measured_at: str
    name: str
    run: int
    host: Host | None
    packages: Packages | None
    services: Services | None
    journal: Journal | None
    store: StoreDay | None
    skipped: dict[str, str]
    findings: list[Finding]
    figures: Figures
    before: Figures | None
    growth: list[Growth]


class Backup(TypedDict):
    """What the backup step made."""

    archive: str
    sha256: str
    size_bytes: int
    files: int
    store: bool
    left_out: list[str]
