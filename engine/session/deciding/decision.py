"""What is decided about one invocation, and what it is decided from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from engine.records import record
from engine.resume import Choice

if TYPE_CHECKING:
    from store.past import PastRun


@record
class Decision:
    """What this invocation does.

    `past` is the run continued, None to start anew; `nothing` says that there is nothing to do.
    `choices` is by position; `gone` names steps that the definition no longer has, `only` the steps
    that the run is bound to. `weights` is what ready steps are ordered by, see `Plan`.
    """

    reason: str
    params: Mapping[str, Any]
    past: PastRun | None = None
    choices: Sequence[Choice] = ()
    gone: tuple[str, ...] = ()
    nothing: bool = False
    unfinished: int | None = None
    only: tuple[str, ...] = ()
    weights: Sequence[int] = ()
