"""The console shows each line once, whole, masked, in the form its reader needs."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import re
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from engine.cli import console, log_lines
from engine.cli.console import Console, setup, under_journald, wants_colour
from engine.cli.step_output import step_output
from engine.clock import SystemClock
from engine.errors import EngineError
from engine.logs import AttemptScope, LogLine, RunLogs, attempt_scope, step_logger

AT = datetime(2011, 11, 14, 8, 0, 1, 250_000, tzinfo=UTC)
TIME = f"{AT.astimezone():%H:%M:%S}"
LOGGED = AT.astimezone().isoformat(timespec="seconds")[11:]
NOW = re.compile(r"^\d\d:\d\d:\d\d ", re.MULTILINE)
KEPT = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[+-]\d\d:\d\d ", re.MULTILINE)


class StoppedClock(SystemClock):
    """A clock at which it always is the same time."""

    def utc(self) -> datetime:
        """Give the same instant."""
        return AT


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """Say so."""
        return True


def mask(text: str) -> str:
    """Mask one secret."""
    return text.replace("hunter22", "***")


@pytest.fixture
def stderr() -> io.StringIO:
    """Give what stands for stderr."""
    return io.StringIO()


@pytest.fixture
def start(stderr: io.StringIO) -> Iterator[Callable[..., Console]]:
    """Give `setup` with usual options; it is taken back at the end."""
    made: list[Console] = []

    def started(**options: Any) -> Console:
        usual = {"log_file": None, "quiet": False, "json_lines": False, "journald": False}
        made.append(setup(**{"mask": mask, "stream": stderr, **usual, **options}))
        return made[-1]

    yield started
    for each in made:
        each.close()


def undated(stream: io.StringIO) -> str:
    """Give what was shown, each line's time replaced."""
    return NOW.sub("TT ", stream.getvalue())


LINE = LogLine(7, "fetch", 2, "out", "got 3 rows", AT)
LOG = logging.getLogger("engine.run")


def test_lines_have_time_level_and_message(
    start: Callable[..., Console], stderr: io.StringIO
) -> None:
    """A text line reads `HH:MM:SS LEVEL message`; what a step says names the step."""
    shown = start()
    LOG.info("▶ %s (attempt %d)", "fetch", 1)
    LOG.error("✗ fetch FAILED permanently")
    LOG.debug("not shown")
    shown.line(LINE)
    shown.line(LINE._replace(stream="WARNING", text="slow"))
    assert undated(stderr) == (
        "TT INFO    ▶ fetch (attempt 1)\n"
        "TT ERROR   ✗ fetch FAILED permanently\n"
        "TT INFO    [fetch] got 3 rows\n"
        "TT WARNING [fetch] slow\n"
    )
    assert f"{TIME} INFO    [fetch] got 3 rows\n" in stderr.getvalue()


def test_no_line_can_be_forged_and_secrets_are_masked(
    start: Callable[..., Console], stderr: io.StringIO
) -> None:
    """Each physical line has a prefix of ours; control characters are shown, secrets are not."""
    start()
    LOG.info("a\n08:00:00 ERROR forged\x1b[2J %s", "hunter22")
    try:
        int("hunter22")
    except ValueError:
        LOG.exception("oh")
    lines = undated(stderr).splitlines()
    assert lines[:4] == [
        "TT INFO    a",
        "TT INFO    08:00:00 ERROR forged\\x1b[2J ***",
        "TT ERROR   oh",
        "TT ERROR   Traceback (most recent call last):",
    ]
    assert lines[-1] == "TT ERROR   ValueError: invalid literal for int() with base 10: '***'"
    assert all(line.startswith("TT ") for line in lines)


def test_under_journald_a_priority_takes_the_place_of_the_time(
    start: Callable[..., Console], stderr: io.StringIO
) -> None:
    """The journal stamps lines itself and reads the priority from a prefix, line by line."""
    shown = start(journald=True)
    LOG.error("a\nb")
    LOG.warning("w")
    shown.line(LINE)
    assert stderr.getvalue() == "<3>a\n<3>b\n<4>w\n<6>[fetch] got 3 rows\n"


