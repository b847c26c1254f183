"""`run`: the one command that runs steps."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.cli import project
from engine.cli.console import (
    Console,
    colour,
    print_parts,
    print_result,
    say_lost,
    say_undelivered,
    setup,
    under_journald,
    wants_colour,
    width,
)
from engine.cli.signals import Stopped, Stops, stops_to
from engine.cli.step_output import step_output
from engine.cli.watcher import Watch, is_wanted
from engine.definitions import file_of, load
from engine.errors import UsageError
from engine.garbage import load_for_good, no_collections
from engine.ports import Paths
from engine.reports import json_text, terminal
from engine.secrets import Secrets
from engine.session import Environment, RunRequest, run_workflow
from engine.session.deciding.decision import Decision
from engine.text import printable
from engine.zones import zone_named

if TYPE_CHECKING:
    from engine.cli.scheduled import Loaded
    from engine.model import Definition


def run(parsed: argparse.Namespace) -> int:
    """Run a workflow; gives the exit code."""
    paths = project.paths_of(parsed)
    secrets = project.secrets_of(paths)
    given = {"--resume": parsed.resume, "--from": parsed.from_step}
    given |= {"--only": parsed.only, "--mark-done": parsed.mark_done}
    if parsed.scheduled and (no := [option for option, value in given.items() if value]):
        raise UsageError(
            "--scheduled always starts anew, with all steps", hint=f"leave out {' and '.join(no)}"
        )
    if not parsed.scheduled:
        return _run(parsed, paths, secrets)
    from engine.cli import scheduled

    with scheduled.failures_recorded(parsed, paths, secrets) as loaded:
        return _run(parsed, paths, secrets, loaded)
    return 0  # paused


def _run(
    parsed: argparse.Namespace, paths: Paths, secrets: Secrets, loaded: Loaded | None = None
) -> int:
    params = given(parsed.set)
    folder = project.folder_of(parsed)
    _mind_dry_definition(parsed.name, folder)
    if not parsed.dry_run and file_of(parsed.name, folder):
        load_for_good("engine.session.live", "sqlalchemy.dialects.sqlite")
    with no_collections():
        definition = load(parsed.name, folder)
    if loaded is not None:
        loaded.definition = definition
    dry = parsed.dry_run or definition.dry_run
    console = setup(
        log_file=None if dry else paths.home / "logs" / f"{definition.name}.log",
        quiet=parsed.quiet or dry,
        json_lines=parsed.json_logs,
        journald=under_journald(sys.stderr, os.environ),
        mask=secrets.mask,
    )
    console.tell_times_in(zone_named(definition.tz))
    request = RunRequest(
        workers=parsed.workers,
        params=params,
        dry_run=dry,
        fresh=parsed.fresh,
        resume=parsed.resume,
        from_step=parsed.from_step,
        once=parsed.once,
        only=[name.strip() for names in parsed.only for name in names.split(",")],
        mark_done=parsed.mark_done,
        started_by="timer" if parsed.scheduled else "hand",
    )
    show = None if parsed.quiet or parsed.json else _show_preview
    watcher = None if dry or parsed.json_logs else watcher_of(parsed, console)
    environment = project.environment_in(
        parsed,
        paths,
        secrets,
        forward=console.line,
        show=show,
        watcher=watcher,
        pages=True,
    )
    return carry_out(parsed, console, environment, _reports(definition, request, environment))


def _reports(
    definition: Definition, request: RunRequest, environment: Environment
) -> Iterator[dict[str, Any]]:
    """Give what runs, or plans them, as it is asked for: one report each."""
    if request.started_by == "timer" and not request.dry_run:
        from engine.session.timer import run_scheduled

        return run_scheduled(definition, request, environment)
    if request.started_by == "timer":
        from engine.session.timer_plan import plan_scheduled

        return once(lambda: plan_scheduled(definition, request, environment))
    return once(lambda: run_workflow(definition, request, environment))


def once(run_all: Callable[[], dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Give what a single run gives, as `carry_out` takes it."""
    yield run_all()


