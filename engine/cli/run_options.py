"""The options of the commands that run workflows."""

from __future__ import annotations

import argparse
from typing import Any

from engine.cli.marking import MarkDone
from engine.cli.option_forms import Add, json, where, whole

_RUN_TEXT = "run a workflow; by hand, go on from where it failed or was interrupted lately"


def add_run(add: Add) -> None:
    """Add `run`."""
    run = add("run", "run:run", "run a workflow, or go on from where it stopped")
    run.usage, run.description = "%(prog)s NAME [OPTION]...", _RUN_TEXT
    run.add_argument("name", metavar="NAME", help=argparse.SUPPRESS)
    run.add_argument("--workers", metavar="N", type=whole, default=4, help="steps at once (4)")
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
    json(run)
    run.add_argument("--json-logs", action="store_true", help="log as JSON lines")
    where(run)


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


def add_backfill(add: Add) -> None:
    """Add `backfill`."""
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
    backfill.add_argument("--parallel", metavar="N", type=whole, default=1, help="runs at once (1)")
    backfill.add_argument(
        "--workers", metavar="N", type=whole, default=4, help="steps at once in each run (4)"
    )
    backfill.add_argument(
        "--set", metavar="K=V", action="append", default=[], help="another parameter"
    )
    backfill.add_argument(
        "--dry-run", action="store_true", help="say what would run; change nothing"
    )
    backfill.add_argument("-q", "--quiet", action="store_true", help="silent on success")
    json(backfill)
