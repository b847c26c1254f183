"""Made-up and real drops of the sales workflow, for its tests."""

from __future__ import annotations

import os
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from pipelines._sales_drop import COLUMNS, Line, parse_drop, unpack
from pipelines._sales_figures import summarize, to_json

ROOT = Path(__file__).parents[1]
SAMPLE = ROOT / "pipelines" / "sales-sample"
REAL = Path(os.environ.get("KAHNBAN_SHARED") or ROOT.parent / "shared") / "data" / "daily-sales"
MONDAY, TUESDAY = date(2026, 3, 2), date(2026, 3, 3)
SATURDAY = date(2026, 2, 28)
HEADER = ",".join(COLUMNS)
GOOD = "700001,31010,FOX NIGHT LAMP,6,2026-03-02 09:30:00,2.08,14001,United Kingdom"

needs_real_days = pytest.mark.skipif(
    not REAL.is_dir(), reason="the real days are not beside this checkout"
)


def no_password() -> None:
    """Stand for a secret that is not set."""


def drop_of(*lines: str) -> bytes:
    """Make a drop of a header and these lines."""
    return "\n".join([HEADER, *lines, ""]).encode()


def lines_of(*lines: str) -> list[Line]:
    """Read these CSV lines as Monday's drop."""
    return parse_drop(drop_of(*lines), "a.csv", MONDAY)


def line(**changed: Any) -> Line:
    """Make a sale line, changed where the test says so."""
    usual = Line("700001", "31010", "LAMP", 6, "2026-03-02 09:30:00", 2080, "14001", "UK")
    return usual._replace(**changed)


def sample_text(day: date) -> bytes:
    """Give a day of the sample, unpacked."""
    path = next(SAMPLE.glob(f"sales-{day}.csv*"))
    return unpack(path.read_bytes(), path.name)


def figures(data: bytes, day: date) -> str:
    """Give the JSON of a drop's figures."""
    return to_json(summarize(parse_drop(data, "drop", day)))
