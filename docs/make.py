"""Make the pages of the book that follow from the code.

    .venv/bin/python -m docs.make

These are `commands/`, from `--help` and from a session that is really held; `reference.md`, from
signatures and docstrings; and the tables of `yaml-and-json.md`, from the keys the loader knows.
"""

from __future__ import annotations

import argparse
import inspect
import os
import re
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Any

import engine
from docs.sessions import COLUMNS, ROOT, Session, timeless
from engine import testing
from engine.cli import options
from engine.context import StepContext
from engine.definitions.fields import PARAMETER, STEP, WORKFLOW, Table
from engine.workflow import Workflow

HERE = ROOT / "docs"
INDEX = "commands/README.md"
REFERENCE = "reference.md"
KEYS = "yaml-and-json.md"

# Where the book tells of a command.
_CHAPTERS = {
    "run": "failures.md#what-a-continued-run-does-again",
    "list": "seeing.md",
    "backfill": "schedule.md#backfills",
    "check": "writing-workflows.md",
    "graph": "seeing.md",
    "init": "start.md",
    "history": "seeing.md",
    "show": "seeing.md",
    "report": "seeing.md",
    "logs": "seeing.md",
    "why": "seeing.md",
    "diff": "seeing.md",
    "metrics": "operations.md#metrics",
    "serve": "dashboard.md",
    "completion": "seeing.md#completion",
    "sql": "sql.md",
    "cancel": "failures.md#ending-a-run-for-good",
    "alerts": "alerts.md#where-they-go",
    "incidents": "alerts.md#incidents",
    "schedule": "schedule.md#schedule",
    "watch": "alerts.md#late-and-missing",
    "db": "operations.md",
}
# One session: what is done, in its order, and on which command's page it is shown.
_STORY = (
    ("init", "python -m engine init first"),
    ("", "cd first"),
    ("check", "python -m engine check hello --explain"),
    ("", "cd ../notes"),
    ("graph", "python -m engine graph notes"),
    ("run", "python -m engine run notes --workers 1"),
    ("show", "python -m engine show notes"),
    ("logs", "python -m engine logs notes copy"),
    ("why", "python -m engine why notes copy"),
    ("run", "mkdir disk"),
    ("run", "python -m engine run notes --dry-run"),
    ("", "python -m engine run notes --workers 1 --quiet"),
    ("diff", "python -m engine diff 1 2"),
    ("report", "python -m engine report notes"),
    ("backfill", "python -m engine backfill prices --param date --from 2026-03-01 --to 2026-03-03"),
    ("list", "python -m engine list"),
    ("history", "python -m engine history"),
    ("sql", 'python -m engine sql "SELECT step, status, attempts FROM step_runs WHERE run_id = 1"'),
    ("cancel", "python -m engine cancel notes"),
    ("alerts", "python -m engine alerts"),
    ("incidents", "python -m engine incidents"),
    ("watch", "python -m engine watch"),
    ("db", "python -m engine db verify"),
    ("db", "python -m engine db prune --dry-run"),
)
_OF_PROGRAMS = ("complete",)  # asked by scripts of ours, not by people
_SHOWN_WORKFLOWS = (("README.md", "notes"), ("docs/writing-workflows.md", "prices"))
_MADE = "<!-- Made by `python -m docs.make`: change the code, not this page. -->"


# -- commands -------------------------------------------------------------------------------------


def commands() -> dict[str, argparse.ArgumentParser]:
    """Give the parser of each command, those of `db` as `db verify` and so on."""
    found: dict[str, argparse.ArgumentParser] = {}
    for name, parser in _below(options.build()):
        if name in _OF_PROGRAMS:
            continue
        found[name] = parser
        found |= {f"{name} {inner}": sub for inner, sub in _below(parser)}
    return found


