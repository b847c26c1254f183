"""Emails against a real SMTP server, well-behaved and not."""

from __future__ import annotations

import re
import shutil
import socket
import ssl
import subprocess
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.alerts import mail
from engine.alerts.content import Attachment
from engine.alerts.fault import AlertError
from tests.system.alert_servers import PASSWORD, USER, free_port, raw, smtp

ENCODED = "ops%40example.com:p%40ss%2Fw%3Ard%231"
LETTER = mail.Letter(
    "Kahnban <kahnban@example.com>",
    "a@example.com",
    "daily failed: fetch: Ähm",
    "plain – text\n",
    "<p>html – text</p>\n",
)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a certificate for `mail.example.com`, its key in the same file."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl to make a certificate with")
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    words = (
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2"
        " -subj /CN=mail.example.com -addext subjectAltName=DNS:mail.example.com"
        " -addext keyUsage=critical,digitalSignature,keyCertSign"
    )
    subprocess.run(
        [openssl, *words.split(), "-keyout", f"{path}", "-out", f"{path}.crt"],
        check=True,
        capture_output=True,
    )
    path.write_bytes(path.read_bytes() + Path(f"{path}.crt").read_bytes())
    return path


@pytest.fixture
def server_tls(certificate: Path) -> ssl.SSLContext:
    """Give the server's side of TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


@pytest.fixture
def trusting(certificate: Path) -> ssl.SSLContext:
    """Give a client's strict TLS that knows the made certificate."""
    return ssl.create_default_context(cafile=str(certificate))


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make `mail.example.com` resolve to this machine."""
    real = socket.getaddrinfo

    def lookup(host: Any, *args: Any, **more: Any) -> Any:
        return real("127.0.0.1" if host == "mail.example.com" else host, *args, **more)

    monkeypatch.setattr(socket, "getaddrinfo", lookup)


def refused(url: str, letter: mail.Letter = LETTER, **more: Any) -> AlertError:
    """Send, expect a failure, and hold it free of secrets and of the server's words."""
    with pytest.raises(AlertError) as caught:
        mail.send(url, letter, **({"deadline_s": 3.0} | more))
    error = caught.value
    for secret in ("s3cr3t", PASSWORD, ENCODED):
        assert secret not in f"{error!r} {error} {error.hint}"
    return error


def test_message_arrives_whole() -> None:
    """Subject, both bodies and the headers a reader and a robot expect arrive."""
    with smtp() as (inbox, port):
        assert mail.send(f"smtp://localhost:{port}", LETTER, deadline_s=3) == ()
    (envelope,) = inbox.envelopes
    assert envelope.mail_from == "kahnban@example.com"
    assert envelope.rcpt_tos == ["a@example.com"]
    message = inbox.message()
    assert message["Subject"] == "daily failed: fetch: Ähm"
    assert message["From"] == "Kahnban <kahnban@example.com>"
    assert message["To"] == "a@example.com"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Date"].datetime.tzinfo is not None
    assert re.fullmatch(r"<[^<>@\s]+@[^<>@\s]+>", message["Message-ID"])
    assert message.get_content_type() == "multipart/alternative"
    plain, html = message.iter_parts()
    assert [part.get_content_type() for part in (plain, html)] == ["text/plain", "text/html"]
    assert plain.get_content().splitlines() == ["plain – text"]
    assert html.get_content().splitlines() == ["<p>html – text</p>"]


def test_what_is_sent_is_of_seven_bits() -> None:
    """Not every server takes eight; a domain in other letters is sent in its plain form."""
    letter = mail.Letter("k@bücher.example", "Jürg <a@x.com>", "Ähm", "grün", "<p>grün</p>")
    with smtp() as (inbox, port):
        assert mail.send(f"smtp://localhost:{port}", letter, deadline_s=3) == ()
    (envelope,) = inbox.envelopes
    assert envelope.mail_from == "k@xn--bcher-kva.example"
    assert isinstance(envelope.content, bytes)
    assert envelope.content.isascii()
    plain, _ = inbox.message().iter_parts()
    assert plain.get_content().splitlines() == ["grün"]


def test_page_is_attached() -> None:
    """Beside both bodies, as a file of its own name, byte for byte."""
    page = "<!DOCTYPE html>\n<p>ü&#x202e;</p>\r\n" + "x" * 2_000 + "\n"
    attached = Attachment("run-17-Tägl. ich.html", page.encode())
    with smtp() as (inbox, port):
        mail.send(f"smtp://127.0.0.1:{port}", replace(LETTER, attached=attached), deadline_s=3)
    message = inbox.message()
    assert message.get_content_type() == "multipart/mixed"
    bodies, file = message.iter_parts()
    assert [part.get_content_type() for part in bodies.iter_parts()] == ["text/plain", "text/html"]
    assert file.get_content_disposition() == "attachment"
    assert file.get_filename() == "run-17-Tägl. ich.html"
    assert (file.get_content_type(), file.get_content_charset()) == ("text/html", "utf-8")
    assert file.get_payload(decode=True) == page.encode()