def test_json_lines_carry_run_step_and_attempt(
    start: Callable[..., Console], stderr: io.StringIO
) -> None:
    """One object per record, also where the message has several lines."""
    shown = start(json_lines=True)
    shown.line(LINE)
    LOG.warning("two\nlines \u2028 hunter22", extra={"run": 7, "step": "fetch", "attempt": 1})
    first, second = map(json.loads, stderr.getvalue().splitlines())
    assert first == {
        "ts": "2011-11-14T08:00:01.250Z",
        "level": "INFO",
        "run": 7,
        "step": "fetch",
        "attempt": 2,
        "message": "got 3 rows",
        "stream": "out",
    }
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", second.pop("ts"))
    assert second == {
        "level": "WARNING",
        "run": 7,
        "step": "fetch",
        "attempt": 1,
        "message": "two\nlines \u2028 ***",
    }


def test_quiet_shows_errors_only_and_the_file_has_all(
    start: Callable[..., Console], stderr: io.StringIO, tmp_path: Path
) -> None:
    """`-q` is silent on success, on the console alone; the file is private."""
    path = tmp_path / "logs" / "daily.log"
    shown = start(quiet=True, log_file=path)
    LOG.info("hunter22")
    shown.line(LINE)
    LOG.error("bad")
    assert undated(stderr) == "TT ERROR   bad\n"
    text = KEPT.sub("TT ", path.read_text())
    assert text == "TT INFO    ***\nTT INFO    [fetch] got 3 rows\nTT ERROR   bad\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_the_file_rotates(
    start: Callable[..., Console], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full file becomes `.1`, the oldest goes; another process's rotation is followed."""
    monkeypatch.setattr(log_lines, "FILE_BYTES_MAX", 40)
    path = tmp_path / "daily.log"
    start(log_file=path)
    for number in range(9):
        LOG.info("line %d", number)  # 24 bytes: one to a file
    found = {each.name: each.read_text()[-7:-1] for each in tmp_path.iterdir()}
    assert found == {
        "daily.log": "line 8",
        "daily.log.1": "line 7",
        "daily.log.2": "line 6",
        "daily.log.3": "line 5",
    }
    path.replace(tmp_path / "moved")
    path.write_text("")
    LOG.info("line 9")
    assert path.read_text().endswith("line 9\n")
    assert (tmp_path / "daily.log.1").read_text().endswith("line 7\n")


def test_a_file_that_cannot_be_written_is_told_of_once(
    start: Callable[..., Console], stderr: io.StringIO, tmp_path: Path
) -> None:
    """Logging never raises: a folder in the file's place costs the file only."""
    start(log_file=tmp_path)
    LOG.info("one")
    LOG.info("two")
    assert undated(stderr) == (
        "TT INFO    one\n"
        f"TT WARNING the log '{tmp_path}' is incomplete: is a directory\n"
        "TT INFO    two\n"
    )


def test_a_stream_that_is_gone_fails_nothing(
    start: Callable[..., Console], stderr: io.StringIO
) -> None:
    """A closed stderr takes no lines and raises nothing."""
    start()
    stderr.close()
    LOG.error("nobody listens")


def test_chatty_loggers_are_held_back_and_all_is_taken_back(
    start: Callable[..., Console], stderr: io.StringIO
) -> None:
    """What would log webhooks and parameters stays at WARNING, whatever a step sets."""
    held = logging.getLogger("slack_sdk.webhook")
    root = logging.getLogger()
    before = list(root.handlers), root.level, logging.getLogger("slack_sdk").level
    shown = start()
    held.setLevel(logging.DEBUG)
    try:
        held.info("https://hooks.slack.com/services/T/B/x")
        logging.getLogger("alembic.runtime.plugins").info("setup plugin alembic.ext")
        held.warning("careful")
        logging.getLogger("slack_sdk_like").info("mine")
    finally:
        held.setLevel(logging.NOTSET)
    assert undated(stderr) == "TT WARNING careful\nTT INFO    mine\n"
    assert logging.getLogger("sqlalchemy.engine").level == logging.WARNING
    shown.close()
    assert (list(root.handlers), root.level, logging.getLogger("slack_sdk").level) == before


