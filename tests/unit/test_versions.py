"""What an engine runs on, read off the names of folders."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from engine.session import versions

if TYPE_CHECKING:
    import pytest


def test_packages_python_and_platform(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first on the path counts; what is no package, or not there, does not."""
    for name in ("a/Some_Thing-1.2.dist-info", "b/some_thing-1.1.dist-info", "b/x-y-2.dist-info"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "b" / "module.py").touch()
    folders = [str(tmp_path / name) for name in ("a", "b", "none")]
    monkeypatch.setattr(sys, "path", folders)
    found = dict(versions.installed.__wrapped__())
    assert found.pop("python") == ".".join(map(str, sys.version_info[:3]))
    assert found.pop("platform").startswith("Linux ")
    assert found == {"some-thing": "1.2", "x-y": "2"}
