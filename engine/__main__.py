"""`python -m engine`, and the `kahnban` command."""

from __future__ import annotations

import signal
import sys


def main() -> int:
    """Run the command line; gives the exit code."""
    if "--dry-run" in sys.argv:
        sys.dont_write_bytecode = True  # before anything else is imported: not one byte changes
    try:
        from engine.cli.main import run_command

        code = run_command(sys.argv[1:])
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # all is done; the code is to stay
    except KeyboardInterrupt:
        return 130
    return code


if __name__ == "__main__":
    raise SystemExit(main())
