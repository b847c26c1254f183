"""`graph NAME`: a workflow's steps and how they hang together; nothing is run or written."""

from __future__ import annotations

import argparse
import sys

from engine import graph as graphs
from engine.cli import project
from engine.cli.console import colour, print_json, print_result, width
from engine.cli.look import load_named
from engine.reports import diagrams
from engine.reports.drawing import drawing


def graph(parsed: argparse.Namespace) -> int:
    """Draw a workflow in the terminal, or print it for Mermaid or Graphviz."""
    paths = project.paths_of(parsed)
    mask = project.secrets_of(paths).mask
    definition = load_named(parsed.name, project.folder_of(parsed))
    if parsed.json:
        print_json(diagrams.as_json(definition, mask))
    elif parsed.format:
        made = {"mermaid": diagrams.mermaid, "dot": diagrams.dot}[parsed.format]
        print_result(mask(made(definition)))
    else:
        steps = definition.steps
        compiled = graphs.build([step.name for step in steps], [step.depends_on for step in steps])
        print_result(
            mask(
                drawing(
                    definition,
                    compiled,
                    width=width(),
                    colour=colour(),
                    ascii_only=not _takes_unicode(),
                )
            )
        )
    return 0


def _takes_unicode() -> bool:
    return (sys.stdout.encoding or "").lower().replace("-", "") in {"utf8", "utf8sig"}
