"""The paths, secrets and words that a command works with."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.clock import SystemClock
from engine.definitions.importing import add_project
from engine.paths import find_paths, pipelines_folder
from engine.ports import Paths
from engine.secrets import Secrets

if TYPE_CHECKING:
    from engine.session import Environment


def paths_of(parsed: argparse.Namespace) -> Paths:
    """Find root, home and store; the root goes onto `sys.path`, last, for workflows' helpers."""
    paths = find_paths(
        os.environ, store_url=parsed.store, home=parsed.home, pipelines=parsed.pipelines
    )
    add_project(paths.root)
    return paths


def folder_of(parsed: argparse.Namespace) -> Path:
    """Give the folder of workflows."""
    return pipelines_folder(os.environ, parsed.pipelines)


def secrets_of(paths: Paths) -> Secrets:
    """Secrets of this home, from its `env` file and the environment."""
    return Secrets(paths.home, os.environ)


def program_words() -> list[str]:
    """Give the program as it can be called again from anywhere: absolute words."""
    called = Path(sys.argv[0])
    if called.name == "kahnban":
        return [str(called.absolute())]
    return [sys.executable, "-m", "engine"]


def typed_words() -> list[str]:
    """Give the program as a person types it: by its short name where that leads here."""
    called = Path(sys.argv[0])
    if called.name == "kahnban":
        return ["kahnban"] if _leads_to("kahnban", called) else [str(called.absolute())]
    dev = Path(sys.prefix).parent / "dev"
    if sys.flags.safe_path and dev.is_file() and Path(__file__).parents[2] == dev.parent:
        return [str(dev)]  # a checkout's `./dev`, which alone runs Python so
    python = "python" if _leads_to("python", Path(sys.executable)) else sys.executable
    return [python, "-m", "engine"]


def _leads_to(name: str, program: Path) -> bool:
    """Whether the shell finds `program` by its name; a link elsewhere has other packages."""
    found = shutil.which(name)
    return found is not None and Path(found).absolute() == program.absolute()


def command_words(parsed: argparse.Namespace, paths: Paths) -> list[str]:
    """Give the complete program with the options that find the same project, home and store."""
    words = program_words()
    words += ["--pipelines", str(folder_of(parsed)), "--home", str(paths.home)]
    if parsed.store or os.environ.get("ENGINE_STORE"):
        words += ["--store", paths.store_url]
    return words


def environment_of(parsed: argparse.Namespace) -> Environment:
    """Give the environment that a command works in."""
    paths = paths_of(parsed)
    return environment_in(parsed, paths, secrets_of(paths))


def environment_in(
    parsed: argparse.Namespace, paths: Paths, secrets: Secrets, **more: Any
) -> Environment:
    """Give the environment with these paths and secrets; `more` are its other fields."""
    from engine.session import Environment

    return Environment(
        paths=paths,
        secrets=secrets,
        clock=SystemClock(),
        environ=os.environ,
        command=command_words(parsed, paths),
        **more,
    )
