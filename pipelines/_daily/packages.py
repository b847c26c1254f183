"""Packages waiting for an update, from what the package manager already knows.

Nothing here asks the network, takes a lock or changes a file of the package manager's.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from engine import Skip
from pipelines._daily.shapes import Package, Packages
from pipelines._machine.commands import have, look

APT_LISTS = Path("/var/lib/apt/lists")
APT_STAMP = Path("/var/lib/apt/periodic/update-success-stamp")
# Even a simulation takes a lock, writes its cache anew and logs its plan, if it may.
APT_OPTIONS = (
    "Debug::NoLocking=true",
    "Dir::Cache::pkgcache=",
    "Dir::Cache::srcpkgcache=",
    "Dir::Log::Planner=",
)
REBOOT = Path("/run/reboot-required")
REBOOT_FOR = Path("/run/reboot-required.pkgs")


def measure() -> Packages:
    """Ask the first package manager of this machine; skips where there is none."""
    manager = next((one for one in MANAGERS if have(one.program)), None)
    if manager is None:
        names = ", ".join(one.program for one in MANAGERS)
        raise Skip(f"no package manager that can be asked ({names})")
    stamps = [stamp for path in manager.stamps if (stamp := _changed_at(path)) is not None]
    if manager.lists is not None and not any(manager.lists.glob("*_Packages*")):
        raise Skip("apt has no package lists; run 'apt-get update' once")
    text, _ = look(manager.command, ok=manager.ok)
    return Packages(
        manager=manager.program,
        waiting=manager.parse(text),
        refreshed_at=max(stamps).isoformat(timespec="seconds") if stamps else None,
        reboot=REBOOT.exists(),
        reboot_for=_reboot_for(),
    )


_INST = re.compile(r"Inst (?P<name>\S+) \[(?P<old>[^\]]+)\] \((?P<new>\S+)(?P<origin>[^)]*)\)")


def parse_apt(text: str) -> list[Package]:
    """Read what `apt-get -s dist-upgrade` would do; packages that would be new are not waiting."""
    waiting = [
        Package(
            name=found["name"],
            old=found["old"],
            new=found["new"],
            security="security" in found["origin"].lower(),
        )
        for found in map(_INST.match, text.splitlines())
        if found
    ]
    return _ordered(waiting)


def parse_dnf(text: str) -> list[Package]:
    """Read `dnf -C check-update`: name.arch, version, repository; obsoletes are left out."""
    waiting = []
    for line in text.partition("Obsoleting Packages")[0].splitlines():
        words = line.split()
        if len(words) == 3 and "." in words[0]:
            name = words[0].rpartition(".")[0]
            waiting.append(Package(name=name, old="", new=words[1], security=False))
    return _ordered(waiting)


_PACMAN = re.compile(r"(?P<name>\S+) (?P<old>\S+) -> (?P<new>\S+)(?! \[ignored\])\s*$")


def parse_pacman(text: str) -> list[Package]:
    """Read `pacman -Qu`: name, old -> new; ignored packages are left out."""
    found = map(_PACMAN.match, text.splitlines())
    return _ordered(
        [
            Package(name=one["name"], old=one["old"], new=one["new"], security=False)
            for one in found
            if one
        ]
    )


def _ordered(waiting: list[Package]) -> list[Package]:
    return sorted(waiting, key=lambda package: (not package["security"], package["name"]))


class Manager(NamedTuple):
    """How one package manager is asked; `ok` are the exit codes of an answer."""

    program: str
    command: tuple[str, ...]
    parse: Callable[[str], list[Package]]
    ok: tuple[int, ...] = (0,)
    stamps: tuple[Path, ...] = ()
    lists: Path | None = None


MANAGERS = (
    Manager(
        "apt-get",
        ("apt-get", "-s", *(word for one in APT_OPTIONS for word in ("-o", one)), "dist-upgrade"),
        parse_apt,
        stamps=(APT_LISTS, APT_LISTS / "partial", APT_STAMP),
        lists=APT_LISTS,
    ),
    Manager("dnf", ("dnf", "-C", "-q", "check-update"), parse_dnf, ok=(0, 100)),
    Manager(
        "pacman",
        ("pacman", "-Qu"),
        parse_pacman,
        ok=(0, 1),  # 1: nothing to update
        stamps=(Path("/var/lib/pacman/sync"),),
    ),
)


def _changed_at(path: Path) -> datetime | None:
    try:
        return datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except OSError:
        return None


def _reboot_for() -> list[str]:
    try:
        lines = REBOOT_FOR.read_text("utf-8", "replace").splitlines()
    except OSError:
        return []
    return sorted({line.strip() for line in lines if line.strip()})