def test_one_bad_recipient_keeps_no_other_from_it() -> None:
    """The others get it, and the refused one is named."""
    letter = mail.Letter("k@x.com", "A <a@x.com>, bad@x.com,b@x.com,", "s", "p", "h")
    with smtp() as (inbox, port):
        notes = mail.send(f"smtp://127.0.0.1:{port}", letter, deadline_s=3)
    assert notes == ("recipient 'bad@x.com' was refused (550)",)
    assert inbox.envelopes[0].rcpt_tos == ["a@x.com", "b@x.com"]
    assert inbox.message()["To"] == "A <a@x.com>, bad@x.com, b@x.com"


@pytest.mark.parametrize(
    ("to", "said"),
    [
        ("bad@x.com", "recipient 'bad@x.com' was refused (550)"),
        ("later@x.com", "recipient 'later@x.com' was refused (450)"),
    ],
)
def test_all_recipients_refused(to: str, said: str) -> None:
    """Nobody got it: it is kept until MAIL_TO has been set right."""
    letter = mail.Letter("k@x.com", to, "s", "p", "h")
    with smtp() as (inbox, port):
        error = refused(f"smtp://127.0.0.1:{port}", letter)
    assert str(error) == f"127.0.0.1: {said}"
    assert (error.hint, error.permanent) == ("check MAIL_TO", False)
    assert inbox.envelopes == []


@pytest.mark.parametrize(("code", "permanent"), [(554, True), (451, False)])
def test_message_refused(code: int, *, permanent: bool) -> None:
    """A refused message is reported by its number."""
    with smtp() as (inbox, port):
        inbox.data_answer = f"{code} s3cr3t words"
        error = refused(f"smtp://127.0.0.1:{port}")
    assert str(error) == f"127.0.0.1: the message was refused ({code})"
    assert error.permanent is permanent


@pytest.mark.usefixtures("named")
def test_starttls_and_login(server_tls: ssl.SSLContext, trusting: ssl.SSLContext) -> None:
    """A percent-encoded login goes through STARTTLS with the certificate checked by name."""
    with smtp(tls_context=server_tls) as (inbox, port):
        url = f"smtp://{ENCODED}@mail.example.com:{port}"
        assert mail.send(url, LETTER, deadline_s=5, context=trusting) == ()
    assert inbox.logins == [USER.encode()]
    assert len(inbox.envelopes) == 1


@pytest.mark.usefixtures("named")
def test_refused_login(server_tls: ssl.SSLContext, trusting: ssl.SSLContext) -> None:
    """A wrong password is said to be one, may be mended, and is not repeated."""
    with smtp(tls_context=server_tls) as (inbox, port):
        url = f"smtp://{USER.replace('@', '%40')}:s3cr3t@mail.example.com:{port}"
        error = refused(url, context=trusting)
    assert str(error) == "mail.example.com: the login was refused (535)"
    assert error.permanent is False
    assert inbox.envelopes == []


@pytest.mark.usefixtures("named")
def test_unknown_certificate_is_not_trusted(server_tls: ssl.SSLContext) -> None:
    """Without a trusted certificate neither login nor message is sent."""
    with smtp(tls_context=server_tls) as (inbox, port):
        error = refused(f"smtp://{ENCODED}@mail.example.com:{port}")
    assert str(error).startswith("mail.example.com: its certificate is not trusted (self")
    assert inbox.logins == []


