"""Workflows in files: `pipelines/NAME.py` with a module-level `workflow`, NAME.yaml, NAME.json."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import field, replace
from pathlib import Path
from types import ModuleType

from engine.definitions.importing import project_first
from engine.definitions.python_faults import raised_by
from engine.errors import DefinitionError, EngineError, UsageError
from engine.model import Definition
from engine.naming import BACKFILL_SUFFIX, check_name, did_you_mean
from engine.paths import PIPELINES
from engine.records import record
from engine.workflow import Workflow

ATTRIBUTE = "workflow"
CONFIG_SUFFIXES = (".yaml", ".yml", ".json")
SUFFIXES = (".py", *CONFIG_SUFFIXES)


@record
class Found:
    """A file of the folder of workflows: its definition, or what is wrong with it."""

    name: str
    path: Path
    definition: Definition | None = None
    error: EngineError | None = None
    imports: Mapping[str, str] = field(default_factory=dict)


def load(name: str, folder: Path) -> Definition:
    """Load the workflow called `name`; only its file is executed.

    Raises `UsageError` if there is none, `DefinitionError` if it is wrong.
    """
    return _loaded(find(name, folder), in_folder=True)


def find(name: str, folder: Path) -> Path:
    """Find the file of a workflow. Raises `UsageError` if there is none."""
    _refuse_a_file(name, folder)
    try:
        check_name("workflow", name)
    except DefinitionError as error:
        raise UsageError(error.message, hint=error.hint) from None
    if name.endswith(BACKFILL_SUFFIX):
        whole = name.removesuffix(BACKFILL_SUFFIX)
        raise UsageError(
            f"'{name}' is no workflow: its runs are the backfills of '{whole}'",
            hint=f"`backfill {whole} --param … --from … --to …` does what is left; `show"
            f" {name}` tells with what parameters",
        )
    path = file_of(name, folder)
    if path is None:
        raise UsageError(
            f"there is no workflow '{name}' in '{folder}'", hint=there_is(name, folder)
        )
    return path


def _refuse_a_file(name: str, folder: Path) -> None:
    """Say what is wanted in place of the path of a file."""
    if not name.endswith(SUFFIXES) and os.sep not in name:
        return
    if called := _called_by(name, folder):
        hint = f"write {called}"
    elif Path(name).is_file():
        hint = f"move it into '{folder}', or name its folder with --pipelines"
    elif name.endswith(SUFFIXES):
        hint = there_is(Path(name).stem, folder)
    else:
        return
    raise UsageError(f"'{name}' is a file's name; a workflow goes by its own", hint=hint)


def _missing_file(name: str, folder: Path) -> UsageError:
    """Make the error for the path of a file that is not there."""
    called = _called_by(name, folder)
    hint = f"write {called}, the workflow's name" if called else "name a workflow or its file"
    return UsageError(f"there is no file '{name}'", hint=hint)


def _called_by(name: str, folder: Path) -> str:
    """Give the workflow that somebody means who names its file, wherever and whatever its kind."""
    stem = Path(name).name
    for suffix in SUFFIXES:
        stem = stem.removesuffix(suffix)
    return (
        stem if stem and any((folder / f"{stem}{suffix}").is_file() for suffix in SUFFIXES) else ""
    )


def there_is(name: str, folder: Path) -> str:
    """Say which workflows there are, the one first that `name` may have meant."""
    names = list(dict.fromkeys(path.stem for path in files_of(folder)))
    guess = did_you_mean(name, names)
    if not guess and (folder / PIPELINES).is_dir():
        return f"the workflows may be in the folder below it: --pipelines {folder / PIPELINES}"
    return f"{guess} it has: {', '.join(names) or 'none'}".lstrip()


def file_of(name: str, folder: Path) -> Path | None:
    """Give the file of a workflow. Raises `DefinitionError` if there are two."""
    found = [path for suffix in SUFFIXES if (path := folder / f"{name}{suffix}").is_file()]
    if len(found) > 1:
        names = " and ".join(f"'{path.name}'" for path in found)
        raise DefinitionError(
            f"{folder}: {names} both define the workflow '{name}'", hint="keep one of them"
        )
    return found[0] if found else None


def named_file(named: str, folder: Path) -> Path | None:
    """Give the file that is named; None if it is a workflow, by neither an ending nor a folder.

    Raises `UsageError` if it is not there, or no file of a workflow by its ending.
    """
    if not named.endswith(SUFFIXES) and os.sep not in named:
        return None
    path = Path(named)
    if os.path.lexists(path) and not path.is_file():
        raise UsageError(
            f"'{path}' is no plain file", hint="a link that leads nowhere, a pipe, a device"
        )
    if not path.is_file():
        raise _missing_file(named, folder)
    if path.suffix not in SUFFIXES:
        raise UsageError(
            f"'{path}' is no file of a workflow", hint=f"these end in {', '.join(SUFFIXES)}"
        )
    return path


def load_file(path: Path) -> Definition:
    """Load the workflow in a file. Raises `DefinitionError` with file and line if it is wrong."""
    return _loaded(path, in_folder=False)


def _loaded(path: Path, *, in_folder: bool) -> Definition:
    found = look_at(path, in_folder=in_folder)
    if found.error is not None:
        raise found.error
    if found.definition is None:
        raise no_workflow(path)
    return found.definition


def no_workflow(path: Path) -> DefinitionError:
    """Make the error for a Python file that defines none."""
    return DefinitionError(
        f"{path}: there is no workflow in this file",
        hint=f'define one at the top level: {ATTRIBUTE} = Workflow("{path.stem}").add(…)',
    )


def look_at(path: Path, *, in_folder: bool, root: Path | None = None) -> Found:
    """Load a file and say what is in it; `in_folder`: among the workflows, named as its file.

    `root` is where the modules are that it names, without it the folder above the file's.
    """
    try:
        if path.suffix not in CONFIG_SUFFIXES:
            definition = _python(path)
            return Found(definition.name if definition else path.stem, path, definition)
        from engine.definitions import config  # with PyYAML: not for a workflow in Python

        root = root or path.absolute().parent.parent
        loaded = config.load(path, root=root, called=path.stem if in_folder else None)
        return Found(loaded.definition.name, path, loaded.definition, imports=loaded.imports)
    except EngineError as error:
        return Found(path.stem, path, error=error)


def find_all(folder: Path) -> Iterator[Found]:
    """Load every workflow of the folder, by name; Python files without one are no workflows."""
    for path in files_of(folder):
        try:
            file_of(path.stem, folder)
            found = look_at(path, in_folder=True)
        except EngineError as error:
            found = Found(path.stem, path, error=error)
        if found.error or found.definition:
            yield found


def files_of(folder: Path) -> list[Path]:
    """Give the files of a folder that may be workflows, by name."""
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix in SUFFIXES and not path.name.startswith(("_", ".")) and path.is_file()
    )


def _python(path: Path) -> Definition | None:
    module = _execute(path)
    workflow = getattr(module, ATTRIBUTE, None)
    if workflow is None:
        return None
    if not isinstance(workflow, Workflow):
        raise DefinitionError(
            f"{path}: '{ATTRIBUTE}' is not a Workflow but {type(workflow).__name__}",
            hint=f'write {ATTRIBUTE} = Workflow("{path.stem}").add(…)',
        )
    if workflow.name != path.stem:
        raise DefinitionError(
            f"{path}: the workflow in it is called '{workflow.name}'",
            hint=f"call it '{path.stem}', or rename the file to {workflow.name}.py",
        )
    try:
        return replace(workflow.definition(), source=path.absolute())
    except DefinitionError as error:
        error.message = f"{path}: {error.message}"
        error.faults = tuple(replace(fault, file=str(path)) for fault in error.faults)
        raise


def _execute(path: Path) -> ModuleType:
    stem = path.stem
    name = f"pipelines.{stem}" if stem.isidentifier() else f"pipelines._{os.fsencode(stem).hex()}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise DefinitionError(f"{path}: cannot be loaded as Python")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        # stdout is for results
        with contextlib.redirect_stdout(sys.stderr), project_first(path.absolute().parent.parent):
            spec.loader.exec_module(module)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        sys.modules.pop(name, None)
        raise raised_by(error, root=path.absolute().parent.parent, file=path) from error
    return module
