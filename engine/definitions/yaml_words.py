"""What is wrong with a YAML file's syntax, in words that say what to write instead."""

from __future__ import annotations

from typing import Any

from engine.definitions.source import Source, refusal
from engine.errors import DefinitionError


def explain(source: Source, error: Any) -> DefinitionError:
    """Make a fault of ours of what the parser says."""
    mark = error.problem_mark or error.context_mark
    line = mark.line + 1
    tab = _tab(source, line)
    if tab:
        fault = source.fault(
            "a tab indents this line; YAML takes spaces only", "use spaces", line, tab
        )
        return refusal([fault])
    message, hint = _words(error)
    return refusal([source.fault(message, hint, line, source.first_word(line))])


def _tab(source: Source, number: int) -> int:
    text = source.line(number)
    indent = text[: len(text) - len(text.lstrip(" \t"))]
    return indent.find("\t") + 1


def _words(error: Any) -> tuple[str, str]:
    problem, context = str(error.problem or ""), str(error.context or "")
    if "mapping values are not allowed" in problem:
        return "a value holds ': ', which begins another key", "put the whole value in quotes"
    if "flow sequence" in context or "flow mapping" in context:
        opened = error.context_mark.line + 1
        mark = "[ … ]" if "sequence" in context else "{ … }"
        return (
            f"the list or mapping {mark} opened in line {opened} is not closed",
            f"close it with {mark[-1]}, or put a value that begins with {mark[0]} in quotes",
        )
    if "tag" in problem or "tag" in context:
        return "tags are not supported", "put text that begins with ! in quotes"
    return f"not YAML: {problem}", "check indentation and quotes around here"
