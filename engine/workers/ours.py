"""Descriptors that tell others of this process's death: a child that a step forks closes them."""

from __future__ import annotations

import os
import weakref
from typing import ClassVar, Protocol


class _Closes(Protocol):
    def close(self) -> None: ...


class Ours:
    """What is kept open by this very process alone, so that the kernel closes it at our death."""

    _kept: ClassVar[weakref.WeakSet[_Closes]] = weakref.WeakSet()

    @classmethod
    def keep(cls, held: _Closes) -> None:
        """Close `held` in every child that is forked without an exec."""
        cls._kept.add(held)

    @classmethod
    def close_in_child(cls) -> None:
        """Close them all."""
        for held in list(cls._kept):
            held.close()


os.register_at_fork(after_in_child=Ours.close_in_child)
