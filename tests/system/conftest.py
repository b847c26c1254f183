"""What system tests share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.system.project import Project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Give an empty project in a folder of its own."""
    return Project(tmp_path)
