"""Calls of systemctl and loginctl, each with a time limit and its error told."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

from engine.errors import EngineError

LIMIT_S = 30.0


class NoSystemd(EngineError):
    """No systemd answers on this machine, or not to this user."""


class SystemdFailed(EngineError):
    """systemd refused what it was asked for."""


def reachable(*, system: bool) -> str:
    """Say why systemd cannot be asked; nothing if it can."""
    try:
        _call(_systemctl(system, "show", "--property=Version"))
    except SystemdFailed as error:
        return error.message
    return ""


def systemctl(*words: str, system: bool) -> None:
    """Have systemd do something; raises `SystemdFailed` with what it says."""
    _call(_systemctl(system, *words))


def is_enabled(unit: str, *, system: bool) -> bool:
    """Say whether a timer is enabled and waits for its time."""
    try:
        _call(_systemctl(system, "is-enabled", "--quiet", unit))
        _call(_systemctl(system, "is-active", "--quiet", unit))
    except SystemdFailed:
        return False
    return True


def needs_reload(units: Sequence[str], *, system: bool) -> bool:
    """Say whether systemd still goes by what units said before they were changed."""
    try:
        words = ("show", "--property=NeedDaemonReload", "--", *units)
        return "NeedDaemonReload=yes" in _call(_systemctl(system, *words)).split()
    except SystemdFailed:
        return False


def lingers(user: str) -> bool:
    """Say whether the user's own systemd goes on while they are logged out."""
    try:
        said = _call(["loginctl", "show-user", "--property=Linger", "--", user])
    except SystemdFailed:  # not logged in, and so known only if it lingers
        return False
    return "Linger=yes" in said.split()


def _systemctl(system: bool, *words: str) -> list[str]:  # noqa: FBT001 - handed through
    return ["systemctl", *(() if system else ("--user",)), "--no-pager", *words]


def _call(command: Sequence[str]) -> str:
    told = " ".join(command).replace(" --no-pager", "")
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=LIMIT_S,
            check=False,
        )
    except OSError as error:
        raise SystemdFailed(f"'{told}': {error.strerror}") from error
    except subprocess.TimeoutExpired as error:
        raise SystemdFailed(f"'{told}' gave no answer within {LIMIT_S:g} s") from error
    if done.returncode:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
        why = lines[-1] if lines else f"it ended with {done.returncode}"
        raise SystemdFailed(f"'{told}': {why}")
    return done.stdout.decode("utf-8", "replace")
