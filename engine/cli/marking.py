"""Options that belong to the one before them: `--mark-done STEP --output K=V`."""

from __future__ import annotations

import argparse
from typing import Any


class MarkDone(argparse.Action):
    """Collects the steps of `--mark-done`, each with the `--output`s that follow it."""

    def __call__(
        self,
        _parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        value: Any,
        option: str | None = None,
    ) -> None:
        """Begin another step, or add to the last one."""
        if option == "--mark-done":
            namespace.mark_done = [*namespace.mark_done, (value, [])]
        elif not namespace.mark_done:
            raise argparse.ArgumentError(self, "give the step first: --mark-done STEP --output K=V")
        else:
            namespace.mark_done[-1][1].append(value)
