"""Which channels there are for alerts, and whether an outcome is one to tell of."""

from __future__ import annotations

from collections.abc import Callable

Settings = Callable[[str], str | None]

_BAD = frozenset({"failed", "interrupted"})


def should_alert(alert_on: str, status: str, previous: str | None) -> bool:
    """Decide whether a run that ended as `status` sends alerts, after one that ended `previous`.

    `failure`: failed and interrupted runs, and the first ok one after such. `change`: an outcome
    other than the run before's; a first run counts as a change unless it is ok. A run `skipped`
    because another is on sends with `always` only. An unknown word sends: silence is the worse
    mistake.
    """
    if alert_on == "failure":
        return status in _BAD or (status == "ok" and previous in _BAD)
    if alert_on == "change":
        return status not in (previous or "ok", "skipped")
    return True


def channels(settings: Settings) -> tuple[str, ...]:
    """Name the channels that are configured."""
    found = []
    if setting_of(settings, "SLACK_WEBHOOK_URL"):
        found.append("slack")
    if setting_of(settings, "SMTP_URL") and setting_of(settings, "MAIL_TO"):
        found.append("email")
    return tuple(found)


def half_configured(settings: Settings) -> tuple[str, ...]:
    """Give a sentence for each channel that lacks a setting."""
    server, to = setting_of(settings, "SMTP_URL"), setting_of(settings, "MAIL_TO")
    if bool(server) == bool(to):
        return ()
    there, missing = ("SMTP_URL", "MAIL_TO") if server else ("MAIL_TO", "SMTP_URL")
    return (f"no email is sent: {there} is set, but {missing} is not",)


def setting_of(settings: Settings, name: str) -> str:
    """Give what a setting says, empty where it is not there."""
    return (settings(name) or "").strip()
