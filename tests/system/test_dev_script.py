"""`./dev` sets .venv up once, by whatever the machine has, and then gets out of the way."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ("sh", "dirname", "cat", "cksum", "mktemp", "rm", "tail", "mkdir", "cp", "chmod", "sleep")

# A python3 that makes empty environments and notes what it was asked for. VENV and PIP are the
# faults to play: `VENV=no` has no ensurepip, `PIP=no` no pip, `PIP=offline` cannot reach anything.
PYTHON = """#!/bin/sh
note() { printf '%s\\n' "$*" >>"$CALLS"; }
case "$*" in
"-m venv --without-pip "*) note bare; mkdir -p "$4/bin"; cp "$0" "$4/bin/python"; : >"$4/bare" ;;
"-m venv "*)
    note venv
    mkdir -p "$3/bin"
    [ "${VENV-}" = no ] && { echo 'ensurepip is not available' >&2; exit 1; }
    cp "$0" "$3/bin/python"
    ;;
*"-m pip"*)
    [ "${PIP-}" = no ] && exit 1
    case $1 in -m) ! [ -e "${0%/bin/python}/bare" ] || exit 1 ;; esac
    case "$*" in *--version) exit 0 ;; esac
    case "$*" in *--python*) note outside "$8${9-}" ;; *) note pip "$@" ;; esac
    [ "${PIP-}" = offline ] && { echo 'no route to the index' >&2; exit 1; }
    [ "${PIP-}" = killed ] && kill -9 "$PPID"
    [ "${PIP-}" = slow ] && sleep 0.3
    exit 0
    ;;
