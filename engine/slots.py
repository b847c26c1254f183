"""What a workflow says of its slots: which missed ones are run, and when it is to pause."""

from __future__ import annotations

from enum import StrEnum

PAUSE_AFTER_MAX = 1_000
PAUSED_BY_ITSELF = "pause_after"  # who paused a schedule, where nobody did


def paused_by(who: str, reason: str, until: str = "") -> str:
    """Say for people who paused a schedule, until when, and why."""
    told = "by itself" if who == PAUSED_BY_ITSELF else f"by {who}"
    told = f"paused {told}{f' until {until}' if until else ''}"
    return f"{told}: {reason}" if reason else told


class Catchup(StrEnum):
    """What is run of the slots that a schedule missed while the machine was off."""

    LATEST = "latest"  # the newest
    ALL = "all"  # each, oldest first, up to a limit
    NONE = "none"  # nothing


def without_schedule(catchup: str | None, deadline: object) -> list[tuple[str, str, str]]:
    """Say what of a workflow that has no schedule cannot work: the option, why, and a hint."""
    found = {}
    if catchup in (Catchup.ALL, Catchup.NONE):
        found["catchup"] = "without one no slot is ever missed"
    if deadline is not None:
        found["deadline"] = "only the run of a slot is held to it"
    hint = 'add one, such as "*-*-* 08:00:00", or leave'
    return [
        (option, f"{option} needs a schedule: {why}", f"{hint} {option} out")
        for option, why in found.items()
    ]
