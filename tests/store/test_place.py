"""A store belongs to a machine and a path: a copy of it is looked at, and not written."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from engine.errors import StoreError
from store import place
from store.connection import Database
from store.database import open_reader, open_writer
from store.history import History
from store.restore import restore
from tests.store.filled import a_run

ONE, TWO = "1" * 32, "2" * 32


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the file that names this machine."""
    file = tmp_path / "machine-id"
    file.write_text(f"{ONE}\n")
    monkeypatch.setattr(place, "MACHINE_ID", file)
    return file


def test_a_new_store_knows_its_place(machine: Path, database: Database) -> None:
    """From its first instant, so that a copy of it can never pass for it."""
    rows = database.raw.execute("SELECT * FROM place_rows").fetchall()
    assert rows == [(1, ONE, str(database.path))]
    assert machine.exists()


def test_a_store_without_a_place_gets_one(path: Path, database: Database) -> None:
    """One made before stores had any belongs where it is first written to."""
    database.raw.execute("DELETE FROM place_rows")
    database.close()
    database = open_writer(path)
    assert place.recorded(database.raw.cursor()) == place.here(path)
    database.close()


def copied(path: Path) -> Path:
    """Copy a closed store to another folder."""
    copy = path.parent.parent / "copy" / "runs.db"
    copy.parent.mkdir()
    shutil.copyfile(path, copy)
    return copy


def test_a_copy_is_looked_at_but_not_written(path: Path, database: Database) -> None:
    """Both would otherwise go on, each with the same runs to continue and alerts to send."""
    a_run(database)
    database.close()
    copy = copied(path)
    before = copy.read_bytes()
    with pytest.raises(StoreError) as caught:
        open_writer(copy)
    assert caught.value.message == (
        f"the store '{copy}' is a copy or was moved: it belongs at '{path}'"
    )
    assert caught.value.hint == (
        f"look at it with `history` and `show`; `db restore {copy} --store sqlite:///{copy}`"
        " goes on with it here"
    )
    assert caught.value.exit_code == 3
    assert copy.read_bytes() == before
    reader = open_reader(copy)
    assert [row["status"] for row in History(reader).runs()] == ["ok"]
    reader.close()


def test_a_store_of_another_machine_is_a_copy(
    machine: Path, path: Path, database: Database
) -> None:
    """Though it lies at the same path."""
    database.close()
    machine.write_text(f"{TWO}\n")
    with pytest.raises(StoreError, match=r"it belongs on another machine$"):
        open_writer(path)
    with pytest.raises(StoreError, match=rf"it belongs at '{path}' on another machine$"):
        open_writer(copied(path))


@pytest.mark.parametrize("text", [None, "", "\n", "\xff", "uninitialized\n"])
def test_a_machine_without_identity_is_not_compared(
    machine: Path, path: Path, database: Database, text: str | None
) -> None:
    """A container often has none; there the path counts alone."""
    database.close()
    if text is None:
        machine.unlink()
    else:
        machine.write_bytes(text.encode("latin-1"))
    open_writer(path).close()
    with pytest.raises(StoreError, match=rf"it belongs at '{path}'$"):
        open_writer(copied(path))


def test_a_link_is_no_copy(path: Path, database: Database) -> None:
    """Where it leads is the place."""
    database.close()
    link = path.parent.parent / "link.db"
    link.symlink_to(path)
    open_writer(link).close()


def test_a_folder_that_became_a_link_is_told_by_both_names(path: Path, database: Database) -> None:
    """What was moved and linked to is elsewhere, though its name is what it was."""
    database.close()
    moved = path.parent.rename(path.parent.parent / "moved") / path.name
    path.parent.symlink_to(moved.parent)
    with pytest.raises(StoreError) as caught:
        open_writer(path)
    assert caught.value.message == (
        f"the store '{path}', which is '{moved}', is a copy or was moved: it belongs at '{path}'"
    )


def test_a_restored_copy_belongs_where_it_is(path: Path, database: Database) -> None:
    """Then each is a store of its own."""
    database.close()
    copy = copied(path)
    restore(copy, copy)
    open_writer(copy).close()
    open_writer(path).close()