"-m compileall"*) ;;
"-P -m engine"*) shift 3; printf 'engine in %s:' "$PWD"; printf ' <%s>' "$@"; echo; exit 7 ;;
*) exec REAL "$@" ;;
esac
"""


@dataclass
class Checkout:
    """A folder with `dev` in it, and a machine that has little else."""

    path: Path
    tools: Path
    calls: Path

    def start(self, *words: str, cwd: Path | None = None, **faults: str) -> subprocess.Popen[str]:
        """Start `./dev WORDS…`."""
        return subprocess.Popen(
            [str(self.path / "dev"), *words],
            cwd=cwd or self.path,
            env={
                "PATH": str(self.tools),
                "CALLS": str(self.calls),
                "TMPDIR": str(self.tools.parent),
                **faults,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def dev(self, *words: str, cwd: Path | None = None, **faults: str) -> tuple[int, str, str]:
        """Run `./dev WORDS…`; give exit code, output and error output."""
        process = self.start(*words, cwd=cwd, **faults)
        out, err = process.communicate()  # the test's own limit holds
        return process.returncode, out, err

    def called(self) -> list[str]:
        """Give what was asked of python3 and uv since the last look, one word each."""
        text = self.calls.read_text("utf-8") if self.calls.exists() else ""
        self.calls.unlink(missing_ok=True)
        return [line.split()[0] for line in text.splitlines()]

    def tool(self, name: str, text: str) -> None:
        """Put a program on the machine."""
        path = self.tools / name
        path.unlink(missing_ok=True)
        path.write_text(text, "utf-8")
        path.chmod(0o755)


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Checkout]:
    """Give a checkout on a machine with sh, the core tools and a made-up python3."""
    place = tmp_path / "a check out"
    (place / "engine").mkdir(parents=True)
    for name in ("dev", "pyproject.toml", "requirements.txt", "requirements-dev.txt"):
        shutil.copy(ROOT / name, place)
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in TOOLS:
        found = shutil.which(name)
        assert found, name
        (tools / name).symlink_to(found)
    made = Checkout(place, tools, tmp_path / "calls")
    made.tool("python3", PYTHON.replace("REAL", sys.executable))
    yield made
    shutil.rmtree(place / ".venv", ignore_errors=True)


SETUP_LINE = "setting up .venv (once)…\n"


def test_the_first_start_sets_up_and_the_second_does_not(checkout: Checkout) -> None:
    """One line tells of the set-up; afterwards nothing stands between the user and the engine."""
    code, out, err = checkout.dev("run", "daily", "--set", "a=b c")
    assert (code, err) == (7, SETUP_LINE)
    assert out == f"engine in {checkout.path}: <run> <daily> <--set> <a=b c>\n"
    assert checkout.called() == ["venv", "pip", "pip"]
    assert checkout.dev("list") == (7, f"engine in {checkout.path}: <list>\n", "")
    assert checkout.called() == []


def test_it_works_from_any_folder(checkout: Checkout, tmp_path: Path) -> None:
    """The environment is that of the checkout; the engine runs where the caller stands."""
    code, out, _ = checkout.dev("list", cwd=tmp_path)
    assert (code, out) == (7, f"engine in {tmp_path}: <list>\n")
    assert (checkout.path / ".venv/bin/python").exists()


@pytest.mark.parametrize("changed", ["requirements.txt", "pyproject.toml"])
def test_a_changed_requirement_installs_again(checkout: Checkout, changed: str) -> None:
    """Only what is new is installed, into the environment that is there."""
    checkout.dev("list")
    checkout.called()
    with (checkout.path / changed).open("a", encoding="utf-8") as file:
        file.write("# changed\n")
    assert checkout.dev("list")[2] == SETUP_LINE
    assert checkout.called() == ["pip", "pip"]
    assert checkout.dev("list")[2] == ""


def test_the_tools_of_developers_come_with_the_first_test(checkout: Checkout) -> None:
    """`run` installs no test tools; `test` does, once, and `run` needs nothing again."""
    checkout.dev("run")
    assert "requirements.txt" in checkout.calls.read_text("utf-8")
    checkout.called()
    assert checkout.dev("test", "-q")[2].startswith(SETUP_LINE)
    assert "requirements-dev.txt" in checkout.calls.read_text("utf-8")
    checkout.called()
    checkout.dev("test", "-q")
    checkout.dev("run")
    assert checkout.called() == []


def test_without_ensurepip_pip_works_from_outside(checkout: Checkout) -> None:
    """Where `venv` cannot install pip, that of python3 fills the environment."""
    code, _, err = checkout.dev("list", VENV="no")
    assert (code, err) == (7, SETUP_LINE)
    assert checkout.called() == ["venv", "bare", "outside", "outside"]


def test_uv_is_taken_where_it_is(checkout: Checkout) -> None:
    """With uv on the machine, neither venv nor pip is asked."""
    checkout.tool(
        "uv",
        "#!/bin/sh\nprintf 'uv-%s\\n' $1 >>\"$CALLS\"\n"
        '[ $1 != venv ] || { mkdir -p "$4/bin"; cp "$3" "$4/bin/python"; }\n',
    )
    assert checkout.dev("list")[0] == 7
    assert checkout.called() == ["uv-venv", "uv-pip", "uv-pip"]


def test_a_uv_that_fails_is_not_the_end(checkout: Checkout) -> None:
    """When uv cannot do it (its own network settings, an old version), pip tries."""
    checkout.tool("uv", "#!/bin/sh\necho 'uv: no' >&2\nexit 2\n")
    assert checkout.dev("list")[::2] == (7, SETUP_LINE)
    assert checkout.called() == ["venv", "pip", "pip"]


def test_an_interrupted_set_up_is_done_again_from_nothing(checkout: Checkout) -> None:
    """A set-up that was killed leaves nothing that is taken for complete, and no lock."""
    assert checkout.dev("list", PIP="killed")[0] != 7
    leftover = checkout.path / ".venv" / "leftover"
    leftover.touch()
    checkout.called()
    assert checkout.dev("list")[::2] == (7, SETUP_LINE)
    assert checkout.called() == ["venv", "pip", "pip"]
    assert not leftover.exists()


def test_two_at_once_set_up_once(checkout: Checkout) -> None:
    """The second waits, says so, and finds the work done."""
    both = [checkout.start("list", PIP="slow") for _ in range(2)]
    results = [process.communicate(timeout=30) for process in both]
    assert [process.returncode for process in both] == [7, 7]
    assert checkout.called() == ["venv", "pip", "pip"]
    waiting = "waiting for another ./dev that sets up .venv…\n"
    assert sorted(err for _, err in results) == sorted([SETUP_LINE, waiting])


def test_no_network_is_said_and_the_next_start_tries_again(checkout: Checkout) -> None:
    """What pip said is shown, then one sentence and a hint; exit code 3."""
    assert checkout.dev("list", PIP="offline") == (
        3,
        "",
        (
            f"{SETUP_LINE}no route to the index\n"
            "error: the pinned requirements could not be installed\n"
            "hint: see above; check network, proxy and disk space, and run the same command again\n"
        ),
    )
    assert checkout.dev("list")[0] == 7


def test_no_pip_is_said(checkout: Checkout) -> None:
    """Without any pip the sentence names it and how to get it."""
    code, _, err = checkout.dev("list", VENV="no", PIP="no")
    assert code == 3
    assert err.endswith(
        "error: pip is missing, or older than 22.3\n"
        "hint: install it (on Debian: apt install python3-pip), or install uv\n"
    )


def test_no_python_is_said(checkout: Checkout) -> None:
    """Without python3 nothing is made."""
    (checkout.tools / "python3").unlink()
    assert checkout.dev("list") == (
        3,
        "",
        (
            "error: python3 was not found\n"
            "hint: install Python 3.11 or newer (on Debian: apt install python3)\n"
        ),
    )
    assert not (checkout.path / ".venv").exists()


def test_an_old_python_is_said_and_a_newer_one_beside_it_taken(checkout: Checkout) -> None:
    """`python3` may be too old: then the newest name that fits is used, or the version told."""
    new = (checkout.tools / "python3").read_text("utf-8")
    old = '#!/bin/sh\n[ "$1" = --version ] || exit 1\necho Python 3.9.2\n'
    checkout.tool("python3", old)
    assert checkout.dev("list") == (
        3,
        "",
        (
            "error: Python 3.11 or newer is needed, this is Python 3.9.2\n"
            "hint: install a newer Python and put it on the PATH\n"
        ),
    )
    checkout.tool("python3.12", new)
    assert checkout.dev("list")[0] == 7


def test_without_a_command_it_shows_its_usage(checkout: Checkout) -> None:
    """Nothing is set up for a look at the usage."""
    code, out, err = checkout.dev()
    assert (code, out) == (2, "")
    assert err.startswith("usage: ./dev COMMAND")
    assert checkout.dev("help")[:2] == (0, err)
    assert not (checkout.path / ".venv").exists()


NO_ENSUREPIP = """#!/bin/sh
case "$*" in
*--without-pip*) ;;
"-m venv "*) echo 'ensurepip is not available' >&2; exit 1 ;;
esac
exec REAL "$@"
"""


@pytest.mark.slow
def test_a_bare_machine_gets_a_working_engine(checkout: Checkout, tmp_path: Path) -> None:
    """The real thing, without uv and ensurepip: the pinned requirements, then the engine's help."""
    real = getattr(sys, "_base_executable", sys.executable)
    if subprocess.run(
        [real, "-m", "pip", "--version"], capture_output=True, check=False
    ).returncode:
        pytest.skip(f"'{real}' has no pip")
    for name in ("engine", "store", "migrations"):
        shutil.rmtree(checkout.path / name, ignore_errors=True)
        shutil.copytree(
            ROOT / name, checkout.path / name, ignore=shutil.ignore_patterns("__pycache__")
        )
    for name in ("README.md", "LICENSE"):
        shutil.copy(ROOT / name, checkout.path)
    checkout.tool("python3", NO_ENSUREPIP.replace("REAL", real))
    network = {name: value for name, value in os.environ.items() if name != "PATH"}
    code, out, err = checkout.dev("--help", cwd=tmp_path, **network)
    if "NewConnectionError" in err or "name resolution" in err:
        pytest.skip("no network: the pinned requirements cannot be had")
    assert (code, err) == (0, SETUP_LINE)
    assert "usage" in out.lower()
    assert not (checkout.path / ".venv/bin/pip").exists()


