"""`run`: from a workflow to the outcome of its run in a test."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Any

from engine.definitions.importing import add_project
from engine.definitions.loader import load, load_file, named_file
from engine.errors import EngineError, UsageError
from engine.model import Definition
from engine.moments import microseconds
from engine.paths import PIPELINES, find_paths, pipelines_folder
from engine.ports import Paths
from engine.secrets import Secrets
from engine.session import RunRequest
from engine.session.deciding.asked import resolve_request
from engine.testing.clock import VirtualClock
from engine.testing.outcome import Outcome
from engine.testing.standins import with_standins
from engine.testing.wiring import Wiring
from engine.workflow import Workflow
from engine.zones import zone_named
from store.memory import memory_store

START = datetime(2026, 1, 1, 12, tzinfo=UTC)
NOWHERE = Path("/proc/no-home")  # where nobody, not even root, can make anything


def run(  # noqa: PLR0913 - the public form of a run in a test; all but one are keywords
    workflow: Workflow | Definition | str | Path,
    *,
    params: Mapping[str, Any] | None = None,
    context: Mapping[str, Any] | None = None,
    replace: Mapping[str, Any] | None = None,
    secrets: Mapping[str, str] | None = None,
    at: datetime = START,
    slot: datetime | None = None,
    folder: str | Path | None = None,
) -> Outcome:
    """Run a workflow here and now, in memory, and give how it went.

    `workflow` is a `Workflow`, the path of its file, or its name in the project's `pipelines`.
    `replace` maps names of steps to what stands in for them: a function of ctx, an exception to
    raise, or else a value to return. Commands are not run: each needs a stand-in. `secrets` is all
    that `ctx.secret` and `ctx.setting` find. The run starts `at` an instant, or is for a `slot` of
    its schedule; a naive one is in the workflow's zone, which is UTC if it names none. With
    `folder` the run takes that folder for the project's, and what it writes inside of it is really
    there.

    Attempts run one after the other, on a clock that jumps over all waiting. Raises `UsageError`
    for what cannot be run as asked; what a step raises that is no `Exception` comes out as it is.
    """
    known = _secrets(secrets or {})
    with _hints_told():
        definition = _definition(workflow)
        zone = _zone(definition)
        request = RunRequest(
            workers=1,
            params=dict(params or {}),
            context=dict(context or {}),
            started_by="library",
            slot=None if slot is None else microseconds(_instant(slot, zone, "slot")),
        )
        clock = VirtualClock(_instant(at, zone))
        inline = with_standins(definition, replace or {})
        asked, encoded = resolve_request(inline, request, clock, known, local=zone)
    paths = _paths(definition, folder)
    with closing(memory_store(NOWHERE / "runs.db")) as database:
        wiring = Wiring(inline, asked, encoded, paths, clock, known)
        return wiring.run(database, None if folder is None else paths.root)


@contextmanager
def _hints_told() -> Iterator[None]:
    """Add hints to an error, where pytest shows them: nothing else would print them."""
    try:
        yield
    except EngineError as error:
        for message, hint in error.complaints():
            if message != error.message:  # one of several faults
                error.add_note(message)
            if hint:
                error.add_note(f"hint: {hint}")
        raise


def _definition(workflow: Workflow | Definition | str | Path) -> Definition:
    if isinstance(workflow, Definition):
        return workflow
    if isinstance(workflow, Workflow):
        return workflow.definition()
    if not isinstance(workflow, str | Path):
        raise UsageError(
            f"workflow is {workflow!r}", hint="give a Workflow, its name, or the path of its file"
        )
    named = str(workflow)
    file = named_file(named, find_paths({}, strict=False).root / PIPELINES)
    if file is not None:
        path = file.absolute()
        add_project(path.parent.parent)
        return load_file(path)
    pipelines = pipelines_folder({})
    add_project(pipelines.parent)
    return load(named, pipelines)


def _secrets(given: Mapping[str, str]) -> Secrets:
    for name, value in given.items():
        if not isinstance(value, str):
            raise UsageError(f"secret '{name}' is no text", hint="give it as in an environment")
    return Secrets.given(given)


def _zone(definition: Definition) -> tzinfo:
    return zone_named(definition.tz) or UTC


def _instant(at: datetime, zone: tzinfo, what: str = "at") -> datetime:
    if not isinstance(at, datetime):
        raise UsageError(f"{what} is {at!r}", hint="give a datetime: when the run is to start")
    return at.replace(tzinfo=zone) if at.tzinfo is None else at


def _paths(definition: Definition, folder: str | Path | None) -> Paths:
    store_url = f"sqlite:///{NOWHERE / 'runs.db'}"
    if folder is not None:
        root = Path(folder).resolve()
        return Paths(root, root / "var", store_url)
    source = definition.source
    root = source.parent.parent if source else find_paths({}, strict=False).root
    return Paths(root, NOWHERE, store_url)