def test_colours_are_for_terminals_only(
    monkeypatch: pytest.MonkeyPatch, start: Callable[..., Console]
) -> None:
    """No colour but on a terminal, and none against NO_COLOR or TERM=dumb."""
    assert wants_colour(Terminal(), {})
    assert not wants_colour(Terminal(), {"NO_COLOR": "1"})
    assert not wants_colour(Terminal(), {"TERM": "dumb"})
    assert not wants_colour(io.StringIO(), {})
    assert not wants_colour(None, {})
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    terminal = Terminal()
    start(stream=terminal)
    LOG.error("bad")
    LOG.info("plain")
    assert undated(terminal).startswith("\x1b[31m")
    assert terminal.getvalue().splitlines()[0].endswith("ERROR   bad\x1b[0m")
    assert terminal.getvalue().splitlines()[1].endswith("INFO    plain")


def test_the_journal_is_known_by_its_device_and_inode(tmp_path: Path) -> None:
    """JOURNAL_STREAM counts only if it is this very stream."""
    with (tmp_path / "stream").open("w") as stream:
        status = os.fstat(stream.fileno())
        mine = f"{status.st_dev}:{status.st_ino}"
        assert under_journald(stream, {"JOURNAL_STREAM": mine})
        assert not under_journald(stream, {"JOURNAL_STREAM": f"{mine}0"})
        assert not under_journald(stream, {"JOURNAL_STREAM": "nonsense"})
        assert not under_journald(stream, {})
    assert not under_journald(stream, {"JOURNAL_STREAM": mine})
    assert not under_journald(io.StringIO(), {"JOURNAL_STREAM": mine})
    assert not under_journald(None, {"JOURNAL_STREAM": mine})


# -- what a step prints ---------------------------------------------------------------------------


@pytest.fixture
def run_logs(tmp_path: Path, start: Callable[..., Console]) -> RunLogs:
    """Give the logs of run 7, shown on the console."""
    return RunLogs(tmp_path, run_id=7, clock=StoppedClock(), mask=mask, forward=start().line)


@contextlib.contextmanager
def attempt(run_logs: RunLogs, step: str = "fetch") -> Iterator[AttemptScope]:
    """Run the block as an attempt of a step."""
    with attempt_scope(AttemptScope(7, step, 1, run_logs)) as scope:
        yield scope


