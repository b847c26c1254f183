"""Definitions in one line of text: `a b>a c>a,b:all_done*2~1.5%wait d!`.

A word is a step: its name, `>` its upstreams, `:` its trigger rule, `*` its retries (0 without),
`~` its timeout in seconds, `%` its policy for overruns, and `!` if it is a command.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from engine import graph
from engine.model import Definition, OnOverrun, Shell, Step, TriggerRule
from engine.plan import Plan

STOP_S = 0.1
COMMAND_STOP_S = 7.0

_WORD = re.compile(
    r"(?P<name>[^>:*~!]+)(?:>(?P<ups>[^:*~!]+))?(?::(?P<rule>\w+))?"
    r"(?:\*(?P<retries>\d+))?(?:~(?P<timeout>[\d.]+))?(?:%(?P<overrun>\w+))?(?P<command>!)?\Z"
)


class _Parsed(NamedTuple):
    name: str
    upstreams: tuple[str, ...]
    rule: TriggerRule
    retries: int
    timeout_s: float | None
    overrun: OnOverrun
    command: bool


def _parse(text: str) -> list[_Parsed]:
    parsed = []
    for word in text.split():
        match = _WORD.match(word)
        assert match, f"not a step: {word!r}"
        parsed.append(
            _Parsed(
                match["name"],
                tuple(match["ups"].split(",")) if match["ups"] else (),
                TriggerRule(match["rule"] or "all_success"),
                int(match["retries"] or 0),
                float(match["timeout"]) if match["timeout"] else None,
                OnOverrun(match["overrun"] or "fail"),
                bool(match["command"]),
            )
        )
    return parsed


def graph_of(text: str) -> graph.Graph:
    """Compile the graph of a text."""
    words = _parse(text)
    return graph.build([word.name for word in words], [word.upstreams for word in words])


def plan(text: str) -> Plan:
    """Compile what the core needs of a text."""
    words = _parse(text)
    return Plan(
        graph=graph_of(text),
        rules=[word.rule for word in words],
        retries=[word.retries for word in words],
        timeout_s=[word.timeout_s for word in words],
        stop_s=[COMMAND_STOP_S if word.command else STOP_S for word in words],
        gentle=[word.command for word in words],
        on_overrun=[word.overrun for word in words],
    )


def nothing(ctx: Any) -> None:
    """Be a step that does nothing."""
    del ctx


def steps(text: str, run: Any = nothing) -> tuple[Step, ...]:
    """Make the steps of a text; each runs `run`, commands run `true`."""
    return tuple(
        Step(
            word.name,
            Shell("true") if word.command else run,
            depends_on=word.upstreams,
            retries=word.retries,
            timeout=word.timeout_s,
            trigger_rule=word.rule,
            on_overrun=word.overrun,
        )
        for word in _parse(text)
    )


def definition(text: str, name: str = "made", **fields: Any) -> Definition:
    """Make a workflow of a text."""
    return Definition(name, steps(text), **fields)
