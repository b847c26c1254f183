"""Unit files where systemd looks for them: whose they are, written whole, removed, compared."""

from __future__ import annotations

import difflib
import json
import os
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

MARK = "# kahnban "  # begins the first line of each of our files; whose it is follows, as JSON
SYSTEM_FOLDER = Path("/etc/systemd/system")
_KINDS = (".service", ".timer")


def folder_of_units(environ: Mapping[str, str], *, system: bool) -> Path:
    """Give the folder of units of the machine, or of the user's own systemd."""
    if system:
        return SYSTEM_FOLDER
    config = environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(config, "systemd", "user")


def mark(workflow: str, root: Path, home: Path) -> str:
    """Give the line by which a unit file is known as ours: its workflow, project and home."""
    return MARK + json.dumps({"workflow": workflow, "root": str(root), "home": str(home)})


def installed(folder: Path, root: Path, home: Path) -> dict[str, dict[str, str]]:
    """Give this project's unit files by workflow: name and text of each."""
    found: dict[str, dict[str, str]] = {}
    for file in sorted(folder.glob("kahnban*")):
        if file.suffix not in _KINDS or file.is_symlink():
            continue
        with suppress(OSError, UnicodeDecodeError):
            text = file.read_text(encoding="utf-8")
            workflow = _workflow_of(text, root, home)
            if workflow is not None:
                found.setdefault(workflow, {})[file.name] = text
    return found


def _workflow_of(text: str, root: Path, home: Path) -> str | None:
    whose = _whose(text)
    ours = (whose.get("root"), whose.get("home")) == (str(root), str(home))
    return str(whose.get("workflow")) if ours else None


def project_of(file: Path) -> str:
    """Give the project of a unit file that is ours in kind; nothing for any other file."""
    try:
        return str(_whose(file.read_text(encoding="utf-8")).get("root", ""))
    except (OSError, UnicodeDecodeError):
        return ""


def _whose(text: str) -> dict[str, object]:
    first = text.partition("\n")[0]
    with suppress(ValueError):
        whose = json.loads(first.removeprefix(MARK)) if first.startswith(MARK) else {}
        return whose if isinstance(whose, dict) else {}
    return {}


def put(folder: Path, files: Mapping[str, str], there: Mapping[str, str]) -> None:
    """Write those unit files that differ from what is there."""
    for name, text in files.items():
        if there.get(name) != text:
            write(folder, name, text)


def put_back(folder: Path, files: Mapping[str, str], before: Mapping[str, str]) -> bool:
    """Make the files again what they were before; whether that is done."""
    try:
        for name in files:
            if name not in before:
                if os.path.lexists(folder / name):
                    (folder / name).unlink()
            elif (folder / name).read_text(encoding="utf-8") != before[name]:
                write(folder, name, before[name])
    except (OSError, UnicodeDecodeError):
        return False
    return True


def write(folder: Path, name: str, text: str) -> None:
    """Put a unit file in its place whole, readable for all as systemd's are."""
    folder.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(prefix=f".{name[:100]}.", dir=folder)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fchmod(file.fileno(), 0o644)
            os.fsync(file.fileno())
        Path(temporary).replace(folder / name)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def added_to(folder: Path, names: Iterable[str]) -> list[Path]:
    """Give the files by which somebody changes units beside them, as `systemctl edit` does."""
    return [file for name in names for file in sorted((folder / f"{name}.d").glob("*.conf"))]


def difference(there: Mapping[str, str], wanted: Mapping[str, str]) -> str:
    """Give a unified diff from the installed files to those wanted; empty if they are the same."""
    lines: list[str] = []
    for name in sorted({*there, *wanted}):
        lines += difflib.unified_diff(
            there.get(name, "").splitlines(),
            wanted.get(name, "").splitlines(),
            f"installed/{name}" if name in there else "/dev/null",
            f"wanted/{name}" if name in wanted else "/dev/null",
            lineterm="",
        )
    return "\n".join(lines)
