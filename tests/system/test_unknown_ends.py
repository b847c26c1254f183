"""A server that takes an alert and breaks off: nobody knows, so what follows says so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from engine.alert import Due
from engine.alerts import delivery
from engine.alerts.delivery import DeliveryResult
from engine.clock import SystemClock
from store.connection import Database
from store.database import open_writer
from store.outbox import StoredOutbox
from tests.store.filled import us
from tests.store.test_incidents import run
from tests.system.alert_servers import OK, answer, hook, reset, retry_soon, slack_api, smtp
from tests.system.project import Project

ONCE, AGAIN = "daily failed", "daily failed (may be a repeat)"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    retry_soon(monkeypatch)


@pytest.fixture
def database(project: Project) -> Any:
    """Give a store with an incident that nobody was told of."""
    project.home.mkdir()
    opened = open_writer(project.store)
    run(opened, "a", "ValueError: x")
    yield opened
    opened.close()


def send(database: Database, settings: dict[str, str], channel: str = "slack") -> DeliveryResult:
    """Deliver what is due on a channel, as a process of its own would."""

    def payload(due: Due) -> dict[str, Any]:
        return {"workflow": "daily", "status": "failed", "facts": due.facts}

    with database.write() as cursor:
        cursor.execute("UPDATE alert_rows SET channel = ?", (channel,))
    box = StoredOutbox(database, now_us=lambda: us(0.0), payload=payload)
    return delivery.deliver(box, settings.get, clock=SystemClock())


def status(database: Database) -> str:
    """Give how the alert stands."""
    ((word,),) = database.raw.execute("SELECT status FROM alert_rows").fetchall()
    return str(word)


@pytest.mark.parametrize(
    "breaks", [reset, answer(500, "oops"), answer(502)], ids=["reset", "500", "502"]
)
def test_a_webhook_that_breaks_off(database: Database, breaks: Callable[..., None]) -> None:
    """The try after that is marked, in the same delivery and in each one that follows."""
    with hook(breaks) as served:
        assert send(database, {"SLACK_WEBHOOK_URL": served.url}).failed == 1
        assert [body["text"] for body in served.bodies] == [ONCE, AGAIN]
    assert status(database) == "sending"
    with hook() as served:
        assert send(database, {"SLACK_WEBHOOK_URL": served.url}) == DeliveryResult(sent=1)
        assert [body["text"] for body in served.bodies] == [AGAIN]


def test_an_answer_that_refuses_is_known(database: Database) -> None:
    """What the server has not taken comes once, and without a mark."""
    with hook(answer(429, "", {"Retry-After": "0"}, OK)) as served:
        assert send(database, {"SLACK_WEBHOOK_URL": served.url}) == DeliveryResult(sent=1)
        assert [body["text"] for body in served.bodies] == [ONCE, ONCE]
    assert status(database) == "sent"


def test_a_bot_whose_post_is_not_answered(database: Database) -> None:
    """Its second message is marked and begins the thread."""
    with slack_api() as served:
        settings = {
            "SLACK_BOT_TOKEN": "xoxb-1",
            "SLACK_CHANNEL": "C1",
            "KAHNBAN_SLACK_API": served.url,
        }
        served.breaks = 1
        assert send(database, settings) == DeliveryResult(sent=1)
        assert [body["text"] for body in served.messages.values()] == [ONCE, AGAIN]
        (thread,) = database.raw.execute("SELECT thread FROM incident_rows").fetchone()
        assert list(served.messages)[1] in thread
        run(database, "a", "ok")
        served.breaks = 0
        update = served.answered

        def breaks_at_update(method: str, body: dict[str, Any]) -> dict[str, Any]:
            served.breaks = int(method == "chat.update" and not served.breaks)
            served.answered = update  # type: ignore[method-assign]
            return update(method, body)

        post = served.answered

        def once_posted(method: str, body: dict[str, Any]) -> dict[str, Any]:
            served.answered = breaks_at_update  # type: ignore[method-assign]
            return post(method, body)

        served.answered = once_posted  # type: ignore[method-assign]
        assert send(database, settings) == DeliveryResult(sent=1)
        methods = [method.removeprefix("chat.") for method, _ in served.calls]
    assert methods == ["postMessage"] * 3 + ["update"] * 2
    assert len(served.messages) == 3


@pytest.mark.parametrize("code", ["fatal_error", "internal_error"])
def test_a_bot_whose_post_may_have_been_done(database: Database, code: str) -> None:
    """By Slack's own word; it is not tried at once, as Slack has answered."""
    with slack_api() as served:
        settings = {
            "SLACK_BOT_TOKEN": "xoxb-1",
            "SLACK_CHANNEL": "C1",
            "KAHNBAN_SLACK_API": served.url,
        }
        served.fails = [code]
        what = "it is not known whether an alert arrived, will be tried again"
        warning = f"slack: {what}: 127.0.0.1: answered {code}"
        assert send(database, settings) == DeliveryResult(failed=1, warnings=(warning,))
        assert send(database, settings) == DeliveryResult(sent=1)
    assert [body["text"] for _, body in served.calls] == [ONCE, AGAIN]


def test_a_mail_server_that_takes_it_and_hangs_up(database: Database) -> None:
    """Before its 250: the second message is marked, and is the one that later ones refer to."""
    with smtp() as (inbox, port):
        inbox.breaks = 1
        settings = {"SMTP_URL": f"smtp://127.0.0.1:{port}", "MAIL_TO": "a@x.com"}
        assert send(database, settings, "email") == DeliveryResult(sent=1)
        first, second = inbox.messages()
    assert [first["Subject"], second["Subject"]] == [ONCE, AGAIN]
    (thread,) = database.raw.execute("SELECT thread FROM incident_rows").fetchone()
    assert second["Message-ID"] in thread


def test_a_mail_server_that_hangs_up_before_the_message(database: Database) -> None:
    """Nothing can have arrived, so nothing is marked."""
    with smtp() as (inbox, port):
        settings = {"SMTP_URL": f"smtp://127.0.0.1:{port}", "MAIL_TO": "off@x.com"}
        assert send(database, settings, "email").failed == 1
        assert inbox.envelopes == []
    assert status(database) == "pending"
