"""Incidents as threads, in Slack and by email, against real servers."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from engine.alert import AlertKind, AlertRow, Failure
from engine.alerts import delivery, slack_bot
from engine.alerts.delivery import DeliveryResult
from engine.alerts.fault import AlertError
from engine.alerts.slack_bot import Bot
from engine.clock import SystemClock
from store.connection import Database
from store.memory import memory_store
from store.outbox import StoredOutbox
from tests.store.filled import us
from tests.store.test_incidents import run
from tests.system.alert_servers import Slack, free_port, hook, retry_soon, slack_api, smtp
from tests.system.project import Project

CLOCK = SystemClock()
DAY = 86_400.0
TOKEN = "xoxb-1-2-s3cr3t-t0ken"
BLOCKS = [{"type": "header", "text": {"type": "plain_text", "text": "x", "emoji": False}}]
WIDE = {"workflow": "daily", "run_id": 1, "status": "failed"}


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    retry_soon(monkeypatch)


@pytest.fixture
def database(project: Project) -> Any:
    """Give a new store."""
    from store.database import open_writer

    project.home.mkdir()
    opened = open_writer(project.store)
    yield opened
    opened.close()


def send(database: Database, settings: dict[str, str], channel: str = "slack") -> DeliveryResult:
    """Deliver what is due on a channel."""
    box = StoredOutbox(
        database,
        now_us=lambda: us(0.0),
        payload=lambda due: WIDE | {"run_id": due.run_id, "facts": due.facts},
    )
    with database.write() as cursor:
        cursor.execute("UPDATE alert_rows SET channel = ?", (channel,))
    return delivery.deliver(box, settings.get, clock=CLOCK)


def bot(served: Slack) -> dict[str, str]:
    """Give the settings of a bot."""
    return {
        "SLACK_BOT_TOKEN": TOKEN,
        "SLACK_CHANNEL": "#ops",
        "KAHNBAN_SLACK_API": served.url,
        "SLACK_WEBHOOK_URL": "http://127.0.0.1:9/never",
    }


def test_an_incident_is_a_thread(database: Database) -> None:
    """Opened by a message, which replies follow, and which says at last that it is over."""
    with slack_api() as served:
        for day, word in enumerate(("ValueError: x", "ValueError: x", "ok")):
            run(database, "a", word, at=day * DAY)
            assert send(database, bot(served)) == DeliveryResult(sent=1)
        assert served.tokens == {f"Bearer {TOKEN}"}
        calls = [(method, body["channel"], body["text"]) for method, body in served.calls]
    assert calls == [
        ("chat.postMessage", "#ops", "daily failed"),
        ("chat.postMessage", "C0123", "daily still fails: a, 2 failures in 1d 00h"),
        ("chat.update", "C0123", "daily still fails: a, 2 failures in 1d 00h"),
        ("chat.postMessage", "C0123", "flow recovered after 2 failures, 2d 00h: a"),
        ("chat.update", "C0123", "flow recovered after 2 failures, 2d 00h: a"),
    ]
    (first,) = [ts for ts, body in served.messages.items() if "thread_ts" not in body]
    replies = [body for body in served.messages.values() if "thread_ts" in body]
    assert [body["thread_ts"] for body in replies] == [first] * 2
    fields = [field["text"] for field in replies[0]["blocks"][-1]["fields"]]
    assert fields == [
        "incident: 1",
        "failures: 2, 1 since the last message",
        "since: 2011-11-14 00:00 UTC, run 1",
    ]


def test_a_lost_thread_begins_anew(database: Database) -> None:
    """With a message that stands for itself, and that later ones reply to."""
    with slack_api() as served:
        run(database, "a", "ValueError: x")
        send(database, bot(served))
        served.messages.clear()
        run(database, "a", "ValueError: x", at=DAY)
        assert send(database, bot(served)) == DeliveryResult(sent=1)
        (anew,) = served.messages
        run(database, "a", "ok", at=2 * DAY)
        send(database, bot(served))
    assert [method for method, _ in served.calls] == ["chat.postMessage"] * 4 + ["chat.update"]
    assert served.calls[-1][1]["ts"] == anew


def test_what_is_sent_at_once_is_one_thread(database: Database) -> None:
    """A recovery that goes out with its opening replies to it; an update refused costs a word."""
    run(database, "a", "ValueError: x")
    run(database, "a", "ok")
    with slack_api() as served:
        post = served.answered

        def no_updates(method: str, body: dict[str, Any]) -> dict[str, Any]:
            return (
                {"ok": False, "error": "cant_update_message"}
                if method == "chat.update"
                else post(method, body)
            )

        served.answered = no_updates  # type: ignore[method-assign]
        result = send(database, bot(served))
        bodies = list(served.messages.values())
    said = "slack: the first message could not be brought up to date: cant_update_message"
    assert result == DeliveryResult(sent=2, warnings=(said,))
    assert ["thread_ts" in body for body in bodies] == [False, True]


def test_a_digest_is_overwritten_at_last(database: Database) -> None:
    """Its incidents recover in its thread; the list stays as it is until all have."""
    names = " ".join(f"s{at}" for at in range(25))
    bad = "ValueError: x"
    runs = ([bad] * 25, ["ok"] + [bad] * 24, ["ok"] * 13 + [bad] * 12, ["ok"] * 24 + [bad])
    with slack_api() as served:
        for words in (*runs, ["ok"] * 25):
            run(database, names, *words)
            assert send(database, bot(served)) == DeliveryResult(sent=1)
        (_, first), *later = served.calls
        (begun,) = [ts for ts, body in served.messages.items() if "thread_ts" not in body]
    assert "thread_ts" not in first
    assert [body["thread_ts"] for method, body in later if method == "chat.postMessage"] == [
        begun
    ] * 4
    over = "flow recovered after 4 failures, 0ms: s24"
    assert [(method, body["text"]) for method, body in later] == [
        ("chat.postMessage", "flow recovered after 1 failure, 0ms: s0"),
        ("chat.postMessage", "flow: 12 incidents recovered"),
        ("chat.postMessage", "flow: 11 incidents recovered"),
        ("chat.postMessage", over),
        ("chat.update", f"all 25 are over, at last: {over}"),
    ]


def test_those_that_have_a_thread_keep_it(database: Database) -> None:
    """A list that reminds of them is a message of its own, in which others may begin."""
    names = " ".join(f"s{at}" for at in range(12))
    bad = ["ValueError: x"] * 12
    with slack_api() as served:
        run(database, names, *bad[:6], *["ok"] * 6)
        assert send(database, bot(served)).sent == 6
        run(database, names, *bad, at=DAY)
        assert send(database, bot(served)) == DeliveryResult(sent=1)
        run(database, names, *["ok"] * 2, *bad[:9], "ok", at=DAY)
        assert send(database, bot(served)) == DeliveryResult(sent=3)
        *begun, listed = [ts for ts, body in served.messages.items() if "thread_ts" not in body]
        later = [(method, body.get("thread_ts", body.get("ts"))) for method, body in served.calls]
    assert later[7:] == [
        ("chat.postMessage", begun[0]),
        ("chat.update", begun[0]),
        ("chat.postMessage", begun[1]),
        ("chat.update", begun[1]),
        ("chat.postMessage", listed),
    ]


def test_a_list_brings_threads_up_to_date(database: Database) -> None:
    """Of incidents that were told of one by one, and are over all at once."""
    with slack_api() as served:
        for number in range(11):
            run(database, "a", "ValueError: x", workflow=f"flow{number}")
            assert send(database, bot(served)).sent == 1
        for number in range(11):
            run(database, "a", "ok", at=60.0, workflow=f"flow{number}")
        assert send(database, bot(served)) == DeliveryResult(sent=1)
        texts = [body["text"] for body in served.messages.values()]
    over = [f"flow{number} recovered after 1 failure, 1m 00s: a" for number in range(11)]
    assert texts == [*over, "11 incidents recovered"]


def test_lists_that_recover_in_a_longer_one_are_brought_up_to_date(database: Database) -> None:
    """Each that told of many, as all are over; one of which some go on stays as it is."""
    flows = {f"flow{number}": " ".join(f"s{at}" for at in range(11)) for number in range(3)}
    with slack_api() as served:
        for flow, names in flows.items():
            run(database, names, *["ValueError: x"] * 11, workflow=flow)
            assert send(database, bot(served)).sent == 1
        for flow, names in flows.items():
            words = ["ok"] * 10 + ["ok" if flow != "flow2" else "ValueError: x"]
            run(database, names, *words, workflow=flow)
        assert send(database, bot(served)) == DeliveryResult(sent=1)
        texts = [body["text"] for body in served.messages.values()]
    all_over = ["all 11 are over, at last: 32 incidents recovered"] * 2
    assert texts == [*all_over, "daily failed", "32 incidents recovered"]


def test_a_digest_recovers_at_once(database: Database) -> None:
    """All at once, in its thread, and says so itself."""
    names = " ".join(f"s{at}" for at in range(500))
    with slack_api() as served:
        for word in ("ValueError: x", "ok"):
            run(database, names, *[word] * 500)
            assert send(database, bot(served)) == DeliveryResult(sent=1)
        texts = [(method, body["text"]) for method, body in served.calls]
    over = "flow: 500 incidents recovered"
    assert texts == [
        ("chat.postMessage", "daily failed"),
        ("chat.postMessage", over),
        ("chat.update", over),
    ]


@pytest.mark.parametrize(("channel", "count"), [("webhook", 30), ("bot", 500), ("email", 30)])
def test_many_workflows_fail_in_an_outage(channel: str, count: int) -> None:
    """Each tries to tell of it; when that is possible again, one message does."""
    database = memory_store(Path("/proc/none/runs.db"))
    nobody = f"http://127.0.0.1:{free_port()}/"
    out = {
        "webhook": {"SLACK_WEBHOOK_URL": nobody},
        "bot": {"SLACK_BOT_TOKEN": TOKEN, "SLACK_CHANNEL": "C1", "KAHNBAN_SLACK_API": nobody},
        "email": {"SMTP_URL": nobody.replace("http", "smtp"), "MAIL_TO": "a@x.com"},
    }[channel]
    kind = "email" if channel == "email" else "slack"
    for number in range(count):
        run(database, "a", "ValueError: x", at=number / 10, workflow=f"flow{number}")
        if number % (count // 8) == 1:
            assert send(database, out, kind).sent == 0
    with hook() as served, slack_api() as api, smtp() as (inbox, port):
        back = {
            "webhook": {"SLACK_WEBHOOK_URL": served.url},
            "bot": bot(api),
            "email": {"SMTP_URL": f"smtp://127.0.0.1:{port}", "MAIL_TO": "a@x.com"},
        }[channel]
        assert send(database, back, kind) == DeliveryResult(sent=1)
        run(database, "a", "ok", at=99.0, workflow="flow3")
        assert send(database, back, kind) == DeliveryResult(sent=1)
        texts = [body["text"] for body in served.bodies]
        texts += [body["text"] for body in api.messages.values()]
        mails = inbox.messages()
    over = "flow3 recovered after 1 failure, 1m 39s: a"
    if channel == "email":
        subject = f"{count} incidents opened"
        assert [mail["Subject"] for mail in mails] == [subject, f"Re: {subject}"]
        assert mails[1]["References"] == mails[0]["Message-ID"]
    else:
        assert texts == [f"{count} incidents opened", over]
    threads = [body.get("thread_ts") for body in api.messages.values()]
    assert threads == ([None, next(iter(api.messages))] if channel == "bot" else [])
    counts = "SELECT status, count(*) FROM alert_rows GROUP BY status"
    assert database.raw.execute(counts).fetchall() == [("sent", 2)]
    database.close()


@pytest.mark.parametrize(
    ("code", "kept", "said", "hint"),
    [
        ("not_in_channel", True, "not_in_channel", "invite the bot to the channel: /invite @NAME"),
        ("invalid_auth", True, "invalid_auth", "check SLACK_BOT_TOKEN; it starts with xoxb-"),
        ("invalid_blocks", False, "invalid_blocks", ""),
        (f"what {TOKEN} is this", True, "200", ""),
    ],
)
def test_what_slack_refuses(code: str, kept: bool, said: str, hint: str) -> None:
    """It is said in Slack's own word, if that is one; only what can never go is given up."""
    with slack_api() as served, pytest.raises(AlertError) as caught:
        served.fails = [code]
        slack_bot.send(Bot(TOKEN, "C1", served.url), ("x", BLOCKS), deadline_s=3)
    assert (str(caught.value), caught.value.hint) == (f"127.0.0.1: answered {said}", hint)
    assert caught.value.permanent is not kept
    assert TOKEN not in repr(Bot(TOKEN, "C1"))


