"""The command line: options, dispatch, errors, exit codes."""

from __future__ import annotations

import argparse
import os
import resource
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress

from engine import failpoints
from engine.cli import options
from engine.cli.console import complain, finish_output, prepare_streams, shown
from engine.cli.signals import Stopped, terminated_raises
from engine.errors import EngineError
from engine.garbage import load_for_good
from engine.paths import find_paths
from engine.secrets import Secrets

Command = Callable[[argparse.Namespace], int]

EXIT_MACHINE = 3


def run_command(arguments: Sequence[str]) -> int:
    """Parse and carry out one command; gives the exit code.

    A user's mistake, or the machine's, never ends in a traceback.
    """
    prepare_streams()
    _dump_no_core()
    try:
        with terminated_raises():
            code = _dispatch(arguments)
    except EngineError as error:
        _complain(error)
        code = error.exit_code
    except KeyboardInterrupt as stop:
        before = stop.before if isinstance(stop, Stopped) else "anything"
        _complain(EngineError(f"stopped before {before} was begun; nothing is left half done"))
        code = 128 + (stop.number if isinstance(stop, Stopped) else signal.SIGINT)
    except BrokenPipeError:
        code = 0
    except OSError as error:
        _complain(EngineError(f"the machine refused: {error}", hint="mend that, then try again"))
        code = EXIT_MACHINE
    except Exception as error:  # noqa: BLE001 - a fault of ours; the code must still be the right one
        trace = traceback.format_exc()
        hint = "this is a fault of the program, not yours: please report it with the lines above"
        _complain(EngineError(f"the engine failed: {type(error).__name__}", hint=hint), trace)
        code = EXIT_MACHINE
    finish_output()
    return _leave(code)


def _dispatch(arguments: Sequence[str]) -> int:
    if sys.platform != "linux":
        raise EngineError(f"this program needs Linux; here is {sys.platform}")
    failpoints.arm(os.environ)
    parsed = options.parse(arguments)
    command: Command = options.resolve(parsed)
    load_for_good()
    return command(parsed)


def _dump_no_core() -> None:
    """Keep the memory of this process, which holds secrets, off the disk should it crash."""
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))


def _complain(error: EngineError, trace: str = "") -> None:
    """Print an error and its hint, masked and harmless: it may quote whatever was read."""
    paths = find_paths(os.environ, strict=False)
    mask = Secrets(paths.home, os.environ).mask
    if trace:
        sys.stderr.write(f"{shown(mask(trace))}\n")
    complain(error, mask)


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
