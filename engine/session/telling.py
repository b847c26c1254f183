"""What is told where: of which outcomes of a run, and of incidents, on which channels."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from engine.alert import Telling
from engine.alerts.channels import channels, should_alert
from engine.durations import parse_duration
from engine.errors import DefinitionError, UsageError
from engine.model import ALERT_ON, Definition, RunStatus

if TYPE_CHECKING:
    from engine.session.environment import Environment
    from store.history import History

ChannelsFor = Callable[[RunStatus], Iterable[str]]


def alert_on(definition: Definition | None, environment: Environment) -> str:
    """Give the rule in force: ENGINE_ALERT_ON before the workflow's own.

    Raises `UsageError` for an unknown word.
    """
    word = environment.secrets.setting("ENGINE_ALERT_ON")
    if word and word not in ALERT_ON:
        raise UsageError(
            f"ENGINE_ALERT_ON is '{word}'", hint=f"set it to one of {', '.join(ALERT_ON)}"
        )
    return word or (definition.alert_on if definition is not None else "always")


def telling_of(environment: Environment) -> Telling:
    """Give where alerts about incidents go, and how long one is quiet.

    Raises `UsageError` where ENGINE_REMIND_AFTER is no duration.
    """
    configured = channels(environment.secrets.setting)
    text = environment.secrets.setting("ENGINE_REMIND_AFTER")
    if not text:
        return Telling(configured)
    try:
        seconds = parse_duration("ENGINE_REMIND_AFTER", text)
    except DefinitionError as error:
        raise UsageError(error.message, hint=error.hint) from None
    return Telling(configured, round(seconds * 1e6))


def channels_for(
    definition: Definition | None,
    history: History,
    environment: Environment,
    *,
    before: int | None = None,
) -> ChannelsFor:
    """Give what tells, for an outcome, the channels to queue an alert about the run for.

    Failures and recoveries are told by incidents. `before` is the run in question: the outcome is
    compared with that of the run before it.
    """
    rule = alert_on(definition, environment)
    configured = channels(environment.secrets.setting)
    name = definition.name if definition is not None else None
    previous = history.previous_status(name, before) if name is not None and configured else None

    def choose(status: RunStatus) -> Iterable[str]:
        return configured if should_alert(rule, status, previous) else ()

    return choose
