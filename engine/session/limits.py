"""By when a run and its steps are late: as its workflow says, and by what they usually take."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from engine.lateness import Lateness, Limit, Moment, Whose, usual_limits
from engine.moments import instant, microseconds
from engine.session.zones import clock_time
from engine.text import human_duration

if TYPE_CHECKING:
    from engine.model import Definition
    from engine.ports import Clock
    from engine.session.record import Going
    from store.history import History

USUAL_STEPS_MAX = 2_000  # of a run: what those of more usually take is long to read


class Begun(NamedTuple):
    """A run that is on: since when, and the slot it is of; runs by hand are held to none."""

    run_id: int
    at: float
    slot: int | None


def lateness_of(going: Going, history: History, begun: Begun) -> Lateness | None:
    """Give what tells when a run or a step of it is late; None if nothing ever is."""
    definition, names = going.compiled.definition, going.compiled.graph.names
    steps: dict[int, tuple[Limit, ...]] = {}
    if len(names) <= USUAL_STEPS_MAX:
        steps = usual_limits(names, history.spreads(definition.name, begun.run_id))
    for position, step in enumerate(definition.steps):
        if step.max_duration_s is not None:
            most = f"its max_duration is {human_duration(step.max_duration_s)}"
            steps[position] = (*steps.get(position, ()), Limit(step.max_duration_s, most))
    run = moments_of(definition, begun, history, going.environment.clock)
    past = [moment for moment in run if moment.at <= begun.at]
    if past and history.catches_up(begun.run_id):  # the first that began so late was told of
        run = [moment for moment in run if moment not in past]
    if not steps and not run:
        return None
    return Lateness(Whose(definition.name, begun.run_id, names), steps, run)


def moments_of(
    definition: Definition, begun: Begun, history: History, clock: Clock
) -> list[Moment]:
    """Give when the run itself is late.

    A slot from before the schedule was known promised nothing: its deadline may be long past.
    """
    found = []
    if (most := definition.max_duration_s) is not None:
        said = f"it has run for {human_duration(most)}, its max_duration"
        found.append(Moment(begun.at + most, said))
    if definition.deadline is not None and definition.schedule and begun.slot is not None:
        from engine.schedule.deadline import deadline_of
        from engine.schedule.firings import zone_of
        from engine.schedule.reading import schedule_of

        zone = zone_of(schedule_of(definition))
        slot = instant(begun.slot)
        at = deadline_of(definition.deadline, slot, zone)
        said = f"its deadline was {clock_time(at.astimezone(zone))}"
        moment = Moment(clock.instant(microseconds(at)), said)
        if moment.at > begun.at or not history.noted_after(definition.name, begun.slot):
            found.append(moment)
    return found
