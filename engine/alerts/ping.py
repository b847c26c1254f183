"""Asks for one URL of a dead-man service, within a hard time limit, saying nothing of the URL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.alerts.address import parts_of
from engine.alerts.deadline import DeadlineError, within
from engine.alerts.fault import AlertError, reason

if TYPE_CHECKING:
    import threading

_HEADERS = {"User-Agent": "kahnban"}


def is_usable(url: str) -> bool:
    """Tell whether a URL can be asked for: one of the web, with nothing that is not sent so."""
    if not (url.isascii() and url.isprintable()) or set(url) & {" ", "\\"}:
        return False
    parts = parts_of(url)
    if parts is None or not parts.hostname or parts.username is not None:
        return False
    return parts.scheme in ("http", "https")


def ask(url: str, *, deadline_s: float) -> None:
    """Ask for a URL, or raise `AlertError`; returns or raises within `deadline_s`.

    A redirect is refused: what it points to is not who the URL was given to.
    """
    from urllib.error import HTTPError
    from urllib.request import HTTPRedirectHandler, Request, build_opener

    class Refused(HTTPRedirectHandler):
        def redirect_request(self, *_: Any) -> None:
            """Leave the answer as it is."""

    def work(_abandoned: threading.Event) -> None:
        request = Request(url, headers=_HEADERS)  # noqa: S310 - one of the web, see `is_usable`
        with build_opener(Refused).open(request, timeout=deadline_s):
            pass

    try:
        within(deadline_s, "ping", work)
    except DeadlineError:
        raise AlertError(f"no answer within {deadline_s:g}s") from None
    except HTTPError as error:
        error.close()
        redirect = ", a redirect, which is refused" if 300 <= error.code < 400 else ""
        raise AlertError(f"answered {error.code}{redirect}") from None
    except Exception as error:  # noqa: BLE001 - of any kind; its text may hold the URL
        raise AlertError(reason(error)) from None
