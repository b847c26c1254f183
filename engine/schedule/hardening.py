"""What a workflow may ask systemd to keep its steps from: by words, each a few lines of a unit."""

from __future__ import annotations

from collections.abc import Sequence

from engine.schedule.calendar import ScheduleRefused

STRICT = "strict"
_READ_ONLY = "read-only"
_TEMPORARY = ("-/tmp", "-/var/tmp")  # `-`: if it is there
# By word: why, the settings, and whether the user's own systemd can do it too.
_PARTS: dict[str, tuple[str, tuple[str, ...], bool]] = {
    "no-new-privileges": (
        "no step gains rights: sudo, ping and the like stop working",
        ("NoNewPrivileges=yes", "RestrictSUIDSGID=yes"),
        True,
    ),
    _READ_ONLY: (
        "steps write below the project, the home and the folders for temporary files only",
        ("ProtectSystem=strict",),
        False,
    ),
    "private-tmp": ("temporary files go as the run ends", ("PrivateTmp=yes",), False),
    "private-devices": ("no disks and other hardware in /dev", ("PrivateDevices=yes",), False),
    "kernel": (
        "the kernel's settings, modules and log, the control groups and the clock stay as they are",
        (
            "ProtectKernelTunables=yes",
            "ProtectKernelModules=yes",
            "ProtectKernelLogs=yes",
            "ProtectControlGroups=yes",
            "ProtectClock=yes",
        ),
        False,
    ),
    "sockets": (
        "sockets are those of IP, of this machine, and those that ask for its network's state",
        ("RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK",),
        True,
    ),
    "syscalls": (
        "system calls that services have no use for fail: mounting, rebooting, debugging",
        (
            "SystemCallFilter=@system-service",
            "SystemCallErrorNumber=EPERM",
            "SystemCallArchitectures=native",
            "LockPersonality=yes",
            "RestrictRealtime=yes",
        ),
        True,
    ),
}
WORDS = tuple(_PARTS)


def read_hardening(text: str) -> tuple[str, ...]:
    """Read words with spaces between; `strict` is all. Raises `ScheduleRefused` for another."""
    words = text.split()
    for word in words:
        if word not in (*WORDS, STRICT):
            raise ScheduleRefused(
                f"'{word}' is none of its words", f"give {STRICT}, or some of: {' '.join(WORDS)}"
            )
    return tuple(word for word in WORDS if word in words or STRICT in words)


def hardened(words: Sequence[str], writable: Sequence[str], *, system: bool) -> str:
    """Give the lines of a service, each part explained; `writable` are folders, quoted."""
    lines: list[str] = []
    for word in words:
        why, settings, for_users = _PARTS[word]
        if not (system or for_users):
            lines.append(f"# {word} is left out: only the machine's systemd can do it.")
            continue
        lines += [f"# {word}: {why}.", *settings]
        if word == _READ_ONLY:
            lines.append(f"ReadWritePaths={' '.join((*writable, *_TEMPORARY))}")
    return "".join(f"{line}\n" for line in lines)
