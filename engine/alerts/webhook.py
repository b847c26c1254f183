"""slack_sdk's webhook client, narrowed: it tries once, logs nothing, and asks as we do.

Imports slack_sdk (130 ms); import this module only when there is something to send.
"""

from __future__ import annotations

import logging
import math
import urllib.request

from slack_sdk.webhook import WebhookClient, WebhookResponse

from engine.alerts.wire import Once

REPLY_BYTES_MAX = 1_024

# slack_sdk's debug lines hold the address and the body: a logger of no family, and never on
MUTE = logging.Logger("engine.alerts.mute", level=logging.CRITICAL + 1)  # noqa: LOG001 - outside the tree, so that nothing sets its level


class Webhook(WebhookClient):
    """One message's client.

    slack_sdk's own handlers would send again what may have arrived, and not say so.
    """

    def __init__(self, url: str, once: Once) -> None:
        super().__init__(url, timeout=math.ceil(once.timeout_s), logger=MUTE, retry_handlers=[])
        self.once = once

    def _perform_http_request_internal(
        self, url: str, req: urllib.request.Request
    ) -> WebhookResponse:
        status, body = self.once.ask(req, REPLY_BYTES_MAX)
        return WebhookResponse(url=url, status_code=status, body=body, headers={})
