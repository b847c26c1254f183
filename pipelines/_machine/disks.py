"""File systems that can fill up, each once."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, TypedDict

# Images that are full by design, and views of other file systems.
NOT_A_DISK = frozenset({"squashfs", "iso9660", "udf", "erofs", "cramfs", "autofs", "tmpfs"})


class Disk(TypedDict):
    """One file system; `inodes_percent` is None where it has no fixed number of inodes."""

    mount: str
    device: str
    kind: str
    total_bytes: int
    used_bytes: int
    free_bytes: int
    used_percent: float
    inodes_percent: float | None


class Mount(NamedTuple):
    """A place at which a file system is mounted."""

    path: str
    device: str
    kind: str


def measure(home: Path) -> list[Disk]:
    """Give each file system once, by its shortest mount point, in the order of their paths."""
    found: dict[str, Disk] = {}
    for mount in mounts(home):
        # The subvolumes of btrfs look like file systems of their own, and share all their room.
        key = mount.device if mount.kind == "btrfs" else mount.path
        try:
            disk = _disk(*mount)
        except OSError:
            continue
        if disk:
            found.setdefault(key, disk)
    return sorted(found.values(), key=lambda disk: disk["mount"])


def mounts(home: Path) -> list[Mount]:
    """Give where disks are mounted, the shortest path first, and each place once."""
    import psutil

    found = [Mount(part.mountpoint, part.device, part.fstype) for part in psutil.disk_partitions()]
    known = {mount.path for mount in found}
    # A container's root and a home on a network disk are no "physical" partitions.
    every = {part.mountpoint: part for part in psutil.disk_partitions(all=True)}
    wanted = {"/", _mount_of(home)}
    for path in sorted(wanted - known):
        if part := every.get(path):
            found.append(Mount(path, part.device, part.fstype))
    once: dict[int, Mount] = {}
    for mount in sorted(found, key=lambda one: (len(one.path), one.path)):
        if mount.kind in NOT_A_DISK and mount.path not in wanted:
            continue
        with suppress(OSError):
            if Path(mount.path).is_dir():  # containers mount single files
                once.setdefault(Path(mount.path).stat().st_dev, mount)
    return list(once.values())


def _disk(mount: str, device: str, kind: str) -> Disk | None:
    facts = os.statvfs(mount)
    total = facts.f_blocks * facts.f_frsize
    if not total:
        return None
    free = facts.f_bavail * facts.f_frsize
    used = total - facts.f_bfree * facts.f_frsize
    inodes = 100 * (facts.f_files - facts.f_ffree) / facts.f_files if facts.f_files else None
    return Disk(
        mount=mount,
        device=device,
        kind=kind,
        total_bytes=total,
        used_bytes=used,
        free_bytes=free,
        # Of what a plain user can have: the share kept back for root is neither used nor free.
        used_percent=round(100 * used / (used + free), 1) if used + free else 100.0,
        inodes_percent=None if inodes is None else round(inodes, 1),
    )


def _mount_of(path: Path) -> str:
    place = path.resolve()
    while not os.path.ismount(place):
        place = place.parent
    return str(place)
