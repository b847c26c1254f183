"""What `shell(…)` takes beside its command, checked where it is written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import PurePath

from engine.errors import DefinitionError

CODE_MAX = 255


def checked_env(env: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Give variables in a fixed order; refuse what no environment holds, and names of ours."""
    for name, text in env.items():
        if not isinstance(name, str) or not name or set("=\0") & set(name):
            raise DefinitionError(f"shell: env has the name {name!r}", hint="give plain names")
        if name == "OUT" or name.startswith("KAHNBAN_"):
            raise DefinitionError(
                f"shell: env sets {name}, which the engine sets", hint="take another name"
            )
        if not isinstance(text, str) or "\0" in text:
            raise DefinitionError(
                f"shell: env gives {name} the value {text!r}", hint=f"give text: str({text!r})"
            )
    return tuple(sorted(env.items()))


def checked_cwd(cwd: object) -> str | None:
    """Give the folder as text; relative, it starts at the project's root."""
    if cwd is None:
        return None
    text = str(PurePath(cwd)) if isinstance(cwd, str | PurePath) and str(cwd) else ""
    if not text or "\0" in text:
        raise DefinitionError(f"shell: cwd is {cwd!r}", hint="give the path of a folder")
    return text


def checked_codes(codes: Iterable[int]) -> tuple[int, ...]:
    """Give the exit codes that mean success, in order."""
    found = tuple(codes) if isinstance(codes, Iterable) else ()
    whole = all(type(code) is int and 0 <= code <= CODE_MAX for code in found)
    if not found or not whole:
        raise DefinitionError(
            f"shell: ok_codes is {codes!r}", hint=f"give exit codes from 0 to {CODE_MAX}: (0, 1)"
        )
    return tuple(sorted(set(found)))
