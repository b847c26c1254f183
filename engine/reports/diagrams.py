"""A workflow's graph for other programs: Mermaid, Graphviz (dot), JSON."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from engine.model import TriggerRule
from engine.reports.step_words import COMMAND, StepWords
from engine.text import printable

# What Mermaid, Markdown or HTML may take for something else: `1.` alone would be a list.
_NOT_PLAIN = re.compile(r"\A\d+\.\Z|(?<![A-Za-z0-9])_+|_+(?![A-Za-z0-9])|[^\w .,()-]", re.ASCII)


def mermaid(steps: Sequence[StepWords]) -> str:
    """Give a Mermaid flowchart; names are labels, and ids are made, so that any name will do."""
    ids = {step.name: f"s{number}" for number, step in enumerate(steps)}
    lines = ["flowchart LR"]
    for step in steps:
        left, right = ("[[", "]]") if step.kind == COMMAND else ("[", "]")
        label = "<br/>".join(map(_mermaid_text, _label(step)))
        lines.append(f'    {ids[step.name]}{left}"{label}"{right}')
    lines += [f"    {ids[up]} --> {ids[step.name]}" for step, up in _edges(steps)]
    return "\n".join(lines)


def _mermaid_text(text: str) -> str:
    """Write all that is not plain by its number."""
    return _NOT_PLAIN.sub(lambda match: "".join(map(_mermaid_char, match[0])), text)


def _mermaid_char(char: str) -> str:
    return f"#{ord(char)};" if char.isascii() else char


def dot(name: str, steps: Sequence[StepWords]) -> str:
    """Give a directed graph in the language of Graphviz."""
    lines = [
        f"digraph {_dot_id(name)} {{",
        "    rankdir=LR;",
        "    node [shape=box];",
    ]
    for step in steps:
        label = r"\n".join(map(_dot_text, _label(step)))
        shape = ", shape=component" if step.kind == COMMAND else ""
        lines.append(f'    {_dot_id(step.name)} [label="{label}"{shape}];')
    lines += [f"    {_dot_id(up)} -> {_dot_id(step.name)};" for step, up in _edges(steps)]
    return "\n".join([*lines, "}"])


def _dot_id(name: str) -> str:
    return f'"{name}"'  # a legal name holds neither quote nor backslash


def _dot_text(text: str) -> str:
    return text.replace("&", "&amp;").replace("\\", "\\\\").replace('"', '\\"')


def as_json(name: str, steps: Sequence[StepWords]) -> dict[str, Any]:
    """Give the steps with their upstreams, rules and conditions, as `--json` prints them."""
    return {
        "name": name,
        "steps": [
            {
                "name": step.name,
                "kind": step.kind,
                "depends_on": list(step.depends_on),
                "trigger_rule": step.rule or str(TriggerRule.ALL_SUCCESS),
                "when": step.condition or None,
            }
            for step in steps
        ],
    }


def _label(step: StepWords) -> list[str]:
    texts = [step.name, step.rule, f"when {step.condition}" if step.condition else ""]
    return [printable(text) for text in texts if text]


def _edges(steps: Sequence[StepWords]) -> list[tuple[StepWords, str]]:
    return [(step, up) for step in steps for up in step.depends_on]
