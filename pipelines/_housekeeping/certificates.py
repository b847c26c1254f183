"""Certificates that servers of this machine show, and when they expire."""

# In a closed folder os.path says no; Path raises.
# ruff: noqa: PTH112, PTH113

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from engine import Skip
from pipelines._housekeeping.shapes import Certificate, Certificates, Found
from pipelines._machine.commands import have
from pipelines._machine.commands import look as ask

ROOT = Path("/")
FILES_MAX = 200
CONFIGS_MAX = 500
CONFIG_BYTES_MAX = 1 << 20
DAY_S = 86_400
OWN = ("etc/letsencrypt/live/*/cert.pem", "etc/ssl/*.pem", "etc/ssl/*.crt")
# Among the authorities of others, which are links or of a package, may be files of one's own.
AMONG_OTHERS = ("etc/ssl/certs/*", "etc/pki/tls/certs/*")
BUNDLES = frozenset({"ca-certificates.crt", "ca-bundle.crt", "ca-bundle.trust.crt", "cert.pem"})


class Server(NamedTuple):
    """Where a server's configuration is, and how it names certificates."""

    configs: tuple[str, ...]
    setting: re.Pattern[str]


_REST = r"""["']?(?P<path>/[^\s"';,]+)"""
SERVERS = (
    Server(
        ("etc/nginx/*.conf", "etc/nginx/conf.d/*.conf", "etc/nginx/sites-enabled/*"),
        re.compile(r"^(?:[^#\n]*?[\s;{}])??ssl_certificate\s+" + _REST, re.MULTILINE),
    ),
    Server(
        (
            *("etc/apache2/*.conf", "etc/apache2/sites-enabled/*", "etc/httpd/conf/*.conf"),
            "etc/httpd/conf.d/*.conf",
        ),
        re.compile(r"^\s*SSLCertificateFile\s+" + _REST, re.MULTILINE | re.IGNORECASE),
    ),
    Server(
        ("etc/haproxy/*.cfg", "etc/haproxy/conf.d/*.cfg"),
        re.compile(r"^[^#\n]*\bcrt\s+" + _REST, re.MULTILINE),
    ),
    Server(
        ("etc/postfix/main.cf",),
        re.compile(r"^smtpd_tls_(?:eccert|cert|chain)_files?\s*=\s*" + _REST, re.MULTILINE),
    ),
    Server(
        ("etc/dovecot/*.conf", "etc/dovecot/conf.d/*.conf"),
        re.compile(r"^\s*ssl_(?:server_)?cert(?:_file)?\s*=\s*<?\s*" + _REST, re.MULTILINE),
    ),
)


def find(ctx: Any) -> Found:
    """List the files that may hold a certificate of this machine."""
    found = find_under(ROOT)
    ctx.log.info("%d files may be certificates", found["count"])
    return found


def find_under(root: Path) -> Found:
    """List certificates at their usual places and those that servers are set up with, each once."""
    unread, named = list[str](), list[str]()
    every = [*_usual(root, unread), *_configured(root, unread, named)]
    paths = list(dict.fromkeys(every))[:FILES_MAX]
    return Found(count=len(paths), paths=paths, named=named, unread=unread)


def _usual(root: Path, unread: list[str]) -> Iterator[str]:
    live = root / "etc/letsencrypt/live"
    if os.path.isdir(live) and not os.access(live, os.R_OK | os.X_OK):
        unread.append(str(live))
    for pattern in OWN:
        yield from (str(path) for path in sorted(root.glob(pattern)) if os.path.isfile(path))
    for pattern in AMONG_OTHERS:
        for path in sorted(root.glob(pattern)):
            is_own = path.suffix in {".pem", ".crt"} and path.name not in BUNDLES
            if is_own and os.path.isfile(path) and not path.is_symlink():
                yield str(path)


def _configured(root: Path, unread: list[str], named: list[str]) -> Iterator[str]:
    for server in SERVERS:
        configs = [path for pattern in server.configs for path in sorted(root.glob(pattern))]
        for config in configs[:CONFIGS_MAX]:
            try:
                with config.open("rb") as file:
                    text = file.read(CONFIG_BYTES_MAX).decode("utf-8", "replace")
            except PermissionError:
                unread.append(str(config))
            except OSError:  # a folder, or a link to nothing
                continue
            else:
                settings = [found["path"] for found in server.setting.finditer(text)]
                for path in (root / one.lstrip("/") for one in settings if "$" not in one):
                    if os.path.isfile(path):
                        named.append(str(path))
                    yield from _files(path)


def _files(path: Path) -> Iterator[str]:
    """Give a file, or for HAProxy all files of a folder; one that is not there is given too."""
    inside: list[Path] = []
    with suppress(OSError):
        inside = sorted(path.iterdir())
    for one in inside or [path]:
        if os.path.isfile(one) or not os.path.lexists(one):
            yield str(one)


def look(ctx: Any) -> Certificates:
    """Ask openssl when each of the files found expires."""
    if not have("openssl"):
        raise Skip("no openssl on this machine to read certificates with")
    found: Found = ctx["find_certificates"]
    known = read(found["paths"], datetime.now(UTC), found["named"])
    ctx.log.info("%d certificates, %d unread", len(known["certificates"]), len(known["unread"]))
    return known


def read(paths: Iterable[str], now: datetime, named: Sequence[str] = ()) -> Certificates:
    """Read the first certificate of each file; of two files with the same one the first counts.

    Files that servers are told by name to use are `named`: these must be certificates.
    """
    certificates: dict[tuple[str, str], Certificate] = {}
    unread, broken = [], []
    for path in paths:
        try:
            out, _ = ask((*_OPENSSL, path))
            one = parse(path, out, now)
        except (Skip, ValueError):
            if not os.access(path, os.R_OK):
                unread.append(path)
            elif path in named:
                broken.append(path)
            continue
        certificates.setdefault((one["subject"], one["expires_at"]), one)
    ordered = sorted(certificates.values(), key=lambda one: (one["expires_at"], one["path"]))
    return Certificates(certificates=ordered, broken=broken, unread=unread)


_OPENSSL = (
    *("openssl", "x509", "-noout", "-enddate", "-subject"),
    *("-nameopt", "RFC2253,utf8,-esc_msb", "-in"),
)


def parse(path: str, said: str, now: datetime) -> Certificate:
    """Read what `openssl x509 -enddate -subject` says. Raises `ValueError` if it is not that."""
    fields = dict(line.partition("=")[::2] for line in said.splitlines() if "=" in line)
    if "notAfter" not in fields:
        raise ValueError("no date of expiry")
    expires_s = ssl.cert_time_to_seconds(fields["notAfter"].strip())
    return Certificate(
        path=path,
        subject=_common_name(fields.get("subject", "")) or "no subject",
        expires_at=datetime.fromtimestamp(expires_s, UTC).isoformat(timespec="seconds"),
        days_left=round((expires_s - now.timestamp()) / DAY_S, 2),
    )


_CN = re.compile(r"(?:^|,|/|\s)CN\s*=\s*(?P<name>(?:\\.|[^,/+])+)")


def _common_name(subject: str) -> str:
    found = _CN.search(subject.strip())
    return found["name"].strip() if found else subject.strip()
