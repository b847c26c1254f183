"""What stands before every page: who may ask, how, and what no browser may do with the answer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

TARGET_BYTES_MAX = 2_000
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
FOREIGN = "foreign"  # in the scope's state: the connection is another user's

_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)
_POLICY = (
    "default-src 'none'; style-src {styles}; script-src {scripts}; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)


class Refusal(NamedTuple):
    """An answer to what is not to be answered."""

    status: int
    text: str


def policy(styles: Iterable[str] = (), scripts: Iterable[str] = ()) -> str:
    """Give the content security policy: only what this server sends, and these hashes."""
    return _POLICY.format(
        styles=" ".join(("'self'", *(f"'{each}'" for each in styles))),
        scripts=" ".join(("'self'", *(f"'{each}'" for each in scripts))),
    )


def hosts(port: int) -> frozenset[str]:
    """Give the hosts by which this server may be called; any other name is a page's of elsewhere.

    A browser can be made to take `evil.example` for this machine, but not to say another name.
    """
    with_port = {f"{host}:{port}" for host in LOOPBACK}
    return frozenset(with_port | (set(LOOPBACK) if port == 80 else set()))


def refusal(scope: Mapping[str, Any], allowed: frozenset[str]) -> Refusal | None:
    """Say why a request is not answered; None if it is."""
    if scope.get("state", {}).get(FOREIGN):
        return Refusal(403, "this dashboard belongs to another user of this machine")
    headers: dict[bytes, list[str]] = {}
    for name, value in scope["headers"]:
        headers.setdefault(name, []).append(value.decode("latin-1").strip().lower())
    named = headers.get(b"host", [])
    if len(named) != 1 or named[0] not in allowed:
        return Refusal(403, "this host is not served here; use the address that `serve` printed")
    if scope["method"] not in ("GET", "HEAD"):
        return Refusal(405, "this dashboard only shows; nothing can be changed here")
    if not _from_here(headers, allowed):
        return Refusal(403, "pages of other sites are not answered")
    size = len(scope.get("raw_path") or b"") + len(scope["query_string"])
    if size > TARGET_BYTES_MAX or not scope["path"].startswith("/"):
        return Refusal(400, "there is no such address")
    return None


def _from_here(headers: Mapping[bytes, list[str]], allowed: frozenset[str]) -> bool:
    """Whether a browser says that it asks for us, or for a person who follows a link to us."""
    origins = headers.get(b"origin", [])
    if any(origin.removeprefix("http://") not in allowed for origin in origins):
        return False
    if headers.get(b"sec-fetch-site", ["none"])[0] in ("none", "same-origin"):
        return True
    return headers.get(b"sec-fetch-mode") == ["navigate"] and headers.get(b"sec-fetch-dest") == [
        "document"
    ]


class Guard:
    """An ASGI application that refuses what must be, and adds the headers to all it lets by."""

    def __init__(self, app: ASGIApp, allowed: frozenset[str]) -> None:
        """Stand before `app`, for requests that name one of the hosts in `allowed`."""
        self._app = app
        self._allowed = allowed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = _with_policy(message.get("headers", []))
            await send(message)

        if scope["type"] != "http":
            return
        refused = refusal(scope, self._allowed)
        if refused is None:
            await self._app(scope, receive, guarded)
            return
        text = f"{refused.text}\n".encode()
        head = [(b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close")]
        head.append((b"content-length", str(len(text)).encode()))
        if refused.status == 405:
            head.append((b"allow", b"GET, HEAD"))
        await guarded({"type": "http.response.start", "status": refused.status, "headers": head})
        await guarded({"type": "http.response.body", "body": text})


def _with_policy(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    found = list(headers)
    names = {name for name, _ in found}
    found += [(name, value) for name, value in _HEADERS if name not in names]
    if b"content-security-policy" not in names:
        found.append((b"content-security-policy", policy().encode()))
    return found
