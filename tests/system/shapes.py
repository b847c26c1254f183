"""Graphs to be killed in: wide, deep and mixed, of steps of every kind, some of which fail or hang.

Each body leaves RUN/STEP/NUMBER in `effects.txt` as it begins. Each step's value is a sum over its
upstreams', so that what a whole run must have stored can be worked out here.
"""

from __future__ import annotations

import random
from typing import NamedTuple

MODULUS = 1_000_003

# For each step its kind and its trouble, in turn: their lengths have no common divisor.
KINDS = ("thread", "shell", "thread", "isolated", "shell")
TROUBLES = ("", "fails", "", "", "hangs", "", "")

WORKFLOW = """
SPECS = {specs!r}
MODULUS = {modulus}
HANGS_S, LIMIT_S = 20, 0.25

def body(name, spec):
    number, ups, trouble, seconds = spec["number"], spec["upstreams"], spec["trouble"], spec["s"]
    def run(ctx):
        effect(f"{{ctx.run_id}}/{{name}}/{{ctx.attempt}}")
        if trouble == "fails" and ctx.attempt == 1:
            raise ValueError("not yet")
        if trouble == "hangs" and ctx.attempt == 1:
            for _ in range(HANGS_S * 200):
                time.sleep(0.005)
        time.sleep(seconds)
        ctx[f"v{{name}}"] = (sum(ctx[f"v{{up}}"] for up in ups) + number) % MODULUS
    return run

def command(name, spec):
    first = '[ "$KAHNBAN_ATTEMPT" -gt 1 ] || '
    trouble = {{"": "", "fails": f"{{first}}exit 9", "hangs": f"{{first}}sleep {{HANGS_S}}"}}
    total = " + ".join(["0", *(f"KAHNBAN_CTX_v{{up}}" for up in spec["upstreams"])])
    value = f"$(( ({{total}} + {{spec['number']}}) % {{MODULUS}} ))"
    return shell(
        f'echo "$KAHNBAN_RUN_ID/{{name}}/$KAHNBAN_ATTEMPT" >>effects.txt\\n'
        f'{{trouble[spec["trouble"]]}}\\nsleep {{spec["s"]}}\\n'
        f'echo "{{{{\\\\"v{{name}}\\\\": {{value}}}}}}" >"$KAHNBAN_OUTPUT"\\n'
    )

workflow = Workflow("flow")
for name, spec in SPECS.items():
    workflow.add(
        Step(
            name,
            command(name, spec) if spec["kind"] == "shell" else body(name, spec),
            depends_on=spec["upstreams"],
            retries=1000,
            backoff=0.01,
            backoff_max=0.05,
            timeout=LIMIT_S if spec["trouble"] == "hangs" else None,
            **({{"isolate": True}} if spec["kind"] == "isolated" else {{}}),
        )
    )
"""


class Shape(NamedTuple):
    """A graph, the workflow's file, and the value that each step must have stored."""

    graph: dict[str, list[str]]
    source: str
    values: dict[str, int]


def _wide(_: random.Random) -> list[list[int]]:
    return [[], *([0] for _ in range(16)), list(range(1, 17))]


def _deep(_: random.Random) -> list[list[int]]:
    return [[], *([number] for number in range(13))]


def _mixed(draw: random.Random) -> list[list[int]]:
    def some(number: int) -> list[int]:
        return sorted({draw.randrange(max(0, number - 8), number) for _ in range(2)})

    return [[], [], [], *(some(number) for number in range(3, 19)), list(range(10, 19))]


MAKERS = (_wide, _deep, _mixed)


def shape(number: int, draw: random.Random) -> Shape:
    """Make a wide, a deep and a mixed graph in turn; which steps are of which kind is drawn."""
    numbered = MAKERS[number % len(MAKERS)](draw)
    turn = draw.randrange(len(KINDS) * len(TROUBLES))
    graph = {f"s{at}": [f"s{up}" for up in ups] for at, ups in enumerate(numbered)}
    specs = {}
    values: dict[str, int] = {}
    for at, (name, upstreams) in enumerate(graph.items()):
        specs[name] = {
            "number": at + 1,
            "upstreams": upstreams,
            "kind": KINDS[(at + turn) % len(KINDS)],
            "trouble": TROUBLES[(at + turn) % len(TROUBLES)],
            "s": round(draw.uniform(0.0, 0.04), 3),
        }
        values[name] = (sum(values[up] for up in upstreams) + at + 1) % MODULUS
    return Shape(graph, WORKFLOW.format(specs=specs, modulus=MODULUS), values)