def test_benchmarks_are_run_by_name_or_all(checkout: Checkout) -> None:
    """One that misses its bar does not keep the next from running; figures are kept beside runs."""
    (checkout.path / "benchmarks").mkdir()
    for name, code in (("_common", 0), ("memory", 1), ("scale", 0)):
        text = f"import sys\nprint(sys.argv[1:], flush=True)\nsys.exit({code})\n"
        (checkout.path / "benchmarks" / f"{name}.py").write_text(text, "utf-8")
    memory = "== memory\n['--json', 'var/bench/memory.json']\n"
    scale = "== scale\n['--json', 'var/bench/scale.json']\n"
    assert checkout.dev("bench")[:2] == (1, memory + scale)
    assert checkout.dev("bench", "scale") == (0, scale, "")
    assert (checkout.path / "var").stat().st_mode & 0o777 == 0o700
    assert "requirements-dev.txt" in checkout.calls.read_text("utf-8")  # some build on the tests


def test_a_benchmark_that_there_is_not_keeps_all_from_running(checkout: Checkout) -> None:
    """It is said which there are, before any has taken its minutes."""
    (checkout.path / "benchmarks").mkdir()
    for name in ("_common", "memory", "scale"):
        (checkout.path / "benchmarks" / f"{name}.py").write_text("", "utf-8")
    code, out, err = checkout.dev("bench", "scale", "memroy")
    told = "error: there is no benchmark 'memroy'\nhint: take one of: memory scale\n"
    assert (code, out) == (2, "")
    assert err.endswith(told)
    assert not (checkout.path / "var").exists()
