"""A dashboard that runs, and requests to it as no browser would make them, too."""

from __future__ import annotations

import http.client
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

from tests.system.project import Project


class Got(NamedTuple):
    """An answer."""

    status: int
    text: str
    head: Mapping[str, str]


@dataclass
class Site:
    """A dashboard at a port of this machine."""

    port: int
    process: subprocess.Popen[str]

    @property
    def home(self) -> str:
        """Where it is, without the last slash."""
        return f"http://127.0.0.1:{self.port}"

    def ask(self, path: str, method: str = "GET", **head: str) -> Got:
        """Ask for a path as it stands; `head` has header fields, `_` for `-`."""
        fields = {name.replace("_", "-").lower(): value for name, value in head.items()}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.putrequest(method, path, skip_host="host" in fields)
            for name, value in fields.items():
                if value:
                    connection.putheader(name, value)
            connection.endheaders()
            answer = connection.getresponse()
            head_got = {name.lower(): value for name, value in answer.getheaders()}
            return Got(answer.status, answer.read().decode(), head_got)
        finally:
            connection.close()

    def text(self, path: str) -> str:
        """Give a page that must be there."""
        got = self.ask(path)
        assert got.status == 200, got
        return got.text


@contextmanager
def served(project: Project, *arguments: str, **env: str) -> Iterator[Site]:
    """Serve a project."""
    process = project.start("serve", "--port", "0", *arguments, **env)
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line.startswith("the dashboard is at http://"), process.communicate()
        yield Site(int(line.split("/ ")[0].rpartition(":")[2]), process)
    finally:
        process.terminate()
        out, err = process.communicate(timeout=10)
    assert (out, err) == ("", "")
