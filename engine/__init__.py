"""Kahnban: workflows of steps with dependencies, run in parallel, recorded in one SQLite file.

The public names are resolved when first used: importing this package imports nothing heavy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.errors import RetryAfter, Skip
    from engine.graph import order_steps
    from engine.model import Param, Step, shell
    from engine.workflow import Workflow

__all__ = ["Param", "RetryAfter", "Skip", "Step", "Workflow", "order_steps", "shell"]

__version__ = "0.1.0"

_HOMES = {
    "Param": "engine.model",
    "RetryAfter": "engine.errors",
    "Skip": "engine.errors",
    "Step": "engine.model",
    "Workflow": "engine.workflow",
    "order_steps": "engine.graph",
    "shell": "engine.model",
}


def __getattr__(name: str) -> Any:
    """Import the module a public name lives in (PEP 562)."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'engine' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Public names only."""
    return sorted(__all__)
