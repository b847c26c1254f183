"""Attempt logs hold every whole line at once, safe to read, and never fail a step."""

from __future__ import annotations

import errno
import logging
import os
import re
import stat
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from engine import logs
from engine.clock import SystemClock
from engine.logs import (
    AttemptScope,
    LogLine,
    RunLogs,
    attempt_of,
    attempt_scope,
    escape,
    log_name,
    step_logger,
    tail,
)

AT = datetime(2011, 11, 14, 8, 0, 1, tzinfo=UTC)
TIME = AT.astimezone().isoformat()[11:]


class StoppedClock(SystemClock):
    """A clock at which it always is the same time."""

    def utc(self) -> datetime:
        """Give the same instant."""
        return AT


def plain(text: str) -> str:
    """Mask nothing."""
    return text


@pytest.fixture
def forwarded() -> list[LogLine]:
    """Give what the logs have passed on."""
    return []


@pytest.fixture
def run_logs(tmp_path: Path, forwarded: list[LogLine]) -> RunLogs:
    """Give the logs of run 7, masking `hunter22`."""
    return RunLogs(
        tmp_path / "logs" / "daily" / "7",
        run_id=7,
        clock=StoppedClock(),
        mask=lambda text: re.sub("h\n?unt\n?er\n?22", "***", text),
        forward=forwarded.append,
    )


def lines_of(path: Path) -> list[str]:
    """Give the lines of a log."""
    return path.read_text("utf-8").splitlines()


def test_a_file_is_made_private_with_its_first_line(run_logs: RunLogs) -> None:
    """Opening makes nothing; the first line makes folders 0700 and the file 0600."""
    log = run_logs.open("fetch", 2)
    log.write("no line yet")
    assert not run_logs.folder.exists()
    log.write(" but now\n")
    assert log.path.name == "fetch.2.log"
    assert lines_of(log.path) == [f"{TIME} out     no line yet but now"]
    assert stat.S_IMODE(log.path.stat().st_mode) == 0o600
    for folder in (run_logs.folder, run_logs.folder.parent, run_logs.folder.parent.parent):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    log.close()


def test_lines_are_there_before_the_log_is_closed_and_one_write_holds_a_batch(
    run_logs: RunLogs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All whole lines at hand go out in a single write, which no crash of ours can take back."""
    sizes: list[int] = []
    write = os.write

    def counted(fd: int, data: bytes) -> int:
        sizes.append(len(data))
        return write(fd, data)

    monkeypatch.setattr(os, "write", counted)
    log = run_logs.open("fetch", 1)
    log.write("a\nb\nc")
    monkeypatch.undo()
    assert lines_of(log.path) == [f"{TIME} out     a", f"{TIME} out     b"]
    assert len(sizes) == 1
    log.close()
    assert lines_of(log.path)[-1] == f"{TIME} out     c"


def test_streams_are_kept_apart(run_logs: RunLogs, forwarded: list[LogLine]) -> None:
    """An unfinished line of one stream is not torn by another stream's."""
    log = run_logs.open("fetch", 1)
    log.write("half ")
    log.write("oh no\n", stream="err")
    log.write("whole\n")
    log.close()
    assert lines_of(log.path) == [f"{TIME} err     oh no", f"{TIME} out     half whole"]
    assert forwarded == [
        LogLine(7, "fetch", 1, "err", "oh no", AT),
        LogLine(7, "fetch", 1, "out", "half whole", AT),
    ]


def test_secrets_are_masked_also_where_they_come_in_pieces(
    run_logs: RunLogs, forwarded: list[LogLine]
) -> None:
    """A secret split over two writes, or near the cut of a long line, is masked in all places."""
    log = run_logs.open("fetch", 1)
    log.write("password hun")
    log.write("ter22!\n")
    log.write("x" * (logs.LINE_CHARS_MAX - 4) + "hunter22" + "y" * 100_000 + "\n")
    log.close()
    text = log.path.read_text()
    assert f"{TIME} out     password ***!\n" in text
    assert "hunt" not in text
    assert text.endswith("x***y … (line cut)\n")
    assert not any("hunt" in line.text for line in forwarded)


@pytest.mark.parametrize("pieces", [["a\nhunt\ner22!", "\n"], ["a\nhunt\n", "er22!\n"]])
def test_a_secret_over_two_lines(run_logs: RunLogs, pieces: list[str]) -> None:
    """It is masked if it comes in one piece, as `print` gives it; a line at a time it is not."""
    log = run_logs.open("fetch", 1)
    for piece in pieces:
        log.write(piece)
    log.close()
    in_one = len(pieces[1]) == 1
    said = ["a", "***!"] if in_one else ["a", "hunt", "er22!"]
    assert lines_of(log.path) == [f"{TIME} out     {line}" for line in said]


def test_a_line_that_never_ends_takes_little_memory(run_logs: RunLogs) -> None:
    """What is over the bound of a line is dropped as it comes."""
    log = run_logs.open("fetch", 1)
    for _ in range(50):
        log.write("x" * 100_000)
        assert sum(map(len, log._partial.values())) <= 70_000
    log.close()
    (line,) = lines_of(log.path)
    assert line == f"{TIME} out     {'x' * logs.LINE_CHARS_MAX} … (line cut)"


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("plain ünd\ttab", "plain ünd\ttab"),
        ("a\x1b[2Jb", "a\\x1b[2Jb"),
        ("a\r08:00:00 ERROR forged", "a\\x0d08:00:00 ERROR forged"),
        ("a\x85b\u2028c\u2029", "a\\x85b\\u2028c\\u2029"),
        ("\u202egnp.exe\u2066", "\\u202egnp.exe\\u2066"),
        ("\x00\x7f", "\\x00\\x7f"),
        ("\udcff", "\\udcff"),
    ],
)
def test_what_could_forge_a_line_is_escaped(text: str, safe: str, run_logs: RunLogs) -> None:
    """Control, separator and bidi characters are shown, not obeyed; a tab is kept."""
    assert escape(text) == safe
    log = run_logs.open("fetch", 1)
    log.write(text + "\n")
    log.close()
    assert log.path.read_text("utf-8") == f"{TIME} out     {safe}\n"


