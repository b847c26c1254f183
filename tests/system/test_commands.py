"""Shell steps with real processes: their output, their end, their files, what they leave behind."""

from __future__ import annotations

import hashlib
import os
import resource
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.errors import DefinitionError
from engine.model import Shell, shell
from engine.outputs import Outputs
from engine.ports import CommandResult
from engine.workers.command_env import build_env
from engine.workers.commands import CommandSpec, ShellCommand, check_shell
from tests.system.project import is_alive, wait_for

PYTHON = sys.executable
STUBBORN = "trap '' TERM"  # what follows ignores SIGTERM


class Log:
    """Keeps what a command printed, by stream, and tells of each line."""

    def __init__(self) -> None:
        """Start empty."""
        self.texts: dict[str, list[str]] = {"out": [], "err": [], "WARNING": []}
        self.longest = 0
        self.closed = False
        self._said = threading.Condition()

    def write(self, text: str, *, stream: str = "out") -> None:
        """Keep the text."""
        with self._said:
            self.texts[stream].append(text)
            self.longest = max(self.longest, len(text))
            self._said.notify_all()

    def close(self) -> None:
        """Remember that it was closed."""
        self.closed = True

    def text(self, stream: str = "out") -> str:
        """Give all that came from a stream."""
        return "".join(self.texts[stream])

    def wait_for(self, part: str, stream: str = "out") -> None:
        """Wait until a text has come."""
        with self._said:
            assert self._said.wait_for(lambda: part in self.text(stream), timeout=10)


class Bench:
    """Runs commands in a folder of their own."""

    def __init__(self, folder: Path) -> None:
        """Work in `folder`."""
        self.cwd = folder / "project"
        self.private = folder / "private"
        self.cwd.mkdir()
        self.log = Log()
        self.outputs = Outputs(self.cwd, "7-step-1")
        self.pids: list[int] = []

    def command(self, command: Any, **options: Any) -> ShellCommand:
        """Make a command of text or words, or take one that `shell` has made."""
        fields: dict[str, Any] = {
            "cwd": self.cwd,
            "env": dict(os.environ),
            "log": self.log,
            "outputs": self.outputs,
            "private": self.private,
            **options,
        }
        made = command if isinstance(command, Shell) else shell(command)
        return ShellCommand(made, spec=CommandSpec(**fields))

    def run(self, command: Any, **options: Any) -> CommandResult:
        """Run a command to its end; whatever it did, its private folder is gone."""
        result = self.command(command, **options).run()
        assert not self.private.exists()
        return result

    def begin(self, command: ShellCommand) -> Callable[[], CommandResult]:
        """Run a command in a thread; what comes back waits for its result."""
        results: list[CommandResult] = []
        thread = threading.Thread(target=lambda: results.append(command.run()))
        thread.start()

        def result() -> CommandResult:
            thread.join(10)
            assert not thread.is_alive()
            assert not self.private.exists()
            return results[0]

        return result

    def pid(self, name: str) -> int:
        """Give the pid that a process has written to a file, to be killed at the end."""
        path = self.cwd / name
        wait_for(lambda: path.exists() and path.read_text().endswith("\n"))
        self.pids.append(int(path.read_text()))
        return self.pids[-1]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """Give a bench; what its processes have left is killed."""
    bench = Bench(tmp_path)
    yield bench
    for pid in bench.pids:
        if is_alive(pid):
            os.kill(pid, signal.SIGKILL)


# -- starting and ending --------------------------------------------------------------------------


def test_text_runs_in_a_strict_shell_and_a_list_without_one(bench: Bench) -> None:
    """Text is the shell's, with its failures seen; words are given as they are."""
    result = bench.run("echo $((1 + 1)); false | true; echo never")
    assert (result.returncode, result.error) == (1, "exit code 1")
    assert bench.log.text() == "2\n"
    assert bench.run("echo $no_such_name").error.endswith("no_such_name: unbound variable")
    assert bench.run(["echo", "$HOME | cat"]) == CommandResult(returncode=0)
    assert bench.log.text() == "2\n$HOME | cat\n"
    assert bench.log.closed


