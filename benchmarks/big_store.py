"""What looking costs in a store with a million rows of old runs: seconds, each to stay below one.

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

from store.database import open_reader, open_writer
from store.history import History
from store.verify import verify
from tests.store.filled import many_old_runs
from tests.store.test_old_runs import LOOKS

BAR_S = 1.0


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
        reader.close()
    if parsed.json:
        parsed.json.write_text(json.dumps(found, indent=2))
    return 1 if faults or max(found.values()) > BAR_S else 0


if __name__ == "__main__":
    raise SystemExit(main())