@pytest.mark.parametrize("kind", list(AlertKind))
def test_every_kind_keeps_to_slacks_limits(kind: AlertKind) -> None:
    """However long the texts of users are, and whatever they hold."""
    long = "<!channel> `*_~ & " * 400
    each = {"incident": 1, "workflow": long, "step": long, "error": long, "failures": 7}
    facts = each | {
        "opened": "2026-11-26T08:00:00Z",
        "counts": {"opened": 400, "closed": 100},
        "ids": list(range(500)),
        "shown": [each | {"kind": "opened"} for _ in range(60)],
        "headline": long,
        "body": long,
    }
    payload = WIDE | {"workflow": long, "note": long, "facts": facts}
    row = AlertRow(1, "slack", payload, 0, True, kind, (1,), {"channel": "C1", "ts": "1.0"})  # noqa: FBT003 - by position as in the store
    with slack_api() as served:
        served.messages["1.0"] = {}

        class One:
            def claim(self, limit: int = 20) -> list[AlertRow]:
                del limit
                return [row]

            def sent(self, alert_id: int, thread: object = None) -> None:
                del alert_id, thread

            def failed(self, alert_id: int, failure: Failure) -> None:
                raise AssertionError((alert_id, failure))

        result = delivery.deliver(One(), bot(served).get, clock=CLOCK)
    assert result == DeliveryResult(sent=1)
    assert all(body["text"].endswith(" (may be a repeat)") for _, body in served.calls)


