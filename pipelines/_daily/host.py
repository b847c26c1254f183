"""The machine itself: disks, memory, load, uptime, and the heaviest programs."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipelines._daily.shapes import Host, Program
from pipelines._machine import disks

SAMPLE_S = 0.4  # long enough for clock ticks of 10 ms to show who is busy, short enough to wait for
TOP = 6
CGROUP = Path("/sys/fs/cgroup")
MEMORY_UNLIMITED = 1 << 60


def measure(home: Path) -> Host:
    """Measure the machine; `home` is a folder whose disk is shown whatever it is."""
    import psutil

    programs, processes, zombies = _programs()
    memory, swap = psutil.virtual_memory(), psutil.swap_memory()
    total, available, limited = memory_within(
        memory.total, memory.available, _cgroup_texts("memory.max", "memory.current", "memory.stat")
    )
    cores = cores_within(len(os.sched_getaffinity(0)), _cgroup_texts("cpu.max").get("cpu.max", ""))
    return Host(
        name=platform.node() or "this machine",
        system=_system(),
        kernel=platform.release(),
        measured_at=datetime.now(UTC).isoformat(timespec="seconds"),
        up_s=max(0.0, time.time() - psutil.boot_time()),
        cores=cores,
        load=[round(value, 2) for value in os.getloadavg()],
        memory_total_bytes=total,
        memory_available_bytes=available,
        memory_limited=limited,
        swap_total_bytes=swap.total,
        swap_used_bytes=swap.used,
        disks=disks.measure(home),
        processes=processes,
        zombies=zombies,
        by_memory=top(programs, "memory_bytes"),
        by_cpu=[p for p in top(programs, "cpu_percent") if p["cpu_percent"] >= 1],
    )


def memory_within(total: int, available: int, cgroup: Mapping[str, str]) -> tuple[int, int, bool]:
    """Give (total, available, limited): a container's own limit where that is the smaller one.

    Of what the container uses, the file cache that nobody has open counts as available.
    """
    try:
        limit = int(cgroup.get("memory.max", ""))
        used = int(cgroup["memory.current"])
    except (KeyError, ValueError):  # "max": no limit
        return total, available, False
    if limit >= min(total, MEMORY_UNLIMITED):
        return total, available, False
    cache = 0
    for line in cgroup.get("memory.stat", "").splitlines():
        key, _, value = line.partition(" ")
        if key == "inactive_file" and value.strip().isdigit():
            cache = int(value)
    return limit, max(0, min(limit, limit - used + cache)), True


def cores_within(cores: int, cpu_max: str) -> float:
    """Give the number of cores, or a container's share of them (`cpu.max`: quota and period)."""
    quota, _, period = cpu_max.strip().partition(" ")
    if quota.isdigit() and period.isdigit() and int(period):
        return min(float(cores), round(int(quota) / int(period), 2)) or float(cores)
    return float(cores)


def top(programs: Iterable[Program], by: str) -> list[Program]:
    """Give the heaviest programs, heaviest first, equal ones by name."""
    ranked: list[Any] = sorted(programs, key=lambda p: (-p[by], p["name"]))
    return ranked[:TOP]


def group(samples: Iterable[tuple[str, int, float]]) -> list[Program]:
    """Add up (name, memory, cpu) of single processes by name."""
    programs: dict[str, Program] = {}
    for name, memory_bytes, cpu_percent in samples:
        program = programs.setdefault(
            name, Program(name=name, count=0, memory_bytes=0, cpu_percent=0.0)
        )
        program["count"] += 1
        program["memory_bytes"] += memory_bytes
        program["cpu_percent"] = round(program["cpu_percent"] + cpu_percent, 1)
    return list(programs.values())


def _programs() -> tuple[list[Program], int, int]:
    """Sample all processes twice; programs by name, the number of processes and of zombies."""
    import psutil

    def cpu_s(info: Mapping[str, Any]) -> float:
        times = info["cpu_times"]
        return times.user + times.system if times else 0.0

    wanted = ["name", "cpu_times", "memory_info", "status", "create_time"]
    started = time.monotonic()
    earlier = {
        (process.pid, process.info["create_time"]): cpu_s(process.info)
        for process in psutil.process_iter(["cpu_times", "create_time"])
    }
    time.sleep(SAMPLE_S)
    span_s = time.monotonic() - started
    samples, count, zombies = [], 0, 0
    for process in psutil.process_iter(wanted):
        info = process.info
        count += 1
        zombies += info["status"] == psutil.STATUS_ZOMBIE
        key = (process.pid, info["create_time"])
        busy_s = max(0.0, cpu_s(info) - earlier[key]) if key in earlier else 0.0
        memory = info["memory_info"].rss if info["memory_info"] else 0
        if memory or busy_s:  # kernel threads at rest have neither
            samples.append((info["name"] or "?", memory, 100 * busy_s / span_s))
    return group(samples), count, zombies


def _cgroup_texts(*names: str) -> dict[str, str]:
    texts = {}
    for name in names:
        try:
            texts[name] = (CGROUP / name).read_text("utf-8")
        except (OSError, UnicodeDecodeError):
            continue
    return texts


def _system() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", platform.system())
    except OSError:
        return platform.system()
