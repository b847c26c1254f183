"""The outbox's delivery against real servers: parallel, bounded, recorded, never raising."""

from __future__ import annotations

import http.server
import smtplib
import subprocess
import sys
import time
from collections.abc import Mapping
from email.message import EmailMessage
from typing import Any

import pytest

from engine.alert import AlertRow, Failure
from engine.alerts import channels, delivery, lanes
from engine.alerts.delivery import DeliveryResult
from engine.clock import SystemClock
from engine.errors import StoreBusy
from tests.system.alert_servers import (
    OK,
    answer,
    free_port,
    hook,
    raw,
    retry_soon,
    smtp,
)

CLOCK = SystemClock()
REPORT: dict[str, Any] = {"workflow": "daily", "run_id": 1, "status": "ok", "duration_s": 2.1}


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    retry_soon(monkeypatch)


class FakeOutbox:
    """The outbox's contract in memory."""

    def __init__(self, *rows: AlertRow) -> None:
        self.due = list(rows)
        self.claims = 0
        self.delivered: list[int] = []
        self.failures: list[tuple[int, str, bool]] = []
        self.unknown: list[int] = []

    def claim(self, limit: int = 20) -> list[AlertRow]:
        """Give what is due."""
        self.claims += 1
        taken, self.due = self.due[:limit], self.due[limit:]
        return taken

    def sent(self, alert_id: int, thread: Mapping[str, Any] | None = None) -> None:
        """Note a delivery."""
        del thread
        self.delivered.append(alert_id)

    def failed(self, alert_id: int, failure: Failure) -> None:
        """Note a failure."""
        self.failures.append((alert_id, failure.error, failure.give_up))
        self.unknown += [alert_id] if failure.unknown else []


def a_row(number: int, channel: str = "slack", **more: Any) -> AlertRow:
    """Give an alert about a run that went well."""
    fields: dict[str, Any] = {"payload": REPORT, "tries": 0} | more
    return AlertRow(number, channel, **fields)


def slack_at(url: str, **more: str) -> channels.Settings:
    """Give settings with Slack and what else is said."""
    return ({"SLACK_WEBHOOK_URL": url} | more).get


def nothing(name: str) -> str | None:
    """Give settings in which nothing is set."""
    del name
    return None


def hang(handler: http.server.BaseHTTPRequestHandler, number: int) -> None:
    """Say nothing for longer than any deadline here."""
    del number
    handler.connection.settimeout(2)
    time.sleep(1.5)


def test_alerts_are_sent_and_recorded() -> None:
    """Each due alert goes to its channel, oldest first, and is recorded as sent."""
    outbox = FakeOutbox(a_row(1), a_row(2, "email"), a_row(3, repeat=True))
    with hook() as served, smtp() as (inbox, port):
        settings = slack_at(
            served.url, SMTP_URL=f"smtp://127.0.0.1:{port}", MAIL_TO="a@example.com"
        )
        result = delivery.deliver(outbox, settings, clock=CLOCK)
    assert result == DeliveryResult(sent=3)
    assert sorted(outbox.delivered) == [1, 2, 3]
    assert outbox.failures == []
    assert [body["text"] for body in served.bodies] == [
        "daily ok in 2.1s",
        "daily ok in 2.1s (may be a repeat)",
    ]
    assert inbox.message()["Subject"] == "daily ok in 2.1s"
    assert inbox.message()["From"].startswith("kahnban@")


def test_nothing_configured_claims_nothing() -> None:
    """Without a channel the alerts stay as they are."""
    outbox = FakeOutbox(a_row(1))
    assert delivery.deliver(outbox, nothing, clock=CLOCK) == DeliveryResult()
    assert outbox.claims == 0


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"SMTP_URL": "smtp://h"}, "no email is sent: SMTP_URL is set, but MAIL_TO is not"),
        ({"MAIL_TO": "a@x.com"}, "no email is sent: MAIL_TO is set, but SMTP_URL is not"),
        (
            {"SLACK_BOT_TOKEN": "xoxb-1"},
            "nothing is sent to Slack: SLACK_BOT_TOKEN is set, but SLACK_CHANNEL is not",
        ),
    ],
)
def test_half_configured_email_is_said(settings: dict[str, str], expected: str) -> None:
    """Email with a setting missing sends nothing and says which."""
    assert channels.channels(settings.get) == ()
    result = delivery.deliver(FakeOutbox(a_row(1)), settings.get, clock=CLOCK)
    assert result == DeliveryResult(warnings=(expected,))


