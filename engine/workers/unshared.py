"""Descriptors that tell others of this process's death: a child that a step forks closes them."""

from __future__ import annotations

import os
import weakref
from typing import Protocol


class _Closes(Protocol):
    def close(self) -> None: ...


_kept: weakref.WeakSet[_Closes] = weakref.WeakSet()


def keep(held: _Closes) -> None:
    """Close `held` in every child that is forked without an exec."""
    _kept.add(held)


def _close_in_child() -> None:
    for held in list(_kept):
        held.close()


os.register_at_fork(after_in_child=_close_in_child)
