"""Workflows in YAML and JSON, as values: what a file says becomes a definition."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.definitions import load, load_file
from engine.errors import DefinitionError
from engine.model import Shell

GOOD = """\
name: nightly
schedule: "*-*-* 02:30:00"
params:
  date: {type: date, default: today}
  region: eu
steps:
  - name: fetch
    fn: posixpath.basename
    retries: 3
    timeout: 5m
  - name: dump
    command: pg_dump app | gzip > "$OUT"
    output: backups/app.sql.gz
    env: {PGOPTIONS: "-c statement_timeout=0"}
    depends_on: [fetch]
"""


def test_a_workflow_in_yaml(tmp_path: Path) -> None:
    """It is what the same words make in Python."""
    path = tmp_path / "nightly.yaml"
    path.write_text(GOOD)
    found = load("nightly", tmp_path)
    assert found.source == path
    assert (found.name, found.schedule) == ("nightly", "*-*-* 02:30:00")
    assert {name: param.default for name, param in found.params.items()} == {
        "date": "today",
        "region": "eu",
    }
    fetch, dump = found.steps
    assert (fetch.run.__name__, fetch.retries, fetch.timeout_s) == ("basename", 3, 300)  # type: ignore[union-attr]
    command = 'pg_dump app | gzip > "$OUT"'
    assert dump.run == Shell(command, env=(("PGOPTIONS", "-c statement_timeout=0"),))
    assert (dump.output, dump.depends_on) == ("backups/app.sql.gz", ("fetch",))


def test_faults_come_in_one_go(tmp_path: Path) -> None:
    """Each with its place, its line and a caret, and a hint."""
    path = tmp_path / "x.json"
    path.write_text(
        '{"steps": [\n  {"name": "a", "command": "true", "retry": 2},\n  {"name": "a"}]}'
    )
    with pytest.raises(DefinitionError) as caught:
        load_file(path)
    assert [str(fault).splitlines()[0] for fault in caught.value.faults] == [
        f"{path}:2:36: step 'a': unknown key 'retry'",
        f"{path}:3:4: step 'a' has neither fn nor command",
        f"{path}:3:4: two steps are named 'a'; the first is in line 2",
    ]
