"""What shells complete: the scripts that ask, and what is answered by the options' declaration.

A script calls `complete WORD…`, the words before the cursor and the begun one, and gets a line for
each word that fits: the word, then a tab and what it means. A line with an empty word says that a
file is wanted. No workflow is loaded and no package but ours: an answer takes a tenth of a second.
A `dev` that is not ours is not called.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from engine.cli import options
from engine.cli.mistakes import Parser
from engine.errors import EngineError
from engine.naming import name_fault
from engine.text import printable

FILES = ("", "files")

Offer = tuple[str, str]

_BASH = """\
# Completes kahnban and ./dev; in ~/.bashrc:  eval "$(kahnban completion bash)"
_kahnban() {
    local word lines=() IFS=$'\\n'
    case ${COMP_WORDS[0]} in
        */dev) [[ -f ${COMP_WORDS[0]%/*}/engine/cli/completion.py ]] || return ;;
    esac
    mapfile -t lines < <("${COMP_WORDS[0]}" complete -- \\
        "${COMP_WORDS[@]:1:COMP_CWORD-1}" "${COMP_WORDS[COMP_CWORD]}" 2>/dev/null)
    COMPREPLY=()
    if [[ ${lines[0]-} == $'\\t'* ]]; then
        compopt -o default
        return
    fi
    for word in "${lines[@]}"; do COMPREPLY+=("${word%%$'\\t'*}"); done
}
complete -o nosort -F _kahnban kahnban ./dev
"""
_ZSH = """\
#compdef kahnban ./dev
# Completes kahnban and ./dev; in ~/.zshrc, after compinit:  eval "$(kahnban completion zsh)"
_kahnban() {
    local line lines=() words_=() told=()
    [[ ${words[1]} != (*/|)dev || -f ${words[1]:h}/engine/cli/completion.py ]] || return
    lines=("${(@f)$("${words[1]}" complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)}")
    if [[ ${lines[1]} == $'\\t'* ]]; then
        _files
        return
    fi
    for line in $lines; do
        words_+=("${line%%$'\\t'*}")
        told+=("${line/$'\\t'/  -- }")
    done
    compadd -V kahnban -l -d told -a words_
}
compdef _kahnban kahnban dev
"""
_FISH = """\
# Completes kahnban and ./dev; in ~/.config/fish/config.fish:  kahnban completion fish | source
function __kahnban
    set -l words (commandline -opc)
    if string match -qr '(^|/)dev$' -- $words[1]
        test -f (dirname $words[1])/engine/cli/completion.py; or return
    end
    set -l lines ($words[1] complete -- $words[2..] (commandline -ct) 2>/dev/null)
    if string match -q \\t'*' -- $lines[1]
        __fish_complete_path (commandline -ct)
    else
        printf '%s\\n' $lines
    end
end
complete -c kahnban -f -k -a '(__kahnban)'
complete -c dev -f -k -a '(__kahnban)'
"""
SCRIPTS = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}


def completion(parsed: argparse.Namespace) -> int:
    """Print a shell's script."""
    sys.stdout.write(SCRIPTS[parsed.shell])
    return 0


def complete(parsed: argparse.Namespace) -> int:
    """Print what fits the last of the words; whatever is wrong, there is just nothing to offer."""
    *before, begun = parsed.words or [""]
    for word, told in offers(before, begun):
        sys.stdout.write(f"{word}\t{told}\n")
    return 0


def offers(before: Sequence[str], begun: str) -> list[Offer]:
    """Give the words that fit, each with what it means."""
    line = _Line(before)
    found: Iterator[Offer]
    if line.action is None and begun.startswith("-"):
        found = line.parser.options()
    elif line.action is None and not line.positional:
        return []
    else:
        found = _values(line, line.action or line.positional[0], begun)
    with suppress(EngineError, OSError):
        return [(word, told) for word, told in found if word.startswith(begun) or not word]
    return []


class _Line:
    """A command line as far as it is written: whose option, or which word of whose, comes next."""

    def __init__(self, words: Sequence[str]) -> None:
        self.parser = options.build()
        self.action: argparse.Action | None = None  # an option that waits for its value
        self.given: dict[str, str] = {}  # by name: where to look, and for which run
        self.positional = self.parser.positional()
        for word in words:
            self._take(word)

    def _take(self, word: str) -> None:
        if self.action is not None:
            self.given[self.action.dest] = word
            self.action = None
        elif word.startswith("-") and len(word) > 1:
            option, equals, value = word.partition("=")
            action = self.parser.option(option)
            if action is not None and action.nargs != 0:
                if equals:
                    self.given[action.dest] = value
                else:
                    self.action = action
        elif self.positional:
            action = self.positional[0]
            if isinstance(action.choices, dict):
                self.parser = action.choices.get(word) or Parser(add_help=False)
                self.positional = self.parser.positional()
                return
            self.given[action.dest] = word
            if action.nargs != "*":
                del self.positional[0]


def _values(line: _Line, action: argparse.Action, begun: str) -> Iterator[Offer]:
    """Give what a word may be, by its choices, or by what the help calls it."""
    if isinstance(action.choices, dict):
        yield from line.parser.commands()
    elif action.choices is not None:
        yield from ((str(choice), "") for choice in action.choices)
    elif action.metavar in ("DIR", "FILE") or (
        "FILE" in str(action.metavar) and (os.sep in begun or begun.startswith("."))
    ):
        yield FILES
    else:
        words = str(action.metavar).split("|")
        for kind, found in _FOUND.items():
            if kind in words:
                yield from found(line, begun)


def _workflows(line: _Line, _begun: str) -> Iterator[Offer]:
    from engine.definitions.loader import files_of
    from engine.paths import pipelines_folder

    folder = pipelines_folder(os.environ, line.given.get("pipelines"))
    for path in files_of(folder):
        if not name_fault(path.stem):
            yield path.stem, path.name


def _store(line: _Line) -> Path:
    from engine.paths import find_paths

    given = line.given
    paths = find_paths(
        os.environ,
        store_url=given.get("store"),
        home=given.get("home"),
        pipelines=given.get("pipelines"),
    )
    return Path(paths.store_url.removeprefix("sqlite:///")).absolute()


def _runs(line: _Line, _begun: str) -> Iterator[Offer]:
    from store import glimpse

    path = _store(line)
    runs = glimpse.runs(path)
    yield from ((str(run), printable(workflow)) for run, workflow in runs)
    if runs:
        yield "latest", "the newest run"
    for name in glimpse.workflows(path):
        if not name_fault(name):
            yield name, "its newest run"


def _steps(line: _Line, _begun: str) -> Iterator[Offer]:
    from store import glimpse

    run = line.given.get("run") or line.given.get("resume") or line.given.get("name") or "latest"
    yield from ((name, "") for name in glimpse.steps(_store(line), run) if not name_fault(name))


def _several_steps(line: _Line, begun: str) -> Iterator[Offer]:
    before, comma, _ = begun.rpartition(",")
    chosen = before.split(",")
    for name, told in _steps(line, begun):
        if name not in chosen:
            yield f"{before}{comma}{name}", told


_FOUND = {"NAME": _workflows, "RUN": _runs, "STEP": _steps, "STEPS": _several_steps}
