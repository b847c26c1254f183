"""The documents say what is so: links, commands, names, tables, examples."""

from __future__ import annotations

import ast
import inspect
import re
import shlex
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import fields
from enum import StrEnum
from functools import cache
from pathlib import Path

import pytest

import engine
from docs import make
from engine import failpoints, params, testing
from engine.cli import options
from engine.context import StepContext
from engine.definitions.loader import load_file
from engine.errors import UsageError
from engine.model import ALERT_ON, AttemptOutcome, Param, RunStatus, Step, StepStatus, TriggerRule
from engine.reports import prometheus
from engine.workers import command_env
from engine.workflow import Workflow

ROOT = Path(__file__).resolve().parents[2]
BOOK = sorted(ROOT.glob("docs/**/*.md"))
PAGES = sorted(
    [
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        ROOT / "CHANGELOG.md",
        ROOT / "SECURITY.md",
        *BOOK,
    ]
)
README_LINES_MAX = 200
WRITING = "docs/writing-workflows.md"
RUNNING = "docs/when-steps-run.md"
TESTING = "docs/testing-workflows.md"

_LINK = re.compile(r"\]\(([^)\s]+)\)")
_FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"`([^`\n]+)`")
_PROGRAM = re.compile(r"(?:\./dev|python -m engine|kahnban) (.+)")
_PATH = re.compile(r"(?:engine|store|migrations|benchmarks|tests|pipelines)/[\w./-]+")
_IMPORT = re.compile(r"^ *from engine import (.+)$", re.MULTILINE)
_VARIABLE = re.compile(r'"((?:ENGINE|KAHNBAN|MAIL|SMTP|SLACK)_[A-Z_]*[A-Z])"')
_OTHER_DEV = ("test", "lint", "bench", "soak")


def read(page: str) -> str:
    """Give a document's text."""
    return (ROOT / page).read_text("utf-8")


def page_id(page: Path) -> str:
    """Name a page in a test's name."""
    return str(page.relative_to(ROOT))


def commands(text: str) -> Iterator[str]:
    """Give each command line of ours in a document, in blocks and in running text."""
    spans = _SPAN.findall(_FENCE.sub("", text))
    lines = [line.strip().removeprefix("$ ") for line in text.splitlines()]
    for line in [*spans, *lines]:
        match = _PROGRAM.match(line)
        if match:
            words = shlex.split(match[1], comments=True)
            if words and words[0] not in _OTHER_DEV:
                yield shlex.join(words)