def test_it_runs_apart(bench: Bench) -> None:
    """A command has its own session and folder, no input, no core dump, none of our files."""
    program = (
        "import os, resource, sys, time; time.sleep(0.1)\n"
        "print(os.getsid(0) == os.getpid(), os.getcwd(), repr(sys.stdin.read()))\n"
        "print(resource.getrlimit(resource.RLIMIT_CORE), sorted(os.listdir('/proc/self/fd'))[:-1])"
    )
    before = resource.getrlimit(resource.RLIMIT_CORE)
    ours = os.open("/dev/null", os.O_RDONLY)
    os.set_inheritable(ours, True)  # noqa: FBT003 - has no other form
    try:
        result = bench.run([PYTHON, "-c", program])
    finally:
        os.close(ours)
    assert result.error == ""
    assert bench.log.text() == f"True {bench.cwd} ''\n(0, 0) ['0', '1', '2']\n"
    assert resource.getrlimit(resource.RLIMIT_CORE) == before


@pytest.mark.parametrize(
    ("command", "code", "error"),
    [
        ("echo first >&2; echo '  last ' >&2; echo >&2; exit 3", 3, "exit code 3: last"),
        ("kill -KILL $$", -9, "killed by SIGKILL (out of memory?)"),
        ("kill -SEGV $$", -11, "killed by SIGSEGV"),
        ("sh -c 'kill -PIPE $$'; true", 141, "exit code 141 (SIGPIPE)"),
        (["sh", "-c", "exit 141"], 141, "exit code 141"),
        (["no-such-program"], 127, "cannot start 'no-such-program': no such file"),
        (["/dev/null"], 127, "cannot start '/dev/null': permission denied"),
        (["a\0b"], 127, "cannot start 'a\0b': embedded null byte"),
        ("printf 'no end \\033[2J' >&2; exit 1", 1, "exit code 1: no end \\x1b[2J"),
    ],
)
def test_a_failure_says_how_it_ended_with_its_last_words(
    bench: Bench, command: Any, code: int, error: str
) -> None:
    """Exit code, signal or what hindered the start, and the last line of stderr."""
    result = bench.run(command)
    assert (result.returncode, result.error) == (code, error)


def test_a_missing_folder_is_named(bench: Bench) -> None:
    """A folder that is gone is not taken for a missing program."""
    result = bench.run("true", cwd=bench.cwd / "gone")
    assert result.error == f"cannot start the shell: no folder '{bench.cwd / 'gone'}'"


def test_it_runs_where_and_with_what_it_is_told(bench: Bench) -> None:
    """`cwd` starts at the project, `env` goes over what is inherited."""
    (bench.cwd / "below").mkdir()
    os.environ["KB_TEST_LEFT"] = "inherited"
    made = shell(
        "pwd; echo $KB_TEST_SET $HOME $KB_TEST_LEFT",
        env={"KB_TEST_SET": "1", "HOME": "/h"},
        cwd="below",
    )
    try:
        assert bench.run(made).error == ""
    finally:
        del os.environ["KB_TEST_LEFT"]
    assert bench.log.text() == f"{bench.cwd}/below\n1 /h inherited\n"
    assert bench.run(shell("pwd", cwd="/")).error == ""
    assert bench.log.text().endswith("\n/\n")
    error = bench.run(shell("pwd", cwd="gone")).error
    assert error == f"cannot start the shell: no folder '{bench.cwd}/gone'"


@pytest.mark.parametrize(
    ("code", "error"), [(0, "exit code 0"), (1, ""), (2, ""), (3, "exit code 3")]
)
def test_exit_codes_that_mean_success(bench: Bench, code: int, error: str) -> None:
    """Those of `ok_codes`, and no other."""
    assert bench.run(shell(f"exit {code}", ok_codes=(1, 2))).error == error


