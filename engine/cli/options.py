"""The command line's words: every command, option and help text; nothing heavy is imported."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from engine.cli import look_options, run_options, serve_options
from engine.cli.completion_options import add_complete, add_completion
from engine.cli.mistakes import Parser
from engine.cli.option_forms import RUN, Add, json, where
from engine.errors import UsageError

_EPILOG = """\
exit codes: 0 ok · 1 failed · 2 usage · 3 machine · 75 is on · 130/143 stopped"""


def _adder(commands: Any) -> Add:
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
            where(sub.add_argument_group("where (before or after the command)"))
        sub.set_defaults(call=call, parser=sub)
        return sub

    return add


class _Overview(argparse.RawDescriptionHelpFormatter):
    """Lists the commands without a line that says `COMMAND`."""

    def _format_action(self, action: argparse.Action) -> str:
        text = super()._format_action(action)
        return text.partition("\n")[2] if isinstance(action.choices, dict) else text

    def format_help(self) -> str:
        """Give the overview without empty lines: it must fit a small terminal."""
        return super().format_help().replace("\n\n", "\n")


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
    where(parser, default=None, told=False)
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
            commands.add_parser(_DATABASE, help=_DATABASE_HELP, description="the store itself")
        )
    return parser


def _list(add: Add) -> None:
    json(add("list", "look:list_workflows", "the workflows of this project"))


def _check(add: Add) -> None:
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
    json(check)


def _init(add: Add) -> None:
    init = add("init", "init:init", "make a folder with a first workflow that runs")
    init.add_argument("dir", metavar="DIR", nargs="?", default=".", help="here, without one")
    init.add_argument("--yaml", action="store_true", help="in YAML; without: in Python")


_GRAPH_EPILOG = """\
What depends on a step hangs on its rail: that of ● goes down, that of ◆ is to
its right, ○ has none. A rail that is only crossed stays │, and … marks one for
which there is no room."""


def _graph(add: Add) -> None:
    text = "draw the steps of a workflow and what depends on what"
    graph = add("graph", "graph:graph", text, epilog=_GRAPH_EPILOG)
    graph.usage = "%(prog)s NAME|FILE [OPTION]..."
    graph.add_argument("name", metavar="NAME|FILE", help="the workflow")
    how = graph.add_mutually_exclusive_group()
    how.add_argument(
        "--format", choices=["mermaid", "dot"], help="for Mermaid or Graphviz; without: a drawing"
    )
    how.add_argument("--json", action="store_true", help="print JSON")


def _cancel(add: Add) -> None:
    cancel = add("cancel", "cancel:cancel", "end a run that is on; its cleanup steps still run")
    cancel.add_argument("run", metavar="RUN", help=RUN)


def _alerts(add: Add) -> None:
    alerts = add("alerts", "alerts:alerts", "undelivered alerts: list, send, or test the channels")
    alerts.add_argument("what", nargs="?", choices=["send", "test"], help="without: list them")
    json(alerts)


def _incidents(add: Add) -> None:
    incidents = add("incidents", "incidents:incidents", "failures that go on, each told of once")
    incidents.add_argument("name", metavar="NAME", nargs="?", help="of one workflow only")
    incidents.add_argument("--all", action="store_true", help="those that are over, too")
    json(incidents)


def _watch(add: Add) -> None:
    text = "what is missing, late, dead, paused by itself, undelivered"
    watch = add("watch", "watching:watch", text, epilog="ends with 1 if there is any, for monitors")
    watch.add_argument("--alert", action="store_true", help="record what is missing, and send it")
    json(watch)


def _schedule(add: Add) -> None:
    schedule = add(
        "schedule", "schedule:schedule", "timers: install, verify, remove them; pause a schedule"
    )
    schedule.usage = "%(prog)s WHAT [NAME] [OPTION]..."
    what = ["show", "install", "verify", "remove", "pause", "unpause"]
    told = "a timer's units; with pause no slot gets a run"
    schedule.add_argument("what", choices=what, help=told)
    schedule.add_argument(
        "name", metavar="NAME", nargs="?", help="the workflow; without: all that are installed"
    )
    schedule.add_argument(
        "--watch", action="store_true", help="instead of a workflow: `watch`, every ten minutes"
    )
    whose = schedule.add_mutually_exclusive_group()
    whose.add_argument("--user", action="store_true", help="units of the user's own systemd")
    whose.add_argument("--system", action="store_true", help="of the machine's (default for root)")
    schedule.add_argument("--until", metavar="DATE", help="pause: when it ends by itself")
    schedule.add_argument("--reason", metavar="TEXT", help="pause: why, for those who look")


def _database(database: argparse.ArgumentParser) -> None:
    from engine.cli.database_options import add_commands

    add = _adder(database.add_subparsers(metavar="WHAT", required=True, parser_class=Parser))
    add_commands(add)


_DATABASE = "db"
_DATABASE_HELP = "the store itself; also: metrics for Prometheus, completion"
_COMMANDS: dict[str, Callable[[Add], None]] = {  # as the overview lists them, before `db`
    "run": run_options.add_run,
    "list": _list,
    "backfill": run_options.add_backfill,
    "check": _check,
    "graph": _graph,
    "init": _init,
    "history": look_options.add_history,
    "show": look_options.add_show,
    "report": look_options.add_report,
    "logs": look_options.add_logs,
    "why": look_options.add_why,
    "diff": look_options.add_diff,
    "sql": look_options.add_sql,
    "metrics": look_options.add_metrics,
    "serve": serve_options.add,
    "cancel": _cancel,
    "alerts": _alerts,
    "incidents": _incidents,
    "schedule": _schedule,
    "watch": _watch,
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
