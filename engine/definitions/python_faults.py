"""What a user's own Python raises while it is loaded, told as a fault of the definition."""

from __future__ import annotations

import linecache
import traceback
from dataclasses import replace
from pathlib import Path

from engine.errors import DefinitionError, EngineError, Fault


def raised_by(error: BaseException, *, root: Path, file: Path) -> DefinitionError:
    """Say where in the user's files below `root` it went wrong, with the source line and a caret.

    Without such a place it is told as the fault of `file`.
    """
    hint = getattr(error, "hint", "")
    if isinstance(error, SyntaxError) and error.filename:
        line = (error.text or "").rstrip("\n")
        indent = len(line) - len(line.lstrip())
        caret = " " * max(0, (error.offset or 1) - 1 - indent) + "^"
        text = f"{type(error).__name__}: {error.msg}"
        excerpt = f"    {line.strip()}\n    {caret}" if line.strip() else ""
        return _error(Fault(text, hint, error.filename, error.lineno, excerpt=excerpt), file)
    text = traceback.format_exception_only(error)[-1].strip()
    if isinstance(error, EngineError):
        text = error.message
    if isinstance(error, ModuleNotFoundError):
        hint = f"install '{error.name}' into this environment, or mend the import"
    if isinstance(error, TypeError) and text.endswith("unexpected keyword argument 'timezone'"):
        hint = "write tz="
    frame = _own_frame(root, error)
    if frame is None and isinstance(error, OSError):
        text = f"cannot be read: {(error.strerror or str(error)).lower()}"
        return _error(Fault(text, "let this user read it", str(file), None), file)
    if frame is None:
        return _error(Fault(text, hint, str(file), 1), file)
    return _error(Fault(text, hint, frame.filename, frame.lineno, excerpt=_pointed_at(frame)), file)


def _error(fault: Fault, given: Path) -> DefinitionError:
    """Make it an error; the file at fault is named as it was given."""
    file = str(given) if Path(fault.file) == given.absolute() else fault.file
    fault = replace(fault, file=file, hint=fault.hint or "mend the line shown")
    return DefinitionError(str(fault), hint=fault.hint, faults=(fault,))


def _own_frame(root: Path, error: BaseException) -> traceback.FrameSummary | None:
    """Give the innermost frame in the user's own project: not in a library, nor in this program."""
    program = Path(__file__).parents[1]
    own = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if (file := Path(frame.filename)).is_relative_to(root)
        and not file.is_relative_to(program)
        and "site-packages" not in file.parts
    ]
    return own[-1] if own else None


def _pointed_at(frame: traceback.FrameSummary) -> str:
    """Give the source line and, under it, a caret at what went wrong."""
    source = linecache.getline(frame.filename, frame.lineno or 1).rstrip("\n")
    if not source.strip():
        return ""
    indent = len(source) - len(source.lstrip())
    before = source.encode()[: frame.colno or 0].decode(errors="replace")
    return f"    {source.strip()}\n    {' ' * max(0, len(before) - indent)}^"
