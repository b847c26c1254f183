"""What the commands that look are asked for."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from engine.cli import look
from engine.errors import UsageError

NOW = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("since", "expected"),
    [
        ("7d", "2026-11-17T08:00:00"),
        ("12h", "2026-11-23T20:00:00"),
        ("99999999999999999999d", "0001-01-01T00:00:00"),
        ("1970-01-01T00:00:00Z", "1970-01-01T00:00:00"),
        ("0500-01-01T00:00:00Z", "0500-01-01T00:00:00"),
        ("2038-01-19T04:14:08+01:00", "2038-01-19T03:14:08"),
        ("9999-12-31T23:59:59+14:00", "9999-12-31T09:59:59"),
    ],
)
def test_since(since: str, expected: str) -> None:
    """An age or a moment of any year, as the store's texts say it in UTC."""
    assert look._since(since, NOW) == expected


@pytest.mark.parametrize(
    "since",
    [
        *("9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00"),
        *("2016-12-31T23:59:60Z", "2026-02-29", "-1d", "7", "x"),
    ],
)
def test_since_when(since: str) -> None:
    """What is no moment, or one of no year there is, is refused."""
    with pytest.raises(UsageError) as caught:
        look._since(since, NOW)
    assert caught.value.message == f"--since {since!r} is neither an age nor a date"