def test_blank_settings_are_none() -> None:
    """A setting of spaces is not set."""
    assert channels.channels({"SLACK_WEBHOOK_URL": " ", "SMTP_URL": "", "MAIL_TO": ""}.get) == ()
    both = {"SLACK_WEBHOOK_URL": "x", "SMTP_URL": "x", "MAIL_TO": "x"}
    assert channels.channels(both.get) == ("slack", "email")
    assert channels.half_configured(both.get) == ()


def test_failure_is_recorded_and_due_again() -> None:
    """After a failure that may pass, the channel's other alerts are left for another time."""
    outbox = FakeOutbox(a_row(1), a_row(2))
    url = f"http://127.0.0.1:{free_port()}/s3cr3t"
    result = delivery.deliver(outbox, slack_at(url), clock=CLOCK)
    assert result == DeliveryResult(
        failed=2,
        warnings=("slack: alert not sent, will be tried again: 127.0.0.1: connection refused",),
    )
    assert outbox.failures == [
        (1, "127.0.0.1: connection refused", False),
        (2, "not tried: 127.0.0.1: connection refused", False),
    ]


@pytest.mark.parametrize(("tries", "sent"), [(2, []), (3, [2, 3])])
def test_one_message_that_is_not_taken_holds_up_no_others(tries: int, sent: list[int]) -> None:
    """A server that answers as it does to it is asked for the next one, after a few tries."""
    outbox = FakeOutbox(a_row(1, tries=tries), a_row(2), a_row(3))
    with hook(answer(500, "", None, answer(500), OK)) as served:
        delivery.deliver(outbox, slack_at(served.url), clock=CLOCK)
    assert outbox.delivered == sent
    assert [number for number, _, _ in outbox.failures] == [n for n in (1, 2, 3) if n not in sent]
    outbox = FakeOutbox(*(a_row(number, tries=9) for number in range(5)))
    with hook(answer(403)) as served:
        delivery.deliver(outbox, slack_at(served.url), clock=CLOCK)
        assert len(served.bodies) == 2


DAY = 86_400.0


def test_tenth_failure_gives_up() -> None:
    """An alert tried ten times in a day or more is given up; one not tried this time is not."""
    outbox = FakeOutbox(a_row(1, tries=9, age_s=DAY), a_row(2, tries=9, age_s=DAY))
    with hook(answer(429, "", {"Retry-After": "3600"})) as served:
        result = delivery.deliver(outbox, slack_at(served.url), clock=CLOCK)
    assert (result.sent, result.failed, result.given_up) == (0, 1, 1)
    assert [(number, give_up) for number, _, give_up in outbox.failures] == [(1, True), (2, False)]
    assert result.warnings == (
        "slack: alert not sent, given up: 127.0.0.1: answered 429, try again after 3600s",
    )


def test_an_outage_of_hours_loses_no_alert() -> None:
    """Where runs follow each other quickly, ten tries are soon over."""
    outbox = FakeOutbox(a_row(1, tries=500, age_s=DAY - 1))
    with hook(answer(429, "", {"Retry-After": "3600"})) as served:
        assert delivery.deliver(outbox, slack_at(served.url), clock=CLOCK).given_up == 0


def test_permanent_refusal_gives_up_and_goes_on() -> None:
    """What can never be delivered is given up at once, and the next is tried."""
    outbox = FakeOutbox(a_row(1), a_row(2))
    with hook(answer(400, "invalid_blocks", None, OK)) as served:
        result = delivery.deliver(outbox, slack_at(served.url), clock=CLOCK)
    assert (result.sent, result.failed, result.given_up) == (1, 0, 1)
    assert outbox.failures == [(1, "127.0.0.1: answered 400 invalid_blocks", True)]
    assert outbox.delivered == [2]


def test_slow_slack_holds_no_email_up() -> None:
    """Email is delivered while Slack hangs, and the whole ends at the deadline."""
    outbox = FakeOutbox(a_row(1), a_row(2), a_row(3, "email"))
    with hook(hang) as served, smtp() as (inbox, port):
        settings = slack_at(
            served.url, SMTP_URL=f"smtp://127.0.0.1:{port}", MAIL_TO="a@example.com"
        )
        began = time.monotonic()
        result = delivery.deliver(outbox, settings, deadline_s=1.0, clock=CLOCK)
        assert time.monotonic() - began < 1.2
    assert (result.sent, result.failed) == (1, 2)
    assert outbox.delivered == [3]
    assert len(inbox.envelopes) == 1
    assert [number for number, _, _ in outbox.failures] == [1, 2]
    assert "127.0.0.1: no answer " in outbox.failures[0][1]
    assert outbox.failures[1][1].startswith("not tried: 127.0.0.1: no answer ")


