"""smtplib's connections, which say when a message may be out: its end is what a server takes.

Imports smtplib; import this module only when there is something to send.
"""

from __future__ import annotations

import smtplib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.alerts.deadline import Way

_END = b"\r\n.\r\n"


class Plain(smtplib.SMTP):
    """Plain at first; STARTTLS may follow."""

    def __init__(self, *args: Any, way: Way, **more: Any) -> None:
        self.way = way
        super().__init__(*args, **more)

    def send(self, s: Any) -> None:
        """Send, unless it is a message that nobody waits for any more."""
        if isinstance(s, bytes) and s.endswith(_END):
            self.way.go()
        super().send(s)


class Tls(Plain, smtplib.SMTP_SSL):
    """TLS from the first byte."""
