"""Why a message could not be sent, in words that hold no secret."""

from __future__ import annotations

import socket
import ssl

from engine.errors import EngineError


class AlertError(EngineError):
    """A message was not delivered, as far as is known.

    `retry_after_s` is what the other side asked for, if it did; `permanent` says that sending the
    same message again cannot help, `passing` that it may within moments. One that is `unknown` may
    have arrived all the same. Neither the text nor anything it quotes holds an address's path, a
    password or what the other side wrote.
    """

    def __init__(
        self,
        message: str,
        *,
        retry_after_s: float | None = None,
        permanent: bool = False,
        passing: bool = False,
        unknown: bool = False,
        hint: str = "",
    ) -> None:
        super().__init__(message, hint=hint)
        self.retry_after_s = retry_after_s
        self.permanent = permanent
        self.passing = passing
        self.unknown = unknown


def is_passing(error: BaseException) -> bool:
    """Whether it is trouble on the way there that may be over within moments."""
    cause = _cause(error)
    return isinstance(cause, OSError) and not isinstance(cause, ssl.SSLError)


def _cause(error: BaseException) -> BaseException:
    inner = getattr(error, "reason", None)  # urllib wraps the real error
    return inner if isinstance(inner, BaseException) else error


def reason(error: BaseException) -> str:
    """Name what went wrong without the error's own text, which may quote an address in full."""
    cause = _cause(error)
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({cause.verify_message or 'no reason given'})"
    if isinstance(cause, ssl.SSLError):
        return f"TLS failed ({cause.reason or type(cause).__name__})"
    if isinstance(cause, socket.gaierror):
        return "its name could not be resolved"
    if isinstance(cause, ConnectionRefusedError):
        return "connection refused"
    if isinstance(cause, TimeoutError):
        return "no answer in time"
    return type(cause).__name__
