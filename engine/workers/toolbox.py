"""What all attempts of a run are made with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from engine.context import Codec, RunScope
from engine.model import Step
from engine.ports import Clock, Logs
from engine.records import record
from engine.secrets import Secrets
from store import values

if TYPE_CHECKING:
    from engine.workers.halts import HaltWatch
    from engine.workers.keeper import Keeper


@record
class Toolbox:
    """What attempts of one run are made with.

    `environ` is what commands inherit. `key_runs` and `used` are by position: the run in each
    step's idempotency key, and the attempts of its budget spent in earlier runs. `keeper` has what
    the run's step processes need, `halts` knows the engine's halts where a limit is to be kept.
    `command` is the complete program with its global options, for commands that call the engine.
    """

    scope: RunScope
    steps: Sequence[Step]
    clock: Clock
    logs: Logs
    environ: Callable[[], Mapping[str, str]]
    key_runs: Sequence[int]
    used: Sequence[int]
    keeper: Keeper | None = None
    halts: HaltWatch | None = None
    command: Sequence[str] = ()


def codec_for(secrets: Secrets) -> Codec:
    """Values as the store keeps them; one that holds a registered secret is refused."""
    return Codec(
        encode=lambda key, value: values.encode(key, value, reject=secrets.contains),
        decode=values.decode,
    )
