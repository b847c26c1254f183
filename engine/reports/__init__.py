"""What a run did, for programs (a dict, JSON) and for people (terminal): functions of its rows."""

from __future__ import annotations

from engine.reports.run_report import Surroundings, build, json_text, write_whole

__all__ = ["Surroundings", "build", "json_text", "write_whole"]
