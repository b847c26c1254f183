"""What the README and the guide show is what happens: their files and commands, really run."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from docs import make
from docs.sessions import Session, environment, timeless
from docs.terminal import played, record
from tests.system.project import without_packages

ROOT = Path(__file__).resolve().parents[2]
OMITTED = "…"

_FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_TIME = re.compile(r"\b\d+(?:\.\d+)?m?s\b")


def blocks(page: str, language: str) -> list[str]:
    """Give the code blocks of a document."""
    text = (ROOT / page).read_text("utf-8")
    return [source for found, source in _FENCE.findall(text) if found == language]


def guide() -> list[str]:
    """Give the workflows of the chapters on writing them."""
    chapters = ("docs/writing-workflows.md", "docs/when-steps-run.md")
    return [source for page in chapters for source in blocks(page, "python")]


def plain(line: str) -> str:
    """Give a line without what differs from run to run: durations, and the table's padding."""
    return " ".join(_TIME.sub("N", line).split())


def write(project: Path, source: str) -> str:
    """Write the file that a Python block begins with the name of; give the workflow's name."""
    file = source.splitlines()[0].removeprefix("# ")
    path = project / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(source, "utf-8")
    return path.stem


def run(project: Path, command: str, path: str = "") -> subprocess.CompletedProcess[str]:
    """Run a shell command as in the activated environment; stderr goes where stdout goes."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith("PYTHON")}
    path = f"{Path(sys.executable).parent}:{path or os.environ['PATH']}"
    env = kept | {"PATH": path, "PYTHONPATH": str(ROOT), "COLUMNS": "80", "NO_COLOR": "1"}
    return subprocess.run(
        ["bash", "-c", command],
        cwd=project,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )


def told(output: str, shown: list[str]) -> str:
    """Give the first line shown that is not in the output in its place, or nothing.

    Lines shown follow each other in the output, save where `…` stands for lines left out.
    """
    lines = [plain(line) for line in output.splitlines()]
    at, free = 0, False
    for line in shown:
        if line == OMITTED:
            free = True
            continue
        wanted = plain(line)
        places = range(at, len(lines)) if free else range(at, min(at + 1, len(lines)))
        place = next((n for n in places if lines[n] == wanted), None)
        if place is None:
            return line
        at, free = place + 1, False
    return "" if free or at == len(lines) else f"nothing more than {at} lines"


def test_a_transcript_is_compared_line_by_line() -> None:
    """What is shown must be there, whole and in order; only `…` leaves lines out."""
    output = "one 3ms\ntwo\nthree\n"
    assert told(output, ["one   0.2s", OMITTED, "three"]) == ""
    assert told(output, ["one 1s", "three"]) == "three"
    assert told(output, ["one 1s", "two"]) == "nothing more than 2 lines"
    assert told(output, [OMITTED, "two", OMITTED, "one 1s"]) == "one 1s"


def test_readme_workflow_does_what_is_shown(tmp_path: Path) -> None:
    """The README's workflow, file and commands as they stand there, gives what it shows."""
    for source in blocks("README.md", "python"):
        write(tmp_path, source)
    transcripts = blocks("README.md", "console")
    assert len(transcripts) == 2
    codes = []
    for transcript in transcripts:
        for part in re.split(r"^\$ ", transcript, flags=re.MULTILINE)[1:]:
            command, *shown = part.splitlines()
            done = run(tmp_path, command)
            assert told(done.stdout, shown) == "", done.stdout
            codes.append(done.returncode)
    assert codes == [0, 1, 0, 0]


def test_readme_workflow_starts_anew_when_done(tmp_path: Path) -> None:
    """After a success the same command is a new run, and both are in the history."""
    for source in blocks("README.md", "python"):
        write(tmp_path, source)
    (tmp_path / "notes").mkdir()
    (tmp_path / "disk").mkdir()
    for _ in range(2):
        assert run(tmp_path, "python -m engine run notes -q").stdout == ""
    rows = json.loads(run(tmp_path, "python -m engine history --json").stdout)
    assert [(row["run_id"], row["status"]) for row in rows] == [(2, "ok"), (1, "ok")]


@pytest.mark.parametrize(
    ("name", "statuses"),
    [
        ("prices", {"fetch": "ok", "report": "ok"}),
        ("decorated", {"first": "ok", "second": "ok"}),
        ("fetching", {"ask": "ok", "poll": "ok"}),
        (
            "branches",
            {
                "count": "ok",
                "few": "ok",
                "many": "skipped",
                "join": "ok",
                "help": "skipped",
                "clean_up": "ok",
            },
        ),
        ("archive", {"list": "ok", "count": "ok", "tell": "ok"}),
    ],
)
def test_workflows_of_the_guide_run(name: str, statuses: dict[str, str], tmp_path: Path) -> None:
    """Each workflow of the guide runs, and its steps end as the guide says."""
    written = [write(tmp_path, source) for source in guide()]
    assert name in written
    done = run(tmp_path, f"python -m engine run {name} --json 2> log.txt")
    report = json.loads(done.stdout)
    assert {step["name"]: step["status"] for step in report["steps"]} == statuses
    assert done.returncode == 0


