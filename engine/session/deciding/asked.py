"""A request, resolved: what can be refused before anything is touched is refused here."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import field
from datetime import date, tzinfo
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from engine import params as parameters
from engine.errors import UsageError
from engine.model import Definition
from engine.moments import instant
from engine.ports import Clock
from engine.produced import Encoded
from engine.records import record
from engine.secrets import Secrets
from engine.session.deciding.request import RunRequest
from engine.session.zones import in_zone

if TYPE_CHECKING:
    from engine.session.deciding.named_steps import Mark

WORKERS_MAX = 1_000

_URL_PASSWORD = re.compile(r"://[^/?#\s:@]*:[^/?#\s@]+@")


@record
class Asked:
    """The request, resolved: parameters and initial context in comparable form, and the time.

    `marks` is by the names of the steps that are marked as done.
    """

    request: RunRequest
    params: Mapping[str, Any]
    context_sha256: str
    now_us: int
    marks: Mapping[str, Mark] = field(default_factory=dict)

    @property
    def params_text(self) -> str:
        """The parameters as they are recorded and compared."""
        return parameters.to_json(self.params)

    @property
    def marked(self) -> dict[str, str]:
        """What each step that is marked as done is given, as it is shown."""
        return {step: mark.shown for step, mark in self.marks.items()}


def _check_workers(request: RunRequest) -> None:
    workers = request.workers
    if isinstance(workers, bool) or not isinstance(workers, int) or not 1 <= workers <= WORKERS_MAX:
        raise UsageError(f"workers is {workers!r}", hint=f"give 1 to {WORKERS_MAX}")


def resolve_request(
    definition: Definition,
    request: RunRequest,
    clock: Clock,
    secrets: Secrets,
    *,
    local: tzinfo | None = None,
) -> tuple[Asked, list[tuple[str, Encoded]]]:
    """Resolve parameters and encode the initial context, before anything is touched.

    `local` is the zone of a workflow that names none: the machine's, if it is not given.
    Raises `UsageError` (`ParameterError`, `ValueNotStorable`) for what cannot be run as asked.
    """
    _check_workers(request)
    marks = _marks(definition, request, secrets)
    from engine.context import check_key
    from store.values import encode

    if request.resume is not None and request.params:
        raise UsageError(
            "--resume goes on with the run's recorded parameters; --set cannot be given",
            hint="start anew with --fresh --set …, or leave --set out",
        )
    if request.resume is not None and request.context:
        raise UsageError(
            "resume goes on with the run's recorded context; another cannot be given",
            hint="start anew with fresh=True, or leave the context out",
        )
    resolved: dict[str, Any] = {}
    if request.resume is None:
        today = today_of(definition, clock, local, slot=request.slot)
        resolved = _params(definition, request, secrets, today)
    encoded = [
        (check_key(key), encode(key, value, reject=secrets.contains))
        for key, value in request.context.items()
    ]
    digest = hashlib.sha256()
    for key, value in sorted(encoded, key=lambda pair: pair[0]):
        digest.update(f"{key}\0{value.codec}\0{value.sha256}\0".encode())
    asked = Asked(
        request=request,
        params=MappingProxyType(resolved),
        context_sha256=digest.hexdigest() if encoded else "",
        now_us=clock.stamp(clock.now()),
        marks=marks,
    )
    return asked, encoded


def _params(
    definition: Definition, request: RunRequest, secrets: Secrets, today: date
) -> dict[str, Any]:
    resolved = parameters.resolve(
        definition.params,
        request.params,
        today=today,
        workflow=definition.name,
        **({} if request.started_by == "library" else {"setting": secrets.setting}),
    )
    for name, text in parameters.as_text(resolved).items():
        if secrets.contains(text) or _URL_PASSWORD.search(text):
            raise UsageError(
                f"parameter '{name}' holds a secret or a URL with a password",
                hint="parameters are recorded as they are; leave it to ctx.secret instead",
            )
    return resolved


def _marks(definition: Definition, request: RunRequest, secrets: Secrets) -> dict[str, Mark]:
    if not request.only and not request.mark_done:
        return {}
    from engine.session.deciding import named_steps

    named_steps.check(definition, request)
    return named_steps.marks(request, secrets)


def today_of(
    definition: Definition, clock: Clock, local: tzinfo | None = None, *, slot: int | None = None
) -> date:
    """Give the day on which the run starts, or that of its slot, in the workflow's zone."""
    at = clock.utc() if slot is None else instant(slot)
    return in_zone(definition, at, local).date()
