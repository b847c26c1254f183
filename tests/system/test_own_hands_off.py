"""The store's files are opened by SQLite alone: any other open and close would drop its locks."""

from __future__ import annotations

import ast
from pathlib import Path

from tests.system.project import CHECKOUT, Project

HOOK = """
import os, sys

def watch(event, arguments):
    if event in ("open", "os.truncate", "shutil.copyfile", "mmap.__new__"):
        name = os.path.basename(str(arguments[0]))
        if name in ("runs.db", "runs.db-wal", "runs.db-shm", "runs.db-journal"):
            fd = os.open(os.environ["SEEN"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
            os.write(fd, f"{event} {arguments[0]}\\n".encode())
            os.close(fd)

sys.addaudithook(watch)
"""

OPENING = {"open", "fdopen", "read_bytes", "read_text", "write_bytes", "write_text", "copyfile"}
OPENERS = {  # modules of the store that open files, none of which is the store's
    "copies.py",  # copies, before they stand in their place
    "locks.py",  # lock files, /proc
    "migrate.py",  # the copy, before SQLite fills it
    "mounts.py",  # the kernel's table
    "place.py",  # the machine's identity
    "reserve.py",  # the reserve
}


def test_no_command_opens_the_stores_files(project: Project, tmp_path: Path) -> None:
    """Python tells each file that is opened in the process, in steps' threads too."""
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    (hooks / "sitecustomize.py").write_text(HOOK)
    seen = tmp_path / "seen"
    project.write(
        "flow",
        """
def peek(ctx):
    if Path("peek").exists():
        Path("var/runs.db").read_bytes()

workflow = Workflow("flow").add(Step("peek", peek)).add(
    Step("b", does("b"), depends_on=["peek"])).add(Step("c", broken, retries=0))
""",
    )
    env = {"PYTHONPATH": f"{hooks}:{CHECKOUT}", "SEEN": str(seen)}
    for command in ("run flow", "run flow", "db verify"):
        assert project.run(*command.split(), **env).code in (0, 1), command
    assert not seen.exists(), seen.read_text()
    (project.root / "peek").touch()  # the watch does see
    project.run("run", "flow", "--fresh", **env)
    assert seen.read_text() == "open var/runs.db\n"


def test_the_store_opens_files_in_few_places() -> None:
    """Each module that opens a file says which; the others reach the disk through SQLite only."""
    found = set()
    for path in (CHECKOUT / "store").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call):
                function = node.func
                name = function.attr if isinstance(function, ast.Attribute) else ""
                name = function.id if isinstance(function, ast.Name) else name
                if name in OPENING:
                    found.add(path.name)
    assert found == OPENERS
