"""Put the figures of var/bench/ into docs/performance.md: `python benchmarks/_page.py`.

Between `<!-- NAME -->` and `<!-- /NAME -->` goes the table of a benchmark, between those of
`machine` what it was measured on, between those of `missed` the bars that are missed.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "performance.md"
FIGURES = ROOT / "var" / "bench"
MACHINE = "{cores} cores, Python {python}, SQLite {sqlite}, {file system}, {sync} to sync a page."


def table(told: dict[str, Any]) -> str:
    """Give the rows in which something was measured, as a table."""
    rows = [told["columns"], ["---"] * len(told["columns"]), *map(_cells, _measured(told))]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _measured(told: dict[str, Any]) -> list[dict[str, Any]]:
    heads = told["columns"][1:-1]
    return [row for row in told["rows"] if any(row[head] is not None for head in heads)]


def _cells(row: dict[str, Any]) -> list[str]:
    cells: list[str] = row["cells"]
    return cells


def missed(found: dict[str, dict[str, Any]]) -> str:
    """Give a line for each bar that is missed."""
    lines = [
        f"* {name}, {row['case']}: {' · '.join(_figures(told, row))}; wanted: {bar}."
        for name, told in found.items()
        for row in told["rows"]
        for bar in row["missed"]
    ]
    return "\n".join(lines) or "None."


def _figures(told: dict[str, Any], row: dict[str, Any]) -> list[str]:
    heads, cells = told["columns"][1:-1], row["cells"][1:-1]
    return [f"{head} {cell}" for head, cell in zip(heads, cells, strict=True) if cell != "–"]


def filled(page: str, found: dict[str, dict[str, Any]]) -> str:
    """Give the page with all that was found in its place; what was not measured stays."""
    blocks = {name: table(told) for name, told in found.items() if _measured(told)}
    if found:
        blocks["machine"] = MACHINE.format_map(next(iter(found.values()))["machine"])
        blocks["missed"] = missed(found)
    for name, text in blocks.items():
        head, opened, rest = page.partition(f"<!-- {name} -->\n")
        _, closed, tail = rest.partition(f"<!-- /{name} -->")
        assert closed, f"'{PAGE.name}' has no place for '{name}'"
        page = f"{head}{opened}{text}\n{closed}{tail}"
    return page


def main() -> None:
    found = {
        path.stem: json.loads(path.read_text("utf-8")) for path in sorted(FIGURES.glob("*.json"))
    }
    PAGE.write_text(filled(PAGE.read_text("utf-8"), found), "utf-8")


if __name__ == "__main__":
    main()
