"""`init [DIR]`: a folder with a first workflow that runs; nothing that is there is touched."""

from __future__ import annotations

import argparse
import os
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from engine.cli import first_workflow, project
from engine.cli.console import print_result
from engine.definitions.loader import SUFFIXES
from engine.errors import EngineError, UsageError
from engine.paths import PIPELINES, find_root
from engine.text import printable


def init(parsed: argparse.Namespace) -> int:
    """Make the folder, and say what to do next."""
    for option in ("pipelines", "home", "store"):
        if getattr(parsed, option):
            raise UsageError(
                f"--{option} does not go with init", hint="name the folder alone: init DIR"
            )
    folder = Path(parsed.dir)
    files = _files(yaml=parsed.yaml)
    _refuse_what_is_there(folder, files)
    outer = find_root(folder.absolute().parent)
    with _undone_on_error(folder) as made:
        for name, text in files.items():
            _write(folder / name, text, made)
        if not os.path.lexists(folder / ".gitignore"):
            _write(folder / ".gitignore", first_workflow.IGNORED, made)
    for path in made:
        if not path.is_dir():
            print_result(f"made {printable(str(path))}")
    if outer:
        print_result(f"it is a project of its own, within that of '{printable(str(outer))}'")
    print_result("\n".join(["next:", *(f"  {printable(line)}" for line in _commands(folder))]))
    return 0


def _files(*, yaml: bool) -> dict[str, str]:
    """Give the files to make, by their path in the folder."""
    if yaml:
        return {f"{PIPELINES}/{first_workflow.NAME}.yaml": first_workflow.IN_YAML}
    return {f"{PIPELINES}/{first_workflow.NAME}.py": first_workflow.IN_PYTHON}


def _refuse_what_is_there(folder: Path, files: Mapping[str, str]) -> None:
    for place in (folder / PIPELINES, folder, *folder.parents):
        if os.path.lexists(place) and not place.is_dir():
            raise UsageError(f"'{place}' is there and is no folder", hint="name another folder")
    rivals = [f"{PIPELINES}/{first_workflow.NAME}{suffix}" for suffix in SUFFIXES]
    for name in dict.fromkeys([*rivals, *files]):
        if os.path.lexists(folder / name):
            raise UsageError(
                f"'{folder / name}' is there already; nothing was made",
                hint="name another folder, or run what is there",
            )


@contextmanager
def _undone_on_error(folder: Path) -> Iterator[list[Path]]:
    """Keep the list of what is made; take all of it away again if something goes wrong."""
    made: list[Path] = []
    try:
        yield made
    except BaseException as error:
        for path in reversed(made):
            with suppress(OSError):
                path.rmdir() if path.is_dir() else path.unlink()
        if isinstance(error, OSError):
            raise EngineError(
                f"cannot make '{error.filename or folder}': {(error.strerror or '').lower()}",
                hint="name a folder that this user can write in",
            ) from None
        raise


def _write(path: Path, text: str, made: list[Path]) -> None:
    missing = [one for one in path.parents if not one.exists()]
    for one in reversed(missing):
        one.mkdir()
        made.append(one)
    with path.open("x", encoding="utf-8") as file:
        made.append(path)
        file.write(text)


def _commands(folder: Path) -> list[str]:
    """Give the next commands as they can be pasted into the shell that called this one."""
    words = project.typed_words()
    if os.environ.get("ENGINE_PIPELINES"):  # it would lead elsewhere
        words += ["--pipelines", PIPELINES]
    program = shlex.join(words)
    lines = [f"{program} run {first_workflow.NAME}", f"{program} graph {first_workflow.NAME}"]
    if folder.resolve() == Path.cwd():
        return lines
    where = str(folder)
    return [f"cd {shlex.quote(f'./{where}' if where.startswith('-') else where)}", *lines]
