"""The command line: options, dispatch, errors, exit codes."""

from __future__ import annotations

import argparse
import os
import sys
import threading
from collections.abc import Callable, Sequence

from engine.cli import options
from engine.cli.console import finish_output, prepare_streams
from engine.errors import EngineError

Command = Callable[[argparse.Namespace], int]

EXIT_USAGE = 2
EXIT_MACHINE = 3


def run_command(arguments: Sequence[str]) -> int:
    """Parse and carry out one command; gives the exit code, and never a traceback for a user's
    mistake."""
    prepare_streams()
    try:
        code = _dispatch(arguments)
    except EngineError as error:
        _complain(error)
        code = error.exit_code
    except KeyboardInterrupt:
        code = 130
    except BrokenPipeError:
        code = 0
    finish_output()
    return _leave(code)


def _dispatch(arguments: Sequence[str]) -> int:
    if sys.platform != "linux":
        raise EngineError(f"this program needs Linux; here is {sys.platform}")
    parsed = options.parse(arguments)
    command: Command = options.resolve(parsed)
    return command(parsed)


def _complain(error: EngineError) -> None:
    colour = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
    start, hint, end = ("\x1b[31merror:\x1b[0m", "\x1b[36mhint:\x1b[0m", "") if colour else (
        "error:",
        "hint:",
        "",
    )
    sys.stderr.write(f"{start} {error.message}\n{end}")
    if error.hint:
        sys.stderr.write(f"{hint} {error.hint}\n")


def _leave(code: int) -> int:
    """End at once where a thread would keep the interpreter from ending."""
    threads = [
        thread
        for thread in threading.enumerate()
        if thread is not threading.current_thread() and not thread.daemon
    ]
    if threads:
        os._exit(code)
    return code
