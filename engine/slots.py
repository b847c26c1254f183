"""What a workflow says of its slots: which missed ones are run, and when it is to pause."""

from __future__ import annotations

from enum import StrEnum

PAUSE_AFTER_MAX = 1_000


class Catchup(StrEnum):
    """What is run of the slots that a schedule missed while the machine was off."""

    LATEST = "latest"  # the newest
    ALL = "all"  # each, oldest first, up to a limit
    NONE = "none"  # nothing