def test_it_ends_without_pidfd_too(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the kernel or a sandbox has no pidfd, the end is looked for."""

    def refused(_pid: int, _flags: int = 0) -> int:
        raise PermissionError

    monkeypatch.setattr(os, "pidfd_open", refused)
    result = bench.run("exec >&- 2>&-; sleep 0.1; exit 3")
    assert (result.returncode, result.error) == (3, "exit code 3")


def test_an_exit_code_that_others_have_taken_is_no_success(bench: Bench) -> None:
    """A program that has its children reaped for it gets no `ok` on trust."""
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        result = bench.run("true")
    finally:
        signal.signal(signal.SIGCHLD, before)
    assert result.returncode == -1
    assert result.error == "its exit code is lost: other code of this process waited for it"


@pytest.mark.parametrize(
    ("text", "refused"),
    [
        ("a | b", True),
        ("a |& b", True),
        ('x="$(a | b)"', True),
        ("a || b", False),
        ("awk -F'|' 1", False),
        ('echo "a | b" \\| c', False),
        ("true # a | b", False),
        ("echo a >| b", False),
    ],
)
def test_without_bash_a_pipe_is_refused_at_load(
    monkeypatch: pytest.MonkeyPatch,
    text: str,
    refused: bool,
) -> None:
    """Only bash sees a failure in the middle of a pipe."""
    check_shell(shell(text))
    monkeypatch.setattr(shutil, "which", lambda *_args, **_options: None)
    check_shell(shell(["a", "|", "b"]))
    if not refused:
        check_shell(shell(text))
        return
    with pytest.raises(DefinitionError, match=r"has a pipe, and there is no bash"):
        check_shell(shell(text))


def test_without_bash_text_runs_in_sh(bench: Bench) -> None:
    """Text runs as `sh -eu -c` where there is no bash on the command's path."""
    tools = bench.cwd / "bin"
    tools.mkdir()
    for tool in ("sh", "cat"):
        (tools / tool).symlink_to(shutil.which(tool) or "")
    result = bench.run("echo ${BASH_VERSION:-none}; false; echo x", env={"PATH": str(tools)})
    assert (result.error, bench.log.text()) == ("exit code 1", "none\n")


# -- output ---------------------------------------------------------------------------------------


def test_output_comes_while_it_runs_on_both_streams(bench: Bench) -> None:
    """A line is in the log long before the command ends."""
    waiting = "until [ -e go ]; do sleep 0.02; done"
    result = bench.begin(bench.command(f"echo one; echo two >&2; {waiting}; echo three"))
    bench.log.wait_for("one\n")
    bench.log.wait_for("two\n", "err")
    assert bench.log.text() == "one\n"
    (bench.cwd / "go").touch()
    assert result() == CommandResult(returncode=0)
    assert bench.log.text() == "one\nthree\n"


def test_much_output_and_a_line_without_end_pass_in_pieces(bench: Bench) -> None:
    """5 MB in one line never stand in memory as one, and all of it is passed on."""
    result = bench.run([PYTHON, "-c", "print('x' * 5_000_000, end='')"])
    assert result.error == ""
    assert len(bench.log.text()) == 5_000_000
    assert bench.log.longest <= 65_536


def test_bytes_that_are_no_text_are_shown(bench: Bench) -> None:
    """Characters split between reads stay whole; what is no UTF-8 is written as escapes."""
    result = bench.run(r"printf '\303'; sleep 0.1; printf '\244\377\n\303' | cat >&1; exit 2")
    assert (result.error, bench.log.text()) == ("exit code 2", "ä\\xff\n\\xc3")


def test_a_left_over_process_that_holds_stdout_does_not_hold_the_step(bench: Bench) -> None:
    """After the child's end the pipes are read one second more; a success's daemon lives on."""
    began = time.monotonic()
    result = bench.run("sleep 30 & echo $! > daemon; echo done")
    assert time.monotonic() - began < 2.5
    assert result == CommandResult(returncode=0)
    assert bench.log.text() == "done\n"
    assert bench.log.text("WARNING") == "output cut: a process left behind still holds it\n"
    assert is_alive(bench.pid("daemon"))


# -- stopping -------------------------------------------------------------------------------------


def test_stop_ends_it_by_term(bench: Bench) -> None:
    """SIGTERM reaches the command at once, and it may tidy up."""
    command = bench.command("trap 'echo tidy; exit 5' TERM; echo on; while :; do sleep 0.05; done")
    result = bench.begin(command)
    bench.log.wait_for("on\n")
    began = time.monotonic()
    command.stop("timed out after 1s")
    found = result()
    assert time.monotonic() - began < 1
    assert found.returncode == 5
    assert found.error.startswith("timed out after 1s: exit code 5")
    assert bench.log.text() == "on\ntidy\n"


def test_what_ignores_term_is_killed_after_the_grace_with_all_of_its_session(bench: Bench) -> None:
    """Child, grandchild and one in a group of its own ignore SIGTERM; none outlives the grace."""
    command = bench.command(
        f"{STUBBORN}; echo $$ > child; sleep 30 & echo $! > grandchild;"
        f' timeout 30 bash -c "{STUBBORN}; echo \\$\\$ > grouped; sleep 30; :" &'
        " until [ -s grouped ]; do sleep 0.01; done; echo on; sleep 30; sleep 30",
        grace_s=0.3,
    )
    result = bench.begin(command)
    bench.log.wait_for("on\n")
    pids = [bench.pid(name) for name in ("child", "grandchild", "grouped")]
    assert all(map(is_alive, pids))
    began = time.monotonic()
    command.stop("timed out after 1s")
    time.sleep(0.15)
    assert all(map(is_alive, pids))
    found = result()
    assert 0.3 <= time.monotonic() - began < 1.3
    assert (found.returncode, found.error) == (-9, "timed out after 1s: killed by SIGKILL")
    wait_for(lambda: not any(map(is_alive, pids)), 0.5)


@pytest.mark.parametrize("how", ["stopped", "failed"])
def test_what_a_stopped_or_failed_command_leaves_behind_is_ended(bench: Bench, how: str) -> None:
    """The child is gone at once, its stubborn grandchild after the grace."""
    end = "sleep 30" if how == "stopped" else "exit 4"
    command = bench.command(
        f"({STUBBORN}; echo $BASHPID > left; exec sleep 30) > /dev/null 2>&1 &"
        f" until [ -s left ]; do sleep 0.01; done; echo on; {end}",
        grace_s=0.3,
    )
    result = bench.begin(command)
    bench.log.wait_for("on\n")
    left = bench.pid("left")
    if how == "stopped":
        command.stop("cancelled")
    expected = "cancelled: killed by SIGTERM" if how == "stopped" else "exit code 4"
    assert result().error == expected
    wait_for(lambda: not is_alive(left), 0.5)


def test_a_halted_command_can_be_stopped(bench: Bench) -> None:
    """A process stopped by SIGSTOP gets its SIGTERM without waiting for the grace."""
    command = bench.command("echo $$ > child; echo on; exec sleep 30", grace_s=30)
    result = bench.begin(command)
    bench.log.wait_for("on\n")
    os.kill(bench.pid("child"), signal.SIGSTOP)
    command.stop("cancelled")
    assert result().returncode == -15


def test_stopped_before_its_start_it_never_starts(bench: Bench) -> None:
    """A stop that comes first wins."""
    command = bench.command("touch started")
    command.stop("cancelled")
    result = command.run()
    assert (result.returncode, result.error) == (-15, "cancelled: not started")
    assert list(bench.cwd.iterdir()) == []


def test_stopped_after_its_end_nothing_happens(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once it has ended nobody is signalled: its number may be somebody else's."""
    command = bench.command("true")
    result = command.run()
    monkeypatch.setattr(os, "killpg", lambda *_: pytest.fail("signalled"))
    command.stop("late")
    assert result == CommandResult(returncode=0)


def test_stops_at_any_moment_from_several_threads_are_safe(bench: Bench) -> None:
    """Whenever the stop comes, the command ends, and the result fits what happened."""
    for moment in range(12):
        command = bench.command(["sleep", "30"], private=None)
        result = bench.begin(command)
        time.sleep(moment * 0.0004)
        stoppers = [threading.Thread(target=command.stop, args=(f"no {i}",)) for i in range(3)]
        for stopper in stoppers:
            stopper.start()
        for stopper in stoppers:
            stopper.join()
        found = result()
        assert found.returncode == -15
        assert found.error[:4] in ("no 0", "no 1", "no 2")


# -- files ----------------------------------------------------------------------------------------


def test_the_declared_output_is_handed_over_durable_and_measured(bench: Bench) -> None:
    """$OUT lies hidden beside the target, whose folders are made; the target is not touched."""
    result = bench.run('echo "$OUT"; printf abc > "$OUT"', target="backups/new/app.sql")
    (file,) = result.files
    assert file.target == str(bench.cwd / "backups" / "new" / "app.sql")
    assert bench.log.text() == f"{file.temporary}\n"
    assert Path(file.temporary).parent == Path(file.target).parent
    assert "7-step-1" in Path(file.temporary).name
    assert (file.sha256, file.size) == (hashlib.sha256(b"abc").hexdigest(), 3)
    assert Path(file.temporary).read_text() == "abc"
    assert not Path(file.target).exists()


@pytest.mark.parametrize(
    ("command", "error"),
    [
        ("true", "did not write its output 'app.sql' ($OUT)"),
        ('echo half > "$OUT"; exit 1', "exit code 1"),
        ('echo half > "$OUT"; echo nonsense > "$KAHNBAN_OUTPUT"', "line 1 of $KAHNBAN_OUTPUT"),
        ('mkfifo "$OUT"', "is not a regular file"),
    ],
)
def test_a_failure_leaves_no_temporary(bench: Bench, command: str, error: str) -> None:
    """Without a whole output the step fails, and nothing lies about."""
    result = bench.run(command, target="app.sql")
    assert error in result.error
    assert result.files == ()
    assert list(bench.cwd.iterdir()) == []


def test_out_is_not_set_without_a_declared_output(bench: Bench) -> None:
    """$OUT of a run around this one is not passed on; using it fails by its name."""
    env, _ = build_env(
        {**os.environ, "OUT": "/tmp/outer"}, context={}, params={}, spill_dir=bench.private
    )
    assert bench.run('echo x > "$OUT"', env=env).error.endswith("OUT: unbound variable")


def test_json_lines_become_values(bench: Bench) -> None:
    """Each line's keys become values; a later one counts, and empty lines do not matter."""
    lines = '{"rows": 1, "name": "ä"}\n\n{"rows": 2}\n{"list": [1.5, null]}'
    result = bench.run(f"printf '%s' '{lines}' > \"$KAHNBAN_OUTPUT\"")
    assert result == CommandResult(
        returncode=0, values=(("rows", 2), ("name", "ä"), ("list", [1.5, None]))
    )


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ('{"a": 1}\n{"b": \n', "line 2 of $KAHNBAN_OUTPUT is not JSON: Expecting value at column "),
        ("[1]\n", "line 1 of $KAHNBAN_OUTPUT is not a JSON object: [1]"),
        ("\\377\n", "line 1 of $KAHNBAN_OUTPUT is not UTF-8"),
        ("1" * 5000, "line 1 of $KAHNBAN_OUTPUT is not usable JSON"),
    ],
)
def test_a_line_that_is_no_object_fails_the_attempt(bench: Bench, content: str, error: str) -> None:
    """The line is named, and no value counts."""
    result = bench.run(f"printf '{content}' > \"$KAHNBAN_OUTPUT\"")
    assert result.error.startswith(error)
    assert result.values == ()


