"""One family of errors; each says what, where, and has a hint.

Whose fault it is decides the class and with it the exit code: the user's definition or command
(`UsageError`, 2), the machine or the store (`StoreError`, 3), a run that is already on
(`AlreadyRunning`, 75). A failing step is no exception of ours: it is an `AttemptFinished` event.
"""

from __future__ import annotations

from collections.abc import Sequence

from engine.records import record

FAULTS_TOLD_MAX = 20  # in one message
FAULTS_SHOWN_MAX = 50  # one by one


class EngineError(Exception):
    """Root of the family.

    `message` is one lower-case sentence with names in quotes; `hint` is one imperative line, or
    empty; `exit_code` is what the command ends with; `alerted` says that the alerts due for it
    are sent or recorded, `begun` that it ended a run that had begun, which sends its own pings.
    """

    exit_code = 3
    alerted = False
    begun = False

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        """Give the message alone; the console prints the hint on its own line."""
        return self.message

    def complaints(self) -> list[tuple[str, str]]:
        """What to tell, a sentence and a hint each."""
        return [(self.message, self.hint)]


class UsageError(EngineError):
    """The command or call cannot be carried out as it was asked for."""

    exit_code = 2


@record
class Fault:
    """One thing that is wrong in a definition: a sentence, a hint, and where it stands.

    `line` and `column` (in characters) count from 1; `excerpt` is that line with a caret below.
    """

    message: str
    hint: str = ""
    file: str = ""
    line: int | None = None
    column: int | None = None
    excerpt: str = ""

    def __str__(self) -> str:
        """Give place, sentence and excerpt; the console prints the hint on its own line."""
        place = ":".join(str(part) for part in (self.file, self.line, self.column) if part)
        told = f"{place}: {self.message}" if place else self.message
        return f"{told}\n{self.excerpt}" if self.excerpt else told


class DefinitionError(UsageError, ValueError):
    """A workflow's definition is wrong; of several `faults` each is told with its own hint."""

    def __init__(self, message: str, *, hint: str = "", faults: tuple[Fault, ...] = ()) -> None:
        super().__init__(message, hint=hint)
        self.faults = faults

    @classmethod
    def of(cls, faults: Sequence[Fault], hint: str = "") -> DefinitionError:
        """Make one error of faults; its message has the first few, its hint is theirs or `hint`."""
        told = [fault.message for fault in faults[:FAULTS_TOLD_MAX]]
        if len(faults) > len(told):
            told.append(f"and {len(faults) - len(told)} more")
        each = tuple(faults) if len(faults) > 1 else ()
        return cls("; ".join(told), hint=faults[0].hint or hint, faults=each)

    def complaints(self) -> list[tuple[str, str]]:
        """One for each of the first faults; a hint shared by several in a row is told once."""
        if not self.faults:
            return super().complaints()
        shown = list(self.faults)
        more = len(shown) - FAULTS_SHOWN_MAX
        if more > 1:  # that there is one more takes as many words as the fault
            shown[FAULTS_SHOWN_MAX:] = [Fault(f"and {more} more", file=shown[0].file)]
        told = [(str(fault), fault.hint or self.hint) for fault in shown]
        after = [hint for _, hint in told[1:]] + [""]
        return [
            (message, "" if hint == next_hint else hint)
            for (message, hint), next_hint in zip(told, after, strict=True)
        ]


CYCLE_TOLD_MAX = 50  # steps of its path that are named


class CycleError(DefinitionError):
    """Steps wait for each other; `path` is closed (first == last) and made of real edges."""

    def __init__(self, path: tuple[str, ...]) -> None:
        told = list(path)
        if len(path) > CYCLE_TOLD_MAX:
            told[CYCLE_TOLD_MAX - 1 : -1] = [f"… ({len(path) - CYCLE_TOLD_MAX} more)"]
        super().__init__(
            "dependency cycle: " + " -> ".join(told),
            hint="take one of these dependencies out",
        )
        self.path = path


class ParameterError(UsageError):
    """A parameter is unknown, missing, or has a value of the wrong type."""


class ContextKeyError(UsageError, KeyError):
    """A step read a context key it may not read, or that nobody wrote."""

    def __str__(self) -> str:
        """Avoid KeyError's quoting of the message."""
        return f"{self.message} ({self.hint})" if self.hint else self.message


class ConditionError(UsageError):
    """A condition written as text is neither true nor false; the message says why."""

    def __str__(self) -> str:
        """Show the hint too: this error is mostly seen as a step's error text."""
        return f"{self.message} ({self.hint})" if self.hint else self.message


class ValueNotStorable(UsageError):
    """A value cannot be stored exactly; the message names key, type and path inside the value."""

    def __str__(self) -> str:
        """Show the hint too: this error is mostly seen as a step's error text."""
        return f"{self.message} ({self.hint})" if self.hint else self.message


class SecretError(UsageError):
    """A secret is missing, too short, or its file may be read by others."""


class StoreError(EngineError):
    """The store cannot be used: missing, damaged, newer, foreign, unwritable or full."""


class StoreBusy(StoreError):
    """Another process held the write lock for longer than the busy timeout."""


class StoreFull(StoreError):
    """The disk of the store takes no more; the transaction was rolled back."""


class AlreadyRunning(EngineError):
    """A run of the same workflow is on."""

    exit_code = 75


class SlotTaken(EngineError):
    """What becomes of a moment at which a schedule was due is decided already."""


class SupersededError(StoreError):
    """A guarded write found another state than the one it leaves: the row is not ours to change."""


# -- raised by the user's own steps ---------------------------------------------------------------


class Skip(Exception):
    """Raised by a step: end it as `skipped`, with the text as the reason."""


class RetryAfter(Exception):
    """Raised by a step: fail this attempt and retry no sooner than `seconds` from now."""

    def __init__(self, seconds: float, message: str = "") -> None:
        super().__init__(message or f"retry after {seconds:g}s")
        self.seconds = float(seconds)


class StepTimeout(TimeoutError):
    """What a retry strategy sees when an attempt ran past its limit."""
