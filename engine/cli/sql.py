"""The command `sql`: a question in SQL, answered read-only."""

from __future__ import annotations

import argparse
import sys

from engine.cli import project
from engine.cli.console import colour, print_parts, print_result, width
from engine.cli.reading import load_reading, reading
from engine.cli.signals import noted
from engine.errors import UsageError
from engine.reports import answers


def sql(parsed: argparse.Namespace) -> int:
    """Answer a question, or list what can be asked for."""
    load_reading()
    from store import query

    paths = project.paths_of(parsed)
    mask = project.secrets_of(paths).mask
    with reading(paths) as database, noted() as stopped:
        if parsed.query is None:
            columns, rows = query.views(database)
        else:
            columns, rows = query.ask(database, _question(parsed.query), stopped)
        if parsed.csv:
            print_parts(answers.csv_text(columns, rows, mask=mask))
        elif parsed.json:
            print_parts(answers.json_text(columns, rows, mask=mask))
        else:
            room = width() if sys.stdout.isatty() else None
            print_result(answers.table(columns, rows, mask=mask, width=room, colour=colour()))
    return 0


def _question(text: str) -> str:
    found = sys.stdin.read() if text == "-" else text
    if not found.strip():
        raise UsageError("there is no question", hint='write `sql "SELECT …"`')
    return found
