"""Requests to the web as alerts make them: narrow, and saying when a message may be out."""

from __future__ import annotations

import http.client
import io
import ssl
import urllib.request
from email.message import Message
from functools import partial
from typing import Any
from urllib.error import HTTPError

from engine.alerts.deadline import GRACE_S, Way

REFUSAL_BYTES_MAX = 1_024


class Once:
    """Asks the web, each time once: no redirects, no proxy unasked, a bounded answer.

    `retry_after_s` is what the last refusal asked for.
    """

    def __init__(self, way: Way, deadline_s: float, proxy: str | None = None) -> None:
        """Get ready; `proxy` is a proxy's address, `env` for the environment's, or None."""
        self.way = way
        self.timeout_s = deadline_s + GRACE_S
        self.retry_after_s: float | None = None
        self._opener = _opener(proxy, way)

    def ask(self, request: urllib.request.Request, bytes_max: int) -> tuple[int, str]:
        """Send a request; gives status and text, or raises `HTTPError` with nothing to repeat."""
        self.way.check()
        try:
            with self._opener.open(request, timeout=self.timeout_s) as answer:
                return answer.status, answer.read(bytes_max).decode("utf-8", "replace")
        except HTTPError as error:
            narrow, self.retry_after_s = _narrowed(error)
            raise narrow from None


def _narrowed(error: HTTPError) -> tuple[HTTPError, float | None]:
    """Give the same refusal, its body bounded, no header but a usable Retry-After, and that."""
    with error:
        body = error.read(REFUSAL_BYTES_MAX).decode("utf-8", "replace").encode()
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


class _Tls(_Plain, http.client.HTTPSConnection):
    """As `_Plain`, once the other side has shown its certificate."""


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


def _opener(proxy: str | None, way: Way) -> urllib.request.OpenerDirector:
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
