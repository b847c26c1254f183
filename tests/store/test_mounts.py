"""Network file systems: told by the kernel's table of mounts, and refused."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from engine.errors import StoreError
from store import mounts
from store.database import open_reader, open_writer


def mounted(
    monkeypatch: pytest.MonkeyPatch, folder: Path, kind: str, *, device: str | None = None
) -> None:
    """Let a folder be a mount of some kind, as the kernel would list it."""
    found = folder.stat().st_dev
    number = device or f"{os.major(found)}:{os.minor(found)}"
    point = str(folder).replace(" ", "\\040")
    table = folder / "mountinfo"
    table.write_text(
        "1 1 0:0 / / rw shared:1 - rootfs none rw\n"
        f"36 1 {number} / {point} rw,noatime shared:2 master:3 - {kind} server:/x rw\n"
        f"37 1 99:99 / {point}x rw - ext4 /dev/other rw\n"
        "odd line\n"
    )
    monkeypatch.setattr(mounts, "MOUNTS", table)


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "9p", "fuse.sshfs"])
def test_a_network_file_system_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Before anything is made there, whether or not the store's folder exists."""
    mounted(monkeypatch, tmp_path, kind)
    path = tmp_path / "not" / "yet" / "runs.db"
    with pytest.raises(StoreError) as caught:
        open_writer(path)
    assert caught.value.message == f"the store '{path}' is on a network file system ({kind})"
    assert caught.value.hint == (
        "keep it on a local disk, see --store; ENGINE_NETWORK_STORE=allow takes the risk"
    )
    assert caught.value.exit_code == 3
    assert not (tmp_path / "not").exists()


@pytest.mark.parametrize("kind", ["ext4", "btrfs", "tmpfs", "overlay", "fuseblk", "virtiofs"])
def test_a_local_file_system_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """What is not known to be remote is the user's to choose."""
    mounted(monkeypatch, tmp_path, kind)
    open_writer(tmp_path / "runs.db").close()


def test_who_takes_the_risk_is_warned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Each time; another word than `allow` allows nothing."""
    mounted(monkeypatch, tmp_path, "nfs")
    path = tmp_path / "runs.db"
    monkeypatch.setenv("ENGINE_NETWORK_STORE", "yes")
    with pytest.raises(StoreError):
        open_writer(path)
    monkeypatch.setenv("ENGINE_NETWORK_STORE", "allow")
    with caplog.at_level(logging.WARNING):
        open_writer(path).close()
    (message,) = caplog.messages
    assert message == (
        f"the store '{path}' is on a network file system (nfs), where neither locks nor commits"
        " are sure"
    )
    monkeypatch.delenv("ENGINE_NETWORK_STORE")
    open_reader(path).close()  # looking is no risk


def test_a_device_without_a_mount_is_found_by_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some file systems give their folders device numbers of their own."""
    folder = tmp_path / "with space"
    (folder / "in" / "it").mkdir(parents=True)
    mounted(monkeypatch, folder, "nfs4", device="0:999999")
    assert mounts.file_system(folder / "in" / "it") == "nfs4"
    assert mounts.file_system(folder / "in" / "not" / "there") == "nfs4"
    assert mounts.file_system(tmp_path) == "rootfs"


def test_a_system_without_the_table_refuses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cannot be known stops nobody."""
    monkeypatch.setattr(mounts, "MOUNTS", tmp_path / "none")
    assert mounts.file_system(tmp_path) == ""
    open_writer(tmp_path / "runs.db").close()


def test_this_machine_is_known() -> None:
    """The real table names the real file systems."""
    assert mounts.file_system(Path("/proc/self")) == "proc"
