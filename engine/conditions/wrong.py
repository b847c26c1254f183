"""What can be wrong with a condition."""

from __future__ import annotations

from typing import NamedTuple


class Wrong(NamedTuple):
    """One thing that is wrong: at which character (from 0), a sentence and a hint."""

    offset: int
    message: str
    hint: str


class WrongSyntax(Exception):
    """The text is no condition; `args` hold the one `Wrong`."""

    def __init__(self, wrong: Wrong) -> None:
        super().__init__(wrong)
        self.wrong = wrong


class Undecided(Exception):
    """A condition can be neither true nor false in a run; the text says why."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message, self.hint = message, hint
