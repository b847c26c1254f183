"""Where things are: project root, home, store; from options, environment, current folder."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from engine.errors import StoreError, UsageError
from engine.ports import Paths

PIPELINES = "pipelines"


def find_root(start: Path) -> Path | None:
    """Give the nearest folder upwards from `start` that holds `pipelines/`."""
    for folder in (start, *start.parents):
        if os.path.isdir(folder / PIPELINES):  # noqa: PTH112 - Path's raises where it may not look
            return folder
    return None


def pipelines_folder(environ: Mapping[str, str], option: str | None = None) -> Path:
    """Give the folder of workflows: `--pipelines`, ENGINE_PIPELINES, else the project's.

    Raises `UsageError` if there is none.
    """
    named = option or environ.get("ENGINE_PIPELINES")
    if named:
        folder = Path(named).absolute()
        if not folder.is_dir():
            raise UsageError(
                f"the folder of workflows '{folder}' is not there",
                hint="name an existing one with --pipelines",
            )
        return folder
    root = find_root(Path.cwd())
    if root is None:
        raise UsageError(
            f"no folder 'pipelines' in '{Path.cwd()}' or above it",
            hint="go to your project's folder, or make one here: `init`",
        )
    return root / PIPELINES


def find_paths(
    environ: Mapping[str, str],
    *,
    store_url: str | None = None,
    home: str | None = None,
    pipelines: str | None = None,
    strict: bool = True,
) -> Paths:
    """Find all three: options before environment before the current folder.

    Without `strict` (as a library) the current folder is the root outside a project.
    """
    try:
        root = pipelines_folder(environ, pipelines).parent
    except UsageError:
        if strict:
            raise
        root = Path.cwd()
    named_home = home or environ.get("ENGINE_HOME")
    home_path = Path(named_home).absolute() if named_home else root / "var"
    url = store_url or environ.get("ENGINE_STORE") or f"sqlite:///{home_path / 'runs.db'}"
    return Paths(root=root, home=home_path, store_url=url)


def make_home(home: Path) -> None:
    """Make the home folder, private, with a `.gitignore` that keeps all of it out.

    A folder that was there before, such as one named with `--home`, is left as it is. Raises
    `StoreError` if it cannot be made.
    """
    try:
        if not home.exists():
            home.mkdir(mode=0o700, parents=True, exist_ok=True)
            (home / ".gitignore").write_text("*\n", encoding="ascii")
    except OSError as error:
        raise StoreError(
            f"cannot make the home folder '{home}': {error.strerror}",
            hint="make its parent writable for this user, or name another with --home",
        ) from None
