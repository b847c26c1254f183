"""The words of the commands that have to do with completion; the overview has no room for them."""

from __future__ import annotations

import argparse

from engine.cli.option_forms import Add

_EPILOG = """\
Put into ~/.bashrc:                    eval "$(kahnban completion bash)"
~/.zshrc, after compinit:              eval "$(kahnban completion zsh)"
~/.config/fish/config.fish:            kahnban completion fish | source"""


def add_completion(add: Add) -> None:
    """Add what prints the scripts."""
    text = "print a script that completes commands in a shell"
    completion = add("completion", "completion:completion", text, epilog=_EPILOG, listed=False)
    completion.add_argument("shell", choices=["bash", "zsh", "fish"])


def add_complete(add: Add) -> None:
    """Add what those scripts ask for."""
    text = "print what fits the last of the words"
    complete = add("complete", "completion:complete", text, listed=False)
    complete.add_argument("words", metavar="WORD", nargs=argparse.REMAINDER)