def test_guide_tells_why_steps_are_skipped(tmp_path: Path) -> None:
    """The reasons that the guide gives for the skipped steps are those of the report."""
    for source in guide():
        write(tmp_path, source)
    report = json.loads(run(tmp_path, "python -m engine run branches --json 2> log.txt").stdout)
    notes = {step["name"]: step["note"] for step in report["steps"]}
    assert (notes["many"], notes["help"]) == ("condition false", "no dependency failed")
    sunday = run(tmp_path, "python -m engine run prices --set date=2026-03-01 --json 2> log.txt")
    notes = {step["name"]: step["note"] for step in json.loads(sunday.stdout)["steps"]}
    assert notes == {"fetch": "no prices on Sundays", "report": "dependency skipped: fetch"}


def test_guide_runs_as_a_library(tmp_path: Path) -> None:
    """The guide's script runs a workflow without the command line."""
    for source in guide():
        write(tmp_path, source)
    done = run(tmp_path, "python pipelines/library.py")
    assert done.stdout.splitlines() == [
        "double ok 1 ",
        "tell ok 1 ",
        "['fetch', 'clean', 'report']",
    ]


@pytest.mark.parametrize(
    ("page", "tests"), [("README.md", 1), ("docs/testing-workflows.md", 6)], ids=["readme", "guide"]
)
def test_tests_that_are_shown_pass(page: str, tests: int, tmp_path: Path) -> None:
    """Each test of a workflow that a document shows passes as it stands there, by pytest alone."""
    for source in blocks(page, "python"):
        write(tmp_path, source)
    before = sorted(tmp_path.rglob("*"))
    done = run(tmp_path, "python -B -m pytest -q -p no:cacheprovider tests")
    assert done.returncode == 0, done.stdout
    assert re.search(rf"^{tests} passed", done.stdout, re.MULTILINE), done.stdout
    assert sorted(tmp_path.rglob("*")) == before


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    """Give a shell session in an empty folder."""
    with Session(tmp_path_factory.mktemp("session")) as session:
        yield session


def test_examples_of_commands_are_so(session: Session) -> None:
    """Each page of a command shows what it really says."""
    held, kept = make.examples(session), make.kept_examples()
    differing = [name for name in held if not make.alike(held[name], kept.get(name, ""))]
    assert differing == [], "make them anew: .venv/bin/python -m docs.make"


def test_the_start_is_as_told(session: Session) -> None:
    """The commands of the first chapter do what it shows."""
    session.begin("start")
    for transcript in blocks("docs/start.md", "console"):
        for part in re.split(r"^\$ ", transcript, flags=re.MULTILINE)[1:]:
            command, *shown = part.splitlines()
            code, said = session.run(command)
            assert told(timeless(said), timeless("\n".join(shown)).splitlines()) == "", said
            assert code == 0, command


def test_a_terminal_is_recorded(tmp_path: Path) -> None:
    """What is typed and what is said comes in its order, as a terminal shows it."""
    came = record(tmp_path, ["echo 'a b'"], environment(), 40)
    lines = [
        "".join(char for char, _ in line.cells) for line in played(came, 40) if not line.until_s
    ]
    assert [line.rstrip() for line in lines] == ["$ echo 'a b'", "a b", "$"]


@pytest.mark.slow
def test_evidence_can_be_made_again(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The script behind the evidence runs, and what it shows is so."""
    elsewhere = without_packages(tmp_path_factory.mktemp("path"))
    done = run(ROOT, f"python docs/evidence/make.py {tmp_path}", elsewhere)
    assert done.returncode == 0, done.stdout
    made = {path.name for path in tmp_path.iterdir()}
    kept = {path.name for path in (ROOT / "docs" / "evidence").iterdir()}
    assert made == kept - {"make.py", "README.md"}
    here = re.compile(rf"{re.escape(str(ROOT))}|{re.escape(str(tmp_path))}|/tmp/|/home/|/root/")
    for folder in (tmp_path, ROOT / "docs" / "evidence"):
        for path in folder.glob("*[!y]"):
            if path.suffix != ".md":
                assert not here.search(path.read_text("utf-8")), path.name
