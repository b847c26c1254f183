"""Whatever is fed to the loader: it takes it, or refuses it with an error of ours, and soon.

`KAHNBAN_FUZZ=N` tries N examples of each kind.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from engine.definitions.fields import PARAMETER, STEP, WORKFLOW
from tests.fuzz_loader import examine

fuzz = settings(
    max_examples=int(os.environ.get("KAHNBAN_FUZZ", "60")),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
GOOD = """\
name: flow
schedule: "*-*-* 02:30:00"
params:
  date: {type: date, default: today}
  region: eu
steps:
  - name: fetch
    fn: fuzzed.steps.fetch
    retries: 3
    retry_on: [OSError]
  - name: dump
    command: >-
      pg_dump app
    env: &env {PGOPTIONS: "-c x"}
    depends_on: [fetch]
  - {name: last, command: [a, 'b'], env: *env, timeout: 5m, depends_on: [dump]}
"""
JSON = json.dumps({"steps": [{"name": "a", "command": "x", "retries": 1, "env": {"A": "b"}}]})
WORDS = [
    *WORKFLOW.names,
    *STEP.names,
    *PARAMETER.names,
    *("- ", ": ", "\n", "  ", "\t", "#", " #", "[", "]", "{", "}", ",", "'", '"', "&a", "*a", "!"),
    *("!!str", "|", ">", ">-\n", "|9", "---", "...", "%YAML 1.2", "?", "<<", "~", "no", "1:30"),
    *("-1", "1e9", "0o7", ".inf", "\\x", "\0", "\ufeff", "\u2028", "\x85", "é", "名", "\r", "\r\n"),
    *("a.b", "5m", "today", "true", '\\"', "//", "NaN", "null", '":', "\ud83d\ude00"),
]
SOUP = some.lists(some.sampled_from(WORDS), max_size=40).map("".join)
ATOMS = some.one_of(
    some.none(),
    some.booleans(),
    some.integers(),
    some.floats(),
    some.text(max_size=8),
    some.sampled_from([*WORDS, "10" * 60]),
)
NODES = some.recursive(
    ATOMS,
    lambda inner: (
        some.lists(inner, max_size=4)
        | some.dictionaries(some.sampled_from(WORDS) | some.text(max_size=4), inner, max_size=5)
    ),
    max_leaves=20,
)
PLACE = some.integers(0, 1_000)


@pytest.mark.parametrize("suffix", [".yaml", ".json"])
@fuzz
@given(data=some.one_of(some.binary(max_size=60), some.text(max_size=60).map(str.encode)))
def test_any_bytes(data: bytes, suffix: str, tmp_path: Path) -> None:
    """Bytes, and text."""
    examine(data, tmp_path / f"flow{suffix}")


@pytest.mark.parametrize("suffix", [".yaml", ".json"])
@fuzz
@given(text=SOUP)
def test_any_syntax(text: str, suffix: str, tmp_path: Path) -> None:
    """Words and signs of both formats, in any order."""
    examine(text.encode("utf-8", "surrogatepass"), tmp_path / f"flow{suffix}")


@fuzz
@given(steps=NODES, more=some.dictionaries(some.sampled_from(WORKFLOW.names), NODES, max_size=3))
def test_any_values(steps: Any, more: dict[str, Any], tmp_path: Path) -> None:
    """Values of all kinds under the keys that there are; YAML reads JSON's text alike."""
    for data in ({**more, "steps": steps}, {**more, "steps": [steps]}):
        text = json.dumps(data).encode()
        taken = examine(text, tmp_path / "flow.json")
        if not re.search(rb"\\[u/]|[{,] *\"[^\"]{900}", text):  # YAML has other escapes and limits
            assert examine(text, tmp_path / "flow.yaml") == taken or b"Infinity" in text


@pytest.mark.parametrize(("suffix", "good"), [(".yaml", GOOD), (".json", JSON)])
@fuzz
@given(changes=some.lists(some.tuples(PLACE, PLACE, some.sampled_from([*WORDS, ""])), max_size=4))
def test_mutations(
    suffix: str, good: str, changes: list[tuple[int, int, str]], tmp_path: Path
) -> None:
    """A right file with pieces taken out and put in."""
    text = good
    for at, length, word in changes:
        begin = at % (len(text) + 1)
        text = text[:begin] + word + text[begin + length % 12 :]
    examine(text.encode("utf-8", "surrogatepass"), tmp_path / f"flow{suffix}")


@pytest.mark.parametrize(
    "text",
    [
        *("[" * 50_000, "{" * 50_000, "- " * 50_000, "a: " * 5_000, "? " * 5_000, "[{" * 20_000),
        *('"' * 50_001, "'" * 50_001, "&a " * 5_000, "a:\n" * 5_000, "\t" * 50_000, "#" * 100_000),
        "".join(f"{' ' * depth}a{depth}:\n" for depth in range(300)),
        "a: &a [x]\n" + "".join(f"b{n}: &b{n} [*a,*a,*a]\n" for n in range(2_000)),
        "steps:\n" + "- {name: a, depends_on: [b]}\n" * 3_000,
        "steps:\n- {name: a, command: x}\n" + "  x: y\n" * 3_000,
        "steps:\n- name: a\n  command: x\n  depends_on: [" + "b," * 20_000 + "]\n",
        "steps:\n"
        + "".join(f"- {{name: a{n}, command: x, depends_on: [b{n}]}}\n" for n in range(2_000)),
        "a" * 1_000_000,
        '{"' + "a" * 1_000_000 + '": "' + "b" * 1_000_000 + '"}',
        '{"steps": [{"name": "a", "command": "x", "depends_on": ["' + "a" * 1_000_000 + '"]}]}',
        "steps: [" + ",".join(["1"] * 20_000) + "]",
    ],
    ids=lambda text: f"{text[:12]!r} {len(text)}",
)
@pytest.mark.parametrize("suffix", [".yaml", ".json"])
def test_what_could_take_long(text: str, suffix: str, tmp_path: Path) -> None:
    """Depth, repetition and length are refused within a second."""
    assert not examine(text.encode(), tmp_path / f"flow{suffix}")
