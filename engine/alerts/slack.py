"""Sends one message to a Slack webhook, within a hard time limit, saying nothing of its address."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from engine.alerts.address import is_loopback, parts_of
from engine.alerts.deadline import DeadlineError, Way, within
from engine.alerts.fault import AlertError, is_passing, reason

if TYPE_CHECKING:
    import threading

    from engine.alerts.wire import Once

HOSTS = ("hooks.slack.com", "hooks.slack-gov.com")

# what Slack answers; other bodies are not repeated, they may hold anything
CODES = frozenset(
    {
        "action_prohibited",
        "channel_is_archived",
        "channel_not_found",
        "invalid_blocks",
        "invalid_blocks_format",
        "invalid_payload",
        "invalid_token",
        "no_active_hooks",
        "no_service",
        "no_service_id",
        "no_team",
        "no_text",
        "posting_to_general_channel_denied",
        "rollup_error",
        "team_disabled",
        "too_many_attachments",
        "user_not_found",
    }
)
# The message is at fault; what the others mean is mended by who gave the address.
_CONTENT = frozenset(
    {
        "invalid_blocks",
        "invalid_blocks_format",
        "invalid_payload",
        "no_text",
        "too_many_attachments",
    }
)
_NOT_FOUND = frozenset({403, 404, 410})
TRY_AGAIN = frozenset({408, 425, 429})


def send(
    url: str,
    text: str,
    blocks: Sequence[dict[str, Any]],
    *,
    deadline_s: float,
    hosts: Iterable[str] = (),
    proxy: str | None = None,
) -> None:
    """Post `text` and `blocks` once, or raise `AlertError`; returns or raises within `deadline_s`.

    https only, to Slack's hosts and `hosts`; plain http to this machine only. Redirects are
    refused. `proxy` is a proxy's address, `env` for the environment's, or None for none.
    """
    host = check_url(url, hosts)
    tries: list[Once] = []

    def post(abandoned: threading.Event) -> tuple[int, str]:
        from engine.alerts.webhook import Webhook
        from engine.alerts.wire import Once

        tries.append(Once(Way(abandoned), deadline_s, proxy))
        answer = Webhook(url.strip(), tries[0]).send_dict(
            {
                "text": text,
                "blocks": list(blocks),
                "mrkdwn": False,
                "unfurl_links": False,
                "unfurl_media": False,
            }
        )
        return answer.status_code, answer.body

    try:
        status, body = within(deadline_s, "kahnban-slack", post)
    except DeadlineError:
        unknown = any(once.way.may_be_out for once in tries)
        raise AlertError(f"{host}: no answer within {deadline_s:.1f}s", unknown=unknown) from None
    except Exception as error:  # noqa: BLE001 - slack_sdk raises anything; the text may hold the URL
        raise broken(host, error, unknown=tries[0].way.may_be_out) from None
    _judge(host, status, body, tries[0].retry_after_s)


def broken(host: str, error: Exception, *, unknown: bool) -> AlertError:
    """Say what came over a request in the place of an answer."""
    return AlertError(f"{host}: {reason(error)}", passing=is_passing(error), unknown=unknown)


def answered(host: str, status: object, said: str, retry_after_s: float | None) -> dict[str, Any]:
    """Say what an answer is that may be another one soon: what `AlertError` is made of.

    A server that has failed may have done what it was asked.
    """
    asked = f", try again after {retry_after_s:g}s" if retry_after_s is not None else ""
    failed = isinstance(status, int) and status >= 500
    return {
        "message": f"{host}: answered {said}{asked}",
        "retry_after_s": retry_after_s,
        "passing": failed or status in TRY_AGAIN,
        "unknown": failed,
    }


def _judge(host: str, status: int, body: str, retry_after_s: float | None) -> None:
    code = body.strip()
    said = f" {code}" if code in CODES else ""
    if 200 <= status < 300 and not said:
        return
    if 300 <= status < 400:
        raise AlertError(
            f"{host}: answered {status}, a redirect, which is refused",
            hint="set SLACK_WEBHOOK_URL to the address itself",
        )
    permanent = code in _CONTENT or (status in (400, 413) and not said)
    hint = "" if permanent or status not in _NOT_FOUND else "check SLACK_WEBHOOK_URL"
    fault = answered(host, status, f"{status}{said}", retry_after_s)
    raise AlertError(**fault, permanent=permanent, hint=hint)


def check_url(
    url: str,
    hosts: Iterable[str] = (),
    *,
    name: str = "SLACK_WEBHOOK_URL",
    known: Iterable[str] = HOSTS,
) -> str:
    """Give the host of an address of Slack's that may be posted to, else raise `AlertError`."""
    parts = parts_of(url.strip())
    host = (parts.hostname or "").rstrip(".") if parts is not None else ""
    if parts is None or not host or parts.username is not None:
        raise AlertError(
            f"{name} is not a usable address",
            hint=f"copy it again from Slack; it starts with https://{next(iter(known))}/",
        )
    local = is_loopback(host)
    if parts.scheme != "https" and not (local and parts.scheme == "http"):
        raise AlertError(
            f"{name}: {host} is not addressed by https",
            hint="use https; plain http is for this machine only",
        )
    allowed = {*known, *(entry.strip().lower() for entry in hosts)}
    if not local and host not in allowed:
        raise AlertError(
            f"{name}: {host} is not a host alerts may be sent to",
            hint=f"add it to KAHNBAN_WEBHOOK_HOSTS: {host}",
        )
    return host
