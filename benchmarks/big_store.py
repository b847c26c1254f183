"""What does looking cost in a store with a million rows of old runs? Inside the process.

And what saving it and letting the runs go costs, with the longest that a transaction of it took.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import _common
from _common import Bar, Row

sys.path.insert(0, str(_common.ROOT))

from store import copies, prune, retention
from store.connection import Database
from store.database import open_reader, open_writer
from store.history import History
from store.retention import Limits
from store.verify import verify
from tests.store.filled import many_old_runs
from tests.store.test_old_runs import LOOKS

BAR = Bar("ms", 1000)


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--runs", type=int, default=50_000, help="of ten steps each (50,000)")


def rows(options: argparse.Namespace) -> Iterator[Row]:
    with tempfile.TemporaryDirectory(dir=options.dir, prefix="bench-") as folder:
        path = Path(folder) / "runs.db"
        database = open_writer(path)
        many_old_runs(database, options.runs)
        database.close()
        for what, look in LOOKS.items():
            yield row(what, in_a_reader(path, partial(ask, look)), bars=[BAR])
        yield row("db verify", in_a_reader(path, sound))
        copy = partial(copies.backup, target=Path(folder) / "copy.db")
        yield row("db backup", in_a_reader(path, copy))
        yield row("db prune", *prune_all(path))


def row(what: str, taken_s: float, longest_s: float | None = None, bars: Sequence[Bar] = ()) -> Row:
    longest_ms = None if longest_s is None else 1000 * longest_s
    return Row(what, {"ms": 1000 * taken_s, "a transaction": longest_ms}, bars)


def ask(look: Callable[[History], object], reader: Database) -> None:
    """Look, by what answers all commands."""
    look(History(reader))


def in_a_reader(path: Path, look: Callable[[Database], object]) -> float:
    """Measure one look, on a connection of its own."""
    reader = open_reader(path)
    begun = time.perf_counter()
    look(reader)
    taken_s = time.perf_counter() - begun
    reader.close()
    return taken_s


def sound(reader: Database) -> None:
    """Verify the store, as the command does."""
    faults = [one.text for one in verify(reader) if one.fault]
    assert not faults, faults


def prune_all(path: Path) -> tuple[float, float]:
    """Let all but the newest runs go, as the command does; seconds in all, and of a transaction."""
    database = open_writer(path)
    limits, longest_s = Limits(1 << 62, 20), 0.0
    begun = last = time.perf_counter()

    def go_on() -> bool:
        nonlocal longest_s, last
        now = time.perf_counter()
        longest_s, last = max(longest_s, now - last - prune.PAUSE_S), now
        return True

    with database.read() as cursor:
        due = [(name, retention.due(cursor, name, limits)) for name in retention.workflows(cursor)]
    for name, runs in due:
        for at in range(0, len(runs), 50):
            verdicts = prune.mark(database, name, limits, runs[at : at + 50], 1)
            go_on()
            prune.take_away(database, verdicts, go_on)
    taken_s = time.perf_counter() - begun
    database.close()
    return taken_s, longest_s


if __name__ == "__main__":
    raise SystemExit(_common.main(__doc__, rows, arguments, repeat=1))
