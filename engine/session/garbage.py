"""When garbage is not looked for."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_collections() -> Iterator[None]:
    """Leave garbage alone where much is made that stays: modules, the steps of a big run.

    None of it is garbage, and to look through all of it again and again takes 20 ms of the imports,
    and a quarter of what it takes to begin and to report a run of 100,000 steps.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()
