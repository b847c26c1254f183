"""Certificates: found where servers keep them, read by openssl, and held against the calendar."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from engine.errors import Skip
from pipelines._housekeeping import certificates
from pipelines._housekeeping.certificates import find_under, parse, read
from pipelines._housekeeping.report import of_broken, of_certificates
from pipelines._housekeeping.shapes import Certificate, Certificates

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)


def put(path: Path, text: str = "a certificate") -> Path:
    """Write a file with the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def under(root: Path) -> list[str]:
    """Give what is found under a made-up root, relative to it."""
    return [os.path.relpath(path, root) for path in find_under(root)["paths"]]


def test_usual_places_hold_certificates_but_not_the_authorities(tmp_path: Path) -> None:
    """Let's Encrypt's own, those beside the bundle, and files of one's own among the links."""
    put(tmp_path / "etc/letsencrypt/archive/example.org/cert1.pem")
    live = tmp_path / "etc/letsencrypt/live/example.org"
    live.mkdir(parents=True)
    (live / "cert.pem").symlink_to("../../archive/example.org/cert1.pem")
    put(live / "privkey.pem")
    put(tmp_path / "etc/ssl/server.crt")
    put(tmp_path / "etc/ssl/openssl.cnf")
    put(tmp_path / "etc/ssl/private/server.key")
    others = tmp_path / "etc/ssl/certs"
    put(others / "ca-certificates.crt")
    put(others / "ssl-cert-snakeoil.pem")
    put(tmp_path / "usr/share/ca-certificates/A.crt")
    (others / "A.pem").symlink_to("../../../usr/share/ca-certificates/A.crt")
    put(tmp_path / "etc/pki/tls/certs/localhost.crt")
    put(tmp_path / "etc/pki/tls/certs/ca-bundle.crt")
    assert under(tmp_path) == [
        "etc/letsencrypt/live/example.org/cert.pem",
        "etc/ssl/server.crt",
        "etc/ssl/certs/ssl-cert-snakeoil.pem",
        "etc/pki/tls/certs/localhost.crt",
    ]


@pytest.mark.parametrize(
    ("config", "text", "path"),
    [
        ("nginx/sites-enabled/default", "    ssl_certificate /srv/tls/a.pem;\n", "srv/tls/a.pem"),
        ("nginx/conf.d/b.conf", 'server { }\n\tssl_certificate  "/srv/b.pem";', "srv/b.pem"),
        ("nginx/nginx.conf", "http { server { ssl_certificate /srv/c.pem; } }\n", "srv/c.pem"),
        ("nginx/nginx.conf", "listen 443;ssl_certificate /srv/c.pem;\n", "srv/c.pem"),
        ("nginx/nginx.conf", "# ssl_certificate /srv/c.pem;\n", None),
        ("nginx/nginx.conf", "# server { ssl_certificate /srv/c.pem; }\n", None),
        ("nginx/nginx.conf", "ssl_certificate /srv/$host.pem;\n", None),
        ("nginx/nginx.conf", "ssl_certificate_key /srv/c.key;\n", None),
        ("nginx/nginx.conf", "ssl_certificate $cert;\n", None),
        ("apache2/sites-enabled/x.conf", "SSLCertificateFile /srv/d.pem\n", "srv/d.pem"),
        ("httpd/conf.d/ssl.conf", "  sslcertificatefile '/srv/e.crt'\n", "srv/e.crt"),
        ("haproxy/haproxy.cfg", "  bind :443 ssl crt /srv/f.pem alpn h2\n", "srv/f.pem"),
        ("haproxy/haproxy.cfg", "  # bind :443 ssl crt /srv/f.pem\n", None),
        ("postfix/main.cf", "smtpd_tls_cert_file=/srv/g.pem\n", "srv/g.pem"),
        ("postfix/main.cf", "smtpd_tls_chain_files = /srv/h.pem, /srv/i.pem\n", "srv/h.pem"),
        ("dovecot/conf.d/10-ssl.conf", "ssl_cert = </srv/j.pem\n", "srv/j.pem"),
        ("dovecot/dovecot.conf", "ssl_server_cert_file = /srv/k.pem\n", "srv/k.pem"),
    ],
)
def test_servers_name_their_certificates(
    tmp_path: Path, config: str, text: str, path: str | None
) -> None:
    """Each in its own words; what is commented out or made up at run time is none."""
    put(tmp_path / "etc" / config, text)
    assert under(tmp_path) == ([path] if path else [])


def test_haproxy_may_name_a_folder(tmp_path: Path) -> None:
    """Then each file in it counts, once, however often it is named."""
    put(tmp_path / "srv/tls/b.pem")
    put(tmp_path / "srv/tls/a.pem")
    put(tmp_path / "etc/haproxy/haproxy.cfg", "bind :443 ssl crt /srv/tls/\nbind :1 crt /srv/tls")
    assert under(tmp_path) == ["srv/tls/a.pem", "srv/tls/b.pem"]


def test_a_machine_without_certificates(tmp_path: Path) -> None:
    """Nothing is found, and nothing is wrong."""
    assert find_under(tmp_path) == {"count": 0, "paths": [], "named": [], "unread": []}


