"""The help texts: each fits one screen of 24 lines and 80 columns, and leaves no option out."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import pytest

from engine.cli import options
from engine.errors import UsageError


@pytest.fixture(autouse=True)
def _screen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


def commands(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """Give a parser and those of its commands, at any depth."""
    yield parser
    for action in parser._actions:
        for sub in action.choices.values() if isinstance(action.choices, dict) else ():
            yield from commands(sub)


def screens() -> dict[str, str]:
    """Give the help text of each command."""
    return {each.prog: each.format_help() for each in commands(options.build())}


def test_every_help_fits_one_screen() -> None:
    """None needs to be scrolled on one of 24 lines, the last of which is the shell's again."""
    found = screens()
    assert any(prog.endswith(" db prune") for prog in found)
    for prog, text in found.items():
        lines = text.splitlines()
        assert len(lines) <= 23, f"{prog}: {len(lines)} lines"
        assert max(map(len, lines)) <= 80, prog


def test_every_option_is_told() -> None:
    """Also the global ones, and those of `run`, which has the most."""
    for each in commands(options.build()):
        text = each.format_help()
        for action in each._actions:
            wanted = action.option_strings[-1:] if each.prog.count(" ") > 2 else []
            assert all(option in text for option in wanted), (each.prog, wanted)
    run = next(text for prog, text in screens().items() if prog.endswith(" run"))
    told = "--workers --set --dry-run --fresh --resume --from --only --mark-done --output --once"
    told += " --scheduled --quiet --json --json-logs --store --home --pipelines --help"
    assert [option for option in told.split() if f"{option} " not in run] == []


def test_outputs_belong_to_the_step_marked_before() -> None:
    """Each to the last `--mark-done`; without one it is refused."""
    words = "run flow --mark-done a --output k=1 --output l=2 --mark-done b --only c --output m=3"
    parsed = options.parse(words.split())
    assert parsed.mark_done == [("a", ["k=1", "l=2"]), ("b", ["m=3"])]
    assert options.parse(["run", "flow"]).mark_done == []
    with pytest.raises(UsageError, match="give the step first"):
        options.parse(["run", "flow", "--output", "k=1", "--mark-done", "a"])


def test_one_command_is_parsed_without_the_others() -> None:
    """Its help is the same, and what is wrong with it is told with all the others in mind."""
    whole = screens()
    for word in [*options._COMMANDS, "db"]:
        alone = {each.prog: each.format_help() for each in commands(options.build(word))}
        del alone[options.build().prog]
        assert alone
        assert alone.items() <= whole.items()
        assert all(f" {word}" in prog for prog in alone)
    with pytest.raises(UsageError) as caught:
        options.parse(["run", "flow", "--keep-days", "1"])
    assert caught.value.hint == "it belongs to `db prune`; see `run --help`"
