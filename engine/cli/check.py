"""`check`: load workflows and say all that is wrong with them."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from engine.cli import project
from engine.cli.console import complain, print_json, print_result
from engine.definitions import Found, find_all
from engine.definitions.loader import SUFFIXES, files_of, find, look_at, named_file, no_workflow
from engine.errors import DefinitionError, EngineError, UsageError
from engine.model import Definition
from engine.reports.explain import explain, explained
from engine.text import printable

EXIT_WRONG = 2
_DEFINES = re.compile(rb"^workflow\b", re.MULTILINE)


def check(parsed: argparse.Namespace) -> int:
    """Load workflows and say what is wrong; 2 if anything is."""
    if parsed.schema:
        from engine.definitions.schema import schema

        print_json(schema())
        return 0
    paths = project.paths_of(parsed)
    folder = project.folder_of(parsed)
    found = list(_found(parsed.names, folder, paths.root))
    mask = project.secrets_of(paths).mask
    if parsed.json:
        print_json([_row(one, mask, explaining=parsed.explain) for one in found])
    else:
        for one in found:
            _tell(one, mask, explaining=parsed.explain)
        if not found:
            print_result(f"no workflow in {', '.join(parsed.names) or folder}")
    return EXIT_WRONG if any(one.error for one in found) else 0


def _found(names: list[str], folder: Path, root: Path) -> Iterator[Found]:
    """Load what is named: workflows, files, folders; without a name all of the project."""
    if not names:
        yield from find_all(folder)
    for name in names:
        if name and Path(name).is_dir():
            yield from _in_folder(Path(name), folder, root) or [_nothing_in(Path(name))]
        else:
            yield _one(name, folder, root)


def _in_folder(path: Path, folder: Path, root: Path) -> list[Found]:
    if path.resolve() == folder.resolve():
        return list(find_all(folder))
    found = [
        _file(file, folder, root)
        for file in files_of(path)
        # Another is some other program, which is not to be run.
        if file.suffix != ".py" or _DEFINES.search(file.read_bytes())
    ]
    return [one for one in found if one.error or one.definition]


def _nothing_in(path: Path) -> Found:
    hint = f"name the folder that holds its files: they end in {', '.join(SUFFIXES)}"
    return Found(path.stem, path, error=UsageError(f"there is no workflow in '{path}'", hint=hint))


def _one(name: str, folder: Path, root: Path) -> Found:
    """Load a workflow or a file."""
    try:
        file = named_file(name, folder)
    except UsageError as error:
        return Found(Path(name).stem, Path(name), error=error)
    if file is not None:
        found = _file(file, folder, root)
        is_empty = found.error is None and found.definition is None
        return replace(found, error=no_workflow(file)) if is_empty else found
    try:
        return look_at(find(name, folder), in_folder=True)
    except EngineError as error:
        return Found(name, folder / name, error=error)


def _file(path: Path, folder: Path, root: Path) -> Found:
    return look_at(path, in_folder=path.absolute().parent.resolve() == folder.resolve(), root=root)


def _tell(found: Found, mask: Callable[[str], str], *, explaining: bool) -> None:
    if found.error is not None:
        complain(found.error, mask)
    elif found.definition is not None:
        count = len(found.definition.steps)
        print_result(f"{printable(found.name)}: ok, {count} step{'' if count == 1 else 's'}")
        for module, place in found.imports.items():
            print_result(f"  imports {module} from {printable(place)}")
        if explaining:
            print_result(mask(explained(explain(found.definition))))


def _row(found: Found, mask: Callable[[str], str], *, explaining: bool) -> dict[str, Any]:
    row = {
        "name": found.name,
        "file": str(found.path),
        "steps": len(found.definition.steps) if found.definition else None,
        "imports": dict(found.imports),
        "faults": [] if found.error is None else _faults(found, found.error, mask),
    }
    if explaining:
        row["explain"] = _explained(found.definition, mask) if found.definition else None
    return row


def _explained(definition: Definition, mask: Callable[[str], str]) -> list[dict[str, Any]]:
    rows = explain(definition)
    for row in rows:
        for effect in [*(row["if_failed"] or ()), *(row["if_skipped"] or ())]:
            effect["why"] = mask(effect["why"])
    return rows


def _faults(found: Found, error: EngineError, mask: Callable[[str], str]) -> list[dict[str, Any]]:
    if isinstance(error, DefinitionError) and error.faults:
        return [
            {
                "file": fault.file or str(found.path),
                "line": fault.line,
                "column": fault.column,
                "message": mask(fault.message),
                "hint": mask(fault.hint or error.hint),
            }
            for fault in error.faults
        ]
    return [
        {
            "file": str(found.path),
            "line": None,
            "column": None,
            "message": mask(message),
            "hint": mask(hint),
        }
        for message, hint in error.complaints()
    ]
