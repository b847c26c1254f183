"""`python -m engine`, and the `kahnban` command."""

from __future__ import annotations

import os
import sys


def main() -> int:
    """Run the command line; gives the exit code."""
    if "--dry-run" in sys.argv:
        sys.dont_write_bytecode = True  # before anything else is imported: not one byte changes
    _leave_current_folder()
    import signal

    try:
        from engine import garbage
        from engine.cli.main import run_command

        garbage.of_a_command()
        code = run_command(sys.argv[1:])
        garbage.spare_the_exit()
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # all is done; the code is to stay
    except KeyboardInterrupt:
        return 130
    return code


def _leave_current_folder() -> None:
    """Take the current folder off the path, where `python -m` has put it.

    No `json.py` in it is meant. It stays where PYTHONPATH names it, and last in a checkout that is
    not installed.
    """
    try:
        here = os.getcwd()  # noqa: PTH109 - pathlib would be looked for there
    except FileNotFoundError:
        return
    named = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    if sys.flags.safe_path or sys.path[0] not in ("", here) or here in named:
        return
    del sys.path[0]
    if __file__.startswith(f"{here}{os.sep}engine{os.sep}"):
        sys.path.append(here)


if __name__ == "__main__":
    raise SystemExit(main())
