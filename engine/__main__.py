"""`python -m engine`, and the `kahnban` command."""

from __future__ import annotations

import sys


def main() -> int:
    """Run the command line; gives the exit code."""
    if "--dry-run" in sys.argv:
        sys.dont_write_bytecode = True  # before anything else is imported: not one byte changes
    from engine.cli.main import run_command  # noqa: PLC0415 - after the line above

    return run_command(sys.argv[1:])


if __name__ == "__main__":
    raise SystemExit(main())
