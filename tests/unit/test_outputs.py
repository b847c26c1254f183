"""A target appears whole at the publishing, or not at all."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from engine.errors import StoreError, SupersededError, UsageError
from engine.outputs import Outputs, discard, file_sha256, matches, publish, store_file
from engine.produced import OutputFile


def make(root: Path, store_url: str = "") -> Outputs:
    """Give the outputs of attempt 1 of step `s` in run 7."""
    return Outputs(root, "7-s-1", store_url)


def names(folder: Path) -> list[str]:
    """Give what lies in a folder, hidden files too."""
    return sorted(path.name for path in folder.iterdir())


def write(outputs: Outputs, path: str | Path, text: str = "new") -> OutputFile:
    """Write an output and give its record."""
    with outputs.open(path) as file:
        file.write(text)
    return outputs.files[-1]


def test_an_output_appears_at_the_publishing(tmp_path: Path) -> None:
    """Until then it lies beside its target under a name that says whose it is."""
    outputs = make(tmp_path)
    file = write(outputs, "deep/er/a.txt", "grün\n")
    data = "grün\n".encode()
    target, temporary = tmp_path / "deep/er/a.txt", Path(file.temporary)
    assert (file.target, file.size) == (str(target), len(data))
    assert file.sha256 == hashlib.sha256(data).hexdigest()
    assert temporary.parent == target.parent
    assert temporary.name.startswith(".kahnban-7-s-1-")
    assert not target.exists()
    publish(outputs.files)
    assert target.read_bytes() == data
    assert names(target.parent) == ["a.txt"]


def test_a_finished_output_keeps_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder is synced before the file counts: its success may be committed after that."""
    outputs = Outputs(tmp_path, "1-a-1")
    counted: dict[str, int] = {}

    def sync(folder: str | os.PathLike[str]) -> None:
        counted[os.fspath(folder)] = len(outputs.files)

    monkeypatch.setattr("engine.outputs._sync_folder", sync)
    with outputs.open("a.txt") as file:
        file.write("a")
    assert counted == {str(tmp_path): 0}
    assert len(outputs.files) == 1


def test_text_newlines_and_bytes(tmp_path: Path) -> None:
    """`newline` reaches the file (csv wants it empty); bytes go as they are."""
    outputs = make(tmp_path)
    with outputs.open("a.csv", newline="") as file:
        file.write("a\r\nb\r\n")
    with outputs.open("b.bin", "wb") as file:
        file.write(b"\xff\x00")
    publish(outputs.files)
    assert (tmp_path / "a.csv").read_bytes() == b"a\r\nb\r\n"
    assert (tmp_path / "b.bin").read_bytes() == b"\xff\x00"


@pytest.mark.parametrize("mode", ["r", "a", "w+", "x", "rb"])
def test_other_modes_are_refused(tmp_path: Path, mode: str) -> None:
    """An output is written whole."""
    with (
        pytest.raises(UsageError, match="cannot be opened with mode"),
        make(tmp_path).open("a", mode),
    ):
        pass
    assert names(tmp_path) == []


def test_an_exception_removes_the_temporary(tmp_path: Path) -> None:
    """The old target stays, and the same attempt may write it again."""
    (tmp_path / "a.txt").write_text("old", encoding="utf-8")
    outputs = make(tmp_path)

    def fail() -> None:
        with outputs.open("a.txt") as file:
            file.write("half")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert outputs.files == ()
    assert names(tmp_path) == ["a.txt"]
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == "old"
    write(outputs, "a.txt")
    publish(outputs.files)
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == "new"


def test_two_outputs_to_one_target_are_refused(tmp_path: Path) -> None:
    """However the target is spelled."""
    outputs = make(tmp_path)
    write(outputs, "a.txt")
    with pytest.raises(UsageError, match="is written twice in one attempt"):
        write(outputs, tmp_path / "sub" / ".." / "a.txt")


@pytest.mark.parametrize("path", ["s3cr3t.csv", "a/s3cr3t/b.csv", "/tmp/s3cr3t", "link/b.csv"])
def test_a_path_that_holds_a_secret_is_refused(tmp_path: Path, path: str) -> None:
    """Paths are recorded; the project's own place is not the step's to choose."""
    root = tmp_path / "s3cr3t-project"
    (root / "a").mkdir(parents=True)
    (root / "s3cr3t").mkdir()
    (root / "link").symlink_to("s3cr3t")
    outputs = Outputs(root, "7-s-1", reject=lambda text: "s3cr3t" in text)
    with pytest.raises(UsageError, match="the path of an output holds a registered secret"):
        outputs.begin(path)
    assert names(root / "a") == []
    outputs.begin("a/b.csv")


def test_a_folder_is_refused(tmp_path: Path) -> None:
    """The target has to be a file."""
    (tmp_path / "a").mkdir()
    with pytest.raises(UsageError, match="is a folder"):
        write(make(tmp_path), "a")


@pytest.mark.parametrize("name", ["runs.db", "runs.db-wal", "runs.db-shm", "link"])
def test_the_stores_files_are_refused(tmp_path: Path, name: str) -> None:
    """Also through a link; the store's neighbours are free."""
    store = tmp_path / "runs.db"
    store.write_bytes(b"data")
    (tmp_path / "link").symlink_to(store)
    outputs = make(tmp_path, f"sqlite:///{store}?mode=rw")
    with pytest.raises(UsageError, match="belongs to the store"):
        write(outputs, name)
    assert store.read_bytes() == b"data"
    write(outputs, "other.db")


