"""File systems that can fill up, each once."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypedDict

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


def measure(home: Path) -> list[Disk]:
    """Give each file system once, by its shortest mount point, in the order of their paths."""
    import psutil

    found = [(part.mountpoint, part.device, part.fstype) for part in psutil.disk_partitions()]
    known = {mount for mount, _, _ in found}
    # A container's root and a home on a network disk are no "physical" partitions.
    every = {part.mountpoint: part for part in psutil.disk_partitions(all=True)}
    for mount in ("/", _mount_of(home)):
        if mount not in known and (part := every.get(mount)):
            found.append((mount, part.device, part.fstype))
    found_disks: dict[int, Disk] = {}
    for mount, device, kind in sorted(found, key=lambda one: (len(one[0]), one[0])):
        if kind in NOT_A_DISK and mount not in {"/", _mount_of(home)}:
            continue
        try:
            number, disk = Path(mount).stat().st_dev, _disk(mount, device, kind)
        except OSError:
            continue
        if disk and Path(mount).is_dir():  # containers mount single files
            found_disks.setdefault(number, disk)
    return sorted(found_disks.values(), key=lambda disk: disk["mount"])


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
