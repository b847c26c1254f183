"""SIGKILL between the commit of a run's end and the mark that its alert is sent."""

from __future__ import annotations

import os
import signal
import time
import warnings
from pathlib import Path
from random import SystemRandom

import pytest

from engine.alerts import blocks, delivery, slack, webhook
from engine.clock import SystemClock
from store.connection import Database
from store.database import open_writer
from store.outbox import StoredOutbox
from tests.store.filled import us
from tests.store.test_incidents import run
from tests.system.alert_servers import hook
from tests.system.project import Project

WINDOWS = 1.3  # times what a delivery takes: some kills come after it
KILLS = int(os.environ.get("KAHNBAN_ALERT_KILLS", "4"))
LOADED = (blocks, slack, webhook)  # before the fork: the child is to send, not to import


def deliver(database: Database, url: str) -> None:
    """Deliver what is due."""
    box = StoredOutbox(
        database,
        now_us=lambda: us(0.0),
        payload=lambda due: {"workflow": due.facts["workflow"], "status": "failed"},
    )
    delivery.deliver(box, {"SLACK_WEBHOOK_URL": url}.get, clock=SystemClock())


def fails_and_tells(path: Path, number: int, url: str, said: int) -> None:
    """Be an engine whose run fails and that tells of it; says when the end is committed."""
    database = open_writer(path)
    run(database, "a", "ValueError: x", workflow=f"flow{number}")
    os.write(said, b"!")
    deliver(database, url)
    database.close()


def begun(path: Path, number: int, url: str) -> int:
    """Start such an engine; gives its process once the end is committed."""
    hears, said = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the server's thread does not matter
        child = os.fork()
    if child == 0:
        try:
            fails_and_tells(path, number, url, said)
        finally:
            os._exit(0)
    assert os.read(hears, 1) == b"!"
    os.close(hears)
    os.close(said)
    return child


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_no_alert_is_lost(project: Project) -> None:
    """Each comes once; twice only where its claim's result was not known, and then says so."""
    project.home.mkdir()
    open_writer(project.store).close()
    doubled = unknown = told_before = 0
    with hook() as served:
        telling = begun(project.store, KILLS, served.url)
        began = time.monotonic()
        os.waitpid(telling, 0)
        window_s = (time.monotonic() - began) * WINDOWS
        for number in range(KILLS):
            before = len(served.bodies)
            after_s = SystemRandom().uniform(0, window_s)
            telling = begun(project.store, number, served.url)
            time.sleep(after_s)
            os.kill(telling, signal.SIGKILL)
            os.waitpid(telling, 0)
            database = open_writer(project.store)
            ((status,),) = database.raw.execute(
                "SELECT status FROM alert_rows ORDER BY id DESC LIMIT 1"
            ).fetchall()
            deliver(database, served.url)
            left = database.raw.execute("SELECT count(*) FROM alert_rows WHERE status <> 'sent'")
            assert left.fetchone() == (0,)
            database.close()
            texts = [body["text"] for body in served.bodies[before:]]
            name = f"flow{number} failed"
            expected = {
                "pending": [[name]],
                "sending": [[f"{name} (may be a repeat)"], [name, f"{name} (may be a repeat)"]],
                "sent": [[name]],
            }
            assert texts in expected[status], (status, texts, after_s)
            doubled += len(texts) == 2
            unknown += status == "sending"
            told_before += status == "sent"
    print(f"{KILLS} kills: {unknown} claims of unknown result, {doubled} told twice,")
    print(f"{told_before} told and marked before the kill, 0 lost")
