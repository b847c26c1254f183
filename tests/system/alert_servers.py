"""Real servers for the alert tests: HTTP, SMTP, and one that only talks."""

from __future__ import annotations

import contextlib
import email
import email.policy
import http.server
import io
import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from email.message import EmailMessage
from typing import TYPE_CHECKING, Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope, LoginPassword

from engine.alerts import lanes, slack_bot
from tests import slack_rules

if TYPE_CHECKING:
    import pytest

USER = "ops@example.com"
PASSWORD = "p@ss/w:rd#1"

Behaviour = Callable[[http.server.BaseHTTPRequestHandler, int], None]


def retry_soon(patch: pytest.MonkeyPatch) -> None:
    """Take the waits before another try down from a second, and half of one."""
    patch.setattr(slack_bot, "UPDATE_AGAIN_S", 0.02)
    patch.setattr(lanes, "AGAIN_S", 0.02)


class Hook:
    """A webhook's server: what it was sent, and how long to let hanging requests hang."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.bodies: list[dict[str, Any]] = []
        self.methods: list[str] = []
        self.paths: list[str] = []
        self.release = threading.Event()


def answer(
    status: int, body: str = "", headers: dict[str, str] | None = None, *then: Behaviour
) -> Behaviour:
    """Answer the first request as said, each later one as the next of `then`, the last for ever."""

    def behave(handler: http.server.BaseHTTPRequestHandler, number: int) -> None:
        if number and then:
            then[min(number, len(then)) - 1](handler, 0)
            return
        data = body.encode()
        handler.send_response(status)
        for name, value in (headers or {}).items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)

    return behave


OK = answer(200, "ok")


def reset(handler: http.server.BaseHTTPRequestHandler, number: int = 0) -> None:
    """Take what was sent and break the connection off, without a word."""
    del number
    off = struct.pack("ii", 1, 0)
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, off)
    handler.connection.close()
    handler.wfile = io.BytesIO()


class Quiet(http.server.BaseHTTPRequestHandler):
    """Answers, and logs nothing."""

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's name
        """Say nothing."""


@contextlib.contextmanager
def serving(handler: type[http.server.BaseHTTPRequestHandler]) -> Iterator[str]:
    """Serve on loopback; gives the address, without a path."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextlib.contextmanager
def hook(behave: Behaviour = OK) -> Iterator[Hook]:
    """Serve a webhook on loopback for the duration of a test; it is as strict as Slack."""

    class Handler(Quiet):
        def handle_any(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            body = self.rfile.read(length)
            if len(body) < length:  # whoever sent it was killed: no message
                return
            served.methods.append(self.command)
            served.paths.append(self.path)
            served.bodies.append(json.loads(body or b"{}"))
            refused = (
                slack_rules.refusal(served.bodies[-1]) if "blocks" in served.bodies[-1] else ""
            )
            with contextlib.suppress(OSError):
                (answer(400, refused) if refused else behave)(self, len(served.bodies) - 1)

        do_GET = do_POST = handle_any  # noqa: N815 - http.server's names

    with serving(Handler) as url:
        served = Hook(f"{url}/services/T0/B0/s3cr3t")
        try:
            yield served
        finally:
            served.release.set()


class Slack:
    """Slack's Web API, as far as alerts use it: messages by their ts, and what it was asked."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.messages: dict[str, dict[str, Any]] = {}
        self.tokens: set[str] = set()
        self.fails: list[str] = []  # what the next calls are answered, before all else
        self.breaks = 0  # how many of the next calls are done and get no answer

    def answered(self, method: str, body: dict[str, Any]) -> dict[str, Any]:
        """Do what is asked, as strictly as Slack."""
        self.calls.append((method, body))
        if self.fails:
            return {"ok": False, "error": self.fails.pop(0)}
        if code := slack_rules.refusal(body):
            return {"ok": False, "error": code}
        if method == "chat.update":
            if body["ts"] not in self.messages:
                return {"ok": False, "error": "message_not_found"}
            self.messages[body["ts"]] = self.messages[body["ts"]] | body
            return {"ok": True, "ts": body["ts"]}
        if "thread_ts" in body and body["thread_ts"] not in self.messages:
            return {"ok": False, "error": "thread_not_found"}
        ts = f"1700000000.{len(self.calls):06}"
        self.messages[ts] = body
        return {"ok": True, "channel": "C0123", "ts": ts, "message": body}


@contextlib.contextmanager
def slack_api() -> Iterator[Slack]:
    """Serve Slack's Web API on loopback for the duration of a test."""

    class Handler(Quiet):
        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            served.tokens.add(self.headers["Authorization"])
            asked = json.loads(self.rfile.read(length))
            found = served.answered(self.path.rpartition("/")[2], asked)
            if served.breaks:
                served.breaks -= 1
                reset(self)
                return
            data = json.dumps(found).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    with serving(Handler) as url:
        served = Slack(f"{url}/api/")
        yield served


def free_port() -> int:
    """Give a port nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


class Inbox:
    """What the server was given; it refuses recipients that begin with `bad`.

    At one that begins with `off` it hangs up.
    """

    def __init__(self) -> None:
        self.envelopes: list[Envelope] = []
        self.logins: list[bytes] = []
        self.data_answer = "250 taken"
        self.breaks = 0  # how many of the next messages are taken without a word

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's contract
        self, server: Any, session: Any, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Refuse some, take the others."""
        del session, options
        if address.startswith("off"):
            server.transport.abort()
        if address.startswith("bad"):
            return "550 s3cr3t no such user"
        if address.startswith("later"):
            return "450 s3cr3t come again"
        envelope.rcpt_tos.append(address)
        return "250 fine"

    async def handle_DATA(  # noqa: N802 - aiosmtpd's contract
        self, server: Any, session: Any, envelope: Envelope
    ) -> str:
        """Keep the message."""
        del session
        self.envelopes.append(envelope)
        if self.breaks:
            self.breaks -= 1
            server.transport.abort()
        return self.data_answer

    def message(self) -> EmailMessage:
        """Give the one message that arrived."""
        (message,) = self.messages()
        return message

    def messages(self) -> list[EmailMessage]:
        """Give all messages that arrived."""
        return [_parsed(envelope.content) for envelope in self.envelopes]


def _parsed(content: object) -> EmailMessage:
    assert isinstance(content, bytes)
    parsed = email.message_from_bytes(content, policy=email.policy.default)
    assert isinstance(parsed, EmailMessage)
    return parsed


@contextlib.contextmanager
def smtp(**more: Any) -> Iterator[tuple[Inbox, int]]:
    """Serve SMTP on loopback for the duration of a test."""
    inbox = Inbox()

    def check(
        _server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any
    ) -> AuthResult:
        assert isinstance(data, LoginPassword)
        inbox.logins.append(data.login)
        good = data == LoginPassword(USER.encode(), PASSWORD.encode())
        return AuthResult(success=good, handled=False)

    port = free_port()
    if "tls_context" in more:
        more |= {"require_starttls": True, "auth_required": True, "authenticator": check}
    controller = Controller(inbox, hostname="127.0.0.1", port=port, **more)
    controller.start()
    try:
        yield inbox, port
    finally:
        controller.stop()


@contextlib.contextmanager
def raw(*says: bytes, every_s: float = 0.0) -> Iterator[int]:
    """Serve one connection that says its lines, whatever it is asked, and then hangs."""
    done = threading.Event()

    def serve() -> None:
        connection, _ = listener.accept()
        with connection, contextlib.suppress(OSError):
            for line in says:
                connection.sendall(line)
                done.wait(every_s)
            done.wait(5)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            done.set()
            thread.join(5)