def test_store_urls() -> None:
    """Only a database file has a name to protect."""
    assert store_file("sqlite:////srv/x/runs.db") == Path("/srv/x/runs.db")
    assert store_file("sqlite+pysqlite:///file:/srv/x.db?mode=ro&uri=true") == Path("/srv/x.db")
    assert store_file("sqlite:///:memory:") is None
    assert store_file("postgresql:///runs") is None
    assert store_file("") is None


def test_a_link_is_followed(tmp_path: Path) -> None:
    """What the link points to is replaced, the link stays."""
    (tmp_path / "real.txt").write_text("old", encoding="utf-8")
    (tmp_path / "link.txt").symlink_to("real.txt")
    outputs = make(tmp_path)
    write(outputs, "link.txt")
    publish(outputs.files)
    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "real.txt").read_text(encoding="utf-8") == "new"


def test_modes(tmp_path: Path) -> None:
    """A new file gets the umask's mode, a replaced one keeps its own."""
    (tmp_path / "old.txt").write_text("old", encoding="utf-8")
    (tmp_path / "old.txt").chmod(0o640)
    outputs = make(tmp_path)
    before = os.umask(0o027)
    try:
        write(outputs, "new.txt")
        with outputs.open("old.txt") as file:
            assert Path(file.name).stat().st_mode & 0o777 == 0o600
    finally:
        os.umask(before)
    publish(outputs.files)
    assert (tmp_path / "new.txt").stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "old.txt").stat().st_mode & 0o777 == 0o640


def test_a_tool_may_replace_the_file(tmp_path: Path) -> None:
    """What lies under the handed-out name at the end is measured."""
    outputs = make(tmp_path)
    with outputs.open("a.txt") as file:
        (tmp_path / "made").write_text("by a tool", encoding="utf-8")
        (tmp_path / "made").rename(file.name)
    assert outputs.files[0].size == 9


def test_a_left_temporary_is_no_obstacle(tmp_path: Path) -> None:
    """A leftover under the same name, even a link, is replaced."""
    first = write(make(tmp_path), "a.txt")
    Path(first.temporary).unlink()
    (tmp_path / "victim").write_text("untouched", encoding="utf-8")
    Path(first.temporary).symlink_to(tmp_path / "victim")
    second = write(make(tmp_path), "a.txt")
    assert second.temporary == first.temporary
    publish([second])
    assert (tmp_path / "victim").read_text(encoding="utf-8") == "untouched"


def test_publishing_twice_is_publishing_once(tmp_path: Path) -> None:
    """After a crash in the middle the rest is done, in order."""
    outputs = make(tmp_path)
    write(outputs, "a.txt", "a")
    write(outputs, "b.txt", "b")
    publish(outputs.files[:1])
    publish(outputs.files)
    publish(outputs.files)
    assert names(tmp_path) == ["a.txt", "b.txt"]


def test_a_lost_output_is_an_error(tmp_path: Path) -> None:
    """Neither temporary nor the recorded target: the record cannot be made true."""
    outputs = make(tmp_path)
    file = write(outputs, "a.txt")
    outputs.discard()
    (tmp_path / "a.txt").write_text("other", encoding="utf-8")
    with pytest.raises(StoreError, match="is lost: its temporary"):
        publish([file])


def test_a_target_that_became_a_folder_is_an_error(tmp_path: Path) -> None:
    """What the machine refuses is named."""
    file = write(make(tmp_path), "a.txt")
    (tmp_path / "a.txt").mkdir()
    with pytest.raises(
        StoreError, match=f"cannot publish output '{tmp_path}/a.txt': Is a directory"
    ):
        publish([file])


def test_discarding_removes_all_and_ends_all(tmp_path: Path) -> None:
    """Files that are finished, or still being written, vanish; later ones are refused."""
    outputs = make(tmp_path)
    write(outputs, "a.txt")

    def be_late() -> None:
        with outputs.open("b.txt") as file:
            outputs.discard()
            file.write("late")

    with pytest.raises(SupersededError):
        be_late()
    with pytest.raises(SupersededError, match="the attempt is over"):
        write(outputs, "c.txt")
    assert outputs.files == ()
    assert names(tmp_path) == []


def test_discard_takes_records(tmp_path: Path) -> None:
    """What is gone already is passed over."""
    file = write(make(tmp_path), "a.txt")
    discard([file, file])
    assert names(tmp_path) == []


def test_a_pending_file_for_a_command(tmp_path: Path) -> None:
    """A command makes its file itself; one that does not is an error."""
    outputs = make(tmp_path)
    pending = outputs.begin("a.txt", create=False)
    assert not pending.temporary.exists()
    with pytest.raises(UsageError, match="was not written"):
        pending.finish()
    again = outputs.begin("a.txt", create=False)
    again.temporary.write_text("made", encoding="utf-8")
    assert again.finish().size == 4


def test_matching(tmp_path: Path) -> None:
    """A file that is gone, altered, or no file does not match."""
    path = tmp_path / "a.txt"
    path.write_text("text", encoding="utf-8")
    digest = file_sha256(path)
    assert digest == hashlib.sha256(b"text").hexdigest()
    assert matches(path, digest)
    (tmp_path / "link").symlink_to(path)
    assert not matches(tmp_path / "link", digest)
    assert not matches(tmp_path, digest)
    path.write_text("tex!", encoding="utf-8")
    assert not matches(path, digest)
    path.unlink()
    assert not matches(path, digest)
