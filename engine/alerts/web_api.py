"""slack_sdk's client of Slack's Web API, narrowed as the webhook's is.

Imports slack_sdk; import this module only when there is something to send.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError

from slack_sdk import WebClient

from engine.alerts.deadline import GRACE_S, Way
from engine.alerts.webhook import MUTE, narrowed, opener

if TYPE_CHECKING:
    import urllib.request

REPLY_BYTES_MAX = 200_000  # Slack answers with the whole message


class WebApi(WebClient):
    """One alert's client, which tries once; `retry_after_s` is what the last answer asked for."""

    def __init__(
        self,
        token: str,
        base_url: str,
        *,
        deadline_s: float,
        way: Way,
        proxy: str | None = None,
    ) -> None:
        super().__init__(
            token,
            base_url=base_url,
            timeout=math.ceil(deadline_s),
            logger=MUTE,
            retry_handlers=[],
        )
        self.way = way
        self.timeout_s = deadline_s + GRACE_S
        self.retry_after_s: float | None = None
        self.opener = opener(proxy, way)

    def _perform_urllib_http_request_internal(
        self, url: str, req: urllib.request.Request
    ) -> dict[str, Any]:
        del url
        self.way.may_be_out = False
        self.way.check()
        try:
            with self.opener.open(req, timeout=self.timeout_s) as answer:
                body = answer.read(REPLY_BYTES_MAX).decode("utf-8", "replace")
                return {"status": answer.status, "headers": {}, "body": body}
        except HTTPError as error:
            narrow, self.retry_after_s = narrowed(error)
            raise narrow from None
