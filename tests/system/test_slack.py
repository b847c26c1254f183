"""Slack messages against a real HTTP server, well-behaved and not."""

from __future__ import annotations

import http.server
import logging
import socket
import threading
import time
from typing import Any

import pytest

from engine.alerts import slack
from engine.alerts.fault import AlertError
from tests.system.alert_servers import Behaviour, Hook, answer, free_port, hook

BLOCKS = [{"type": "header", "text": {"type": "plain_text", "text": "hello", "emoji": False}}]


def refused(url: str, deadline_s: float = 3.0, **more: str) -> AlertError:
    """Send, expect a failure, and hold it free of the address's path."""
    with pytest.raises(AlertError) as caught:
        slack.send(url, "hello", BLOCKS, deadline_s=deadline_s, **more)
    error = caught.value
    assert "s3cr3t" not in f"{error!r} {error} {error.hint}"
    return error


def test_message_arrives() -> None:
    """Text and blocks arrive in one POST, with formatting and unfurling off."""
    with hook() as served:
        slack.send(served.url, "hello", BLOCKS, deadline_s=3)
    assert served.methods == ["POST"]
    assert served.bodies == [
        {
            "text": "hello",
            "blocks": BLOCKS,
            "mrkdwn": False,
            "unfurl_links": False,
            "unfurl_media": False,
        }
    ]


def test_long_rate_limit_is_reported_at_once() -> None:
    """429 with Retry-After: 3600 fails without waiting and hands the time on."""
    with hook(answer(429, "", {"Retry-After": "3600"})) as served:
        began = time.monotonic()
        error = refused(served.url)
        assert time.monotonic() - began < 1.5
    assert str(error) == "127.0.0.1: answered 429, try again after 3600s"
    assert (error.retry_after_s, error.permanent) == (3600.0, False)
    assert len(served.bodies) == 1


@pytest.mark.parametrize(
    ("behave", "said", "unknown", "passing"),
    [
        (answer(429, "", {"Retry-After": "1"}), "answered 429, try again after 1s", False, True),
        (answer(429, "", {"Retry-After": "Wed, 21 Oct"}), "answered 429", False, True),
        (answer(408), "answered 408", False, True),
        (answer(500, "s3cr3t inside"), "answered 500", True, True),
        (answer(503, "no_team"), "answered 503 no_team", True, True),
        (answer(404), "answered 404", False, False),
    ],
)
def test_a_message_is_sent_once(
    behave: Behaviour, said: str, *, unknown: bool, passing: bool
) -> None:
    """What is answered tells whether it may have arrived, and whether to try again."""
    with hook(behave) as served:
        error = refused(served.url)
    assert str(error) == f"127.0.0.1: {said}"
    assert (error.unknown, error.passing) == (unknown, passing)
    assert len(served.bodies) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirect_is_refused(status: int) -> None:
    """The server a redirect points to gets no request."""
    with (
        hook() as other,
        hook(answer(status, "", {"Location": other.url})) as served,
    ):
        error = refused(served.url)
    assert str(error) == f"127.0.0.1: answered {status}, a redirect, which is refused"
    assert error.permanent is False
    assert len(served.bodies) == 1
    assert other.methods == []


@pytest.mark.parametrize(
    ("status", "body", "said", "permanent"),
    [
        (400, "invalid_blocks\n", "400 invalid_blocks", True),
        (200, "invalid_blocks", "200 invalid_blocks", True),
        (413, "", "413", True),
        (404, "no_service", "404 no_service", False),
        (410, "channel_is_archived", "410 channel_is_archived", False),
        (403, "token s3cr3t is bad", "403", False),
    ],
)
def test_refusal_is_permanent(status: int, body: str, said: str, *, permanent: bool) -> None:
    """Only a message that is at fault itself: a new address mends the others.

    Only Slack's known words are repeated.
    """
    with hook(answer(status, body)) as served:
        error = refused(served.url)
    assert str(error) == f"127.0.0.1: answered {said}"
    assert error.permanent is permanent
    assert error.hint == ("" if permanent else "check SLACK_WEBHOOK_URL")
    assert len(served.bodies) == 1


