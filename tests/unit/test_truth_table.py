"""The truth table in the documents is what the code does."""

from __future__ import annotations

from pathlib import Path

from tests.truth_table import table

PAGE = Path(__file__).resolve().parents[2] / "docs" / "when-steps-run.md"


def test_the_table_is_made_from_the_code() -> None:
    """`python -m tests.truth_table` prints what the page is to hold."""
    assert "\n".join(table()) + "\n\n" in PAGE.read_text("utf-8")
