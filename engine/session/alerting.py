"""Delivering the alerts that are due, within the time that they may take."""

from __future__ import annotations

import logging
import socket
import threading
from typing import TYPE_CHECKING, Any

from engine.alert import Due
from engine.alerts.channels import channels
from engine.errors import EngineError

if TYPE_CHECKING:
    from engine.alerts.delivery import DeliveryResult
    from engine.ports import Clock
    from engine.secrets import Secrets
    from engine.session.environment import Environment
    from store.connection import Database
    from store.history import History

logger = logging.getLogger("engine.alerts")

DELIVERY_S_MIN = 0.5
DELIVERY_S = 4.0  # of the 5 s that alerts may hold a run's end up, recording included

ATTACHED_STEPS_MAX = 2_500  # the page of more takes a second to make, and is too big to attach

# Of a process: what it has claimed is another's to leave alone, and its own to take up again.
_ONE_AT_A_TIME = threading.Lock()


def preload(environment: Environment) -> None:
    """Import what sending alerts needs, so that an upgrade under a live run mixes no versions."""
    configured = channels(environment.secrets.setting)
    if not configured:
        return
    if "email" in configured:
        from engine.session import pages  # noqa: F401 - imported for later
    from engine.alerts import delivery
    from engine.session import alert_facts  # noqa: F401 - imported for later
    from store import incidents, notices, outbox, run_facts, successes  # noqa: F401 - imported for later

    delivery.preload(environment.secrets.setting)


def deliver_due(
    database: Database,
    history: History,
    environment: Environment,
    *,
    hint: bool = True,
    held_s: float = 0.0,
) -> DeliveryResult | None:
    """Send every undelivered alert, within the time that alerts may hold a run's end up.

    That is less what they have `held_s` it up before. What is missing by now is one of them. With
    no channel configured, `hint` says so. Never raises: an alert that could not be sent stays in
    the outbox, and the log says so.
    """
    from engine.session.schedules import missing

    try:
        missing.notice(database, environment)
    except Exception as error:  # noqa: BLE001 - a damaged row is to keep no alert from being sent
        why = error.message if isinstance(error, EngineError) else type(error).__name__
        logger.warning("whether a run is missing is not known: %s", why)
    configured = channels(environment.secrets.setting)
    if not configured and hint:
        logger.info(
            "no alerts: set SLACK_WEBHOOK_URL, or SMTP_URL and MAIL_TO, in %s",
            environment.paths.home / "env",
        )
    if not configured:
        return None
    ends_at = environment.clock.now() + max(DELIVERY_S - held_s, DELIVERY_S_MIN)
    if not _ONE_AT_A_TIME.acquire(timeout=ends_at - environment.clock.now()):
        logger.warning("alerts wait for the next command: others are being sent")
        return None
    try:
        result = _deliver(database, history, environment, ends_at)
    finally:
        _ONE_AT_A_TIME.release()
    for warning in result.warnings:
        logger.warning("%s", environment.secrets.mask(warning))
    return result


def _deliver(
    database: Database, history: History, environment: Environment, ends_at: float
) -> DeliveryResult:
    from engine.alerts.delivery import deliver
    from engine.session.alert_facts import told_of
    from store.outbox import StoredOutbox

    def payload(due: Due) -> dict[str, Any]:
        return told_of(history, due, environment)

    def page(run_id: int) -> str | None:
        from engine.session import pages

        if history.count_steps(run_id) > ATTACHED_STEPS_MAX:
            return None
        return pages.page_of(history, run_id, environment)

    clock = environment.clock
    outbox = StoredOutbox(database, now_us=lambda: clock.stamp(clock.now()), payload=payload)
    left_s = max(ends_at - clock.now(), DELIVERY_S_MIN)
    return deliver(outbox, environment.secrets.setting, deadline_s=left_s, clock=clock, page=page)


def tell_directly(
    headline: str, error: EngineError, secrets: Secrets, clock: Clock
) -> tuple[str, ...]:
    """Send what an error says on every channel, where it cannot be recorded; gives warnings."""
    from engine.alerts.delivery import direct

    said = (error.message, error.hint, f"host: {socket.gethostname()}")
    body = secrets.mask("\n".join(filter(None, said)))
    result = direct(secrets.setting, headline, body, deadline_s=DELIVERY_S, clock=clock)
    return tuple(secrets.mask(warning) for warning in result.warnings)
