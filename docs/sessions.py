"""A shell session in a project of its own, for what the documents show.

Commands of ours run in forks of one process that has everything imported: each takes some
milliseconds, and is alone in its process as at a terminal. Run as a program, this is that process.
"""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import re
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).resolve().parents[1]
COLUMNS = 80
PROGRAM = "python -m engine "

_SETTINGS = ("ENGINE_", "KAHNBAN_", "MAIL_", "SLACK_", "SMTP_", "PYTHON")
_ROOMS = ("engine.cli", "engine.session", "engine.reports", "store")
_STARTS_ALONE = ("engine.cli.forkserver",)


def environment(**more: str) -> dict[str, str]:
    """Give an environment without the caller's own settings; `python` is this one."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith(_SETTINGS)}
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return kept | {"PATH": path, "PYTHONPATH": str(ROOT), "COLUMNS": str(COLUMNS)} | more


class Session:
    """A shell that stands in `folder`; what it says has neutral paths and names."""

    def __init__(self, folder: Path) -> None:
        """Start the process that commands are forked from."""
        self._top = self._home = self.folder = folder.resolve()
        self._server = subprocess.Popen(
            [sys.executable, __file__],
            env=environment(NO_COLOR="1"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        """Be a context."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        """End the process."""
        assert self._server.stdin
        assert self._server.stdout
        self._server.stdin.close()
        self._server.wait()
        self._server.stdout.close()

    def begin(self, name: str) -> None:
        """Stand in a new folder, which is `~` from now on."""
        self.folder = self._home = self._top / name
        self.folder.mkdir()

    def run(self, command: str) -> tuple[int, str]:
        """Run a command line; give its exit code and all that it said."""
        if command.startswith("cd "):
            self.folder /= command.removeprefix("cd ")
            return 0, ""
        if re.match(rf"{PROGRAM}[^|;&>$]+$", command):
            argv = shlex.split(command.removeprefix(PROGRAM), comments=True)
        else:
            argv = ["", command]
        asked = {"argv": argv, "folder": str(self.folder)}
        assert self._server.stdin
        assert self._server.stdout
        self._server.stdin.write(f"{json.dumps(asked)}\n")
        self._server.stdin.flush()
        answer = json.loads(self._server.stdout.readline())
        return answer["code"], self._neutral(answer["said"])

    def transcript(self, *commands: str) -> str:
        """Run commands one after the other; give what a terminal would show."""
        lines: list[str] = []
        for command in commands:
            lines += [f"$ {command}", *self.run(command)[1].splitlines()]
        return "\n".join(line.rstrip() for line in lines) + "\n"

    def _neutral(self, text: str) -> str:
        places = {str(self._home): "~", str(ROOT): "~/kahnban", sys.executable: "python"}
        return neutral(text, places)


def neutral(text: str, places: Mapping[str, str]) -> str:
    """Take this machine's paths, user and name out of a text, and what is said of its SQLite."""
    for found in sorted(places, key=len, reverse=True):  # the longest first: one may hold another
        text = text.replace(found, places[found])
    for found, instead in ((os.uname().nodename, "host"), (_user(), "ada")):
        text = re.sub(rf"(?<![\w/-]){re.escape(found)}(?![\w/-])", instead, text)
    return re.sub(r"^note: SQLite .*\n", "", text, flags=re.MULTILINE)


def timeless(transcript: str) -> str:
    """Give what a session shows without figures and days, which differ from one to the next."""
    return re.sub(r"\b(?:to|yester)day\b|\d+(?:[.:]\d+)*(?:ms|[smh]\b)?", "N", transcript)


def _user() -> str:
    import getpass

    return getpass.getuser()


def _serve() -> None:
    sys.path[0] = str(ROOT)
    for room in _ROOMS:
        importlib.import_module(room)
        for found in pkgutil.iter_modules([str(ROOT / room.replace(".", "/"))], f"{room}."):
            if found.name not in _STARTS_ALONE:
                importlib.import_module(found.name)
    while line := sys.stdin.readline():
        with tempfile.TemporaryFile() as said:
            code = _forked(json.loads(line), said.fileno())
            said.seek(0)
            print(json.dumps({"code": code, "said": said.read().decode()}), flush=True)


def _forked(asked: dict[str, Any], said: int) -> int:
    child = os.fork()
    if child == 0:
        os.chdir(asked["folder"])
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(said, 1)
        os.dup2(said, 2)
        _carry_out(asked["argv"])
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _carry_out(argv: list[str]) -> None:
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    if argv[0] == "":
        os.execvp("bash", ["bash", "-c", argv[1]])  # noqa: S606 - the shell of a reader
    from engine.__main__ import main

    sys.argv = [str(ROOT / "engine" / "__main__.py"), *argv]
    code: object = 1
    try:
        code = main()
    except SystemExit as left:
        code = left.code
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 0)


if __name__ == "__main__":
    _serve()
