"""Commands that hints quote, made such that they can be pasted."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Sequence

_COMMANDS = (
    "--help alerts backfill cancel check completion db diff graph history incidents init list logs"
    " report run schedule serve show sql why"
)
_QUOTED = re.compile(rf"`(?=(?:{'|'.join(_COMMANDS.split())})\b)")
_GLOBALS = ("--store", "--home", "--pipelines")


def pasteable(text: str) -> str:
    """Put the program, and what it was told of where things lie, before each quoted command."""
    if not _QUOTED.search(text):
        return text
    from engine.cli.project import typed_words  # for errors and hints alone

    program = shlex.join([*typed_words(), *_where(sys.argv[1:])])
    return _QUOTED.sub(lambda _: f"`{program} ", text)


def _where(arguments: Sequence[str]) -> list[str]:
    words: list[str] = []
    for number, word in enumerate(arguments):
        option, equals, _ = word.partition("=")
        if option in _GLOBALS:
            words += [word] if equals else [word, *arguments[number + 1 : number + 2]]
    return words
