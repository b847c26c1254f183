"""The zone in which a workflow's times are shown to people, as the store knows it."""

from __future__ import annotations

from datetime import tzinfo
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from store.history import History


def shown_zone(history: History, workflow: str) -> tzinfo | None:
    """Give the zone that the workflow's schedule named last; none if it names none."""
    name = history.zones().get(workflow)
    if name is None:
        return None
    from engine.schedule.zones import known_zones  # loaded with the schedule that names a zone

    return known_zones({workflow: name}).get(workflow)
