"""The sales workflow as a whole, in memory: what its steps do together, and when they do not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.testing import run, times_out
from pipelines._sales_figures import to_json
from pipelines.sales import workflow
from tests.sales_drops import SAMPLE, SATURDAY, TUESDAY, figures, sample_text
from tests.sales_runs import STEPS

LATE = "no sales of Tuesday 2026-03-03 in"


def params(source: Path = SAMPLE, day: object = TUESDAY) -> dict[str, Any]:
    """Give the parameters of a run."""
    return {"source": str(source), "date": day}


def test_a_day_goes_through(tmp_path: Path) -> None:
    """The outbox gets the page, the digest and the figures, which are those of the drop."""
    outcome = run(workflow, params=params(), folder=tmp_path)
    assert outcome.statuses == dict.fromkeys(STEPS, "ok")
    assert (
        outcome.files["var/outbox/sales-2026-03-03.json"]
        == figures(sample_text(TUESDAY), TUESDAY).encode()
    )
    assert outcome.files["var/sales/raw-2026-03-03.csv"] == sample_text(TUESDAY)
    summary = to_json(outcome.context["summary"])
    assert outcome.files["var/reports/sales-2026-03-03.json"] == summary


def test_a_late_drop_is_waited_for(tmp_path: Path) -> None:
    """It is asked for four times, seven seconds apart in all, and nothing else runs."""
    outcome = run(workflow, params=params(tmp_path))
    assert outcome.statuses == dict.fromkeys(STEPS, "skipped") | {"fetch": "failed"}
    fetch = outcome.steps["fetch"]
    assert (fetch.attempts, outcome.report["duration_s"]) == (4, 7)
    assert fetch.error.startswith(f"DropLate: {LATE}")
    assert outcome.steps["deliver"].note == "dependency failed: fetch"
    assert outcome.files == {}


def test_no_trade_on_saturdays(tmp_path: Path) -> None:
    """Without a drop on a Saturday all is skipped, and that is well."""
    outcome = run(workflow, params=params(tmp_path, SATURDAY))
    assert (outcome.status, set(outcome.statuses.values())) == ("ok", {"skipped"})
    assert outcome.steps["fetch"].note == "no trade on Saturdays"


def test_a_slow_source_is_tried_again() -> None:
    """A fetch past its two minutes has three more, which a timeout is worth."""
    step = run(workflow, replace={"fetch": times_out}).steps["fetch"]
    assert (step.attempts, step.note) == (4, "timed out after 120s")


@pytest.mark.parametrize(("error", "attempts"), [(OSError("no route"), 3), (ValueError(), 1)])
def test_only_what_may_pass_is_tried_again(error: Exception, attempts: int) -> None:
    """A machine that stumbles is worth a retry, a fault in the data is not."""
    outcome = run(workflow, replace={"fetch": {}, "transform": error})
    assert outcome.steps["transform"].attempts == attempts
    assert outcome.statuses["deliver"] == "skipped"
