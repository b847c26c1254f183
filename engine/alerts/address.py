"""Addresses that messages go to: taken apart with nothing looked up."""

from __future__ import annotations

import ipaddress
from urllib.parse import SplitResult, urlsplit


def parts_of(url: str) -> SplitResult | None:
    """Take a URL apart; None for what is none that can be sent to as it is written."""
    if not url.isprintable() or " " in url:
        return None
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises where it is no number
    except ValueError:
        return None
    return parts


def is_loopback(host: str) -> bool:
    """Tell whether a host is this machine by its name alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
