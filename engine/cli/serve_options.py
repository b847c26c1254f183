"""The options of `serve`."""

from __future__ import annotations

import argparse

from engine.cli.option_forms import Add

_PORTS = 1 << 16


def add(add_command: Add) -> None:
    """Add the command."""
    text = "look at workflows and runs in a browser; changes nothing"
    serve = add_command("serve", "serve:serve", text)
    serve.add_argument("--host", metavar="HOST", default="127.0.0.1", help="127.0.0.1 or ::1")
    serve.add_argument(
        "--port", metavar="N", type=_port, default=8321, help="8321; 0 for any that is free"
    )


def _port(text: str) -> int:
    if text.isdecimal() and text.isascii() and len(text) < 6 and int(text) < _PORTS:
        return int(text)
    raise argparse.ArgumentTypeError(f"'{text}' is not a port: 0 to 65535")