def test_values_are_read_from_no_link_and_no_pipe(bench: Bench) -> None:
    """What has taken the place of the values' file is not followed and not waited for."""
    made = bench.run('rm "$KAHNBAN_OUTPUT"; mkfifo "$KAHNBAN_OUTPUT"')
    assert made.error == "$KAHNBAN_OUTPUT is no longer a file"
    linked = bench.run('ln -sf /etc/hostname "$KAHNBAN_OUTPUT"')
    assert linked.error == "too many levels of symbolic links"
    assert bench.run('rm "$KAHNBAN_OUTPUT"') == CommandResult(returncode=0)


def test_values_arrive_whole_in_the_environment_and_in_files(bench: Bench) -> None:
    """Text with any character arrives as it is; what is too big, as a private file."""
    hostile = "$(touch pwned) `x` 'y' \"z\"\n\\ ä"
    env, warnings = build_env(
        os.environ,
        context={"text": hostile, "big": "x" * 200_000},
        params={"day": "2011-11-14"},
        spill_dir=bench.private,
    )
    assert warnings == []
    result = bench.run(
        'printf "%s|%s|" "$KAHNBAN_CTX_text" "$KAHNBAN_PARAM_day"; wc -c < "$KAHNBAN_CTX_big_FILE"',
        env=env,
    )
    assert result.error == ""
    assert bench.log.text() == f"{hostile}|2011-11-14|200000\n"
    assert list(bench.cwd.iterdir()) == []
