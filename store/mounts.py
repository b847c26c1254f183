"""On what kind of file system something lies, as the kernel tells it."""

from __future__ import annotations

import os
import re
from pathlib import Path

MOUNTS = Path("/proc/self/mountinfo")

# Locks and mapped memory hold on one machine only, or not at all.
NETWORK = frozenset(
    {
        *("9p", "afs", "beegfs", "ceph", "cifs", "davfs", "gfs2", "gpfs", "lustre", "ncpfs"),
        *("nfs", "nfs4", "ocfs2", "orangefs", "pvfs2", "smb3", "smbfs"),
        *("fuse.ceph", "fuse.davfs2", "fuse.gcsfuse", "fuse.glusterfs", "fuse.goofys"),
        *("fuse.juicefs", "fuse.mount.davfs", "fuse.rclone", "fuse.s3fs", "fuse.sshfs"),
    }
)

_ESCAPE = re.compile(rb"\\([0-7]{3})")


def file_system(path: Path) -> str:
    """Name the type of the file system that a path is on, or would be; empty if not known.

    Where the device is in no mount of its own (btrfs), the nearest mount point above counts.
    """
    place = Path(os.path.realpath(path))
    while True:
        try:
            return of_device(place.stat().st_dev) or _of_folder(place)
        except OSError:  # not there, or not ours to see: the folder it is in tells as much
            if place == place.parent:
                return ""
            place = place.parent


def of_device(device: int) -> str:
    """Name the type of the file system with this device number; empty if it is not known."""
    number = f"{os.major(device)}:{os.minor(device)}"
    return next((kind for found, _, kind in _mounts() if found == number), "")


def _of_folder(place: Path) -> str:
    parts = [b"/", *(part + b"/" for part in _prefixes(os.fsencode(place)))]
    found = {point.rstrip(b"/") + b"/": kind for _, point, kind in _mounts()}
    return next((found[part] for part in reversed(parts) if part in found), "")


def _prefixes(place: bytes) -> list[bytes]:
    names = place.strip(b"/").split(b"/")
    return [b"/" + b"/".join(names[: count + 1]) for count in range(len(names))]


def _mounts() -> list[tuple[str, bytes, str]]:
    """Device number, mount point and type of each mount, the newest first."""
    try:
        lines = MOUNTS.read_bytes().splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        fields = line.split(b" ")
        if b"-" in fields[6:-1]:
            kind = fields[fields.index(b"-", 6) + 1]
            point = _ESCAPE.sub(lambda match: bytes([int(match[1], 8)]), fields[4])
            found.append((fields[2].decode(), point, kind.decode()))
    return found[::-1]
