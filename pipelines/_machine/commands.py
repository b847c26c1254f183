"""Run another program for a look at the machine: no shell, a time limit, the C locale."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence

from engine import Skip

LIMIT_S = 25.0
SBIN = ("/usr/sbin", "/sbin", "/usr/local/sbin")


def have(program: str) -> bool:
    """Tell whether `program` can be found, also in the folders that only root's PATH names."""
    return shutil.which(program, path=_path()) is not None


def look(words: Sequence[str], *, ok: Sequence[int] = (0,)) -> tuple[str, str]:
    """Run a command that only looks, and give its standard output and error.

    A program that is missing, too slow or unwilling is no failure of the report: the source is
    skipped, and the reason names the program.
    """
    program = words[0]
    if not have(program):
        raise Skip(f"no {program} on this machine")
    environment = {**os.environ, "LC_ALL": "C", "LANGUAGE": "C", "PATH": _path()}
    try:
        done = subprocess.run(
            list(words),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=LIMIT_S,
            env=environment,
            cwd="/",
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise Skip(f"{program} gave no answer within {LIMIT_S:g} s") from None
    except OSError as error:
        raise Skip(f"{program} cannot be started: {error.strerror or error}") from None
    out, err = (stream.decode("utf-8", "replace") for stream in (done.stdout, done.stderr))
    if done.returncode not in ok:
        raise Skip(f"{program} failed: {first_line(err) or f'exit code {done.returncode}'}")
    return out, err


def first_line(text: str) -> str:
    """Give the first line that says something, at most 200 characters of it."""
    for line in text.splitlines():
        if line.strip():
            return line.strip()[:200]
    return ""


def _path() -> str:
    known = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return os.pathsep.join([*known, *(folder for folder in SBIN if folder not in known)])
