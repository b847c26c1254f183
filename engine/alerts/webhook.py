"""slack_sdk's webhook client, narrowed: no redirects, no proxy unasked, no logs, bounded replies.

Imports slack_sdk (130 ms); import this module only when there is something to send.
"""

from __future__ import annotations

import http.client
import io
import logging
import math
import ssl
import urllib.request
from email.message import Message
from functools import partial
from typing import Any
from urllib.error import HTTPError

from slack_sdk.webhook import WebhookClient, WebhookResponse

from engine.alerts.deadline import GRACE_S, Way

REPLY_BYTES_MAX = 1_024

# slack_sdk's debug lines hold the address and the body: a logger of no family, and never on
MUTE = logging.Logger("engine.alerts.mute", level=logging.CRITICAL + 1)  # noqa: LOG001 - outside the tree, so that nothing sets its level


class Webhook(WebhookClient):
    """One message's client, which tries once; `retry_after_s` is what the answer asked for.

    slack_sdk's own handlers would send again what may have arrived, and not say so.
    """

    def __init__(self, url: str, *, deadline_s: float, way: Way, proxy: str | None = None) -> None:
        super().__init__(url, timeout=math.ceil(deadline_s), logger=MUTE, retry_handlers=[])
        self.way = way
        self.timeout_s = deadline_s + GRACE_S
        self.retry_after_s: float | None = None
        self.opener = opener(proxy, way)

    def _perform_http_request_internal(
        self, url: str, req: urllib.request.Request
    ) -> WebhookResponse:
        self.way.check()
        try:
            with self.opener.open(req, timeout=self.timeout_s) as answer:
                body = answer.read(REPLY_BYTES_MAX).decode("utf-8", "replace")
                return WebhookResponse(url=url, status_code=answer.status, body=body, headers={})
        except HTTPError as error:
            narrow, self.retry_after_s = narrowed(error)
            raise narrow from None


def narrowed(error: HTTPError) -> tuple[HTTPError, float | None]:
    """Give the same refusal, its body bounded, no header but a usable Retry-After, and that."""
    with error:
        body = error.read(REPLY_BYTES_MAX).decode("utf-8", "replace").encode()
    headers, after_s = Message(), None
    asked = (error.headers.get("Retry-After") or "").strip()
    if asked.isascii() and asked.isdigit():
        after_s = float(asked[:9])
        headers["Retry-After"] = asked[:9]
    return HTTPError("", error.code, "", headers, io.BytesIO(body)), after_s


class _Plain(http.client.HTTPConnection):
    """Says when it is connected: what follows may arrive."""

    def __init__(self, *args: Any, way: Way, **more: Any) -> None:
        super().__init__(*args, **more)
        self.way = way

    def connect(self) -> None:
        super().connect()
        self.way.go()


class _Tls(http.client.HTTPSConnection):
    """As `_Plain`, once the other side has shown its certificate."""

    def __init__(self, *args: Any, way: Way, **more: Any) -> None:
        super().__init__(*args, **more)
        self.way = way

    def connect(self) -> None:
        super().connect()
        self.way.go()


class _Http(urllib.request.HTTPHandler):
    def __init__(self, way: Way) -> None:
        super().__init__()
        self.way = way

    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(partial(_Plain, way=self.way), req)


class _Https(urllib.request.HTTPSHandler):
    def __init__(self, way: Way) -> None:
        super().__init__()
        self.way = way

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(partial(_Tls, way=self.way), req, context=ssl.create_default_context())


def opener(proxy: str | None, way: Way) -> urllib.request.OpenerDirector:
    """Build by hand: what is not added (redirects, cookies, ftp, file) cannot happen."""
    handlers: list[Any] = [
        _Http(way),
        _Https(way),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.UnknownHandler(),
    ]
    if proxy is not None:
        use = None if proxy == "env" else {"http": proxy, "https": proxy}
        handlers.append(urllib.request.ProxyHandler(use))
    made = urllib.request.OpenerDirector()
    for handler in handlers:
        made.add_handler(handler)
    return made
