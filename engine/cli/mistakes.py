"""The parser of the command line, which says in plain words what is wrong with a command."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

from engine.errors import UsageError
from engine.naming import did_you_mean

_ASSIGNING = {"--set", "--output"}


def meaning(action: argparse.Action) -> str:
    """Give what the help says of an option or a word; nothing if it says nothing."""
    return action.help if action.help and action.help != argparse.SUPPRESS else ""


class Parser(argparse.ArgumentParser):
    """Raises our own error instead of printing usage; no option may be shortened."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options, allow_abbrev=False)

    @property
    def command(self) -> str:
        """The words that choose this command: `db prune`; none for the whole command line."""
        return self.prog.removeprefix("python -m engine").removeprefix("kahnban").strip()

    @property
    def _see_help(self) -> str:
        return f"see `{f'{self.command} --help'.strip()}`"

    def error(self, message: str) -> NoReturn:
        """Say what argparse has found."""
        needed = message.removeprefix("the following arguments are required: ")
        if needed != message:
            needed = self._one_of(needed) or needed
            usage = f"write `{self.usage.replace('%(prog)s', self.command)}`" if self.usage else ""
            raise UsageError(f"`{self.command}` needs {needed}", hint=usage or self._see_help)
        said = message.removeprefix("argument ")
        said = said.replace(": expected one argument", " needs a value")
        said = said.replace(": not allowed with argument ", " does not go with ")
        raise UsageError(said, hint=self._see_help)

    def _one_of(self, needed: str) -> str:
        """Name the choices that a missing word is one of; nothing of a word that may be any."""
        for action in self.positional():
            if action.dest == needed and action.choices and not isinstance(action.choices, dict):
                return f"one of {', '.join(map(str, action.choices))}"
        return ""

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is None or value in action.choices:
            return
        known = [str(choice) for choice in action.choices]
        if isinstance(action.choices, dict):
            hint = did_you_mean(str(value), known) or f"{self._see_help};"
            if with_word := next(self.those_taking(str(value)), ""):
                hint = f"write `{with_word} {value}`;"
            elif not self.command:
                hint += f" to run a workflow: `run {shlex.quote(str(value))}`"
            wanted = f"{self.command} {value}".strip()
            raise UsageError(f"there is no command '{wanted}'", hint=hint.rstrip(";"))
        name = "/".join(action.option_strings) or f"`{self.command}`"
        some = f"one of {', '.join(known)}" if len(known) > 2 else " or ".join(known)
        raise UsageError(f"{name} does not take '{value}'", hint=f"give {some}")

    def refuse(self, rest: Sequence[str], arguments: Sequence[str], root: Parser) -> NoReturn:
        """Say what is wrong with words of a command line that fit nothing."""
        first = rest[0]
        if first.startswith("-"):
            option = first.partition("=")[0]
            others = ", ".join(f"`{command}`" for command in root.those_with(option))
            hint = did_you_mean(option, self._option_string_actions) or self._see_help
            if others:
                hint = f"it belongs to {others}; {self._see_help}"
            what = f"`{self.command}` has" if self.command else "there is"
            raise UsageError(f"{what} no option {option}", hint=hint)
        raise UsageError(
            f"'{first}' is one word too many for `{self.command}`",
            hint=_meant(first, arguments) or self._see_help,
        )

    def positional(self) -> list[argparse.Action]:
        """Give the words that this command takes, in order; a choice of commands is one."""
        return [action for action in self._actions if not action.option_strings]

    def option(self, word: str) -> argparse.Action | None:
        """Give the option that a word names."""
        return self._option_string_actions.get(word)

    def options(self) -> Iterator[tuple[str, str]]:
        """Give each option by its long name, if it has one, and what it means."""
        for action in self._actions:
            for option in action.option_strings[-1:]:
                yield option, meaning(action)

    def commands(self) -> Iterator[tuple[str, str]]:
        """Give the commands that are told of, and what they do."""
        for action in self._actions:
            if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 - as it is made
                for each in action._get_subactions():  # noqa: SLF001 - its help has no other door
                    yield each.dest, meaning(each)

    def has(self, option: str) -> bool:
        """Whether this command takes an option."""
        return option in self._option_string_actions

    def those_with(self, option: str) -> Iterator[str]:
        """Name the commands that have an option."""
        for action in self._actions:
            for sub in action.choices.values() if isinstance(action.choices, dict) else ():
                if sub.has(option):
                    yield sub.command
                yield from sub.those_with(option)

    def those_taking(self, word: str) -> Iterator[str]:
        """Name the commands that take a word as one of a few: `schedule` takes `pause`."""
        for action in self._actions:
            for sub in action.choices.values() if isinstance(action.choices, dict) else ():
                few = [each.choices for each in sub.positional() if isinstance(each.choices, list)]
                if any(word in choices for choices in few):
                    yield sub.command


def _meant(word: str, arguments: Sequence[str]) -> str:
    """Say how a word that stands alone belongs to the option before it."""
    at = list(arguments).index(word)
    option, before = arguments[at - 2 : at] if at > 1 else ("", "")
    if option in _ASSIGNING and "=" not in before:
        return f"write {option} {shlex.quote(f'{before}={word}')}"
    if option == "--only":
        steps = before.rstrip(",") + "," + word
        return f"write --only {shlex.quote(steps)}"
    if option == "--mark-done":
        return f"write --mark-done for each: {option} {before} {option} {word}"
    return ""
