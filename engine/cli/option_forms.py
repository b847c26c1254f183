"""Options that several commands have, said in one way."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

Add = Callable[..., argparse.ArgumentParser]
"""Adds a command: its name, function and help."""

RUN = "a run's number, `latest`, or a workflow's name"


def where(parser: Any, *, default: str | None = argparse.SUPPRESS, told: bool = True) -> None:
    """Add where the store, the home and the workflows are."""
    for option, metavar, text in (
        ("--store", "URL", "the store (ENGINE_STORE)"),
        ("--home", "DIR", "home (ENGINE_HOME)"),
        ("--pipelines", "DIR", "workflows (ENGINE_PIPELINES)"),
    ):
        shown = text if told else argparse.SUPPRESS
        parser.add_argument(option, metavar=metavar, default=default, help=shown)


def json(parser: argparse.ArgumentParser) -> None:
    """Add `--json`."""
    parser.add_argument("--json", action="store_true", help="print JSON")


def whole(text: str) -> int:
    """Read a number above 0."""
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number above 0")
    return number
