"""A run as a trace: made of the store's rows once it has ended, and sent where OTEL_… says."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.session.environment import Environment
    from store.connection import Database

logger = logging.getLogger("engine.run")

SEND_S = 3.0  # that a trace may hold a run's end up
ATTEMPTS_MAX = 2_000  # spans of one trace: to make and send so many takes 0.1 s


def is_on(environ: Mapping[str, str]) -> bool:
    """Whether traces are wanted, by the variables that all programs with OpenTelemetry read."""
    endpoints = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
    return (
        any(environ.get(name) for name in endpoints)
        and environ.get("OTEL_SDK_DISABLED", "").strip().lower() != "true"
        and environ.get("OTEL_TRACES_EXPORTER", "otlp").strip().lower() in ("", "otlp")
    )


def preload(environment: Environment) -> None:
    """Import what it takes, if it is wanted and installed; what is wrong with it `send` tells."""
    if is_on(environment.environ):
        from engine.alerts import deadline  # noqa: F401 - imported for later

        with suppress(Exception):
            _spans()


def _spans() -> Any:
    """Give the module that makes spans; None where `kahnban[otel]` is not installed."""
    try:
        return import_module("engine.session.spans")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "opentelemetry":
            raise
        return None


def send(database: Database, run_id: int, environment: Environment) -> bool:
    """Send the trace of a run that has ended; what goes wrong is said, and fails nothing.

    Gives whether it was sent: another is not worth the wait if not.
    """
    if not is_on(environment.environ):
        return False
    from engine.alerts.deadline import DeadlineError, within

    mask = environment.secrets.mask
    try:
        if (spans := _spans()) is None:
            return False
        from store.traced import read_trace

        with database.read() as cursor:
            trace = read_trace(cursor, run_id, ATTEMPTS_MAX)
        why = within(SEND_S, "trace", lambda _: spans.send(trace, mask, timeout_s=SEND_S))
    except DeadlineError:
        why = f"it took more than {SEND_S:g} s"
    except Exception as error:  # noqa: BLE001 - the run has ended, and its outcome stands
        why = f"{type(error).__name__}: {error}"
    if why:
        logger.warning("the trace could not be sent: %s", mask(why), extra={"run": run_id})
    return not why
