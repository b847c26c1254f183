"""`serve`: the dashboard, until it is told to end."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable
from types import FrameType

from engine.cli import project
from engine.cli.console import print_result, shown
from engine.cli.reading import load_reading
from engine.errors import UsageError


def serve(parsed: argparse.Namespace) -> int:
    """Serve pages to this user's browser; ends by Ctrl-C or SIGTERM, at once."""
    try:
        from engine.serve import server
        from engine.serve.answers import Answers
        from engine.serve.app import Dashboard
        from engine.serve.definitions import Definitions
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("starlette", "uvicorn", "h11"):
            raise
        raise UsageError(
            f"'serve' needs the package '{error.name}', which is not installed",
            hint="install what it takes: pip install 'kahnban[serve]'",
        ) from None
    from engine.clock import SystemClock

    load_reading()

    paths = project.paths_of(parsed)
    definitions = Definitions(project.folder_of(parsed), SystemClock())
    definitions.known()
    words = tuple(project.command_words(parsed, paths))
    dashboard = Dashboard(
        Answers(paths, definitions, os.environ, words),
        lambda text: print(shown(text), file=sys.stderr, flush=True),
    )
    taken = server.listen(parsed.host, parsed.port)
    host, port = taken.getsockname()[:2]
    address = f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"
    _end_by_signals(definitions.end)
    print_result(f"the dashboard is at {address} (Ctrl-C ends it)")
    server.serve(dashboard.app(port), taken)
    return 0


def _end_by_signals(end: Callable[[], None]) -> None:
    """Have Ctrl-C and SIGTERM end the process there and then: there is nothing to be put away."""

    def leave(number: int, _frame: FrameType | None) -> None:
        end()
        os._exit(128 + number)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, leave)
