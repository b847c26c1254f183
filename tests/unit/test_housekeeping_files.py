"""Large new files: found within bounds, on one file system, and never through a link."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from pipelines._housekeeping import files
from pipelines._housekeeping.files import Bounds, Wanted, find, named
from pipelines._housekeeping.shapes import LargeFiles

ALL = Bounds(1.0, clock=lambda: 0.0)
LARGE = Wanted(64 * 1024, since_s=0.0)


def fill(path: Path, size: int) -> Path:
    """Write a file that takes `size` bytes on its disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)
    with path.open("rb+") as file:
        os.fsync(file.fileno())  # until then some file systems count no blocks
    return path


def names(found: LargeFiles) -> list[str]:
    """Give the names of the files found, in their order."""
    return [Path(one["path"]).name for one in found["files"]]


def test_the_largest_come_first_and_small_ones_not_at_all(tmp_path: Path) -> None:
    """A file at the bound is large; one below is not."""
    fill(tmp_path / "a" / "at", 64 * 1024)
    fill(tmp_path / "b" / "c" / "big", 256 * 1024)
    fill(tmp_path / "below", 60 * 1024)
    found = find([str(tmp_path)], LARGE, ALL)
    assert names(found) == ["big", "at"]
    assert (found["count"], found["unread"], found["left"]) == (2, 0, 0)
    assert found["looked_at"] == 6
    assert found["total_bytes"] == sum(one["size_bytes"] for one in found["files"])


def test_a_file_is_as_large_as_the_room_it_takes(tmp_path: Path) -> None:
    """A sparse file of a gigabyte fills no disk."""
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(1 << 30)
    assert find([str(tmp_path)], LARGE, ALL)["count"] == 0


def test_a_file_is_new_by_its_change_not_by_its_date(tmp_path: Path) -> None:
    """What was unpacked with an old date is new; what has not changed since is not."""
    path = fill(tmp_path / "unpacked", 128 * 1024)
    os.utime(path, (0, 0))
    changed_s = path.stat().st_ctime
    assert names(find([str(tmp_path)], LARGE._replace(since_s=changed_s), ALL)) == ["unpacked"]
    assert find([str(tmp_path)], LARGE._replace(since_s=changed_s + 1), ALL)["count"] == 0


def test_links_are_not_followed_and_names_count_once(tmp_path: Path) -> None:
    """Neither links to files and folders nor second names, loops or roots in roots count again."""
    big = fill(tmp_path / "a" / "big", 128 * 1024)
    other = fill(tmp_path / "elsewhere" / "other", 128 * 1024)
    (tmp_path / "a" / "link").symlink_to(other)
    (tmp_path / "a" / "folder").symlink_to(other.parent)
    (tmp_path / "a" / "loop").symlink_to(tmp_path / "a")
    os.link(big, tmp_path / "a" / "second")
    os.mkfifo(tmp_path / "a" / "pipe")
    found = find([str(tmp_path / "a"), str(tmp_path / "a")], LARGE, ALL)
    assert found["count"] == 1
    assert names(found)[0] in {"big", "second"}


def test_a_root_may_be_a_link_itself(tmp_path: Path) -> None:
    """What the user names is looked into, also by another name."""
    fill(tmp_path / "real" / "big", 128 * 1024)
    (tmp_path / "link").symlink_to("real")
    assert find([str(tmp_path / "link")], LARGE, ALL)["count"] == 1


def test_what_is_ours_is_left_out(tmp_path: Path) -> None:
    """The engine's home is found by what it is, by whatever way one comes there."""
    fill(tmp_path / "project" / "var" / "runs.db", 256 * 1024)
    (tmp_path / "home").symlink_to(tmp_path / "project" / "var")
    assert find([str(tmp_path)], LARGE, ALL, without=[str(tmp_path / "home")])["count"] == 0
    assert find([str(tmp_path)], LARGE, ALL, without=[str(tmp_path / "none")])["count"] == 1


