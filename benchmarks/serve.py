"""What do the dashboard's pages take with a million attempts, and its readers cost? In seconds.

Each page is asked for once of a server that has answered others, so that it is made then and not
sent again; the store is that of `history`. Then the same run, of 10,000 steps, with twenty readers
of its page and without, in turn.
"""

from __future__ import annotations

import argparse
import http.client
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import median

import _common
from _common import Bar, Row

sys.path.insert(0, str(_common.ROOT))

from history import BIG, RUNS, fill

PAGES = {
    "workflows": "/?status=ok",  # known to another page: made anew
    "runs": "/runs",
    "runs of one workflow": "/runs?workflow=flow",
    "runs that failed": "/runs?workflow=flow&status=failed",
    "runs of a rare kind": "/runs?status=cancelled",
    "runs since a day": "/runs?since=2011-11-14&until=2011-11-15",
    "older runs": "/runs?before=100",
    "a workflow": "/workflows/flow",
    "a big workflow": "/workflows/big",
    "a step": "/workflows/flow/steps/s9",
    "a step of a big run": "/workflows/big/steps/s0",
    "a run": "/runs/1",
    "a big run": "/runs/{}",
    "its logs": "/runs/{}/logs",
    "search": "/search?q=s9",
    "search for nothing": "/search?q=nowhere",
    "health": "/health",
}
WARM = ("/", "/runs?before=7", "/runs/2", "/workflows/flow/steps/s1", "/search?q=x")
STEPS = 10_000
READERS = 20
PAGE = Bar("seconds", 0.2)
BESIDE = Bar("× alone", 1.1)


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--runs", type=int, default=RUNS, help="of ten steps (90,000)")
    parser.add_argument("--big", type=int, default=BIG, help="steps of the big run (100,000)")
    parser.add_argument("--steps", type=int, default=STEPS, help="steps of the run that is read")
    parser.add_argument("--pairs", type=int, default=7, help="of runs with and without readers")


def rows(options: argparse.Namespace) -> Iterator[Row]:
    with tempfile.TemporaryDirectory(dir=options.dir, prefix="bench-") as place:
        full = Path(place) / "full"
        fill(full, options.runs, options.big)
        taken: dict[str, list[float]] = {what: [] for what in PAGES}
        for _ in range(options.repeat):
            with served(full) as port:
                for path in WARM:
                    ask(port, path)
                for what, path in PAGES.items():
                    taken[what].append(seconds_of(port, path.format(options.runs + 1)))
        for what, seconds in taken.items():
            figures = {"seconds": median(seconds), "alone s": None, "× alone": None}
            yield Row(what, figures, [PAGE], {"all": seconds})
        yield beside(Path(place), options)


def beside(place: Path, options: argparse.Namespace) -> Row:
    """Compare runs with readers and runs without, each beside a server."""
    folder = place / "read"
    _common.write_big(folder, options.steps)
    run = ["-m", "engine", "run", "-q", "--fresh", "big"]
    _common.fresh(run, folder)
    with served(folder) as port:
        taken = _common.in_turn(
            options.pairs,
            {
                "alone": partial(_common.seconds_of, run, folder),
                "read": partial(read_beside, port, run, folder),
            },
        )
    pairs = [read / alone for alone, read in zip(taken["alone"], taken["read"], strict=True)]
    figures = {
        "seconds": median(taken["read"]),
        "alone s": median(taken["alone"]),
        "× alone": median(pairs),
    }
    what = f"a run of {options.steps:,}, {READERS} readers"
    return Row(what, figures, [BESIDE], {"all": taken})


def read_beside(port: int, run: list[str], folder: Path) -> float:
    """Measure a run whose page is asked for by all readers, once a second each, as pages do."""
    ended = threading.Event()
    newest = _newest(port)
    readers = [
        threading.Thread(target=follow, args=(port, newest + 1, at / READERS, ended))
        for at in range(READERS)
    ]
    for reader in readers:
        reader.start()
    try:
        return _common.seconds_of(run, folder)
    finally:
        ended.set()
        for reader in readers:
            reader.join()


def follow(port: int, run_id: int, wait_s: float, ended: threading.Event) -> None:
    """Ask as a page does: what it has is named, and sent again only if there is something new."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    tag, every_s = '""', 1.0
    while not ended.wait(wait_s):
        connection.request("GET", f"/runs/{run_id}", headers={"If-None-Match": tag})
        answer = connection.getresponse()
        answer.read()
        tag = answer.getheader("ETag") or tag
        every_s = float(answer.getheader("Live-Every") or 0) / 1000 or every_s
        wait_s = every_s
    connection.close()


def _newest(port: int) -> int:
    text = ask(port, "/runs")
    return int(text.partition('href="/runs/')[2].partition('"')[0])


@contextmanager
def served(folder: Path) -> Iterator[int]:
    """Serve a project; gives the port."""
    server = subprocess.Popen(
        [sys.executable, "-m", "engine", "serve", "--port", "0"],
        cwd=folder,
        env={"PYTHONPATH": str(_common.ROOT), "PATH": "/usr/bin:/bin"},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stdout is not None
        yield int(server.stdout.readline().split("127.0.0.1:")[1].split("/")[0])
    finally:
        server.terminate()
        server.communicate()


def ask(port: int, path: str) -> str:
    """Ask for a page, which must be there."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", path)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    assert answer.status == 200, (path, answer.status, text)
    return text


def seconds_of(port: int, path: str) -> float:
    """Measure one request."""
    begun = time.perf_counter()
    ask(port, path)
    return time.perf_counter() - begun


if __name__ == "__main__":
    raise SystemExit(_common.main(__doc__, rows, arguments))
