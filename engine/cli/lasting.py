"""Modules that stay to the end of the command, and are no business of the collector."""

from __future__ import annotations

import gc
from importlib import import_module


def load_for_good(*modules: str) -> None:
    """Import modules; neither a collection nor the interpreter's end searches what is there then.

    They would find no garbage, and take a quarter of a small run. It is called before a workflow's
    own code is loaded: what that leaves behind is collected as ever.
    """
    gc.disable()
    try:
        for module in modules:
            import_module(module)
    finally:
        gc.freeze()
        gc.enable()