def test_closed_configurations_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a plain user may not read is not passed over in silence."""
    config = put(tmp_path / "etc/nginx/nginx.conf")
    (tmp_path / "etc/letsencrypt/live").mkdir(parents=True)
    real = Path.open

    def refuse(path: Path, mode: str = "r") -> object:
        if path == config:
            raise PermissionError(13, "Permission denied")
        return real(path, mode)

    monkeypatch.setattr(Path, "open", refuse)
    monkeypatch.setattr(os, "access", lambda _path, _mode: False)
    assert find_under(tmp_path)["unread"] == [str(tmp_path / "etc/letsencrypt/live"), str(config)]


@pytest.mark.parametrize(
    ("said", "subject"),
    [
        ("notAfter=Dec  5 12:00:00 2026 GMT\nsubject=CN=example.org\n", "example.org"),
        (
            "subject= /C=DE/O=Example/CN=example.org\nnotAfter=Dec  5 12:00:00 2026 GMT",
            "example.org",
        ),
        ("notAfter=Dec  5 12:00:00 2026 GMT\nsubject=C = DE, CN = *.example.org", "*.example.org"),
        ("notAfter=Dec  5 12:00:00 2026 GMT\nsubject=CN=a\\, b,O=c", "a\\, b"),
        ("notAfter=Dec  5 12:00:00 2026 GMT\nsubject=O=Example", "O=Example"),
        ("notAfter=Dec  5 12:00:00 2026 GMT\nsubject=\n", "no subject"),
    ],
)
def test_answers_of_openssl(said: str, subject: str) -> None:
    """Versions write the subject in different ways and orders; the day is read in any language."""
    assert parse("/a.pem", said, NOW) == Certificate(
        path="/a.pem", subject=subject, expires_at="2026-12-05T12:00:00+00:00", days_left=10.0
    )


@pytest.mark.parametrize("said", ["", "unable to load certificate", "notAfter=tomorrow"])
def test_what_is_no_answer_is_an_error(said: str) -> None:
    """It is never taken for a date."""
    with pytest.raises(ValueError, match=r"date|match"):
        parse("/a.pem", said, NOW)


def answers(monkeypatch: pytest.MonkeyPatch, by_path: dict[str, str]) -> None:
    """Let openssl answer by the file's name, and refuse any other."""

    def ask(words: tuple[str, ...]) -> tuple[str, str]:
        assert words[:3] == ("openssl", "x509", "-noout")
        if words[-1] not in by_path:
            raise Skip("openssl failed: unable to load certificate")
        return by_path[words[-1]], ""

    monkeypatch.setattr(certificates, "ask", ask)


def test_the_first_to_expire_comes_first_and_copies_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A key or a list of parameters is left out; a file that is not there is named."""
    key = str(put(tmp_path / "key.pem"))
    late = "notAfter=Jan  1 00:00:00 2027 GMT\nsubject=CN=late"
    soon = "notAfter=Dec  1 00:00:00 2026 GMT\nsubject=CN=soon"
    answers(monkeypatch, {"/late": late, "/soon": soon, "/copy": late})
    known = read(["/late", key, "/soon", "/copy", "/none"], NOW)
    assert [one["path"] for one in known["certificates"]] == ["/soon", "/late"]
    assert known["unread"] == ["/none"]
    assert known["broken"] == []


def test_a_server_s_broken_certificate_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What a server names must be a certificate; a key beside it need not be one."""
    broken = str(put(tmp_path / "etc/ssl/broken.pem"))
    put(tmp_path / "etc/ssl/key.pem")
    put(tmp_path / "etc/dovecot/dovecot.conf", "ssl_cert = </etc/ssl/broken.pem\n")
    answers(monkeypatch, {})
    found = find_under(tmp_path)
    known = read(found["paths"], NOW, found["named"])
    assert (found["count"], known["broken"], known["unread"]) == (2, [broken], [])
    (finding,) = of_broken(broken)
    assert (finding["severity"], finding["where"]) == ("warning", broken)
    assert finding["what"] == "a server's certificate is broken"


DAY_S = 86_400


@pytest.mark.parametrize(
    ("days_left", "severity", "what", "value"),
    [
        (30.01, None, "", ""),
        (30.0, "warning", "a certificate is about to expire: example.org", "30 days left"),
        (7.01, "warning", "a certificate is about to expire: example.org", "7 days left"),
        (7.0, "critical", "a certificate is about to expire: example.org", "7 days left"),
        (0.5, "critical", "a certificate is about to expire: example.org", "less than a day left"),
        (0.0, "critical", "a certificate has expired: example.org", "on 2026-"),
        (-40.0, "critical", "a certificate has expired: example.org", "on 2026-"),
    ],
)
def test_a_certificate_is_judged_by_its_days(
    days_left: float, severity: str | None, what: str, value: str
) -> None:
    """Thirty days are a warning, seven are urgent, none are too late."""
    one = Certificate(
        path="/etc/letsencrypt/live/example.org/cert.pem",
        subject="example.org",
        expires_at=(NOW + timedelta(days=days_left)).isoformat(),
        days_left=days_left,
    )
    found = list(of_certificates(Certificates(certificates=[one], broken=[], unread=[]), 30))
    assert [(f["severity"], f["what"]) for f in found] == ([(severity, what)] if severity else [])
    assert all(f["value"].startswith(value) for f in found)
    assert all(f["todo"].startswith("certbot renew; look at it with: openssl") for f in found)