def test_nobody_listens() -> None:
    """A refused connection is a failure that may pass, in words without the address."""
    error = refused(f"http://127.0.0.1:{free_port()}/services/s3cr3t")
    assert str(error) == "127.0.0.1: connection refused"
    assert (error.permanent, error.unknown, error.passing) == (False, False, True)


def drip(handler: http.server.BaseHTTPRequestHandler, number: int) -> None:
    """Answer one byte at a time, each within any socket's time limit."""
    del number
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    for _ in range(60):
        handler.wfile.write(b"x")
        handler.wfile.flush()
        time.sleep(0.05)


def test_dripping_server_is_left_at_the_deadline() -> None:
    """Bytes that keep coming do not stretch the time limit."""
    with hook(drip) as served:
        began = time.monotonic()
        error = refused(served.url, deadline_s=0.6)
        assert 0.6 <= time.monotonic() - began < 1.0
    assert str(error) == "127.0.0.1: no answer within 0.6s"


def test_hanging_server_is_left_at_the_deadline() -> None:
    """A server that says nothing at all costs the time limit and no more."""
    held: list[Hook] = []

    def hang(handler: http.server.BaseHTTPRequestHandler, number: int) -> None:
        del handler, number
        held[0].release.wait(10)

    with hook(hang) as served:
        held.append(served)
        began = time.monotonic()
        error = refused(served.url, deadline_s=0.5)
        assert time.monotonic() - began < 0.9
    assert str(error) == "127.0.0.1: no answer within 0.5s"
    assert (error.permanent, error.unknown, error.passing) == (False, True, False)


