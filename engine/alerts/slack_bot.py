"""Sends alerts as a Slack bot: an incident is a thread, its first message up to date."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from typing import TYPE_CHECKING, Any

from engine.alerts.deadline import DeadlineError, Way, within
from engine.alerts.fault import AlertError, reason
from engine.alerts.slack import answered, broken, check_url
from engine.alerts.slack_limits import Block
from engine.records import record

if TYPE_CHECKING:
    import threading

    from engine.alerts.web_api import WebApi
    from engine.alerts.wire import Once

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
# Slack has failed, and may have done before that what it was asked.
_UNKNOWN = frozenset({"fatal_error", "internal_error"})
# Other words of an answer are not repeated, they may hold anything.
CODES = LOST | _PERMANENT | _UNKNOWN | frozenset(_HINTS) | {"ratelimited", "restricted_action"}

UPDATE_AGAIN_S = 0.5
WORD_MAX = 60

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
    apart: Sequence[tuple[Message, Mapping[str, Any]]] = (),
) -> tuple[dict[str, Any] | None, str]:
    """Post a message once, or raise `AlertError`; returns or raises within `deadline_s`.

    With a `thread`, `reply` is posted into it and its first message becomes `message`, unless that
    lists many incidents of which some go on. A thread that is lost gets a new first message. Gives
    where a new first message is, and what could not be brought up to date. Messages `apart` become
    what is said beside each.
    """
    host = check_url(bot.base_url, bot.hosts, name="KAHNBAN_SLACK_API", known=API_HOSTS)
    tries: list[Once] = []
    posted: list[dict[str, Any] | None] = []

    def work(abandoned: threading.Event) -> str:
        from engine.alerts.web_api import WebApi
        from engine.alerts.wire import Once

        tries.append(Once(Way(abandoned), deadline_s, bot.proxy))
        client = WebApi(bot.token, bot.base_url.strip().rstrip("/") + "/", tries[0])
        posted.append(_posted(client, bot, message, reply, thread))
        updates = [*apart]
        if posted[0] is None and thread is not None and not goes_on(thread):
            updates.append((message, thread))
        said = [_updated(client, each, there, abandoned) for each, there in updates]
        return next(filter(None, said), "")

    try:
        note = within(deadline_s, "kahnban-slack", work)
    except DeadlineError:
        if posted:  # else only the update hangs
            return posted[0], "the first message could not be brought up to date in time"
        unknown = any(once.way.may_be_out for once in tries)
        said = f"{host}: no answer within {deadline_s:.1f}s"
        raise AlertError(said, unknown=unknown) from None
    except Exception as error:  # noqa: BLE001 - slack_sdk raises anything
        raise _explained(host, error, tries[0]) from None
    return posted[0], note


def goes_on(thread: Mapping[str, Any]) -> bool:
    """Whether a thread is of many incidents, and not all of them are over."""
    return bool(thread.get("many")) and thread.get("open") != 0


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


def _updated(
    client: WebApi, message: Message, thread: Mapping[str, Any], abandoned: threading.Event
) -> str:
    """Bring a first message up to date, at the second try if need be; gives why it cannot be."""
    error = _update(client, message, thread)
    if error is not None and _code(error) not in CODES and not abandoned.wait(UPDATE_AGAIN_S):
        error = _update(client, message, thread)  # twice is as good as once
    return _of_update(error)


def _update(client: WebApi, message: Message, thread: Mapping[str, Any]) -> Exception | None:
    """Bring the first message up to date; gives why it cannot be."""
    text, blocks = message
    try:
        client.chat_update(
            channel=str(thread.get("channel")), ts=str(thread.get("ts")), text=text, blocks=blocks
        )
    except Exception as error:  # noqa: BLE001 - the alert itself is out
        return error
    return None


def _of_update(error: Exception | None) -> str:
    """Say what came over an update: no reason to send again."""
    if error is None:
        return ""
    code = _code(error)
    said = code if code in CODES else reason(error)
    return f"the first message could not be brought up to date: {said}"


def _code(error: Exception) -> str:
    answer = getattr(error, "response", None)
    try:
        return str(answer.get("error")) if answer is not None else ""
    except (AttributeError, ValueError):
        return ""


def _explained(host: str, error: Exception, once: Once) -> AlertError:
    answer = getattr(error, "response", None)
    if answer is None:
        return broken(host, error, unknown=once.way.may_be_out)
    code = _code(error)
    status = getattr(answer, "status_code", "")
    found = AlertError(
        **answered(host, status, code if code in CODES else str(status), once.retry_after_s),
        permanent=code in _PERMANENT,
        hint=_HINTS.get(code, ""),
    )
    # What is no word of Slack's, with all well by its number, is some other machine's.
    found.unknown |= code in _UNKNOWN or (status == 200 and not _is_word(code))
    return found


def _is_word(code: str) -> bool:
    return code.replace("_", "").isalnum() and len(code) <= WORD_MAX
