"""The fork server's program: where its parts meet (see `engine.workers.isolation.forkserver`).

Started by the engine as `python -c BOOT FD`, with the setup on stdin.
"""

from __future__ import annotations

import logging
import os
import pickle
import sys
from typing import NoReturn

from engine.cli.log_lines import HELD_LOGGERS
from engine.definitions import load_file
from engine.workers.isolation import forkserver


def main() -> NoReturn:
    """Serve the engine that has started this process."""
    setup = pickle.load(sys.stdin.buffer)  # noqa: S301 - the engine's own, over a private descriptor
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    for name in HELD_LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)
    forkserver.main(setup, int(sys.argv[1]), load_file)
