"""SIGKILL between the commit of a run's end and the mark that its alert is sent."""

from __future__ import annotations

import contextlib
import os
import signal
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from random import SystemRandom

import pytest

from engine.alerts import (
    blocks,
    delivery,
    letter,
    mail,
    slack,
    slack_bot,
    smtp,
    web_api,
    webhook,
)
from engine.clock import SystemClock
from store.connection import Database
from store.database import open_writer
from store.outbox import StoredOutbox
from tests.store.filled import us
from tests.store.test_incidents import run
from tests.system.alert_servers import hook, slack_api
from tests.system.alert_servers import smtp as smtp_server
from tests.system.project import Project

WINDOWS = 1.1  # times what a delivery takes: some kills come after it
KILLS = int(os.environ.get("KAHNBAN_ALERT_KILLS", "6"))
# Before the fork: the child is to send, not to import.
LOADED = (blocks, letter, mail, slack, slack_bot, smtp, web_api, webhook)

Settings = dict[str, str]


def deliver(database: Database, settings: Settings) -> None:
    """Deliver what is due."""
    box = StoredOutbox(
        database,
        now_us=lambda: us(0.0),
        payload=lambda due: {"workflow": due.facts["workflow"], "status": "failed"},
    )
    delivery.deliver(box, settings.get, clock=SystemClock())


def fails_and_tells(path: Path, number: int, settings: Settings, said: int) -> None:
    """Be an engine whose run fails and that tells of it; says when the end is committed."""
    database = open_writer(path)
    run(database, "a", "ValueError: x", workflow=f"flow{number}")
    if "SMTP_URL" in settings:
        database.raw.execute("UPDATE alert_rows SET channel = 'email' WHERE status = 'pending'")
    os.write(said, b"!")
    deliver(database, settings)
    database.close()


def begun(path: Path, number: int, settings: Settings) -> int:
    """Start such an engine; gives its process once the end is committed."""
    hears, said = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the server's thread does not matter
        child = os.fork()
    if child == 0:
        try:
            fails_and_tells(path, number, settings, said)
        finally:
            os._exit(0)
    assert os.read(hears, 1) == b"!"
    os.close(hears)
    os.close(said)
    return child


class Channel:
    """A way to tell, and what came that way."""

    def __init__(self, settings: Settings, texts: Callable[[], list[str]]) -> None:
        """Tell by `settings`; what has come is given by `texts`."""
        self.settings, self.texts = settings, texts
        self.window_s = 0.0

    def measure(self, store: Path, number: int) -> None:
        """See how long a delivery takes; the first is slow."""
        for again in range(2):
            telling = begun(store, number + again, self.settings)
            began = time.monotonic()
            os.waitpid(telling, 0)
            self.window_s = (time.monotonic() - began) * WINDOWS


@contextlib.contextmanager
def channels() -> Iterator[list[Channel]]:
    """Serve a webhook, a bot and mail."""
    with hook() as served, slack_api() as api, smtp_server() as (inbox, port):
        bot = {"SLACK_BOT_TOKEN": "x", "SLACK_CHANNEL": "C1", "KAHNBAN_SLACK_API": api.url}
        email = {"SMTP_URL": f"smtp://127.0.0.1:{port}", "MAIL_TO": "a@x.com"}
        yield [
            Channel(
                {"SLACK_WEBHOOK_URL": served.url}, lambda: [body["text"] for body in served.bodies]
            ),
            Channel(bot, lambda: [body["text"] for _, body in api.calls]),
            Channel(email, lambda: [str(each["Subject"]) for each in inbox.messages()]),
        ]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_no_alert_is_lost(project: Project) -> None:
    """Each comes once; twice only where its claim's result was not known, and then says so."""
    project.home.mkdir()
    open_writer(project.store).close()
    doubled = unknown = told_before = 0
    with channels() as ways:
        for number, way in enumerate(ways):
            way.measure(project.store, KILLS + 2 * number)
        for number in range(KILLS):
            way = ways[number % len(ways)]
            before = len(way.texts())
            after_s = SystemRandom().uniform(0, way.window_s)
            telling = begun(project.store, number, way.settings)
            time.sleep(after_s)
            os.kill(telling, signal.SIGKILL)
            os.waitpid(telling, 0)
            database = open_writer(project.store)
            ((status,),) = database.raw.execute(
                "SELECT status FROM alert_rows ORDER BY id DESC LIMIT 1"
            ).fetchall()
            deliver(database, way.settings)
            left = database.raw.execute("SELECT count(*) FROM alert_rows WHERE status <> 'sent'")
            assert left.fetchone() == (0,)
            database.close()
            name = f"flow{number} failed"
            texts = sorted(text for text in way.texts()[before:] if text.startswith(name))
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
