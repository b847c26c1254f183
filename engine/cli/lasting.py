"""Modules that a command loads for itself, and has to its end."""

from __future__ import annotations

import gc
from importlib import import_module

from engine import garbage


def load_for_good(*modules: str) -> None:
    """Import modules, before any code of a workflow; see `engine.garbage` for why this is said."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        for module in modules:
            import_module(module)
    finally:
        if collecting:
            gc.enable()
        garbage.for_good()
