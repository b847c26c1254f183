"""Disks: each once, whatever is mounted where."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from pipelines._machine import disks

GB = 1 << 30


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Make a machine with a bind mount, two subvolumes, an image and a single file."""
    parts, numbers = [], {}

    def add(name: str, device: str, kind: str, number: int, *, is_file: bool = False) -> None:
        path = tmp_path / name
        path.touch() if is_file else path.mkdir(exist_ok=True)
        parts.append(SimpleNamespace(mountpoint=str(path), device=device, fstype=kind))
        numbers[str(path)] = number

    add("bound", "/dev/sda1", "ext4", 1)
    add("a", "/dev/sda1", "ext4", 1)
    add("sub-home", "/dev/sdb1", "btrfs", 3)
    add("sub", "/dev/sdb1", "btrfs", 2)
    add("snap", "/dev/loop0", "squashfs", 4)
    add("hosts", "/dev/sdc1", "ext4", 5, is_file=True)
    real = Path.stat

    def stat(path: Path, **rest: Any) -> Any:
        facts = real(path, **rest)
        number = numbers.get(str(path), facts.st_dev)
        return SimpleNamespace(st_dev=number, st_mode=facts.st_mode, st_ino=facts.st_ino)

    def statvfs(_path: str) -> Any:
        return SimpleNamespace(
            f_blocks=100 * GB,
            f_frsize=1,
            f_bavail=15 * GB,
            f_bfree=20 * GB,
            f_files=0,
            f_ffree=0,
        )

    monkeypatch.setattr(psutil, "disk_partitions", lambda **_all: parts)
    monkeypatch.setattr(disks, "_mount_of", lambda _home: str(tmp_path / "a"))
    monkeypatch.setattr(Path, "stat", stat)
    monkeypatch.setattr(os, "statvfs", statvfs)
    return tmp_path


def test_a_place_is_looked_into_once_and_a_disk_shown_once(machine: Path) -> None:
    """A bind mount is the same place; a subvolume is another place on the same disk."""
    places = [Path(mount.path).name for mount in disks.mounts(machine)]
    assert places == ["a", "sub", "sub-home"]
    found = disks.measure(machine)
    assert [Path(disk["mount"]).name for disk in found] == ["a", "sub"]
    # Of 100 GB, 80 are used, and 15 of the rest are for plain users.
    assert {disk["used_percent"] for disk in found} == {84.2}
    assert {disk["inodes_percent"] for disk in found} == {None}
