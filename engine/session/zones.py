"""Which zone the store knows of a run, and of a workflow: the one in which its times are shown."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import tzinfo
from typing import TYPE_CHECKING, Any

from engine.zones import zone_named

if TYPE_CHECKING:
    from store.history import History


def zone_of_run(run: Mapping[str, Any]) -> tzinfo | None:
    """Give the zone that was recorded as a run began; none is the machine's."""
    return zone_named(run["zone"])


def zone_of_workflow(history: History, workflow: str) -> tzinfo | None:
    """Give the zone of a workflow's times that are no run's: slots, pauses, what is to come."""
    return zone_named(history.zone_name(workflow))
