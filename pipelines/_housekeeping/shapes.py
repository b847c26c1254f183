"""What the steps hand to each other: plain dicts, so that the store keeps them as JSON."""

from __future__ import annotations

from typing import TypedDict

from pipelines._machine.disks import Disk
from pipelines._machine.growth import Growth


class Disks(TypedDict):
    """All file systems, and where those with enough earlier figures are heading."""

    measured_at: str
    disks: list[Disk]
    growth: list[Growth]


class LargeFile(TypedDict):
    """A file, by the room it takes on its disk."""

    path: str
    size_bytes: int
    changed_at: str


class LargeFiles(TypedDict):
    """The largest of the files found, how many there are in all, and how far the look went.

    `unread` folders could not be opened; `left` were not reached within the bounds.
    """

    roots: list[str]
    files: list[LargeFile]
    count: int
    total_bytes: int
    looked_at: int
    unread: int
    left: int


class Tries(TypedDict):
    """Failed logins as one user from one address, or through one program of this machine."""

    user: str
    source: str
    count: int
    came_in: bool


class Logins(TypedDict):
    """Failed logins, most first; `cut` says that there were more than were read."""

    log: str
    since: str
    total: int
    sources: int
    tries: list[Tries]
    cut: bool


class Found(TypedDict):
    """Files that may be certificates, `named` by servers; `unread` could not be looked into."""

    count: int
    paths: list[str]
    named: list[str]
    unread: list[str]


class Certificate(TypedDict):
    """A certificate in a file, and when it expires."""

    path: str
    subject: str
    expires_at: str
    days_left: float


class Certificates(TypedDict):
    """Certificates, the first to expire first; `unread` are files that are gone or are closed.

    `broken` are files that servers use as certificates, and that hold none.
    """

    certificates: list[Certificate]
    broken: list[str]
    unread: list[str]
