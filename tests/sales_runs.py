"""Whole runs of the sales workflow, as a user would start them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from tests.sales_drops import ROOT
from tests.system.project import WARM

STEPS = ["fetch", "transform", "report", "backup", "deliver"]


def run_sales(home: Path, **settings: object) -> tuple[int, dict[str, Any]]:
    """Run the workflow as a command; give its exit code and report."""
    foreign = ("ENGINE_", "KAHNBAN_", "SLACK_", "SMTP_", "MAIL_", "SALES_", "PYTHON")
    clean = {key: value for key, value in os.environ.items() if not key.startswith(foreign)}
    words = ["run", "sales", "--json"]
    for name, value in settings.items():
        words += ["--set", f"{name}={value}"]
    environment = clean | {"ENGINE_HOME": str(home), "PYTHONPATH": str(ROOT)}
    code, out, err = WARM.run(words, str(ROOT), environment, limit_s=60.0)
    assert out, err
    return code, json.loads(out)


def statuses(report: dict[str, Any]) -> dict[str, str]:
    """Give each step's status."""
    return {step["name"]: step["status"] for step in report["steps"]}


def step_of(report: dict[str, Any], name: str) -> dict[str, Any]:
    """Give one step of a report."""
    return next(step for step in report["steps"] if step["name"] == name)