def test_certificate_of_another_host_is_not_trusted(
    server_tls: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    """A certificate must name the host that was asked for."""
    with smtp(tls_context=server_tls) as (inbox, port):
        error = refused(f"smtp://{ENCODED}@127.0.0.1:{port}", context=trusting)
    assert "127.0.0.1: its certificate is not trusted (IP address mismatch" in str(error)
    assert inbox.logins == []


@pytest.mark.usefixtures("named")
def test_server_without_starttls_gets_nothing() -> None:
    """Off this machine nothing is sent in the clear, a login least of all."""
    with smtp() as (inbox, port):
        error = refused(f"smtp://{ENCODED}@mail.example.com:{port}")
    assert str(error) == "mail.example.com: it offers no STARTTLS, so nothing was sent"
    assert inbox.envelopes == []


@pytest.mark.usefixtures("named")
def test_smtps(server_tls: ssl.SSLContext, trusting: ssl.SSLContext) -> None:
    """`smtps` speaks TLS from the first byte."""
    with smtp(ssl_context=server_tls) as (inbox, port):
        mail.send(f"smtps://mail.example.com:{port}", LETTER, deadline_s=5, context=trusting)
    assert len(inbox.envelopes) == 1


@pytest.mark.parametrize(
    ("letter", "expected"),
    [
        (mail.Letter("k@x.com", "", "s", "p", "h"), "MAIL_TO is not an email address"),
        (mail.Letter("k@x.com", "a@x.com\nBcc: e@x.com", "s", "p", "h"), "MAIL_TO is not an"),
        (mail.Letter("k@x.com\r\nBcc: e@x.com", "a@x.com", "s", "p", "h"), "MAIL_FROM is not an"),
        (mail.Letter("", "a@x.com", "s", "p", "h"), "MAIL_FROM is not an email address"),
        (mail.Letter("k@x.com", "käthe@x.com", "s", "p", "h"), "MAIL_TO is not an email address"),
        (mail.Letter("k@x.com", "a@ü..de", "s", "p", "h"), "MAIL_TO is not an email address"),
    ],
)
def test_addresses_are_checked(letter: mail.Letter, expected: str) -> None:
    """An address that is none, or carries a header, is refused before anything is sent."""
    assert str(refused("smtp://127.0.0.1:9", letter)).startswith(expected)


def test_subject_cannot_add_a_header() -> None:
    """Line ends in a subject become spaces."""
    letter = mail.Letter("k@x.com", "a@x.com", "s\r\nBcc: e@x.com\n\n<b>", "p", "h")
    with smtp() as (inbox, port):
        mail.send(f"smtp://127.0.0.1:{port}", letter, deadline_s=3)
    assert inbox.message()["Subject"] == "s Bcc: e@x.com <b>"
    assert inbox.message()["Bcc"] is None
    assert inbox.envelopes[0].rcpt_tos == ["a@x.com"]


@pytest.mark.parametrize(
    "url",
    [
        "",
        "mail.example.com:587",
        "http://s3cr3t@mail.example.com",
        "smtp://",
        "smtp://user:s3cr3t",
        "smtp://user:s3cr3t/x@mail.example.com:587",
        "smtp://user:#s3cr3t@mail.example.com:587",
        "smtp://user:s3cr3t@mail.example.com:99999",
        "smtp://user:s3cr3t@mail.example.com:587/s3cr3t",
        "smtp://user:s3cr3t\r\n@mail.example.com:587",
        "smtp://[s3cr3t@mail.example.com",
    ],
)
def test_malformed_address_is_not_repeated(url: str) -> None:
    """What is wrong is said with the right form as the hint, never with the address."""
    error = refused(url)
    assert str(error) == "SMTP_URL is not a usable address"
    assert error.hint.startswith("write smtp://USER:PASSWORD@HOST:587")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("smtp://mail.example.com", ("mail.example.com", 587, False, "", "")),
        ("smtps://mail.example.com", ("mail.example.com", 465, True, "", "")),
        ("smtp://localhost/", ("localhost", 25, False, "", "")),
        ("smtp://u:a@b@h:26", ("h", 26, False, "u", "a@b")),
        (f"smtp://{ENCODED}@h", ("h", 587, False, USER, PASSWORD)),
    ],
)
def test_address_is_read(url: str, expected: tuple[str, int, bool, str, str]) -> None:
    """Ports have their usual defaults; login and password are percent-decoded."""
    server = mail.parse(url)
    found = (server.host, server.port, server.tls, server.user, server.password)
    assert found == expected
    assert PASSWORD not in repr(server)


def test_sender_without_mail_from() -> None:
    """The login is the sender if it is an address, else this machine is."""
    assert mail.sender(f"smtp://{ENCODED}@h") == USER
    assert re.fullmatch(r"kahnban@\S+", mail.sender("smtp://user:pass@h"))


def test_nobody_listens() -> None:
    """A refused connection is a failure that may pass."""
    error = refused(f"smtp://127.0.0.1:{free_port()}")
    assert (str(error), error.permanent) == ("127.0.0.1: connection refused", False)


def test_dripping_server_is_left_at_the_deadline() -> None:
    """A greeting that never ends costs the time limit and no more."""
    with raw(*[b"2"] * 100, every_s=0.05) as port:
        began = time.monotonic()
        error = refused(f"smtp://127.0.0.1:{port}", deadline_s=0.6)
        assert 0.6 <= time.monotonic() - began < 1.0
    assert str(error) == "127.0.0.1: no answer within 0.6s"


def test_a_hanging_goodbye_does_not_undo_the_delivery() -> None:
    """Once the message is taken, a server that then hangs has still taken it."""
    lines = [
        b"220 hi\r\n",
        b"250 ok\r\n",
        b"250 ok\r\n",
        b"250 ok\r\n",
        b"354 go\r\n",
        b"250 ok\r\n",
    ]
    with raw(*lines) as port:
        began = time.monotonic()
        assert mail.send(f"smtp://127.0.0.1:{port}", LETTER, deadline_s=0.5) == ()
        assert time.monotonic() - began < 0.9


def test_server_that_hangs_up() -> None:
    """A connection closed in the middle is reported as that."""
    with raw(b"421 s3cr3t too busy\r\n") as port:
        error = refused(f"smtp://127.0.0.1:{port}")
    assert str(error) == "127.0.0.1: it refused (421)"
