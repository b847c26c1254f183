"""How a backfill is recorded as a run, and what is read back from that."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine import params as parameters
from engine.naming import BACKFILL_SUFFIX

# How the range is recorded, and shown, among the parameters: no parameter has such a name.
PARAM, FIRST, LAST, WORKERS = "--param", "--from", "--to", "--workers"


def words(run: Mapping[str, Any]) -> list[str]:
    """Give the command, without its program, that a recorded backfill is gone on with."""
    recorded = parameters.recorded_texts(run["params"])
    ranged = [(option, recorded.pop(option)) for option in (PARAM, FIRST, LAST, WORKERS)]
    given = [*ranged[:3], ("--parallel", run["workers"]), ranged[3]]
    given += [("--set", f"{name}={text}") for name, text in recorded.items()]
    workflow = str(run["workflow"]).removesuffix(BACKFILL_SUFFIX)
    return ["backfill", workflow, *(str(word) for pair in given for word in pair)]


def ok_in(run_id: int) -> str:
    """Say why a value is left out."""
    return f"ok in run {run_id}"