def test_windows_line_ends_are_line_ends(run_logs: RunLogs) -> None:
    """A carriage return before a line feed belongs to the line's end, also in two writes."""
    log = run_logs.open("fetch", 1)
    log.write("a\r\nb\r")
    log.write("\nc\r\n")
    log.close()
    assert [line.split("out     ")[1] for line in lines_of(log.path)] == ["a", "b", "c"]


def test_a_log_is_capped_and_says_so_once(
    run_logs: RunLogs, forwarded: list[LogLine], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Past its cap a log takes nothing, and neither does the console."""
    monkeypatch.setattr(logs, "FILE_BYTES_MAX", 124)
    log = run_logs.open("fetch", 1)
    for number in range(50):
        log.write(f"line {number:02d}\n")
    log.close()
    note = "output cut: the attempt has logged 10 MB"
    assert lines_of(log.path) == [
        *(f"{TIME} out     line {number:02d}" for number in range(4)),
        f"{TIME} WARNING {note}",
    ]
    assert [line.text for line in forwarded] == ["line 00", "line 01", "line 02", "line 03", note]


def test_nothing_comes_after_the_note_that_a_log_was_cut(
    run_logs: RunLogs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The write that reached the cap ended within a line: its short rest once fitted behind it."""
    monkeypatch.setattr(logs, "FILE_BYTES_MAX", 100)
    log = run_logs.open("fetch", 1)
    log.write("x" * 90 + "\nrest")
    log.close()
    assert lines_of(log.path) == [f"{TIME} WARNING output cut: the attempt has logged 10 MB"]


def test_a_full_disk_costs_lines_not_the_step(
    run_logs: RunLogs, forwarded: list[LogLine], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lines that cannot be written are told of once on the console, and later in the file."""
    log = run_logs.open("fetch", 1)
    log.write("before\n")

    def full(_fd: int, _data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        log.write("lost 1\nlost 2\n")
        log.write("lost 3\n")
    log.write("after\n")
    log.close()
    assert lines_of(log.path) == [
        f"{TIME} out     before",
        f"{TIME} WARNING 3 lines are missing here",
        f"{TIME} out     after",
    ]
    notes = [line.text for line in forwarded if line.stream == "WARNING"]
    assert notes == [f"the log '{log.path}' is incomplete: no space left on device"]
    assert [line.text for line in forwarded if line.stream == "out"][1] == "lost 1"


def test_a_console_that_fails_does_not_fail_the_step(tmp_path: Path) -> None:
    """An error in showing a line stays there."""

    def broken(_line: LogLine) -> None:
        raise BrokenPipeError

    run_logs = RunLogs(tmp_path, run_id=1, clock=StoppedClock(), mask=plain, forward=broken)
    log = run_logs.open("fetch", 1)
    log.write("kept\n")
    log.close()
    assert lines_of(log.path) == [f"{TIME} out     kept"]


def test_threads_do_not_tear_each_others_lines(run_logs: RunLogs) -> None:
    """Lines of several threads stay whole, in each thread's order."""
    log = run_logs.open("fetch", 1)

    def talk(name: str) -> None:
        for number in range(200):
            log.write(f"{name}{number}\n")

    threads = [threading.Thread(target=talk, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log.close()
    found = [line.split()[-1] for line in lines_of(log.path)]
    assert len(found) == 600
    for name in "abc":
        assert [text for text in found if text[0] == name] == [f"{name}{i}" for i in range(200)]


@pytest.mark.parametrize("end", ["\n", ""])
@pytest.mark.parametrize("count", [0, 1, 20, 50_000])
def test_tail_gives_the_last_lines(count: int, end: str, tmp_path: Path) -> None:
    """The last lines come in order, from files shorter and much longer than asked for."""
    path = tmp_path / "x.log"
    numbered = [f"line {number}" for number in range(count)]
    path.write_text("\n".join(numbered) + (end if count else ""))
    assert tail(path) == numbered[-20:]
    assert tail(path, 2) == numbered[-2:]
    assert tail(path, 0) == []


def test_tail_of_no_file_is_empty_and_of_bytes_is_text(tmp_path: Path) -> None:
    """A missing log has no lines; bytes that are no text are shown."""
    assert tail(tmp_path / "none.log") == []
    (tmp_path / "b.log").write_bytes(b"\xff\n\n")
    assert tail(tmp_path / "b.log") == ["\\xff", ""]


# -- ctx.log --------------------------------------------------------------------------------------


@pytest.fixture
def scope(run_logs: RunLogs) -> Iterator[AttemptScope]:
    """Give attempt 2 of step `fetch`, current in this thread."""
    with attempt_scope(AttemptScope(7, "fetch", 2, run_logs)) as scope:
        yield scope


def test_a_step_logs_into_its_file_without_any_set_up(
    scope: AttemptScope, run_logs: RunLogs, forwarded: list[LogLine]
) -> None:
    """ctx.log writes to the attempt's log, with level and traceback, and leaves root alone."""
    root = logging.getLogger()
    before = list(root.handlers), root.level
    log = step_logger(scope)
    log.info("got %d rows", 3)
    log.debug("not shown")
    try:
        1 / 0  # noqa: B018 - for the traceback
    except ZeroDivisionError:
        log.exception("no\nluck")
    assert (list(root.handlers), root.level) == before
    lines = lines_of(run_logs.path("fetch", 2))
    assert lines[:4] == [
        f"{TIME} INFO    got 3 rows",
        f"{TIME} ERROR   no",
        f"{TIME} ERROR   luck",
        f"{TIME} ERROR   Traceback (most recent call last):",
    ]
    assert lines[-1] == f"{TIME} ERROR   ZeroDivisionError: division by zero"
    assert forwarded[0] == LogLine(7, "fetch", 2, "INFO", "got 3 rows", AT)


def test_records_carry_the_attempt_and_go_on_to_the_programs_own_handlers(
    scope: AttemptScope, caplog: pytest.LogCaptureFixture
) -> None:
    """A program that uses the engine as a library sees logger, run, step and attempt."""
    step_logger(scope).warning("late", extra={"mine": 1})
    (record,) = caplog.records
    assert record.name == "engine.step.fetch"
    found = {name: record.__dict__[name] for name in ("run", "step", "attempt", "mine")}
    assert found == {"run": 7, "step": "fetch", "attempt": 2, "mine": 1}


def test_a_thread_of_the_step_logs_to_the_steps_file(
    scope: AttemptScope, run_logs: RunLogs
) -> None:
    """ctx.log knows its attempt in threads that the step has started, too."""
    log = step_logger(scope)
    thread = threading.Thread(target=log.info, args=("from afar",))
    thread.start()
    thread.join()
    assert lines_of(run_logs.path("fetch", 2)) == [f"{TIME} INFO    from afar"]


def test_a_record_that_cannot_be_formatted_fails_nothing(
    scope: AttemptScope, run_logs: RunLogs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong format string is logged as it is."""
    monkeypatch.setattr(logging.getLogger(logs.STEP_LOGGER), "propagate", False)
    step_logger(scope).info("%d rows", "three")
    (line,) = lines_of(run_logs.path("fetch", 2))
    assert line.startswith(f"{TIME} INFO    '%d rows' (cannot be formatted: ")


@pytest.mark.parametrize(
    ("name", "attempt"),
    [
        ("a.1.log", ("a", 1)),
        ("a.1.log.2.log", ("a.1.log", 2)),
        ("a\n.10.log", ("a\n", 10)),
        *((name, None) for name in ("a.log", ".1.log", "a.0.log", "a.01.log", "a.1", "a.1.log\n")),
        *((name, None) for name in ("a.\u0661.log", "a.-1.log", f"a.{'1' * 10}.log", "log", "")),
    ],
)
def test_a_log_is_known_by_its_name(name: str, attempt: tuple[str, int] | None) -> None:
    """That of a step's attempt and no other file's, whatever lies in the folder."""
    assert attempt_of(name) == attempt
    assert attempt is None or log_name(*attempt) == name
