"""The environment of a shell step holds the values it may read, each in one exact form."""

from __future__ import annotations

import stat
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from engine.workers.command_env import AttemptFacts, build_env


def env_of(spill_dir: Path, **context: Any) -> dict[str, str]:
    """Build an environment of context values alone; no warning is expected."""
    env, warnings = build_env({}, context=context, params={}, spill_dir=spill_dir)
    assert warnings == []
    return env


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("as it is, 'quoted'\nand two lines", "as it is, 'quoted'\nand two lines"),
        ("", ""),
        (12, "12"),
        (1.5, "1.5"),
        (True, "true"),
        (None, "null"),
        (date(2011, 11, 14), "2011-11-14"),
        (datetime(2011, 11, 14, 8, 30), "2011-11-14T08:30:00"),
        (Decimal("10.50"), "10.50"),
        (timedelta(minutes=1), "60.0"),
        (Path("/srv/in"), "/srv/in"),
        ([1, "ä", Decimal("0.10")], '[1,"ä","0.10"]'),
        ((1, (2,)), "[1,[2]]"),
        ({"a": {"day": date(2011, 11, 14)}}, '{"a":{"day":"2011-11-14"}}'),
        ({1: "int", date(2011, 1, 2): "day"}, '{"1":"int","2011-01-02":"day"}'),
        ({"b", "a"}, '["a","b"]'),
        (b"\x00\xff", "AP8="),
    ],
)
def test_a_value_is_its_text_or_else_json(value: object, text: str, tmp_path: Path) -> None:
    """A value is its text where it has one, else compact JSON."""
    assert env_of(tmp_path, key=value) == {"KAHNBAN_CTX_key": text}


def test_names_keep_their_case_and_lose_other_characters(tmp_path: Path) -> None:
    """A name keeps ASCII letters and digits; each other character becomes one underscore."""
    env, warnings = build_env(
        {}, context={"Gross.total-ü1": "1"}, params={"Run_Date": "2"}, spill_dir=tmp_path
    )
    assert env == {"KAHNBAN_CTX_Gross_total__1": "1", "KAHNBAN_PARAM_Run_Date": "2"}
    assert warnings == []


def test_where_two_names_meet_neither_is_set(tmp_path: Path) -> None:
    """Two values of one variable name are both left out, and a warning names them."""
    env, warnings = build_env(
        {}, context={"a-b": 1, "a.b": 2, "c": 3}, params={"a-b": 4}, spill_dir=tmp_path
    )
    assert env == {"KAHNBAN_CTX_c": "3", "KAHNBAN_PARAM_a_b": "4"}
    both = "context value 'a-b' and context value 'a.b'"
    assert warnings == [f"{both} share the variable KAHNBAN_CTX_a_b: it is not set"]


def test_a_file_variable_may_meet_another_name(tmp_path: Path) -> None:
    """A value given as a file does not take the place of one that is really called so."""
    context = {"a": "x\0y", "a_FILE": "mine"}
    env, warnings = build_env({}, context=context, params={}, spill_dir=tmp_path)
    assert env == {}
    assert len(warnings) == 1
    assert "KAHNBAN_CTX_a_FILE" in warnings[0]


@pytest.mark.parametrize(("size", "in_file"), [(65_536, False), (65_537, True)])
def test_a_value_over_64_kib_is_a_file(size: int, in_file: bool, tmp_path: Path) -> None:
    """The limit is on bytes, and what is over it is a private file in the private folder."""
    folder = tmp_path / "private"
    value = "é" * (size // 2) + "x" * (size % 2)
    env = env_of(folder, big=value)
    if not in_file:
        assert env == {"KAHNBAN_CTX_big": value}
        assert not folder.exists()
        return
    assert list(env) == ["KAHNBAN_CTX_big_FILE"]
    path = Path(env["KAHNBAN_CTX_big_FILE"])
    assert path.parent == folder
    assert path.read_text("utf-8") == value
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_value_with_nul_is_a_file(tmp_path: Path) -> None:
    """An environment cannot hold NUL."""
    env = env_of(tmp_path, text="a\0b")
    assert Path(env["KAHNBAN_CTX_text_FILE"]).read_bytes() == b"a\0b"


def test_over_512_kib_in_all_the_later_ones_are_files(tmp_path: Path) -> None:
    """What no longer fits beside the earlier values is a file; a small one after it still fits."""
    context = {f"v{number}": "x" * 60_000 for number in range(10)}
    env = env_of(tmp_path, **context, small="s")
    plain = [name for name in env if not name.endswith("_FILE")]
    assert plain == [f"KAHNBAN_CTX_v{number}" for number in range(8)] + ["KAHNBAN_CTX_small"]
    assert Path(env["KAHNBAN_CTX_v8_FILE"]).read_text() == "x" * 60_000
    assert env["KAHNBAN_CTX_v8_FILE"] != env["KAHNBAN_CTX_v9_FILE"]


class Table:
    """Something that has no text."""


@pytest.mark.parametrize(
    ("value", "reason"), [(Table(), "Table"), ([Table()], "list"), ("\ud800", "not UTF-8")]
)
def test_what_has_no_text_is_left_out_with_a_warning(
    value: object, reason: str, tmp_path: Path
) -> None:
    """A value that cannot be given to a command does not fail it; the log says so."""
    context: Mapping[str, Any] = {"t": value, "n": 1}
    env, warnings = build_env({}, context=context, params={}, spill_dir=tmp_path)
    assert env == {"KAHNBAN_CTX_n": "1"}
    assert warnings == [
        f"context value 't' is not in the command's environment: no text for {reason}"
    ]


def test_the_attempt_is_named_and_an_outer_run_is_not(tmp_path: Path) -> None:
    """Variables of a run around this one are dropped; the rest of the base stays."""
    base = {"PATH": "/bin", "KAHNBAN_CTX_old": "1", "OUT": "outer", "KAHNBAN_RUN_ID": "1"}
    base |= {"KAHNBAN_HOME_GROWN": "kept", "KAHNBAN_COMMAND": "outer"}
    facts = AttemptFacts(7, "daily", "dump", 2, "7-dump", "kahnban --home '/a b'")
    env, _ = build_env(base, context={}, params={}, spill_dir=tmp_path, attempt=facts)
    assert env == {
        "PATH": "/bin",
        "KAHNBAN_HOME_GROWN": "kept",
        "KAHNBAN_RUN_ID": "7",
        "KAHNBAN_WORKFLOW": "daily",
        "KAHNBAN_STEP": "dump",
        "KAHNBAN_ATTEMPT": "2",
        "KAHNBAN_IDEMPOTENCY_KEY": "7-dump",
        "KAHNBAN_COMMAND": "kahnban --home '/a b'",
    }
