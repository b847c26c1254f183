"""Sends one email over SMTP, within a hard time limit, saying nothing of its password."""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, unquote

from engine.alerts.address import is_loopback, parts_of
from engine.alerts.content import Attachment
from engine.alerts.deadline import GRACE_S, DeadlineError, Way, within
from engine.alerts.fault import AlertError, is_passing, reason
from engine.records import record

if TYPE_CHECKING:
    import smtplib
    import ssl
    import threading
    from email.message import EmailMessage

PORTS = {"smtp": 587, "smtps": 465}
LOOPBACK_PORT = 25
_TOO_LARGE = 552
_HINT = "write smtp://USER:PASSWORD@HOST:587 or smtps://…:465, with %40 for an @ in the user"


@record
class Letter:
    """An email before it has a form: `mail_to` holds one or more addresses, comma separated."""

    mail_from: str
    mail_to: str
    subject: str
    plain: str
    html: str
    attached: Attachment | None = None
    message_id: str = ""
    reply_to: str = ""  # the id of the message that begins its thread


@record
class Server:
    """Where an SMTP_URL points; the password is not in its repr."""

    host: str
    port: int
    tls: bool
    user: str
    password: str = field(repr=False)


def send(
    smtp_url: str, letter: Letter, *, deadline_s: float, context: ssl.SSLContext | None = None
) -> tuple[str, ...]:
    """Send `letter` once, or raise `AlertError`; returns or raises within `deadline_s`.

    Gives one sentence for each recipient that the server refused while it took the others.
    `smtps` is TLS from the first byte. `smtp` must be turned to TLS (STARTTLS) before anything
    of worth is sent; only to this machine it stays plain, unless a `context` is given.
    """
    server = parse(smtp_url)
    message, recipients = compose(letter)
    taken: list[tuple[str, ...]] = []
    ways: list[Way] = []

    def post(abandoned: threading.Event) -> None:
        ways.append(Way(abandoned))
        smtp = _connect(server, (deadline_s + GRACE_S, ways[0]), context)
        try:
            if server.user:
                smtp.login(server.user, server.password)
            refused = smtp.send_message(message, to_addrs=recipients)
            taken.append(tuple(_refusal(to, answer) for to, answer in refused.items()))
        finally:
            _leave(smtp)

    try:
        within(deadline_s, "kahnban-mail", post)
    except DeadlineError:
        if not taken:  # else only the goodbye hangs
            unknown = any(way.may_be_out for way in ways)
            said = f"{server.host}: no answer within {deadline_s:.1f}s"
            raise AlertError(said, unknown=unknown) from None
    except AlertError:
        raise
    except Exception as error:  # noqa: BLE001 - anything smtplib, ssl or a server can come up with
        raise _explained(server.host, error, may_be_out=ways[0].may_be_out) from None
    return taken[0]


def parse(smtp_url: str) -> Server:
    """Read an SMTP_URL, or raise an `AlertError` that does not repeat it."""
    parts = parts_of(smtp_url.strip())
    if parts is None or parts.scheme not in PORTS or not parts.hostname or _is_cut(parts):
        raise AlertError("SMTP_URL is not a usable address", hint=_HINT)
    host = parts.hostname
    port = parts.port or PORTS[parts.scheme]
    if not parts.port and parts.scheme == "smtp" and is_loopback(host):
        port = LOOPBACK_PORT
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    return Server(host, port, parts.scheme == "smtps", user, password)


def _is_cut(parts: SplitResult) -> bool:
    """Whether the host may end too early, at a `/`, `?` or `#` of the password."""
    return bool(parts.path.strip("/") or parts.query or parts.fragment)


def sender(smtp_url: str) -> str:
    """Give the address to send from where MAIL_FROM is not set."""
    import socket

    user = parse(smtp_url).user
    return user if "@" in user else f"kahnban@{_ascii(socket.gethostname())}"


def _ascii(host: str) -> str:
    return host if host and host.isascii() and host.isprintable() else "localhost"


def new_id() -> str:
    """Make the id of a message that is to be referred to later."""
    import socket
    from email.utils import make_msgid

    return make_msgid(domain=_ascii(socket.gethostname()))