def test_what_a_step_prints_goes_to_its_log_and_once_to_the_console(
    run_logs: RunLogs, stderr: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Print, stderr, bytes, ctx.log and other loggers: each once in the log and on the console."""
    stdout = io.StringIO()
    monkeypatch.setattr(sys, "stdout", stdout)
    monkeypatch.setattr(sys, "stderr", stderr)
    with step_output(mask):
        print("mine")
        with attempt(run_logs) as scope:
            print("a", "b", sep="-", end="!\n")
            print("careful", file=sys.stderr, flush=True)
            sys.stdout.buffer.write("bytes ä\n".encode())
            sys.stdout.writelines(["two\n", "lines\n"])
            step_logger(scope).info("logged")
            logging.getLogger("library").warning("lib hunter22")
            print("no end", end="")
        print("mine again, hunter22\x1b[2J\tend\n", end="")
    assert sys.stdout is stdout
    assert sys.stderr is stderr
    assert stdout.getvalue() == "mine\nmine again, ***\\x1b[2J\tend\n"
    lines = [
        ("out", "INFO", "a-b!"),
        ("err", "INFO", "careful"),
        ("out", "INFO", "bytes ä"),
        ("out", "INFO", "two"),
        ("out", "INFO", "lines"),
        ("INFO", "INFO", "logged"),
        ("WARNING", "WARNING", "lib ***"),
        ("out", "INFO", "no end"),
    ]
    log = run_logs.path("fetch", 1).read_text("utf-8")
    assert log.splitlines() == [f"{LOGGED} {stream:<7} {text}" for stream, _, text in lines]
    assert stderr.getvalue().splitlines() == [
        f"{TIME} {level:<7} [fetch] {text}" for _, level, text in lines
    ]


def test_threads_print_each_to_their_own_attempt(run_logs: RunLogs) -> None:
    """Whose thread it is decides, also while others print."""
    barrier = threading.Barrier(3, timeout=10)

    def step(name: str) -> None:
        with attempt(run_logs, name):
            barrier.wait()
            for number in range(20):
                print(name, number)

    with step_output(mask):
        threads = [threading.Thread(target=step, args=(name,)) for name in "abc"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for name in "abc":
        lines = run_logs.path(name, 1).read_text().splitlines()
        assert lines == [f"{LOGGED} out     {name} {number}" for number in range(20)]


def test_a_steps_stream_behaves(run_logs: RunLogs, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within a step no terminal and no closing; outside all is the original's."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    with step_output(mask):
        assert sys.stdout.isatty()
        assert sys.stdout.encoding == terminal.encoding
        with pytest.raises(io.UnsupportedOperation):
            sys.stdout.fileno()
        with attempt(run_logs):
            assert not sys.stdout.isatty()
            sys.stdout.close()
            with pytest.raises(TypeError, match="must be str, not bytes"):
                sys.stdout.write(b"x")  # type: ignore[arg-type]
        assert not sys.stdout.closed
        other = io.StringIO()
        sys.stdout = other  # somebody else's change is not undone
    assert sys.stdout is other


# -- results on stdout ----------------------------------------------------------------------------


def python(program: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a program that has `console` at hand."""
    return subprocess.run(
        [sys.executable, "-c", f"import sys\nfrom engine.cli import console\n{program}"],
        cwd=Path(console.__file__).parents[2],
        stderr=subprocess.PIPE,
        text=True,
        timeout=30,
        check=False,
        **options,
    )


def test_a_reader_who_has_seen_enough_is_no_error() -> None:
    """A closed pipe ends the printing, not the program, and leaves no traceback."""
    reading, writing = os.pipe()
    os.close(reading)
    program = "for _ in range(3): console.print_result('x' * 100_000)\nprint('y')\n"
    with os.fdopen(writing, "w") as pipe:
        ended = python(f"{program}console.finish_output()\nraise SystemExit(7)", stdout=pipe)
    assert (ended.returncode, ended.stderr) == (7, "")


def test_a_full_disk_is_an_error_of_ours() -> None:
    """What cannot be shown because there is no room is said in one sentence."""
    program = (
        "try: console.print_result('x')\n"
        "except console.EngineError as error: print(error, file=sys.stderr)"
    )
    with Path("/dev/full").open("w") as full:
        ended = python(program, stdout=full)
    assert ended.stderr == "cannot write to standard output: no space left on device\n"
    assert ended.returncode == 0
    assert EngineError.exit_code == 3


def test_no_character_and_no_missing_stream_fails_the_printing() -> None:
    """An ASCII terminal shows plain signs, and a closed stdout takes everything."""
    program = (
        "console.prepare_streams()\nconsole.print_result('✓ fetch')\nprint('✗', file=sys.stderr)"
    )
    environ = {**os.environ, "PYTHONIOENCODING": "ascii"}
    ended = python(program, stdout=subprocess.PIPE, env=environ)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "+ fetch\n", "x\n")
    closed = python(
        f"import os\nsys.stdout = None\n{program}", stdout=subprocess.DEVNULL, env=environ
    )
    assert (closed.returncode, closed.stderr) == (0, "x\n")