def watcher_of(parsed: argparse.Namespace, console: Console) -> Watch | None:
    """Give what draws a run while it is on; None where nobody looks on."""
    if parsed.quiet or parsed.json or not is_wanted(sys.stderr, os.environ):
        return None
    return Watch(console.shown, sys.stderr, colour=wants_colour(sys.stderr, os.environ))


def carry_out(
    parsed: argparse.Namespace,
    console: Console,
    environment: Environment,
    runs: Iterator[dict[str, Any]],
) -> int:
    """Run each, stopped by signals, and print what came of it; gives the first bad exit code."""
    code, before = 0, "anything"
    try:
        with stops_to(environment.inbox) as stops:
            while True:
                with step_output(environment.secrets.mask, console.shown.pass_on):
                    report = next(runs, None)
                if report is None:
                    break
                _print_report(parsed, report)  # a signal now stops nothing: the outcome stands
                code, before = code or _exit_code(report, stops), "another run"
                stops.still()
    except KeyboardInterrupt:
        raise Stopped(stops.number or signal.SIGINT, before) from None
    finally:
        console.close()
    return code


def _mind_dry_definition(name: str, folder: Path) -> None:
    """Leave no bytecode behind if the workflow may turn out to be a dry one once it is loaded."""
    with suppress(OSError, ValueError):
        path = file_of(name, folder)
        if path is not None and b"dry_run" in path.read_bytes():
            sys.dont_write_bytecode = True


def given(assignments: list[str]) -> dict[str, str]:
    """Read the `--set NAME=VALUE` of a command."""
    found: dict[str, str] = {}
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        if not equals or not name:
            raise UsageError(
                f"--set {assignment!r} is no assignment", hint="write --set NAME=VALUE"
            )
        if name in found:
            raise UsageError(f"--set gives '{name}' twice", hint="give each parameter once")
        found[name] = value
    return found


def _show_preview(decision: Decision, rows: list[dict[str, Any]]) -> None:
    if decision.past is None:
        head, preview = "starting anew", terminal.plan_table(rows, width=width(), colour=False)
    else:
        head, preview = "going on", terminal.preview(rows, width=width(), colour=False)
    sys.stderr.write(f"{head}: {printable(decision.reason)}\n{preview}\n")


def _print_report(parsed: argparse.Namespace, report: dict[str, Any]) -> None:
    """Print what came of a command, as its options ask for it."""
    if parsed.json:
        print_parts(json_text(report))
        return
    if report["dry_run"]:
        print_result(_plan_text(report))
        say_undelivered(report["undelivered"])
        say_lost(report["lost"])
        return
    if "nothing_to_do" in report:
        if not parsed.quiet:
            print_result(f"nothing to do: {printable(report['nothing_to_do'])}")
        return
    bad = report["status"] not in ("ok", "skipped")
    if bad or not parsed.quiet:
        print_result(terminal.table(report, width=width(), colour=colour()))
        if report["report"] and report["status"] != "skipped":
            print_result(f"report: {report['report']}")
            if report["page"]:
                print_result(f"page: {report['page']}")
    if bad:
        print_result(terminal.failure(report, colour=colour()))


def _plan_text(report: dict[str, Any]) -> str:
    head = f"dry run of {report['workflow']}: nothing is changed ({printable(report['note'])})"
    lines = [head, *(printable(line) for line in report.get("slots_told", ()))]
    if not report["plan"]:
        return "\n".join((*lines, "nothing to do"))
    if "slots_told" in report and report["params"]:
        given = ", ".join(f"{name} = {text}" for name, text in report["params"].items())
        lines.append(printable(f"with {given}"))
    table = terminal.plan_table(report["plan"], width=width(), colour=colour())
    return "\n".join((*lines, table))


def _exit_code(report: dict[str, Any], stops: Stops) -> int:
    """Give what the command ends with."""
    if "nothing_to_do" in report:
        return 0
    match report["status"]:
        case "ok" | "skipped" | "dry-run":
            return 0
        case "interrupted":
            return stops.exit_code or 1
        case _:
            return 1