def test_what_the_deadline_cuts_off_is_recorded() -> None:
    """Where even the sender cannot speak up in time, its alert is recorded as timed out."""
    outbox = FakeOutbox(a_row(1), a_row(2))
    with hook(hang) as served, pytest.MonkeyPatch.context() as patch:
        patch.setattr(lanes, "MARGIN_S", -1.0)
        began = time.monotonic()
        result = delivery.deliver(outbox, slack_at(served.url), deadline_s=0.4, clock=CLOCK)
        assert time.monotonic() - began < 0.7
    assert (result.sent, result.failed) == (0, 2)
    assert outbox.failures == [(1, "timed out", False), (2, "timed out", False)]
    assert outbox.unknown == [1]


def test_no_time_left_is_no_try() -> None:
    """With no time at all nothing is sent and nothing is lost."""
    outbox = FakeOutbox(a_row(1, tries=9))
    with hook() as served:
        result = delivery.deliver(outbox, slack_at(served.url), deadline_s=0.1, clock=CLOCK)
        assert served.bodies == []
    assert (result.sent, result.failed, result.given_up) == (0, 1, 0)


def test_channel_that_is_gone() -> None:
    """An alert for a channel no longer configured is kept for a day, and says why."""
    outbox = FakeOutbox(a_row(1, "email"), a_row(2, "pigeon", age_s=DAY), a_row(3))
    with hook() as served:
        result = delivery.deliver(outbox, slack_at(served.url), clock=CLOCK)
    assert (result.sent, result.failed, result.given_up) == (1, 1, 1)
    assert sorted(outbox.failures) == [
        (1, "not tried: email is not configured", False),
        (2, "not tried: pigeon is not configured", True),
    ]


def test_payload_nobody_can_read_is_given_up() -> None:
    """A row whose payload is no report costs itself only."""
    outbox = FakeOutbox(a_row(1, payload=[1]), a_row(2))
    with hook() as served:
        result = delivery.deliver(outbox, slack_at(served.url), clock=CLOCK)
    assert (result.sent, result.given_up) == (1, 1)
    assert outbox.failures == [(1, "the message could not be made (AttributeError)", True)]


def test_refused_recipient_is_passed_on() -> None:
    """A message that most recipients got is sent, with a warning about the one who did not."""
    outbox = FakeOutbox(a_row(1, "email"))
    with smtp() as (_, port):
        settings = {"SMTP_URL": f"smtp://127.0.0.1:{port}", "MAIL_TO": "a@x.com, bad@x.com"}
        result = delivery.deliver(outbox, settings.get, clock=CLOCK)
    assert result == DeliveryResult(
        sent=1, warnings=("email: recipient 'bad@x.com' was refused (550)",)
    )


def test_pages_go_along_with_emails() -> None:
    """Made for emails only; one too big, or that cannot be made, keeps no alert from going out."""
    asked = []

    def page(run_id: int) -> str:
        asked.append(run_id)
        if run_id == 3:
            raise StoreBusy("the store is locked")
        return "x" * {1: 5, 2: 1_000_001, 4: 1_000_000}[run_id]

    rows = [a_row(n, "email", payload=REPORT | {"run_id": n}) for n in range(1, 5)]
    facts = {"report": True, "counts": {"opened": 500}}
    digest = a_row(6, "email", payload=REPORT | {"run_id": 1, "facts": facts}, kind="digest")
    of_many = a_row(7, "email", payload=REPORT | {"facts": {"counts": {}}}, kind="digest")
    outbox = FakeOutbox(*rows, a_row(5), digest, of_many)
    with hook() as served, smtp() as (inbox, port):
        settings = slack_at(served.url, SMTP_URL=f"smtp://127.0.0.1:{port}", MAIL_TO="a@x.com")
        result = delivery.deliver(outbox, settings, clock=CLOCK, page=page)
    assert result == DeliveryResult(sent=7)
    assert asked == [1, 2, 3, 4, 1]
    assert [names(part) for part in inbox.messages()] == [
        ["run-1-daily.html"],
        [],
        [],
        ["run-4-daily.html"],
        ["run-1-daily.html"],
        [],
    ]


@pytest.mark.parametrize("is_known", [True, False])
def test_a_page_that_a_server_refuses_costs_no_alert(is_known: bool) -> None:
    """The email goes without it, whether the server said before how much it takes or not."""
    outbox = FakeOutbox(a_row(1, "email", payload=REPORT))
    with smtp(data_size_limit=20_000) as (inbox, port), pytest.MonkeyPatch.context() as patch:
        if not is_known:
            patch.setattr(smtplib.SMTP, "has_extn", lambda _, name: name == "8bitmime")
        settings = {"SMTP_URL": f"smtp://127.0.0.1:{port}", "MAIL_TO": "a@x.com"}
        result = delivery.deliver(outbox, settings.get, clock=CLOCK, page=lambda _: "x" * 50_000)
    said = "email: sent without the run's page: 127.0.0.1: the message is too large (552)"
    assert result == DeliveryResult(sent=1, warnings=(said,))
    assert names(inbox.message()) == []


