"""From measurements to findings: what is wrong, how wrong, and what to do about it.

Every limit stands in `LIMITS` below; a value at a limit counts as past it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from pipelines._daily.shapes import Host, Journal, Packages, Services, StoreDay
from pipelines._daily.trend import memory_percent, swap_percent
from pipelines._machine import units
from pipelines._machine.findings import (
    DAYS_UNTIL_FULL,
    INODES_PERCENT,
    SPACE_PERCENT,
    Finding,
    Limits,
    Measure,
    judge,
    of_disk,
    of_growing,
)
from pipelines._machine.growth import Growth

LIMITS = {
    "disk_percent": SPACE_PERCENT,
    "inodes_percent": INODES_PERCENT,
    "days_until_full": DAYS_UNTIL_FULL,
    "memory_percent": Limits(85, 92, 97),  # not available to a new program
    "swap_percent": Limits(50, 80, None),  # full swap slows, it does not stop
    "load_per_core": Limits(1.0, 2.0, 4.0),  # the 15-minute load: a short burst is no finding
    "up_days": Limits(180, None, None),  # kernel updates have not come into force since
    "zombies": Limits(20, 200, None),
    "updates": Limits(1, None, None),
    "security_updates": Limits(None, 1, None),
    "lists_age_days": Limits(7, 30, None),  # older lists know of fewer updates
    "failed_units": Limits(None, 1, None),
    "journal_errors": Limits(10, 200, None),
    "oom_kills": Limits(None, 1, None),
    "grave_entries": Limits(None, 1, None),  # priority 0 to 2: emergency, alert, critical
    "failed_runs": Limits(None, 1, None),  # workflows whose last run did not end well
    "recovered_runs": Limits(1, None, None),
    "retries": Limits(5, 50, None),
    "times_typical": Limits(3.0, None, None),
}
SLOW_S = 10.0  # a step that takes less is never called slow
GRAVE = 2


def _judge(  # noqa: PLR0913 - a finding has that many parts
    limit: str, value: float, shown: str, *, what: str, where: str, todo: str, unit: str = ""
) -> Iterator[Finding]:
    measure = Measure(LIMITS[limit], value, shown, unit)
    yield from judge(measure, what=what, where=where, todo=todo)


def of_host(host: Host) -> Iterator[Finding]:
    """Judge disks, memory, load and uptime."""
    for disk in host["disks"]:
        yield from of_disk(disk)
    heavy = units.names([program["name"] for program in host["by_memory"]], 3)
    percent = memory_percent(host)
    yield from _judge(
        "memory_percent",
        percent,
        units.percent(percent),
        what="memory is nearly used up",
        where=host["name"],
        todo=f"stop or limit the heaviest programs: {heavy or 'see top'}",
        unit=" %",
    )
    percent = swap_percent(host)
    yield from _judge(
        "swap_percent",
        percent,
        units.percent(percent),
        what="much memory has been swapped out",
        where=host["name"],
        todo=f"look for programs that have grown: {heavy or 'see top'}",
        unit=" %",
    )
    per_core = host["load"][2] / max(host["cores"], 0.01)
    busy = units.names([program["name"] for program in host["by_cpu"]], 3)
    yield from _judge(
        "load_per_core",
        round(per_core, 2),
        f"{host['load'][2]:.1f} on {units.several_cores(host['cores'])}",
        what="more work than the machine can do",
        where=host["name"],
        todo=f"see what keeps it busy: {busy or 'top, iotop'}",
        unit=" a core",
    )
    up_days = host["up_s"] / units.DAY_S
    yield from _judge(
        "up_days",
        up_days,
        units.span(host["up_s"]),
        what="not restarted for long",
        where=host["name"],
        todo="plan a restart: kernel updates come into force only then",
        unit=" days",
    )
    yield from _judge(
        "zombies",
        host["zombies"],
        units.several(host["zombies"], "process", "processes"),
        what="ended processes that their parents do not collect",
        where=host["name"],
        todo="find the parents with: ps -eo ppid,stat,comm | grep ' Z'",
    )


def of_growth(growth: list[Growth]) -> Iterator[Finding]:
    """Judge where the disks are heading."""
    for one in growth:
        yield from of_growing(one)


def of_packages(packages: Packages, now: datetime) -> Iterator[Finding]:
    """Judge what waits for an update."""
    manager = packages["manager"]
    secure = [one["name"] for one in packages["waiting"] if one["security"]]
    rest = len(packages["waiting"]) - len(secure)
    others = f", and {units.several(rest, 'other update')}" if rest else ""
    todo = UPDATE.get(manager, "install the updates")
    yield from _judge(
        "security_updates",
        len(secure),
        units.several(len(secure), "package") + others,
        what=f"security updates wait: {units.names(secure)}",
        where=manager,
        todo=todo,
    )
    if not secure:
        yield from _judge(
            "updates",
            rest,
            units.several(rest, "package"),
            what="updates wait",
            where=manager,
            todo=todo,
        )
    if packages["refreshed_at"]:
        age_s = (now - datetime.fromisoformat(packages["refreshed_at"])).total_seconds()
        yield from _judge(
            "lists_age_days",
            age_s / units.DAY_S,
            units.days(age_s / units.DAY_S),
            what="the package lists are old; there may be more updates",
            where=manager,
            todo=REFRESH.get(manager, "refresh the package lists"),
            unit=" days",
        )
    if packages["reboot"]:
        wanting = units.names(packages["reboot_for"])
        yield Finding(
            severity="notice",
            what="a restart is pending" + (f" for {wanting}" if wanting else ""),
            where=manager,
            value="required",
            threshold="none",
            todo="restart the machine when it suits",
        )


UPDATE = {
    "apt-get": "sudo apt-get update && sudo apt-get dist-upgrade",
    "dnf": "sudo dnf upgrade",
    "pacman": "sudo pacman -Syu",
}
REFRESH = {
    "apt-get": "sudo apt-get update",
    "dnf": "sudo dnf makecache",
    "pacman": "sudo pacman -Sy",
}


def of_services(services: Services) -> Iterator[Finding]:
    """Judge each failed unit by itself: each wants its own repair."""
    for unit in services["failed"]:
        yield from _judge(
            "failed_units",
            1,
            unit["result"] or "failed",
            what="a unit has failed" + (f": {unit['description']}" if unit["description"] else ""),
            where=unit["name"],
            todo=f"read: systemctl status {unit['name']}; journalctl -u {unit['name']} -e",
        )


def of_journal(journal: Journal) -> Iterator[Finding]:
    """Judge the errors of the journal: memory kills, grave entries, and sheer number."""
    kills = [one for one in journal["groups"] if "killed process" in one["message"].lower()]
    number = sum(one["count"] for one in kills)
    yield from _judge(
        "oom_kills",
        number,
        units.several(number, "time"),
        what="the kernel killed programs for want of memory",
        where="journal",
        todo="read: journalctl -k -g 'Killed process'; give them more memory or a limit",
    )
    for one in journal["groups"]:
        if one["priority"] <= GRAVE and one not in kills:
            yield from _judge(
                "grave_entries",
                one["count"],
                units.several(one["count"], "time"),
                what=f"a grave message: {one['message'][:120]}",
                where=one["source"],
                todo=f"read: journalctl -p crit -t {one['source']} -S yesterday",
            )
    first = journal["groups"][0]["source"] if journal["groups"] else ""
    yield from _judge(
        "journal_errors",
        journal["total"],
        units.several(journal["total"], "entry", "entries")
        + (" or more" if journal["cut"] else ""),
        what="errors in the journal",
        where=f"most from {first}" if first else "journal",
        todo="see them grouped below",
    )


def of_store(store: StoreDay) -> Iterator[Finding]:
    """Judge the last day's runs."""
    for day in store["workflows"]:
        name, bad = day["workflow"], day["last_status"] in {"failed", "interrupted"}
        yield from _judge(
            "failed_runs",
            int(bad),
            day["last_status"],
            what="the last run did not end well",
            where=name,
            todo=f"read: python -m engine show {name}",
        )
        yield from _judge(
            "recovered_runs",
            0 if bad else day["failed"],
            units.several(day["failed"], "run"),
            what="runs failed; the last one is well",
            where=name,
            todo=f"read: python -m engine history {name} --failed",
        )
    yield from _judge(
        "retries",
        store["retries"],
        units.several(store["retries"], "retry", "retries"),
        what="steps had to be tried again",
        where="workflows",
        todo="see which: python -m engine history --since 1d",
    )
    for step in store["slowest"]:
        typical = step["typical_s"]
        if typical and step["duration_s"] >= SLOW_S:
            times = step["duration_s"] / typical
            yield from _judge(
                "times_typical",
                times,
                f"{units.span(step['duration_s'])}, typically {units.span(typical)}",
                what="a step took far longer than it does",
                where=f"{step['workflow']} / {step['step']}",
                todo=f"read: python -m engine show {step['run']}",
                unit=" × typical",
            )
