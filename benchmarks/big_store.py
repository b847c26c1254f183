"""What looking costs in a store with a million rows of old runs: seconds, each to stay below one.

And what saving it and letting the runs go costs, with the longest that a transaction of it took.

python benchmarks/big_store.py [--runs N] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from store import copies, prune, retention
from store.database import open_reader, open_writer
from store.history import History
from store.retention import Limits
from store.verify import verify
from tests.store.filled import many_old_runs
from tests.store.test_old_runs import LOOKS

BAR_S = 1.0


def prune_all(path: Path) -> None:
    """Let all but the newest runs go, as the command does, and print what it took."""
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
    took_s = time.perf_counter() - begun
    database.close()
    print(f"{'db prune':22} {took_s:.3f} s (no bar), a transaction {longest_s:.3f} s at most")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=50_000, help="of ten steps each")
    parser.add_argument("--json", type=Path)
    parsed = parser.parse_args()
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        path = Path(folder) / "runs.db"
        database = open_writer(path)
        many_old_runs(database, parsed.runs)
        database.close()
        for what, look in LOOKS.items():
            reader = open_reader(path)
            begun = time.perf_counter()
            look(History(reader))
            found[what] = time.perf_counter() - begun
            reader.close()
            print(f"{what:22} {found[what]:.3f} s")
        reader = open_reader(path)
        begun = time.perf_counter()
        faults = [one.text for one in verify(reader) if one.fault]
        print(f"{'db verify':22} {time.perf_counter() - begun:.3f} s (no bar)")
        begun = time.perf_counter()
        copies.backup(reader, Path(folder) / "copy.db")
        print(f"{'db backup':22} {time.perf_counter() - begun:.3f} s (no bar)")
        reader.close()
        prune_all(path)
    if parsed.json:
        parsed.json.write_text(json.dumps(found, indent=2))
    return 1 if faults or max(found.values()) > BAR_S else 0


if __name__ == "__main__":
    raise SystemExit(main())