def names(message: EmailMessage) -> list[str | None]:
    """Give the names of what is attached to a message."""
    return [part.get_filename() for part in message.iter_attachments()]


class BusyOutbox(FakeOutbox):
    """A store that takes nothing."""

    def sent(self, alert_id: int, thread: Mapping[str, Any] | None = None) -> None:
        """Refuse."""
        del thread
        raise StoreBusy(f"the store is locked for {alert_id}")


class BrokenOutbox(FakeOutbox):
    """A store that gives nothing."""

    def claim(self, limit: int = 20) -> list[AlertRow]:
        """Fail in a way nobody foresaw."""
        raise RuntimeError(f"s3cr3t {limit}")


def test_store_that_cannot_record_is_a_warning() -> None:
    """A delivery that cannot be recorded raises nothing and says so."""
    with hook() as served:
        result = delivery.deliver(BusyOutbox(a_row(1)), slack_at(served.url), clock=CLOCK)
    assert result == DeliveryResult(
        sent=1, warnings=("an alert could not be recorded as sent: the store is locked for 1",)
    )


def test_store_that_cannot_be_read_is_a_warning() -> None:
    """An outbox that breaks raises nothing, and its text is not repeated."""
    result = delivery.deliver(BrokenOutbox(), slack_at("http://127.0.0.1/"), clock=CLOCK)
    assert result == DeliveryResult(warnings=("alerts could not be read: RuntimeError",))


def test_direct_needs_no_store() -> None:
    """A text goes out on every channel, and a lost one is said to be lost."""
    with hook() as served, raw() as port:
        settings = slack_at(
            served.url, SMTP_URL=f"smtp://127.0.0.1:{port}", MAIL_TO="a@example.com"
        )
        began = time.monotonic()
        result = delivery.direct(
            settings, "daily not run", "the store is <full>", deadline_s=1.5, clock=CLOCK
        )
        assert time.monotonic() - began < 2.0
    assert (result.sent, result.failed, result.given_up) == (1, 0, 1)
    assert result.warnings[0].startswith("email: alert not sent, given up: 127.0.0.1: no answer")
    assert [block["text"]["text"] for block in served.bodies[0]["blocks"]] == [
        "daily not run",
        "the store is &lt;full&gt;",
    ]


def test_test_message_says_what_happened() -> None:
    """Each configured channel has its sentence, in order, with the hint where it failed."""
    with hook() as served:
        settings = slack_at(served.url, SMTP_URL="s3cr3t", MAIL_TO="a@example.com")
        found = delivery.send_test(settings, "box", clock=CLOCK)
    assert [(channel, good) for channel, good, _ in found] == [("slack", True), ("email", False)]
    assert found[0][2] == "slack: sent"
    assert found[1][2].startswith(
        "email: not sent: SMTP_URL is not a usable address (write smtp://USER:PASSWORD@HOST:587"
    )
    assert served.bodies[0]["text"] == "kahnban test message from box"
    assert "This is a test" in served.bodies[0]["blocks"][1]["text"]["text"]


def test_test_message_without_a_channel() -> None:
    """With nothing configured there is nothing to report."""
    assert delivery.send_test(nothing, "box", clock=CLOCK) == ()


def test_importing_delivery_is_light() -> None:
    """Neither slack_sdk nor smtplib nor email is imported before there is something to send."""
    program = (
        "import sys, engine.alerts.delivery, engine.alerts.letter, engine.alerts.slack, "
        "engine.alerts.mail\n"
        "print([m for m in ('slack_sdk', 'smtplib', 'email', 'urllib.request', 'sqlalchemy') "
        "if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


def test_preload_imports_what_is_configured() -> None:
    """After `preload`, sending imports nothing more of a package that may be upgraded."""
    program = (
        "import sys\nfrom engine.alerts import delivery\n"
        "delivery.preload({'SLACK_WEBHOOK_URL': 'x'}.get)\n"
        "print('slack_sdk.webhook' in sys.modules, 'smtplib' in sys.modules)\n"
        "delivery.preload({'SMTP_URL': 'x', 'MAIL_TO': 'x'}.get)\n"
        "print('smtplib' in sys.modules, 'email.message' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "True False\nTrue True\n"