def _below(parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    for action in parser._actions:  # noqa: SLF001 - there is no other way to ask
        if isinstance(action.choices, dict):
            yield from action.choices.items()


def command_pages(examples: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Give a page for each command, with its example, and one that lists them all."""
    found = commands()
    tops = [name for name in found if " " not in name]
    for name in tops:
        parts = [f"# {name}", _MADE, f"*{found[name].description}*", _help(found[name])]
        for inner in found:
            if inner.startswith(f"{name} "):
                parts += [f"## {inner}", _help(found[inner])]
        if name in examples:
            parts += ["## An example", f"```console\n{examples[name]}```"]
        if name in _CHAPTERS:
            parts.append(f"More in [the book](../{_CHAPTERS[name]}); [all commands](README.md).")
        yield f"commands/{name}.md", _joined(parts)
    rows = [f"| [`{name}`]({name}.md) | {found[name].description} |" for name in tops]
    yield (
        INDEX,
        _joined(
            [
                "# Commands",
                "*Which commands are there, and what does each take?*",
                _MADE,
                "\n".join(["| command | what it does |", "|---|---|", *rows]),
                f"```text\n{_outline()}\n```",
            ]
        ),
    )


def _help(parser: argparse.ArgumentParser) -> str:
    return f"```text\n{parser.format_help().rstrip()}\n```"


def _outline() -> str:
    """Give what the overview says beside the list of commands."""
    parser = options.build()
    return f"{parser.format_usage()}\n{parser.epilog}"


def examples(session: Session) -> dict[str, str]:
    """Do what is to be shown; give what is seen of each command."""
    session.begin("commands")
    project = session.folder / "notes"
    (project / "pipelines").mkdir(parents=True)
    (project / "notes").mkdir()
    (project / "notes" / "monday.txt").write_text("TODO call Ada\n", "utf-8")
    for page, name in _SHOWN_WORKFLOWS:
        (project / "pipelines" / f"{name}.py").write_text(shown_workflow(page, name), "utf-8")
    shown: dict[str, str] = {}
    for page, command in _STORY:
        shown[page] = shown.get(page, "") + session.transcript(command)
    del shown[""]
    return shown


def alike(one: str, other: str) -> bool:
    """Whether two sessions show the same, but for figures, days, and the order of lines."""
    return _timeless(one) == _timeless(other)


def _timeless(transcript: str) -> list[str]:
    text = re.sub(r"'(?:pack|write)', ok", "S, ok", timeless(transcript))  # the last of two to end
    return sorted(" ".join(line.split()) for line in text.splitlines())


def kept_examples() -> dict[str, str]:
    """Give the examples that the pages hold."""
    pattern = re.compile(r"^## An example\n\n```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
    found = {
        path.stem: pattern.search(path.read_text("utf-8"))
        for path in (HERE / "commands").glob("*.md")
    }
    return {name: match[1] for name, match in found.items() if match}


def shown_workflow(page: str, name: str) -> str:
    """Give the workflow that a page shows as `pipelines/NAME.py`."""
    text = (ROOT / page).read_text("utf-8")
    start = rf"^# pipelines/{name}\.py\n.*?(?=^```)"
    found = re.search(start, text, re.MULTILINE | re.DOTALL)
    assert found, f"{page} does not show pipelines/{name}.py"
    return found[0]


# -- names in Python ------------------------------------------------------------------------------


def reference_page() -> str:
    """Give the page of all public names."""
    parts = [
        "# Names in Python",
        "*What is public, and what does each name take and give?*",
        _MADE,
        "[Writing workflows](writing-workflows.md) tells how they go together.",
        "## engine",
        "    from engine import " + ", ".join(engine.__all__),
    ]
    for name in ("Workflow", "Step", "shell", "Param", "Skip", "RetryAfter", "order_steps"):
        parts += _entry(name, getattr(engine, name))
        if name == "Workflow":
            for method in ("add", "step", "run"):
                parts += _entry(f"workflow.{method}", getattr(Workflow, method))
    parts += ["## ctx", "What a step's function is called with. It is also a dict of the context."]
    for name, member in vars(StepContext).items():
        if name in _CTX.split():
            parts += _entry(f"ctx.{name}", member)
    parts += ["## engine.testing", "[Testing workflows](testing-workflows.md) shows it at work."]
    for name in ("run", "times_out", "Outcome", "StepOutcome"):
        parts += _entry(name, getattr(testing, name))
    return _joined(parts)


_CTX = "params get status output secret setting log idempotency_key workflow run_id step paths"


def _entry(name: str, thing: Any) -> list[str]:
    told = [f"### {name}"]
    if callable(thing) and not (inspect.isclass(thing) and issubclass(thing, Exception)):
        told.append(_signature(name, thing))
    doc = inspect.getdoc(thing)
    assert doc, f"{name} has no docstring"
    return [*told, doc]


def _signature(name: str, thing: Any) -> str:
    signature = inspect.signature(thing)
    taken: list[str] = []
    keyword_only = False
    for one in signature.parameters.values():
        if one.name == "self":
            continue
        if one.kind is one.KEYWORD_ONLY and not keyword_only:
            keyword_only = True
            taken.append("*")
        taken.append(_parameter(one))
    gives = signature.return_annotation
    plain = gives in (signature.empty, "None") or inspect.isclass(thing)
    end = ")" if plain else f") -> {gives}"
    line = f"    {name}({', '.join(taken)}{end}"
    if len(line) <= COLUMNS:
        return line
    return "\n".join([f"    {name}(", *(f"        {one}," for one in taken), f"    {end}"])


def _parameter(one: inspect.Parameter) -> str:
    star = "**" if one.kind is one.VAR_KEYWORD else ""
    text = star + one.name
    if one.annotation is not one.empty:
        text += f": {one.annotation}"
    if one.default is one.empty:
        return text
    return f"{text} = {_default(one.default)}"


def _default(value: Any) -> str:
    match value:
        case Enum():
            return repr(value.value)
        case datetime():
            return f"{value.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
        case (type() as only,):
            return str(only.__name__)
    text = repr(value)
    return "…" if " object at 0x" in text else text  # stands for "not given"


# -- keys of workflows in YAML and JSON -----------------------------------------------------------


def keys_page() -> str:
    """Give the page on YAML and JSON with its tables made anew."""
    text = (HERE / KEYS).read_text("utf-8")
    for name, table in (("workflow", WORKFLOW), ("step", STEP), ("parameter", PARAMETER)):
        start, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
        before, found, rest = text.partition(start)
        assert found, f"{KEYS} has no '{start}'"
        text = f"{before}{start}{_table(table)}\n{end}{rest.partition(end)[2]}"
    return text


def _table(table: Table) -> str:
    rows = ["| key | value | meaning |", "|---|---|---|"]
    for field in table.fields.values():
        name = f"`{field.name}`" + " (required)" * field.required
        meaning = field.help + (f" (with `{field.body}` only)" if field.body else "")
        rows.append(f"| {name} | {field.form.words} | {meaning} |")
    return "\n".join(rows)


# -- all of it ------------------------------------------------------------------------------------


def pages(shown: dict[str, str]) -> dict[str, str]:
    """Give the text of each page that is made, by its path in `docs/`."""
    os.environ["COLUMNS"] = str(COLUMNS)  # how wide argparse makes its help
    return {**dict(command_pages(shown)), REFERENCE: reference_page(), KEYS: keys_page()}


def _joined(parts: list[str]) -> str:
    return "\n\n".join(parts).rstrip() + "\n"


def main() -> None:
    """Write what is made, and take away pages of commands that are no more."""
    with (
        tempfile.TemporaryDirectory(prefix="kahnban-docs-") as name,
        Session(Path(name)) as session,
    ):
        shown, kept = examples(session), kept_examples()
    made = pages(
        {n: kept[n] if alike(text, kept.get(n, "")) else text for n, text in shown.items()}
    )
    (HERE / "commands").mkdir(exist_ok=True)
    for path in (HERE / "commands").glob("*.md"):
        if f"commands/{path.name}" not in made:
            path.unlink()
    for name, text in made.items():
        (HERE / name).write_text(text, "utf-8")
    print(f"wrote {len(made)} pages")


if __name__ == "__main__":
    main()