def block(page: str, heading: str, number: int = 0) -> list[list[str]]:
    """Give the cells of the `number`th table that comes after `heading` in a page."""
    _, found, rest = read(page).partition(heading)
    assert found, f"{page} has no '{heading}'"
    tables = re.findall(r"(?:^\|.*\n)+", rest, re.MULTILINE)
    rows = [
        [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        for line in tables[number].splitlines()
    ]
    return [row for row in rows[1:] if set(row[0]) - set("-")]


def names(rows: list[list[str]]) -> list[str]:
    """Give what stands in code style in the first column."""
    return [name for row in rows for name in _SPAN.findall(row[0])]


def python_blocks() -> list[tuple[str, str]]:
    """Give (file, source) of each whole workflow that a document shows."""
    found = []
    for page in PAGES:
        for _, language, source in _FENCE.findall(page.read_text("utf-8")):
            match = re.match(r"# ((?:pipelines|tests)/\S+)\n", source)
            if language == "python":
                assert match, f"{page_id(page)}: a Python block does not say which file it is"
                if match[1].startswith("pipelines/"):
                    found.append((match[1], source))
    return found


def yaml_blocks() -> list[tuple[str, str]]:
    """Give (file, source) of each workflow in YAML that a document shows."""
    found = []
    for page in PAGES:
        for _, language, source in _FENCE.findall(page.read_text("utf-8")):
            if language == "yaml":
                match = re.match(r"# pipelines/(\S+)\n", source)
                assert match, f"{page_id(page)}: a YAML block does not say which file it is"
                found.append((match[1], source))
    return found


def anchors(page: Path) -> set[str]:
    """Give the anchors of a page's headings, as they are made where Markdown is shown."""
    headings = re.findall(r"^#+ (.+)$", _FENCE.sub("", page.read_text("utf-8")), re.MULTILINE)
    plain = [re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings]
    return {heading.replace(" ", "-") for heading in plain}


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_links_lead_somewhere(page: Path) -> None:
    """A link between documents names a file that is there, and a heading that it has."""
    for link in _LINK.findall(page.read_text("utf-8")):
        if link.startswith("https://"):
            continue
        file, _, anchor = link.partition("#")
        target = page.parent / file if file else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_the_book_lists_its_chapters() -> None:
    """Each chapter begins with the question that it answers, by which the contents list it."""
    listed = re.findall(
        r"^\| \[(.+?)\]\((.+?)\) \| (.+?) \|$", read("docs/README.md"), re.MULTILINE
    )
    for title, file, question in listed:
        assert read(f"docs/{file}").startswith(f"# {title}\n\n*{question}*\n"), file
    files = {ROOT / "docs" / file for _, file, _ in listed}
    alone = {page for page in BOOK if page.parent.name != "commands" or page.name == "README.md"}
    assert files == alone - {ROOT / "docs" / "README.md"}


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_commands_are_ours(page: Path) -> None:
    """A command in a document is one that the command line takes."""
    for command in commands(page.read_text("utf-8")):
        try:
            options.parse(shlex.split(command))
        except UsageError as error:
            pytest.fail(f"`{command}`: {error.message}")
        except SystemExit as left:
            assert left.code == 0, command  # noqa: PT017 - `--help` ends so


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_steps_named_in_commands_are_there(page: Path) -> None:
    """A step that a command names is one of its workflow, where that is in the checkout."""
    for command in commands(page.read_text("utf-8")):
        with suppress(UsageError, SystemExit):  # told by the test above
            asked = vars(options.parse(shlex.split(command)))
            workflow = asked.get("name") or asked.get("run")
            named = {asked.get("from_step"), asked.get("step")} - {None}
            named |= {step for steps in asked.get("only", []) for step in steps.split(",")}
            named |= {step for step, _ in asked.get("mark_done", [])}
            if named and (ROOT / f"pipelines/{workflow}.py").exists():
                assert named <= steps_of(str(workflow)), command


@cache
def steps_of(workflow: str) -> set[str]:
    """Give the names of a sample workflow's steps."""
    return {step.name for step in load_file(ROOT / f"pipelines/{workflow}.py").steps}


def test_commands_are_found() -> None:
    """The search for commands finds those of blocks and of running text."""
    text = "    ./dev run daily --workers 4 # go\n`kahnban show 3` ./dev\n$ python -m engine list\n"
    assert list(commands(text)) == ["show 3", "run daily --workers 4", "list"]


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_files_named_are_there(page: Path) -> None:
    """A path of ours in code style, and nothing made up, is in the checkout."""
    for span in _SPAN.findall(_FENCE.sub("", page.read_text("utf-8"))):
        if _PATH.fullmatch(span) and not re.search(r"[A-Z]{3}", span):
            if span == "pipelines/notes.py":
                continue
            assert (ROOT / span).exists(), span


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_names_imported_are_public(page: Path) -> None:
    """What a document imports from the package is public there."""
    for imported in _IMPORT.findall(page.read_text("utf-8").replace("`", "")):
        for name in imported.rstrip(".").split(","):
            assert name.strip() in engine.__all__


def test_readme_fits() -> None:
    """The README stays short and names its two commands in its first section."""
    text = read("README.md")
    assert len(text.splitlines()) <= README_LINES_MAX
    first = "".join(text.split("\n## ")[:2])
    assert "    ./dev run daily --workers 4" in first
    assert "    ./dev test" in first
    assert "    python -m engine run daily --workers 4" in first
    assert "no telemetry" in first


def test_changelog_has_the_coming_version() -> None:
    """The changelog begins with what is unreleased, or with the first version."""
    headings = re.findall(r"^## (.+)$", read("CHANGELOG.md"), re.MULTILINE)
    assert re.fullmatch(r"\[Unreleased\]|\[0\.1\.0\] - \d{4}-\d\d-\d\d", headings[0])
    assert re.search(r"^### Added$", read("CHANGELOG.md"), re.MULTILINE)


# -- tables ---------------------------------------------------------------------------------------


def test_step_options_are_told_in_full() -> None:
    """The table of a step's options has all of them."""
    told = names(block(WRITING, "`Step(name, run"))
    assert sorted(told) == sorted(field.name for field in fields(Step) if field.init)


def test_step_defaults_are_told_right() -> None:
    """A default in code style is the default."""
    options = inspect.signature(Step).parameters.values()
    defaults = {option.name: option.default for option in options} | {"retry_on": Exception}
    told = {}
    for row in block(WRITING, "`Step(name, run"):
        for value in _SPAN.findall(row[1]):
            name = _SPAN.findall(row[0])[0]
            told[name] = Exception if value == "Exception" else ast.literal_eval(value)
    assert told == {name: defaults[name] for name in told}
    assert len(told) == 10


def test_workflow_options_are_told_in_full() -> None:
    """The table of a workflow's options has all of them, in order."""
    told = names(block(WRITING, "`Workflow(name, dry_run"))
    assert told == list(inspect.signature(Workflow.__init__).parameters)[1:]


def test_param_types_are_told_in_full() -> None:
    """Every type of parameter is in its table, and can be made."""
    types = names(block(WRITING, "`Param(type"))[:7]
    assert types == ["str", "int", "float", "bool", "date", "datetime", "Path"]
    assert [field.name for field in fields(Param)] == ["type", "default", "choices", "help"]


def test_context_is_told_in_full() -> None:
    """Every attribute of `ctx` in the table exists, and all that steps use are there."""
    told = re.findall(r"`ctx\.(\w+)", "".join(row[0] for row in block(WRITING, "## The context")))
    own = {name for name in vars(StepContext) if not name.startswith("_")}
    own |= {"attempt", "idempotency_key", "log"}
    assert set(told) <= own
    # What a dict has too, and what the engine itself calls.
    rest = {"get", "pop", "setdefault", "clear", "popitem"}
    rest |= {"left_by", "outputs", "set_return", "writes", "files", "close", "has_left"}
    assert own - set(told) - rest == set()


def test_trigger_rules_are_told_in_full() -> None:
    """The table of trigger rules is the enum."""
    assert names([row[:1] for row in block(RUNNING, "## Trigger rules")]) == list(TriggerRule)


def test_variables_of_commands_are_told_in_full() -> None:
    """Every variable that a command gets is in the table."""
    told = set(names(block(WRITING, "## Shell steps")))
    prefixes = {command_env.CONTEXT_PREFIX + "key", command_env.PARAM_PREFIX + "name", "…_FILE"}
    assert told == prefixes | command_env._OURS


@pytest.mark.parametrize(
    ("number", "words"), [(0, StepStatus), (1, AttemptOutcome), (2, RunStatus)]
)
def test_statuses_are_told_in_full(number: int, words: type[StrEnum]) -> None:
    """The glossary has every status, in the order of the vocabulary."""
    assert names(block("docs/glossary.md", "## Statuses", number)) == list(words)


def test_settings_are_told_in_full() -> None:
    """Every variable that the engine reads is in a table, but those it gives to commands itself."""
    files = [path for room in ("engine", "store") for path in (ROOT / room).rglob("*.py")]
    read_in = {name for file in files for name in _VARIABLE.findall(file.read_text("utf-8"))}
    headings = ("## Where things are", "## Runs", "## Alerts")
    tables = [block("docs/settings.md", heading) for heading in headings]
    told = {name for table in tables for name in names([row[:1] for row in table])}
    assert told - {params.VARIABLE_PREFIX + "name"} == (
        read_in - command_env._OURS - {failpoints.VARIABLE}
    )


def test_metrics_are_told_in_full() -> None:
    """The table has every metric, in the order in which they are printed."""
    assert names(block("docs/operations.md", "## Metrics")) == list(prometheus.HELP)


def test_options_of_a_run_in_a_test_are_told_in_full() -> None:
    """The tables have every option of `engine.testing.run`, in order, and all of its outcome."""
    options_told = names(block(TESTING, "`run(workflow, …)`"))
    assert options_told == list(inspect.signature(testing.run).parameters)[1:]
    told = names([row[:1] for row in block(TESTING, "`run(workflow, …)`", 1)])
    own = {field.name for field in fields(testing.Outcome)} | {"status", "statuses"}
    assert {name.partition("[")[0] for name in told} == own


def test_glossary_has_the_terms() -> None:
    """The glossary has one row for each term, and the project's words are among them."""
    terms = [re.sub(r"\*\*", "", row[0]) for row in block("docs/glossary.md", "# Glossary")]
    assert len(terms) == len(set(terms))
    wanted = """workflow run step attempt upstream downstream backoff jitter checkpoint resume tick
        event action claim lease makespan"""
    assert {*wanted.split(), "trigger rule", "critical path"} <= set(terms)


def test_alert_rules_are_told_in_full() -> None:
    """The table of alert rules has all of them."""
    rows = block("docs/alerts.md", "| `alert_on`")
    head = block("docs/alerts.md", "## Where they")
    assert [_SPAN.findall(row[0])[0] for row in head] == list(ALERT_ON)
    assert rows


def test_exit_codes_are_told_alike() -> None:
    """README, book and `--help`, which has no room for more than a word each, tell the same."""
    told = [row[0] for row in block("docs/failures.md", "## Exit codes")]
    assert told == ["0", "1", "2", "3", "75", "130, 143"]
    readme = next(row[1] for row in block("README.md", "## When a step") if row[0] == "exit code")
    shown = options.build().format_help().partition("exit codes: ")[2]
    codes = re.compile(r"(?:^|· )([\d/]+) ")
    assert codes.findall(shown) == codes.findall(readme) == ["0", "1", "2", "3", "75", "130/143"]


def test_pages_that_are_made_are_those_of_the_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages of commands, public names and keys say what the code says; layout aside."""
    monkeypatch.setenv("COLUMNS", "80")
    made = make.pages(make.kept_examples())
    kept = {f"commands/{path.name}" for path in (ROOT / "docs/commands").iterdir()}
    kept |= {make.REFERENCE, make.KEYS}
    differing = sorted(
        name
        for name in kept | set(made)
        if name not in kept or made.get(name, "").split() != read(f"docs/{name}").split()
    )
    assert differing == [], "make them anew: .venv/bin/python -m docs.make"


# -- examples -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("file", "source"), python_blocks(), ids=lambda text: text.split("\n")[0])
def test_workflows_shown_are_right(file: str, source: str, tmp_path: Path) -> None:
    """A workflow that a document shows passes `check`."""
    path = tmp_path / file
    path.parent.mkdir()
    path.write_text(source, "utf-8")
    assert load_file(path).name == path.stem


def test_functions_shown_work_on_a_plain_dict(tmp_path: Path) -> None:
    """A function or condition of the guide that only reads `ctx[key]` may be called with a dict."""
    (tmp_path / "pipelines").mkdir()
    steps: dict[tuple[str, str], Step] = {}
    for file, source in python_blocks():
        path = tmp_path / file
        path.write_text(source, "utf-8")
        steps |= {(path.stem, step.name): step for step in load_file(path).steps}

    def called(workflow: str, step: str, context: dict[str, object]) -> object:
        run = steps[workflow, step].run
        assert callable(run)
        return run(context)

    assert called("decorated", "second", {"first": 20}) == 21
    assert called("library", "double", {"number": 21}) == 42
    assert called("library", "tell", {"double": 42}) == "it is 42"
    assert called("rates", "convert", {"fetch": {"pear": 4}}) == {"pear": 4.4}
    few, many = (steps["branches", name].when for name in ("few", "many"))
    assert callable(few)
    assert callable(many)
    assert [when({"count": n}) for n in (3, 30) for when in (few, many)] == [1, 0, 0, 1]


@pytest.mark.parametrize(("file", "source"), yaml_blocks(), ids=lambda text: text.split("\n")[0])
def test_workflows_shown_in_yaml_are_right(file: str, source: str, tmp_path: Path) -> None:
    """A workflow in YAML that a document shows passes `check`, with the function that it names."""
    path = tmp_path / "pipelines" / file
    path.parent.mkdir()
    path.write_text(source, "utf-8")
    (tmp_path / "mypackage").mkdir()
    (tmp_path / "mypackage/steps.py").write_text("def fetch(ctx): pass\n", "utf-8")
    assert load_file(path).name == path.stem
    for name in ("mypackage.steps", "mypackage"):
        sys.modules.pop(name, None)


def test_worked_change_fits_the_code() -> None:
    """The lines that the worked change starts from are there, one after the other."""
    found = 0
    for indent, language, source in _FENCE.findall(read("CONTRIBUTING.md")):
        if language != "diff":
            continue
        lines = [line.removeprefix(indent) for line in source.splitlines()]
        name = lines[0].removeprefix("--- a/")
        before = "\n".join(line[1:] for line in lines[1:] if line[0] in " -")
        assert f"{before}\n" in read(name), name
        found += 1
    assert found == 4