def compose(letter: Letter) -> tuple[EmailMessage, list[str]]:
    """Give the message and the recipients' bare addresses, or raise `AlertError`."""
    from email import policy
    from email.message import EmailMessage
    from email.utils import formataddr, formatdate

    to = _addresses("MAIL_TO", letter.mail_to)
    origin = _addresses("MAIL_FROM", letter.mail_from)[:1]
    # as 7 bits: not every server takes more, and smtplib does not ask for it
    message = EmailMessage(policy.SMTP.clone(cte_type="7bit"))
    message["From"] = formataddr(origin[0])
    message["To"] = ", ".join(formataddr(address) for address in to)
    message["Subject"] = " ".join(letter.subject.split())
    message["Date"] = formatdate(localtime=True)
    message["Message-ID"] = letter.message_id or new_id()
    if letter.reply_to:
        message["In-Reply-To"] = message["References"] = letter.reply_to
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(letter.plain)
    message.add_alternative(letter.html, subtype="html")
    if letter.attached is not None:
        message.add_attachment(
            letter.attached.data,
            maintype="text",
            subtype="html",
            filename=letter.attached.name,
            params={"charset": "utf-8"},
        )
    return message, list(dict.fromkeys(address for _, address in to))


def _addresses(name: str, value: str) -> list[tuple[str, str]]:
    from email.utils import getaddresses

    value = value.strip().strip(",")
    named = getaddresses([value]) if value.isprintable() else []
    pairs = [(whose, _ascii_address(address)) for whose, address in named]
    if not pairs or not all(a and a.isascii() and " " not in a for _, a in pairs):
        raise AlertError(
            f"{name} is not an email address, or several separated by commas",
            hint=f"set {name}=ops@example.com",
        )
    return pairs


def _ascii_address(address: str) -> str:
    """Give an address as servers take it: its domain in ASCII; nothing if that cannot be."""
    user, at, domain = address.rpartition("@")
    try:
        return address if address.isascii() else f"{user}{at}{domain.encode('idna').decode()}"
    except UnicodeError:
        return ""


def _connect(
    server: Server, limits: tuple[float, Way], context: ssl.SSLContext | None
) -> smtplib.SMTP:
    import socket
    import ssl

    from engine.alerts import smtp as connections

    timeout_s, way = limits
    name = _ascii(socket.gethostname())  # smtplib's own choice may wait long for a name server
    if server.tls:
        return connections.Tls(
            server.host,
            server.port,
            local_hostname=name,
            timeout=timeout_s,
            context=context or ssl.create_default_context(),
            way=way,
        )
    smtp = connections.Plain(
        server.host, server.port, local_hostname=name, timeout=timeout_s, way=way
    )
    if context is None and is_loopback(server.host):
        return smtp
    try:
        _start_tls(smtp, server.host, context or ssl.create_default_context())
    except BaseException:
        smtp.close()
        raise
    return smtp


def _start_tls(smtp: smtplib.SMTP, host: str, context: ssl.SSLContext) -> None:
    smtp.ehlo_or_helo_if_needed()
    if not smtp.has_extn("starttls"):
        raise AlertError(
            f"{host}: it offers no STARTTLS, so nothing was sent",
            hint="use smtps://HOST:465 if the server speaks TLS there",
        )
    smtp.starttls(context=context)


def _leave(smtp: smtplib.SMTP) -> None:
    """Say goodbye; what was sent is sent, whatever the answer."""
    import contextlib

    with contextlib.suppress(Exception):
        smtp.quit()
    smtp.close()


def _refusal(recipient: str, answer: tuple[int, bytes]) -> str:
    return f"recipient '{recipient}' was refused ({answer[0]})"


def _explained(host: str, error: Exception, *, may_be_out: bool) -> AlertError:
    """Turn smtplib's errors into our own; the server's words stay out, they may hold the login."""
    import smtplib

    if isinstance(error, smtplib.SMTPRecipientsRefused):
        listed = "; ".join(_refusal(to, answer) for to, answer in error.recipients.items())
        return AlertError(f"{host}: {listed}", hint="check MAIL_TO")
    if isinstance(error, smtplib.SMTPAuthenticationError):
        return AlertError(
            f"{host}: the login was refused ({error.smtp_code})",
            hint="check user and password in SMTP_URL",
        )
    if isinstance(error, smtplib.SMTPResponseException):
        what = {
            smtplib.SMTPSenderRefused: "the sender was refused",
            smtplib.SMTPDataError: "the message was refused",
        }.get(type(error), "it refused")
        is_too_large = error.smtp_code == _TOO_LARGE
        what = "the message is too large" if is_too_large else what
        of_message = isinstance(error, smtplib.SMTPDataError) and error.smtp_code >= 500
        permanent = is_too_large or of_message
        unknown = may_be_out and error.smtp_code < 400  # neither taken nor refused
        return AlertError(
            f"{host}: {what} ({error.smtp_code})", permanent=permanent, unknown=unknown
        )
    if isinstance(error, smtplib.SMTPNotSupportedError):
        return AlertError(f"{host}: it does not offer what the message needs (login or UTF-8)")
    if isinstance(error, smtplib.SMTPServerDisconnected):
        return AlertError(f"{host}: it hung up", passing=True, unknown=may_be_out)
    return AlertError(f"{host}: {reason(error)}", passing=is_passing(error), unknown=may_be_out)