def test_emails_of_an_incident_refer_to_its_first(database: Database) -> None:
    """By the id that this was sent with, and its subject: what is new stands on the first line."""
    with smtp() as (inbox, port):
        settings = {"SMTP_URL": f"smtp://127.0.0.1:{port}", "MAIL_TO": "a@example.com"}
        for day, word in enumerate(("ValueError: x", "ValueError: x", "ok")):
            run(database, "a", word, at=day * DAY)
            assert send(database, settings, "email") == DeliveryResult(sent=1)
        first, second, third = inbox.messages()
    assert first["References"] is None
    for reply in (second, third):
        assert reply["In-Reply-To"] == reply["References"] == first["Message-ID"]
    assert len({message["Message-ID"] for message in (first, second, third)}) == 3
    subjects = [message["Subject"] for message in (first, second, third)]
    assert subjects == ["daily failed", "Re: daily failed", "Re: daily failed"]
    plain = third.get_body(("plain",))
    assert plain is not None
    text = plain.get_content()
    assert text.startswith("flow recovered after 2 failures, 2d 00h: a\r\n")
    assert "closed:   run 3\r\n" in text


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://slack.com/api/", "KAHNBAN_SLACK_API: slack.com is not addressed by https"),
        ("https://slack.example/", "KAHNBAN_SLACK_API: slack.example is not a host alerts may be"),
    ],
)
def test_a_bot_speaks_to_slack_alone(url: str, said: str) -> None:
    """By https, as the webhook does."""
    with pytest.raises(AlertError) as caught:
        slack_bot.send(Bot(TOKEN, "C1", url), ("x", BLOCKS), deadline_s=3)
    assert str(caught.value).startswith(said)


def test_a_server_that_hangs_after_the_reply_costs_no_repeat() -> None:
    """What is posted is sent, whatever becomes of the update of the first message."""
    with slack_api() as served:
        served.messages["1.0"] = {}
        post, release = served.answered, threading.Event()

        def hangs(method: str, body: dict[str, Any]) -> dict[str, Any]:
            if method == "chat.update":
                release.wait(5)
            return post(method, body)

        served.answered = hangs  # type: ignore[method-assign]
        thread = {"channel": "C1", "ts": "1.0"}
        sent = slack_bot.send(
            Bot(TOKEN, "C1", served.url), ("x", BLOCKS), deadline_s=0.5, thread=thread
        )
        release.set()
    assert sent == (None, "the first message could not be brought up to date in time")