def test_nothing_is_sent_after_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that comes about when the caller has gone is not used, so nothing is unknown."""
    real = socket.create_connection

    def slow(*args: Any, **more: Any) -> socket.socket:
        time.sleep(0.3)
        return real(*args, **more)

    monkeypatch.setattr(socket, "create_connection", slow)
    with hook() as served:
        error = refused(served.url, deadline_s=0.1)
        for thread in threading.enumerate():
            if thread.name == "kahnban-slack":
                thread.join(5)
        assert served.bodies == []
    assert error.unknown is False


def test_large_answer_is_not_read_whole() -> None:
    """Only the first kilobyte of an answer is looked at."""
    with hook(answer(400, "x" * 5_000_000)) as served:
        assert str(refused(served.url)) == "127.0.0.1: answered 400"


def test_broken_answer_is_a_failure() -> None:
    """An answer that is no HTTP is reported by its kind."""

    def rubbish(handler: http.server.BaseHTTPRequestHandler, number: int) -> None:
        del number
        handler.wfile.write(b"s3cr3t rubbish\r\n\r\n")

    with hook(rubbish) as served:
        error = refused(served.url)
    assert str(error) == "127.0.0.1: BadStatusLine"
    assert error.unknown is True


def test_plain_server_where_tls_is_expected() -> None:
    """TLS asked of a server that speaks none fails as TLS, not as a riddle."""
    with hook() as served:
        error = refused(served.url.replace("http:", "https:"))
    assert str(error).startswith("127.0.0.1: TLS failed (")
    assert (error.unknown, error.passing) == (False, False)
    assert served.bodies == []


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("", "SLACK_WEBHOOK_URL is not a usable address"),
        ("s3cr3t", "SLACK_WEBHOOK_URL is not a usable address"),
        ("https://hooks.slack.com:s3cr3t/x", "SLACK_WEBHOOK_URL is not a usable address"),
        ("https://[s3cr3t/x", "SLACK_WEBHOOK_URL is not a usable address"),
        ("https://s3cr3t@hooks.slack.com/x", "SLACK_WEBHOOK_URL is not a usable address"),
        ("https://hooks.slack.com/a b/s3cr3t", "SLACK_WEBHOOK_URL is not a usable address"),
        ("https://hooks.slack.com/a\nb/s3cr3t", "SLACK_WEBHOOK_URL is not a usable address"),
        (
            "http://hooks.slack.com/s3cr3t",
            "SLACK_WEBHOOK_URL: hooks.slack.com is not addressed by https",
        ),
        ("ftp://127.0.0.1/s3cr3t", "SLACK_WEBHOOK_URL: 127.0.0.1 is not addressed by https"),
        ("file:///etc/s3cr3t", "SLACK_WEBHOOK_URL is not a usable address"),
        (
            "https://169.254.169.254/s3cr3t",
            "SLACK_WEBHOOK_URL: 169.254.169.254 is not a host alerts may be sent to",
        ),
        (
            "https://hooks.slack.com.evil.example/s3cr3t",
            "SLACK_WEBHOOK_URL: hooks.slack.com.evil.example is not a host alerts may be sent to",
        ),
    ],
)
def test_address_is_refused_before_anything_is_sent(url: str, expected: str) -> None:
    """Only https to allowed hosts, or http to this machine, is ever opened."""
    error = refused(url)
    assert str(error) == expected
    assert error.permanent is False


@pytest.mark.parametrize(
    ("url", "hosts", "expected"),
    [
        ("https://hooks.slack.com/services/x", [], "hooks.slack.com"),
        ("https://HOOKS.slack.com:443/services/x", [], "hooks.slack.com"),
        ("https://hooks.slack-gov.com/services/x", [], "hooks.slack-gov.com"),
        ("https://chat.example/x", ["a.example", " Chat.Example "], "chat.example"),
        ("http://localhost:8065/hooks/x", [], "localhost"),
        ("http://[::1]:8065/hooks/x", [], "::1"),
        (" https://hooks.slack.com/services/x\n", [], "hooks.slack.com"),
    ],
)
def test_address_is_allowed(url: str, hosts: list[str], expected: str) -> None:
    """Slack's hosts, the operator's own and this machine may be posted to."""
    assert slack.check_url(url, hosts) == expected


def test_environment_proxy_is_ignored_unless_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy in the environment sees nothing, until the operator says `env`."""
    with hook() as proxy, hook() as served:
        address = proxy.url.partition("/services")[0]
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy"):
            monkeypatch.setenv(name, address)
        monkeypatch.setenv("no_proxy", "")
        monkeypatch.setenv("NO_PROXY", "")
        slack.send(served.url, "direct", BLOCKS, deadline_s=3)
        assert (len(served.bodies), len(proxy.bodies)) == (1, 0)
        slack.send(served.url, "by env", BLOCKS, deadline_s=3, proxy="env")
        slack.send(served.url, "by address", BLOCKS, deadline_s=3, proxy=address)
        assert [body["text"] for body in proxy.bodies] == ["by env", "by address"]
        assert len(served.bodies) == 1


def test_nothing_is_logged_at_any_level(caplog: pytest.LogCaptureFixture) -> None:
    """With every logger at DEBUG neither the address nor the body appears in a log."""
    caplog.set_level(logging.DEBUG)
    for name in ("slack_sdk", "slack_sdk.webhook", "slack_sdk.webhook.client", "urllib3"):
        caplog.set_level(logging.DEBUG, logger=name)
    with hook() as served:
        slack.send(served.url, "hello", BLOCKS, deadline_s=4)
    refused(f"http://127.0.0.1:{free_port()}/s3cr3t")
    assert [record for record in caplog.records if "asyncio" not in record.name] == []


def test_threads_of_finished_sends_are_gone() -> None:
    """A send that ended leaves no thread behind."""
    with hook() as served:
        slack.send(served.url, "hello", BLOCKS, deadline_s=3)
    ours = [thread for thread in threading.enumerate() if thread.name == "kahnban-slack"]
    for thread in ours:
        thread.join(5)
    assert not any(thread.is_alive() for thread in ours)
