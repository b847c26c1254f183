"""Sends alerts as a Slack bot: an incident is a thread, its first message up to date."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field
from typing import TYPE_CHECKING, Any

from engine.alerts.deadline import DeadlineError, within
from engine.alerts.fault import AlertError, reason
from engine.alerts.slack import check_url
from engine.alerts.slack_limits import Block
from engine.records import record

if TYPE_CHECKING:
    import threading

    from engine.alerts.web_api import WebApi

API_URL = "https://slack.com/api/"
API_HOSTS = ("slack.com", "slack-gov.com")

# What Slack answers of a message that is not there any more, or that nobody may reply to or change.
LOST = frozenset(
    {
        "cannot_reply_to_message",
        "cant_update_message",
        "channel_not_found",
        "edit_window_closed",
        "invalid_thread_ts",
        "is_archived",
        "message_not_found",
        "not_in_channel",
        "thread_not_found",
    }
)
_PERMANENT = frozenset(
    {
        "invalid_arguments",
        "invalid_blocks",
        "invalid_blocks_format",
        "markdown_text_conflict",
        "msg_blocks_too_long",
        "msg_too_long",
        "no_text",
    }
)
_HINTS = {
    "channel_not_found": "give the channel's ID in SLACK_CHANNEL, and invite the bot to it",
    "not_in_channel": "invite the bot to the channel: /invite @NAME",
    "is_archived": "give another channel in SLACK_CHANNEL",
    "missing_scope": "give the bot the scope chat:write and install it again",
    **dict.fromkeys(
        ("invalid_auth", "not_authed", "account_inactive", "token_revoked", "token_expired"),
        "check SLACK_BOT_TOKEN; it starts with xoxb-",
    ),
}
# Other words of an answer are not repeated, they may hold anything.
CODES = LOST | _PERMANENT | frozenset(_HINTS) | {"ratelimited", "restricted_action"}

Message = tuple[str, list[Block]]  # the notification's text, and the blocks


@record
class Bot:
    """Who sends, where to; `proxy` as for the webhook."""

    token: str = field(repr=False)
    channel: str
    base_url: str = API_URL
    hosts: tuple[str, ...] = ()
    proxy: str | None = None


def send(
    bot: Bot,
    message: Message,
    *,
    deadline_s: float,
    reply: Message | None = None,
    thread: Mapping[str, Any] | None = None,
) -> tuple[dict[str, Any] | None, str]:
    """Post a message, or raise `AlertError`; returns or raises within `deadline_s`.

    With a `thread`, `reply` is posted into it and its first message becomes `message`, unless that
    lists many incidents. A thread that is lost gets a new first message. Gives where a new first
    message is, and what could not be brought up to date.
    """
    host = check_url(bot.base_url, bot.hosts, name="KAHNBAN_SLACK_API", known=API_HOSTS)
    clients: list[WebApi] = []
    posted: list[dict[str, Any] | None] = []

    def work(abandoned: threading.Event) -> str:
        from engine.alerts.web_api import WebApi

        base = bot.base_url.strip().rstrip("/") + "/"
        client = WebApi(
            bot.token, base, deadline_s=deadline_s, abandoned=abandoned, proxy=bot.proxy
        )
        clients.append(client)
        posted.append(_posted(client, bot, message, reply, thread))
        if posted[0] is not None or thread is None or thread.get("many"):
            return ""
        return _update(client, message, thread)

    try:
        note = within(deadline_s, "kahnban-slack", work)
    except DeadlineError:
        if posted:  # else only the update hangs
            return posted[0], "the first message could not be brought up to date in time"
        asked = clients[0].retry_after_s if clients else None
        message_ = f"{host}: no answer within {deadline_s:.1f}s"
        raise AlertError(message_, retry_after_s=asked) from None
    except Exception as error:  # noqa: BLE001 - slack_sdk raises anything
        raise _explained(host, error, clients[0].retry_after_s if clients else None) from None
    return posted[0], note


def _posted(
    client: WebApi,
    bot: Bot,
    message: Message,
    reply: Message | None,
    thread: Mapping[str, Any] | None,
) -> dict[str, Any] | None:
    """Post into the thread; where there is none, or it is lost, give that of a new message."""
    if thread is not None:
        try:
            where = {"channel": str(thread.get("channel")), "thread_ts": str(thread.get("ts"))}
            _call(client.chat_postMessage, reply or message, **where)
        except Exception as error:
            if _code(error) not in LOST:
                raise
        else:
            return None
    answer = _call(client.chat_postMessage, message, channel=bot.channel)
    return {"channel": str(answer.get("channel") or bot.channel), "ts": str(answer.get("ts"))}


def _call(method: Callable[..., Any], message: Message, **where: str) -> Any:
    text, blocks = message
    off = {"mrkdwn": False, "unfurl_links": False, "unfurl_media": False}
    return method(text=text, blocks=blocks, **where, **off)


def _update(client: WebApi, message: Message, thread: Mapping[str, Any]) -> str:
    """Bring the first message up to date; that it cannot be is no reason to send again."""
    text, blocks = message
    try:
        client.chat_update(
            channel=str(thread.get("channel")), ts=str(thread.get("ts")), text=text, blocks=blocks
        )
    except Exception as error:  # noqa: BLE001 - the alert itself is out
        code = _code(error)
        said = code if code in CODES else reason(error)
        return f"the first message could not be brought up to date: {said}"
    return ""


def _code(error: Exception) -> str:
    answer = getattr(error, "response", None)
    try:
        return str(answer.get("error")) if answer is not None else ""
    except (AttributeError, ValueError):
        return ""


def _explained(host: str, error: Exception, retry_after_s: float | None) -> AlertError:
    code = _code(error)
    if not code:
        return AlertError(f"{host}: {reason(error)}", retry_after_s=retry_after_s)
    if code in CODES:
        asked = f", try again after {retry_after_s:g}s" if retry_after_s is not None else ""
        return AlertError(
            f"{host}: answered {code}{asked}",
            retry_after_s=retry_after_s,
            permanent=code in _PERMANENT,
            hint=_HINTS.get(code, ""),
        )
    status = getattr(getattr(error, "response", None), "status_code", "")
    return AlertError(f"{host}: answered {status}", retry_after_s=retry_after_s)
