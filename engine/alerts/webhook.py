"""slack_sdk's webhook client, narrowed: no redirects, no proxy unasked, no logs, bounded replies.

Imports slack_sdk (130 ms); import this module only when there is something to send.
"""

from __future__ import annotations

import io
import logging
import math
import ssl
import threading
import urllib.request
from email.message import Message
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError

from slack_sdk.http_retry.builtin_handlers import (
    ConnectionErrorRetryHandler,
    RateLimitErrorRetryHandler,
    ServerErrorRetryHandler,
)
from slack_sdk.webhook import WebhookClient, WebhookResponse

from engine.alerts.deadline import GRACE_S

if TYPE_CHECKING:
    from slack_sdk.http_retry.handler import RetryHandler
    from slack_sdk.http_retry.request import HttpRequest
    from slack_sdk.http_retry.response import HttpResponse
    from slack_sdk.http_retry.state import RetryState

REPLY_BYTES_MAX = 1_024
RETRY_JITTER_S = 1.0  # what slack_sdk adds to a Retry-After at most

# slack_sdk's debug lines hold the address and the body: a logger of no family, and never on
MUTE = logging.Logger("engine.alerts.mute", level=logging.CRITICAL + 1)  # noqa: LOG001 - outside the tree, so that nothing sets its level


class AbandonedError(Exception):
    """The caller no longer waits, so nothing more may be sent."""


class _BoundedRateLimit(RateLimitErrorRetryHandler):
    """Waits as it is told, unless that is longer than the caller will."""

    def __init__(self, wait_s_max: float) -> None:
        super().__init__(max_retry_count=1)
        self.wait_s_max = wait_s_max

    def _can_retry(
        self,
        *,
        state: RetryState,
        request: HttpRequest,
        response: HttpResponse | None = None,
        error: Exception | None = None,
    ) -> bool:
        if not super()._can_retry(state=state, request=request, response=response, error=error):
            return False
        asked = response.headers.get("Retry-After", ["0"])[0] if response else "0"
        return float(asked) + RETRY_JITTER_S <= self.wait_s_max


class Webhook(WebhookClient):
    """One message's client; `retry_after_s` is what the last answer asked for."""

    def __init__(
        self, url: str, *, deadline_s: float, abandoned: threading.Event, proxy: str | None = None
    ) -> None:
        super().__init__(
            url,
            timeout=math.ceil(deadline_s),
            logger=MUTE,
            retry_handlers=retries(deadline_s),
        )
        self.abandoned = abandoned
        self.timeout_s = deadline_s + GRACE_S
        self.retry_after_s: float | None = None
        self.opener = opener(proxy)

    def _perform_http_request_internal(
        self, url: str, req: urllib.request.Request
    ) -> WebhookResponse:
        """Send once; slack_sdk calls this for the first try and for each of its retries."""
        if self.abandoned.is_set():
            raise AbandonedError
        try:
            with self.opener.open(req, timeout=self.timeout_s) as answer:
                body = answer.read(REPLY_BYTES_MAX).decode("utf-8", "replace")
                return WebhookResponse(url=url, status_code=answer.status, body=body, headers={})
        except HTTPError as error:
            narrow, self.retry_after_s = narrowed(error)
            raise narrow from None


def retries(deadline_s: float) -> list[RetryHandler]:
    """Give what decides about a second try; none waits for longer than the caller."""
    return [
        ConnectionErrorRetryHandler(),
        _BoundedRateLimit(deadline_s),
        ServerErrorRetryHandler(),
    ]


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


def opener(proxy: str | None) -> urllib.request.OpenerDirector:
    """Build by hand: what is not added (redirects, cookies, ftp, file) cannot happen."""
    handlers: list[Any] = [
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(context=ssl.create_default_context()),
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
