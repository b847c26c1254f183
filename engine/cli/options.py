"""The command line's words: every command, option and help text; nothing heavy is imported."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from engine.cli import serve_options
from engine.cli.completion_options import add_complete, add_completion
from engine.cli.marking import MarkDone
from engine.cli.mistakes import Parser
from engine.errors import UsageError

_EPILOG = """\
exit codes: 0 ok or nothing to do · 1 failed or cancelled · 2 usage, definition
  · 3 machine, store or engine failed · 75 already running · 130/143 interrupted"""

_Add = Callable[..., argparse.ArgumentParser]

_RUN_TEXT = "run a workflow; by hand, go on from where it failed or was interrupted lately"


def _globals(parser: Any, *, default: str | None = argparse.SUPPRESS, told: bool = True) -> None:
    for option, metavar, text in (
        ("--store", "URL", "the store (ENGINE_STORE)"),
        ("--home", "DIR", "home (ENGINE_HOME)"),
        ("--pipelines", "DIR", "workflows (ENGINE_PIPELINES)"),
    ):
        shown = text if told else argparse.SUPPRESS
        parser.add_argument(option, metavar=metavar, default=default, help=shown)


def _adder(commands: Any) -> _Add:
    """Give what adds a command to a parser's commands: its name, function and help."""

    def add(
        name: str, call: str, text: str, *, epilog: str = "", listed: bool = True
    ) -> argparse.ArgumentParser:
        sub: argparse.ArgumentParser = commands.add_parser(
            name,
            **({"help": text} if listed else {}),
            description=text,
            epilog=epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        if name != "run":  # has so many options that they share one list
            _globals(sub.add_argument_group("where (before or after the command)"))
        sub.set_defaults(call=call, parser=sub)
        return sub

    return add


class _Overview(argparse.RawDescriptionHelpFormatter):
    """Lists the commands without a line that says `COMMAND`."""

    def _format_action(self, action: argparse.Action) -> str:
        text = super()._format_action(action)
        return text.partition("\n")[2] if isinstance(action.choices, dict) else text

    def format_help(self) -> str:
        """Give the overview; the exit codes follow at once: it must fit a small terminal."""
        return super().format_help().replace("\n\nexit codes", "\nexit codes")


def build(only: str = "") -> Parser:
    """Make the parser of the whole command line, or all that it takes to parse one command."""
    parser = Parser(
        prog="kahnban" if Path(sys.argv[0]).name == "kahnban" else "python -m engine",
        usage="%(prog)s [--store URL] [--home DIR] [--pipelines DIR] COMMAND ...",
        epilog=_EPILOG,
        formatter_class=_Overview,
        add_help=False,
    )
    parser.add_argument("-h", "--help", action="help", help=argparse.SUPPRESS)
    _globals(parser, default=None, told=False)
    commands = parser.add_subparsers(
        title="Run workflows of steps with dependencies; all is recorded in one SQLite file",
        metavar="COMMAND ...",  # makes room beside the longest of them
        parser_class=Parser,
        prog=parser.prog,
    )
    add = _adder(commands)
    for name, add_to in _COMMANDS.items():
        if only in ("", name):
            add_to(add)
    if only in ("", _DATABASE):
        _database(
            commands.add_parser(_DATABASE, help="the store itself", description="the store itself")
        )
    return parser


def _list(add: _Add) -> None:
    _json(add("list", "look:list_workflows", "the workflows of this project"))


def _check(add: _Add) -> None:
    check = add("check", "check:check", "load workflows and say what is wrong with them")
    check.add_argument(
        "names", metavar="NAME|FILE|FOLDER", nargs="*", help="all of the project without one"
    )
    check.add_argument(
        "--schema", action="store_true", help="print the JSON Schema of a workflow in YAML or JSON"
    )
    check.add_argument(
        "--explain",
        action="store_true",
        help="say what each step's failure, or its being skipped, would do downstream",
    )
    _json(check)


def _run(add: _Add) -> None:
    run = add("run", "run:run", "run a workflow, or go on from where it stopped")
    run.usage, run.description = "%(prog)s NAME [OPTION]...", _RUN_TEXT
    run.add_argument("name", metavar="NAME", help=argparse.SUPPRESS)
    run.add_argument("--workers", metavar="N", type=_whole, default=4, help="steps at once (4)")
    run.add_argument(
        "--set", metavar="K=V", action="append", default=[], help="a parameter; may be repeated"
    )
    run.add_argument("--dry-run", action="store_true", help="say what would run; change nothing")
    how = run.add_mutually_exclusive_group()
    how.add_argument("--fresh", action="store_true", help="start anew, whatever came before")
    how.add_argument("--resume", metavar="RUN", help="go on from that run's chain")
    how.add_argument("--from", metavar="STEP", dest="from_step", help="redo STEP and all after it")
    _choosing(run)
    run.add_argument("--once", action="store_true", help="do nothing if these parameters are ok")
    run.add_argument(
        "--scheduled", action="store_true", help="as a timer does: always anew, skip if one is on"
    )
    run.add_argument("-q", "--quiet", action="store_true", help="silent on success")
    _json(run)
    run.add_argument("--json-logs", action="store_true", help="log as JSON lines")
    _globals(run)


def _choosing(run: argparse.ArgumentParser) -> None:
    run.add_argument(
        "--only",
        metavar="STEPS",
        action="append",
        default=[],
        help="run only A,B,…; the rest stays as the last run left it",
    )
    marking: dict[str, Any] = {"action": MarkDone, "dest": "mark_done", "default": []}
    run.add_argument(
        "--mark-done",
        metavar="STEP",
        help="do not run STEP, take it as done; may be repeated",
        **marking,
    )
    run.add_argument(
        "--output",
        metavar="K=V",
        help="a value of the STEP marked before; may be repeated",
        **marking,
    )


_BACKFILL_EPILOG = """\
A value that fails holds up no other. The same command does what is left."""


def _backfill(add: _Add) -> None:
    text = "run a workflow for each value of a parameter, but what is ok"
    backfill = add("backfill", "backfill:backfill", text, epilog=_BACKFILL_EPILOG)
    backfill.usage = "%(prog)s NAME --param P --from A --to B [OPTION]..."
    backfill.add_argument("name", metavar="NAME", help=argparse.SUPPRESS)
    backfill.add_argument(
        "--param", required=True, metavar="P", help="the parameter: of type date or int"
    )
    backfill.add_argument(
        "--from", required=True, metavar="A", dest="first", help="its first value"
    )
    backfill.add_argument(
        "--to", required=True, metavar="B", dest="last", help="its last value, included"
    )
    backfill.add_argument(
        "--parallel", metavar="N", type=_whole, default=1, help="runs at once (1)"
    )
    backfill.add_argument(
        "--workers", metavar="N", type=_whole, default=4, help="steps at once in each run (4)"
    )
    backfill.add_argument(
        "--set", metavar="K=V", action="append", default=[], help="another parameter"
    )
    backfill.add_argument(
        "--dry-run", action="store_true", help="say what would run; change nothing"
    )
    backfill.add_argument("-q", "--quiet", action="store_true", help="silent on success")
    _json(backfill)


def _init(add: _Add) -> None:
    init = add("init", "init:init", "make a folder with a first workflow that runs")
    init.add_argument("dir", metavar="DIR", nargs="?", default=".", help="here, without one")
    init.add_argument("--yaml", action="store_true", help="in YAML; without: in Python")


_GRAPH_EPILOG = """\
What depends on a step hangs on its rail: that of ● goes down, that of ◆ is to
its right, ○ has none. A rail that is only crossed stays │, and … marks one for
which there is no room."""


def _graph(add: _Add) -> None:
    text = "draw the steps of a workflow and what depends on what"
    graph = add("graph", "graph:graph", text, epilog=_GRAPH_EPILOG)
    graph.usage = "%(prog)s NAME|FILE [OPTION]..."
    graph.add_argument("name", metavar="NAME|FILE", help="the workflow")
    how = graph.add_mutually_exclusive_group()
    how.add_argument(
        "--format", choices=["mermaid", "dot"], help="for Mermaid or Graphviz; without: a drawing"
    )
    how.add_argument("--json", action="store_true", help="print JSON")


_RUN = "a run's number, `latest`, or a workflow's name"
_RUN_HELP = "a run's number, `latest` (default), or a workflow's name"


def _history(add: _Add) -> None:
    history = add("history", "look:history", "earlier runs, newest first")
    history.add_argument("name", metavar="NAME", nargs="?", help="of one workflow only")
    history.add_argument("--since", metavar="AGE", help="no older than 7d, 12h, 30m, or a date")
    history.add_argument("--failed", action="store_true", help="only those that did not go well")
    history.add_argument("--limit", metavar="N", type=_whole, default=20, help="at most N (20)")
    _json(history)


def _show(add: _Add) -> None:
    _json(_paged(_of_a_run(add("show", "look:show", "one run, step by step"))))


def _report(add: _Add) -> None:
    text = "the report of a run, as it is written at its end"
    report = _paged(_of_a_run(add("report", "look:report", text)))
    how = report.add_mutually_exclusive_group()
    how.add_argument("--html", metavar="FILE", help="write it as a page for a browser; - prints it")
    how.add_argument("--json", action="store_true", help="print JSON")


def _logs(add: _Add) -> None:
    logs = _of_a_run(add("logs", "logs:logs", "what the steps of a run logged and printed"))
    logs.add_argument("step", metavar="STEP", nargs="?", help="of one step only")
    how = logs.add_mutually_exclusive_group()
    how.add_argument(
        "-f", "--follow", action="store_true", help="go on with what comes, until the run ends"
    )
    how.add_argument("--json", action="store_true", help="print JSON")


def _why(add: _Add) -> None:
    why = add("why", "compare:why", "why a step ran, was skipped, was retried, waits")
    why.add_argument("run", metavar="RUN", help=_RUN)
    why.add_argument("step", metavar="STEP", help="one of its steps")
    _json(why)


def _diff(add: _Add) -> None:
    diff = add("diff", "compare:diff", "what differs between two runs")
    diff.add_argument("old", metavar="RUN", help=_RUN)
    diff.add_argument("new", metavar="RUN", help="the run that is compared with it")
    _json(diff)


def _of_a_run(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("run", metavar="RUN", nargs="?", default="latest", help=_RUN_HELP)
    return parser


def _paged(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    most = "at most N steps, those that did not go well first (50; with --json all)"
    parser.add_argument("--limit", metavar="N", type=_whole, help=most)
    return parser


_SQL_EPILOG = """\
docs/sql.md has the views with their columns, and questions to begin with."""


def _sql(add: _Add) -> None:
    text = "ask the store a question in SQL; only looks"
    sql = add("sql", "sql:sql", text, epilog=_SQL_EPILOG)
    sql.add_argument(
        "query", metavar="QUERY", nargs="?", help="a SELECT, - for stdin; without: lists the views"
    )
    how = sql.add_mutually_exclusive_group()
    how.add_argument("--json", action="store_true", help="print JSON")
    how.add_argument("--csv", action="store_true", help="print CSV")


def _cancel(add: _Add) -> None:
    cancel = add("cancel", "cancel:cancel", "end a run that is on; its cleanup steps still run")
    cancel.add_argument("run", metavar="RUN", help=_RUN)


def _alerts(add: _Add) -> None:
    alerts = add("alerts", "alerts:alerts", "undelivered alerts: list, send, or test the channels")
    alerts.add_argument("what", nargs="?", choices=["send", "test"], help="without: list them")
    _json(alerts)


def _schedule(add: _Add) -> None:
    schedule = add("schedule", "schedule:schedule", "systemd units for a workflow's schedule")
    schedule.add_argument("what", choices=["show", "verify"])
    schedule.add_argument("name", metavar="NAME", help="the workflow")


def _database(database: argparse.ArgumentParser) -> None:
    from engine.cli.database_options import add_commands

    add = _adder(database.add_subparsers(metavar="WHAT", required=True, parser_class=Parser))
    add_commands(add, _json, _whole)


def _json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON")


def _whole(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number above 0")
    return number


_DATABASE = "db"
_COMMANDS: dict[str, Callable[[_Add], None]] = {  # as the overview lists them, before `db`
    "run": _run,
    "list": _list,
    "backfill": _backfill,
    "check": _check,
    "graph": _graph,
    "init": _init,
    "history": _history,
    "show": _show,
    "report": _report,
    "logs": _logs,
    "why": _why,
    "diff": _diff,
    "sql": _sql,
    "serve": serve_options.add,
    "cancel": _cancel,
    "alerts": _alerts,
    "schedule": _schedule,
    "completion": add_completion,
    "complete": add_complete,
}


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Parse a command line. Raises `UsageError`; `--help` prints and raises `SystemExit`."""
    first = arguments[0] if arguments else ""
    if first in _COMMANDS:
        try:  # the parsers of all the others take 4 ms to make, and know better what is wrong
            return _parsed(build(first), arguments)
        except UsageError:
            pass
    return _parsed(build(), arguments)


def _parsed(parser: Parser, arguments: Sequence[str]) -> argparse.Namespace:
    parsed, rest = parser.parse_known_args(arguments)
    command: Parser = getattr(parsed, "parser", parser)
    if rest:
        command.refuse(rest, arguments, parser)
    if command is parser:
        raise UsageError("no command is given", hint="see `--help`")
    return parsed


def resolve(parsed: argparse.Namespace) -> Callable[[argparse.Namespace], int]:
    """Give the function behind the parsed command, importing its module now."""
    module, _, name = parsed.call.partition(":")
    command: Callable[[argparse.Namespace], int] = getattr(
        importlib.import_module(f"engine.cli.{module}"), name
    )
    return command