def test_another_file_system_is_not_entered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder of another device is passed by before it is opened."""
    fill(tmp_path / "mounted" / "big", 128 * 1024)
    fill(tmp_path / "here" / "big", 128 * 1024)
    real = os.lstat

    def lstat(path: str) -> os.stat_result:
        facts = real(path)
        if path.endswith("mounted"):
            return os.stat_result((*facts[:2], facts.st_dev + 1, *facts[3:]))
        return facts

    monkeypatch.setattr(os, "lstat", lstat)
    found = find([str(tmp_path)], LARGE, ALL)
    assert [one["path"] for one in found["files"]] == [str(tmp_path / "here" / "big")]
    assert found["unread"] == 0


def test_a_closed_folder_is_counted_and_the_rest_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No right to look is no failure."""
    fill(tmp_path / "closed" / "big", 128 * 1024)
    fill(tmp_path / "open" / "big", 128 * 1024)
    real = os.open

    def refuse(path: str, flags: int) -> int:
        if path.endswith("closed"):
            raise PermissionError(13, "Permission denied")
        return real(path, flags)

    monkeypatch.setattr(os, "open", refuse)
    found = find([str(tmp_path)], LARGE, ALL)
    assert (found["count"], found["unread"], found["left"]) == (1, 1, 0)


@pytest.mark.parametrize(("entries", "reached"), [(1, 0), (3, 1), (99, 2)])
def test_a_walk_ends_at_its_number_of_entries(tmp_path: Path, entries: int, reached: int) -> None:
    """Folders that were not reached are counted."""
    fill(tmp_path / "a" / "big", 128 * 1024)
    fill(tmp_path / "b" / "big", 128 * 1024)
    found = find([str(tmp_path)], LARGE, ALL._replace(entries=entries))
    assert (found["count"], found["left"]) == (reached, 2 - reached)


def test_a_walk_ends_in_time_also_inside_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder of a hundred thousand files is left half-way, and counts as left."""
    monkeypatch.setattr(files, "LOOK_AT_CLOCK", 10)
    for number in range(15):
        (tmp_path / str(number)).touch()
    ticks: Iterator[int] = count()
    found = find([str(tmp_path)], LARGE, Bounds(1.0, clock=lambda: next(ticks)))
    assert (found["looked_at"], found["left"]) == (10, 1)


def test_the_list_is_capped_and_the_rest_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The largest stay."""
    monkeypatch.setattr(files, "SHOWN", 2)
    for number in (3, 1, 2):
        fill(tmp_path / str(number), number * 128 * 1024)
    found = find([str(tmp_path)], LARGE, ALL)
    assert (names(found), found["count"]) == (["3", "2"], 3)


def test_a_name_that_is_no_text_is_shown(tmp_path: Path) -> None:
    """A context value must be UTF-8; a file's name need not."""
    fill(Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9")), 128 * 1024)
    assert names(find([str(tmp_path)], LARGE, ALL)) == ["caf\\xe9"]


def test_packages_folders_come_last(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where time is short, it goes to folders in which a large file is a surprise."""
    fill(tmp_path / "a" / "big", 128 * 1024)
    fill(tmp_path / "b" / "c" / "big", 128 * 1024)
    monkeypatch.setattr(files, "LATER", {str(tmp_path / "a")})
    found = find([str(tmp_path)], LARGE, ALL._replace(entries=4))
    assert [one["path"] for one in found["files"]] == [str(tmp_path / "b" / "c" / "big")]
    assert found["left"] == 1


def test_named_folders_must_be_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A typing error is told, not taken for a folder without large files."""
    monkeypatch.setenv("HOME", str(tmp_path))
    assert named("") == []
    assert named("~:/") == [str(tmp_path), "/"]
    missing = re.escape(f"'{tmp_path}/none' is not a folder: give existing ones with --set roots=")
    with pytest.raises(ValueError, match=f"^{missing}"):
        named(f"{tmp_path}/none")
