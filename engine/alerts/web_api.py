"""slack_sdk's client of Slack's Web API, narrowed as the webhook's is.

Imports slack_sdk; import this module only when there is something to send.
"""

from __future__ import annotations

import math
import urllib.request
from typing import Any

from slack_sdk import WebClient

from engine.alerts.webhook import MUTE
from engine.alerts.wire import Once

REPLY_BYTES_MAX = 200_000  # Slack answers with the whole message


class WebApi(WebClient):
    """One alert's client: each of its requests is tried once."""

    def __init__(self, token: str, base_url: str, once: Once) -> None:
        super().__init__(
            token,
            base_url=base_url,
            timeout=math.ceil(once.timeout_s),
            logger=MUTE,
            retry_handlers=[],
        )
        self.once = once

    def _perform_urllib_http_request_internal(
        self, url: str, req: urllib.request.Request
    ) -> dict[str, Any]:
        del url
        self.once.way.may_be_out = False
        status, body = self.once.ask(req, REPLY_BYTES_MAX)
        return {"status": status, "headers": {}, "body": body}
