"""Workflows in files: `pipelines/NAME.py` with a module-level `workflow`, NAME.yaml, NAME.json."""

from __future__ import annotations

import contextlib
import importlib.util
import linecache
import os
import sys
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType

from engine.errors import DefinitionError, EngineError, UsageError
from engine.model import Definition, check_name
from engine.naming import did_you_mean
from engine.workflow import Workflow

ATTRIBUTE = "workflow"
CONFIG_SUFFIXES = (".yaml", ".yml", ".json")
SUFFIXES = (".py", *CONFIG_SUFFIXES)


@dataclass(frozen=True, slots=True)
class Found:
    """A file of the folder of workflows: its definition, or what is wrong with it."""

    name: str
    path: Path
    definition: Definition | None = None
    error: EngineError | None = None


def load(name: str, folder: Path) -> Definition:
    """Load the workflow called `name`; only its file is executed.

    Raises `UsageError` if there is none, `DefinitionError` if it is wrong.
    """
    try:
        check_name("workflow", name)
    except DefinitionError as error:
        raise UsageError(error.message, hint=error.hint) from None
    path = file_of(name, folder)
    if path is None:
        names = list(dict.fromkeys(path.stem for path in _files(folder)))
        there = f"it has: {', '.join(names) or 'none'}"
        raise UsageError(
            f"there is no workflow '{name}' in '{folder}'",
            hint=f"{did_you_mean(name, names)} {there}".lstrip(),
        )
    return _named_as_its_file(load_file(path), path)


def file_of(name: str, folder: Path) -> Path | None:
    """Give the file of a workflow. Raises `DefinitionError` if there are two."""
    found = [path for suffix in SUFFIXES if (path := folder / f"{name}{suffix}").is_file()]
    if len(found) > 1:
        names = " and ".join(f"'{path.name}'" for path in found)
        raise DefinitionError(
            f"{folder}: {names} both define the workflow '{name}'", hint="keep one of them"
        )
    return found[0] if found else None


def load_file(path: Path) -> Definition:
    """Load the workflow in a file. Raises `DefinitionError` with file and line if it is wrong."""
    found = _workflow_in(path)
    if found is None:
        raise DefinitionError(
            f"{path}: there is no workflow in this file",
            hint=f'define one at the top level: {ATTRIBUTE} = Workflow("{path.stem}").add(…)',
        )
    return found


def find_all(folder: Path) -> Iterator[Found]:
    """Load every workflow of the folder, by name; Python files without one are no workflows."""
    for path in _files(folder):
        try:
            file_of(path.stem, folder)
            definition = _workflow_in(path)
            if definition is not None:
                definition = _named_as_its_file(definition, path)
        except EngineError as error:
            yield Found(path.stem, path, error=error)
            continue
        if definition is not None:
            yield Found(path.stem, path, definition=definition)


def _files(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix in SUFFIXES and not path.name.startswith(("_", ".")) and path.is_file()
    )


def _named_as_its_file(definition: Definition, path: Path) -> Definition:
    if definition.name != path.stem:
        raise DefinitionError(
            f"{path}: the workflow in it is called '{definition.name}'",
            hint=f"call it '{path.stem}', or rename the file to {definition.name}{path.suffix}",
        )
    return definition


def _workflow_in(path: Path) -> Definition | None:
    if path.suffix in CONFIG_SUFFIXES:
        from engine.definitions import config  # with PyYAML: not for a workflow in Python

        return config.load(path)
    module = _execute(path)
    workflow = getattr(module, ATTRIBUTE, None)
    if workflow is None:
        return None
    if not isinstance(workflow, Workflow):
        raise DefinitionError(
            f"{path}: '{ATTRIBUTE}' is not a Workflow but {type(workflow).__name__}",
            hint=f'write {ATTRIBUTE} = Workflow("{path.stem}").add(…)',
        )
    try:
        definition = replace(workflow.definition(), source=path.absolute())
    except DefinitionError as error:
        error.message = f"{path}: {error.message}"
        error.faults = tuple(replace(fault, file=str(path)) for fault in error.faults)
        raise
    return _named_as_its_file(definition, path)


def _execute(path: Path) -> ModuleType:
    stem = path.stem
    name = f"pipelines.{stem}" if stem.isidentifier() else f"pipelines._{os.fsencode(stem).hex()}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise DefinitionError(f"{path}: cannot be loaded as Python")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        with contextlib.redirect_stdout(sys.stderr):  # stdout is for results
            spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        sys.modules.pop(name, None)
        raise _wrong(path, error) from error
    return module


def _wrong(path: Path, error: BaseException) -> DefinitionError:
    """Say where in the user's files it went wrong, with the source line and a caret."""
    hint = getattr(error, "hint", "")
    if isinstance(error, SyntaxError) and error.filename:
        line = (error.text or "").rstrip("\n")
        indent = len(line) - len(line.lstrip())
        caret = " " * max(0, (error.offset or 1) - 1 - indent) + "^"
        where = f"{error.filename}:{error.lineno}"
        return DefinitionError(
            f"{where}: {type(error).__name__}: {error.msg}\n    {line.strip()}\n    {caret}",
            hint=hint or "mend the line shown",
        )
    text = traceback.format_exception_only(error)[-1].strip()
    if isinstance(error, EngineError):
        text = error.message
    if isinstance(error, ModuleNotFoundError):
        hint = f"install '{error.name}' into this environment, or mend the import"
    frame = _own_frame(path, error)
    where = f"{path}:1" if frame is None else f"{frame.filename}:{frame.lineno}"
    shown = f"{where}: {text}" + ("" if frame is None else _pointed_at(frame))
    return DefinitionError(shown, hint=hint or "mend the line shown")


def _own_frame(path: Path, error: BaseException) -> traceback.FrameSummary | None:
    """Give the innermost frame in the user's own project: not in a library, nor in this program."""
    root, program = path.parent.parent, Path(__file__).parents[1]
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
    return f"\n    {source.strip()}\n    {' ' * max(0, len(before) - indent)}^"
