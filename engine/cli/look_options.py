"""The options of the commands that look at runs."""

from __future__ import annotations

import argparse

from engine.cli.option_forms import RUN, Add, json, whole

_RUN_HELP = "a run's number, `latest` (default), or a workflow's name"


def add_history(add: Add) -> None:
    """Add `history`."""
    history = add("history", "look:history", "earlier runs, newest first")
    history.add_argument("name", metavar="NAME", nargs="?", help="of one workflow only")
    history.add_argument("--since", metavar="AGE", help="no older than 7d, 12h, 30m, or a date")
    history.add_argument("--failed", action="store_true", help="only those that did not go well")
    history.add_argument("--limit", metavar="N", type=whole, default=20, help="at most N (20)")
    json(history)


def add_show(add: Add) -> None:
    """Add `show`."""
    json(_paged(_of_a_run(add("show", "look:show", "one run, step by step"))))


def add_report(add: Add) -> None:
    """Add `report`."""
    text = "the report of a run, as it is written at its end"
    report = _paged(_of_a_run(add("report", "look:report", text)))
    how = report.add_mutually_exclusive_group()
    how.add_argument("--html", metavar="FILE", help="write it as a page for a browser; - prints it")
    how.add_argument("--json", action="store_true", help="print JSON")


def add_logs(add: Add) -> None:
    """Add `logs`."""
    logs = _of_a_run(add("logs", "logs:logs", "what the steps of a run logged and printed"))
    logs.add_argument("step", metavar="STEP", nargs="?", help="of one step only")
    how = logs.add_mutually_exclusive_group()
    how.add_argument(
        "-f", "--follow", action="store_true", help="go on with what comes, until the run ends"
    )
    how.add_argument("--json", action="store_true", help="print JSON")


def add_why(add: Add) -> None:
    """Add `why`."""
    why = add("why", "compare:why", "why a step ran, was skipped, was retried, waits")
    why.add_argument("run", metavar="RUN", help=RUN)
    why.add_argument("step", metavar="STEP", help="one of its steps")
    json(why)


def add_diff(add: Add) -> None:
    """Add `diff`."""
    diff = add("diff", "compare:diff", "what differs between two runs")
    diff.add_argument("old", metavar="RUN", help=RUN)
    diff.add_argument("new", metavar="RUN", help="the run that is compared with it")
    json(diff)


def _of_a_run(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("run", metavar="RUN", nargs="?", default="latest", help=_RUN_HELP)
    return parser


def _paged(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    most = "at most N steps, those that did not go well first (50; with --json all)"
    parser.add_argument("--limit", metavar="N", type=whole, help=most)
    return parser


_SQL_EPILOG = """\
docs/sql.md has the views with their columns, and questions to begin with."""


def add_sql(add: Add) -> None:
    """Add `sql`."""
    text = "ask the store a question in SQL; only looks"
    sql = add("sql", "sql:sql", text, epilog=_SQL_EPILOG)
    sql.add_argument(
        "query", metavar="QUERY", nargs="?", help="a SELECT, - for stdin; without: lists the views"
    )
    how = sql.add_mutually_exclusive_group()
    how.add_argument("--json", action="store_true", help="print JSON")
    how.add_argument("--csv", action="store_true", help="print CSV")


def add_metrics(add: Add) -> None:
    """Add `metrics`; the overview has no room for it."""
    text = "how all workflows stand, as text for Prometheus"
    metrics = add("metrics", "metrics:metrics", text, listed=False)
    metrics.add_argument(
        "--output", metavar="FILE", help="write it, whole or not at all; without: print it"
    )
