"""`graph NAME`: a workflow's steps and how they hang together; nothing is run or written."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from engine import graph as graphs
from engine.cli import project
from engine.cli.console import colour, print_json, print_result, width
from engine.definitions.loader import load, load_file, named_file
from engine.model import Definition
from engine.reports import diagrams
from engine.reports.drawing import drawing
from engine.reports.step_words import words_of


def graph(parsed: argparse.Namespace) -> int:
    """Draw a workflow in the terminal, or print it for Mermaid or Graphviz."""
    paths = project.paths_of(parsed)
    definition = _load(parsed.name, project.folder_of(parsed))
    steps = words_of(definition, project.secrets_of(paths).mask)
    if parsed.json:
        print_json(diagrams.as_json(definition.name, steps))
    elif parsed.format == "mermaid":
        print_result(diagrams.mermaid(steps))
    elif parsed.format == "dot":
        print_result(diagrams.dot(definition.name, steps))
    else:
        compiled = graphs.build([step.name for step in steps], [step.depends_on for step in steps])
        ascii_only = not _takes_unicode()
        print_result(
            drawing(steps, compiled, width=width(), colour=colour(), ascii_only=ascii_only)
        )
    return 0


def _load(name: str, folder: Path) -> Definition:
    file = named_file(name, folder)
    return load(name, folder) if file is None else load_file(file)


def _takes_unicode() -> bool:
    return (sys.stdout.encoding or "").lower().replace("-", "") in {"utf8", "utf8sig"}
