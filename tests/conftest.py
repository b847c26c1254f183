"""What every test gets: an environment without the developer's own settings."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SETTINGS = ("ENGINE_", "KAHNBAN_", "SLACK_", "SMTP_", "MAIL_")
SHARED = Path(os.environ.get("KAHNBAN_SHARED") or ROOT.parent / "shared")


@pytest.hookimpl(trylast=True)  # after the shuffling
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes long: at the end nobody waits for one test."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(SETTINGS):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def root() -> Path:
    """Give the checkout's top folder."""
    return ROOT


@pytest.fixture(scope="session")
def shared() -> Path:
    """Give the folder of real data: `KAHNBAN_SHARED`, else `shared` beside the checkout."""
    if not SHARED.is_dir():
        pytest.skip(f"no real data: '{SHARED}' is missing (KAHNBAN_SHARED names another folder)")
    return SHARED
