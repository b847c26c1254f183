"""What a shell step finds in its environment: the values it may read, as KAHNBAN_… variables."""

from __future__ import annotations

import json
import os
import re
from base64 import b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path, PurePath
from typing import Any
from uuid import UUID

from engine.records import record
from engine.workers.procfs import ATTEMPT_VARIABLE, ENGINE_VARIABLE

VALUE_BYTES_MAX = 64 * 1024  # the kernel takes 128 KiB in one string
ALL_BYTES_MAX = 512 * 1024  # the kernel takes 2 MiB of arguments and environment together

CONTEXT_PREFIX = "KAHNBAN_CTX_"
PARAM_PREFIX = "KAHNBAN_PARAM_"
COMMAND_VARIABLE = "KAHNBAN_COMMAND"
_OURS = frozenset(
    {
        "KAHNBAN_RUN_ID",
        "KAHNBAN_WORKFLOW",
        "KAHNBAN_STEP",
        "KAHNBAN_ATTEMPT",
        "KAHNBAN_IDEMPOTENCY_KEY",
        "KAHNBAN_SLOT",
        "KAHNBAN_OUTPUT",
        COMMAND_VARIABLE,
        ENGINE_VARIABLE,
        ATTEMPT_VARIABLE,
        "OUT",
    }
)
_UNFIT = re.compile(r"[^A-Za-z0-9]")


@record
class AttemptFacts:
    """Which attempt a command is run for, and `command`, by which it can call the engine.

    `slot` is when the schedule had its run due, if one did.
    """

    run_id: int
    workflow: str
    step: str
    number: int
    idempotency_key: str
    command: str
    slot: str = ""


@dataclass(slots=True)
class _Variable:
    """A value on its way into the environment."""

    name: str
    said: str  # how a warning names it
    text: str

    def data(self) -> bytes:
        return self.text.encode("utf-8", "surrogateescape")


def build_env(
    base: Mapping[str, str],
    *,
    context: Mapping[str, Any],
    params: Mapping[str, Any],
    spill_dir: Path,
    attempt: AttemptFacts | None = None,
) -> tuple[dict[str, str], list[str]]:
    """Give the environment of a command, and warnings about values that it does not hold.

    A value is its text, else JSON. One that is too big for an environment, or holds NUL, is a file
    (0600) in `spill_dir`, made 0700 if missing and removed by the caller, and `…_FILE` names it.
    Variables of ours in `base`, from a run this one was started by, are not passed on.
    """
    env = {name: text for name, text in base.items() if not _is_ours(name)}
    if attempt is not None:
        env["KAHNBAN_RUN_ID"] = str(attempt.run_id)
        env["KAHNBAN_WORKFLOW"] = attempt.workflow
        env["KAHNBAN_STEP"] = attempt.step
        env["KAHNBAN_ATTEMPT"] = str(attempt.number)
        env["KAHNBAN_IDEMPOTENCY_KEY"] = attempt.idempotency_key
        env[COMMAND_VARIABLE] = attempt.command
        if attempt.slot:
            env["KAHNBAN_SLOT"] = attempt.slot
    warnings: list[str] = []
    found = _variables(CONTEXT_PREFIX, "context value", context, warnings)
    found += _variables(PARAM_PREFIX, "parameter", params, warnings)
    in_files = _spilled(_unambiguous(found, warnings))
    for variable in in_files:
        variable.name += "_FILE"
    in_files_ids = {id(variable) for variable in in_files}
    for variable in _unambiguous(found, warnings):
        if id(variable) in in_files_ids:
            variable.text = _spill(spill_dir, variable.data())
        env[variable.name] = variable.text
    return env, warnings


def _is_ours(name: str) -> bool:
    return name in _OURS or name.startswith((CONTEXT_PREFIX, PARAM_PREFIX))


def _variables(
    prefix: str, kind: str, values: Mapping[str, Any], warnings: list[str]
) -> list[_Variable]:
    """Give the values that have a text; warn of the others."""
    found = []
    for key, value in values.items():
        said = f"{kind} {key!r}"
        try:
            variable = _Variable(prefix + _UNFIT.sub("_", key), said, as_text(value))
            variable.data()
        except (TypeError, ValueError, RecursionError) as error:
            reason = "not UTF-8" if isinstance(error, UnicodeError) else type(value).__name__
            warnings.append(f"{said} is not in the command's environment: no text for {reason}")
        else:
            found.append(variable)
    return found


def _unambiguous(found: list[_Variable], warnings: list[str]) -> list[_Variable]:
    """Take out of `found`, for good, variables that share a name; warn of them."""
    by_name: dict[str, list[_Variable]] = {}
    for variable in found:
        by_name.setdefault(variable.name, []).append(variable)
    for name, same in by_name.items():
        if len(same) > 1:
            names = " and ".join(variable.said for variable in same)
            warnings.append(f"{names} share the variable {name}: it is not set")
    found[:] = [variable for variable in found if len(by_name[variable.name]) == 1]
    return found


def _spilled(found: Iterable[_Variable]) -> list[_Variable]:
    """Choose, in order, those that go into files."""
    in_files = []
    total = 0
    for variable in found:
        size = len(variable.data())
        needed = len(variable.name) + 1 + size + 1
        if size > VALUE_BYTES_MAX or total + needed > ALL_BYTES_MAX or "\0" in variable.text:
            in_files.append(variable)
        else:
            total += needed
    return in_files


def _spill(folder: Path, data: bytes) -> str:
    """Write `data` to a new private file; give its path."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    number = sum(1 for _ in folder.iterdir())
    path = folder.absolute() / f"value-{number}"
    with os.fdopen(os.open(path, flags, 0o600), "wb") as file:
        file.write(data)
    return str(path)


def as_text(value: Any) -> str:
    """Give a value as a command reads it: text as it is, dates and numbers plain, else JSON."""
    if isinstance(value, str):
        return value
    plain = _plain(value)
    if isinstance(plain, str):
        return plain
    return json.dumps(plain, ensure_ascii=False, separators=(",", ":"))


def _plain(value: Any) -> Any:
    """Give `value` in JSON's own types."""
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, date | datetime | time):
        return value.isoformat()
    if isinstance(value, Decimal | PurePath | UUID):
        return str(value)
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, bytes | bytearray):
        return b64encode(value).decode("ascii")
    if isinstance(value, Mapping):
        return {as_text(key): _plain(item) for key, item in value.items()}
    if isinstance(value, set | frozenset):
        return sorted((_plain(item) for item in value), key=json.dumps)
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    message = f"no text for {type(value).__name__}"
    raise TypeError(message)
