"""One ping against a real server, well-behaved and not."""

from __future__ import annotations

import http.server
import time

import pytest

from engine.alerts import ping
from engine.alerts.fault import AlertError
from tests.system.alert_servers import Behaviour, answer, free_port, hook


def refused(url: str, deadline_s: float = 2.0) -> str:
    """Ask, expect a failure, and hold it free of the URL's path."""
    with pytest.raises(AlertError) as caught:
        ping.ask(url, deadline_s=deadline_s)
    assert "s3cr3t" not in f"{caught.value!r} {caught.value.hint}"
    return str(caught.value)


def echo(handler: http.server.BaseHTTPRequestHandler, number: int) -> None:
    """Answer in words of the server's own, in red."""
    del number
    handler.wfile.write(b"HTTP/1.0 500 \x1b[31mno s3cr3t\r\n\r\n")


def drip(handler: http.server.BaseHTTPRequestHandler, number: int) -> None:
    """Answer a header at a time, each within any socket's time limit."""
    del number
    handler.wfile.write(b"HTTP/1.0 200 OK\r\n")
    for _ in range(20):
        handler.wfile.write(b"X-More: 1\r\n")
        handler.wfile.flush()
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("behave", "said"),
    [
        (answer(404), "answered 404"),
        (echo, "answered 500"),
        (drip, "no answer within 0.3s"),
    ],
)
def test_a_failure_is_said_without_the_url_or_words_of_the_server(
    behave: Behaviour, said: str
) -> None:
    """Within the time that a ping has, however the server drips."""
    with hook(behave) as served:
        began = time.monotonic()
        assert refused(served.url, 0.3) == said
        assert time.monotonic() - began < 0.6


def test_a_redirect_is_not_followed() -> None:
    """The server that it points to gets no request."""
    with hook() as other, hook(answer(302, "", {"Location": other.url})) as served:
        assert refused(served.url) == "answered 302, a redirect, which is refused"
    assert (len(served.paths), other.paths) == (1, [])


def test_nobody_listens() -> None:
    """A refused connection is said as such."""
    assert refused(f"http://127.0.0.1:{free_port()}/s3cr3t") == "connection refused"


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://127.0.0.1/x",
        "https://127.0.0.1:s3cr3t/x",
        "https://ann:s3cr3t@127.0.0.1/x",
        "http://127.0.0.1/s3cr3t x",
        "http://127.0.0.1\\@s3cr3t/x",
        "http://127.0.0.1/s3cr3tü",
        "http://127.0.0.1/s3cr3t\nx",
        "http://[::1/s3cr3t",
        "https:///s3cr3t",
        "s3cr3t",
    ],
)
def test_what_cannot_be_asked_for_is_not_tried(url: str) -> None:
    """An exception about it would quote it, or a part of it that is not known to be secret."""
    assert not ping.is_usable(url)
    assert ping.is_usable("https://hc-ping.com:443/x?a=b")
