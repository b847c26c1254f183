"""Secrets: read from the environment or `<home>/env`, and masked in every text that leaves."""

from __future__ import annotations

import base64
import json
import os
import re
import stat
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote, quote_plus, unquote, urlsplit

from engine.errors import SecretError

LENGTH_MIN = 6  # shorter ones would mask half of every text
MASK = "***"
ALERT_SECRETS = ("SLACK_WEBHOOK_URL", "SLACK_BOT_TOKEN", "SMTP_URL")
_SETTINGS = ("ENGINE_", "KAHNBAN_", "MAIL_")  # what they begin with
FILE_BYTES_MAX = 1 << 20
_URL_TAIL_LENGTH_MIN = 16  # a webhook's token is longer, and no ordinary word is as long


class Secrets:
    """All secrets of one process. Thread-safe; the file is read once, when first needed."""

    def __init__(self, home: Path, environ: Mapping[str, str]) -> None:
        """Read secrets from `environ`, then from `<home>/env`."""
        self._path = home / "env"
        self._environ = environ
        self._lock = threading.RLock()
        self._loaded = False
        self._file: dict[str, str] = {}
        self._fault: SecretError | None = None
        self._values: set[str] = set()
        self._forms: tuple[str, ...] = ()
        self._pattern: re.Pattern[str] | None = None
        self._broken: re.Pattern[str] | None = None  # finds forms with line breaks inside

    @classmethod
    def given(cls, values: Mapping[str, str]) -> Self:
        """Know `values` alone, as if they stood in `<home>/env`; nothing is read."""
        secrets = cls(Path(os.devnull), {})
        secrets._take_in(dict(values))
        return secrets

    # -- reading ----------------------------------------------------------------------------------

    def get(self, name: str) -> str | None:
        """Give a secret, masked in all texts from now on; None if it is nowhere or empty.

        Raises `SecretError` if it is too short to be masked, or `<home>/env` cannot be trusted.
        """
        value = self._read(name)
        if not value:
            return None
        if len(value) < LENGTH_MIN:
            raise SecretError(
                f"secret '{name}' is too short to be masked",
                hint=f"use one of at least {LENGTH_MIN} characters",
            )
        self._register([value, *_url_parts(name, value)])
        return value

    def setting(self, name: str) -> str | None:
        """Give a setting as it is: `MAIL_*`, `ENGINE_*`, `KAHNBAN_*`, or one of alerts.

        Those of alerts that are secrets are masked from the start, whoever reads them.
        """
        check_setting(name)
        return self._read(name) or None

    def child_env(self, environ: Mapping[str, str]) -> dict[str, str]:
        """Give a shell step's environment: `environ` over `<home>/env`, less the alerts' own."""
        merged = {**self._trusted_file(), **environ}
        for name in ALERT_SECRETS:
            merged.pop(name, None)
        return merged

    def _read(self, name: str) -> str:
        return self._environ.get(name) or self._trusted_file().get(name, "")

    def _trusted_file(self) -> dict[str, str]:
        self._load()
        if self._fault is not None:
            # Raised anew each time: a shared exception would collect tracebacks.
            raise SecretError(self._fault.message, hint=self._fault.hint)
        return self._file

    def _load(self) -> None:
        if self._loaded:
            return
        with self._lock:
            if self._loaded:
                return
            file: dict[str, str] = {}
            try:
                file = _read_file(self._path)
            except SecretError as error:
                self._fault = error
            self._take_in(file)

    def _take_in(self, file: dict[str, str]) -> None:
        """Register what is secret from the start."""
        self._file = file
        values = [(name, self._environ.get(name, "")) for name in ALERT_SECRETS]
        values += [(name, value) for name, value in file.items() if not _is_setting(name)]
        self._register([part for name, value in values for part in _parts(name, value)])
        self._loaded = True

    def registered(self) -> list[str]:
        """Give all values that are masked, for a process of ours that is to mask them too."""
        self._load()
        return sorted(self._values)

    # -- masking ----------------------------------------------------------------------------------

    def mask(self, text: str) -> str:
        """Put `***` for every registered secret, also quoted for URLs, escaped, in base64.

        It may go over line breaks, as wrapped base64 does. Never raises: a file that cannot be
        trusted registers nothing and is reported by `get`.
        """
        self._load()
        if self._pattern is None:
            return text
        if "\n" in text and self._holds(_joined(text)):
            return self._over_breaks().sub(MASK, text)
        return self._pattern.sub(MASK, text)

    def contains(self, text: str) -> bool:
        """Tell whether a registered secret is in `text`, in any of the forms that are masked."""
        self._load()
        return self._holds(text) or ("\n" in text and self._holds(_joined(text)))

    def _holds(self, text: str) -> bool:
        return any(form in text for form in self._forms)

    def _over_breaks(self) -> re.Pattern[str]:
        with self._lock:
            if self._broken is None:
                forms = (_BREAK.join(map(re.escape, form)) for form in self._forms)
                self._broken = re.compile("|".join(forms))
            return self._broken

    def _register(self, values: Iterable[str]) -> None:
        with self._lock:
            new = {line for value in values for line in _lines(value)} - self._values
            if not new:
                return
            self._values |= new
            forms = {form for value in new for form in _forms_of(value)}
            # The longest first: a secret that holds another is masked whole.
            self._forms = tuple(sorted({*self._forms, *forms}, key=lambda form: (-len(form), form)))
            self._pattern = re.compile("|".join(map(re.escape, self._forms)))
            self._broken = None


_BREAK = r"(?:\r?\n)?"


def masked(value: Any, secrets: Secrets) -> Any:
    """Mask all texts in what JSON can say: a secret may have become one after they were written."""
    return _masked(value, secrets.mask) if secrets.registered() else value


def _masked(value: Any, mask: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, Mapping):
        return {key: _masked(each, mask) if each else each for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_masked(each, mask) for each in value]
    return value


def _joined(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\n", "")


def _is_setting(name: str) -> bool:
    return name.startswith(_SETTINGS) or name == "SLACK_CHANNEL"


def check_setting(name: str) -> None:
    """Refuse what is not the name of a setting."""
    if not _is_setting(name) and name not in ALERT_SECRETS:
        raise ValueError(f"'{name}' is not the name of a setting")


def _lines(value: str) -> Iterator[str]:
    """Give the value and, as logs are masked line by line, each of its lines."""
    for part in (value, *(value.splitlines() if len(value.splitlines()) > 1 else ())):
        if len(part) >= LENGTH_MIN and not part.isspace():
            yield part


def _parts(name: str, value: str) -> list[str]:
    return [value, *_url_parts(name, value)]


def _url_parts(name: str, value: str) -> list[str]:
    """Give what is secret inside an alert's URL: the password, the path that is the key."""
    if name not in ALERT_SECRETS:
        return []
    try:
        url = urlsplit(value)
        password = url.password or ""
    except ValueError:
        return []
    tail = url.path.rstrip("/").rpartition("/")[2]
    parts = [password, unquote(password), url.path if url.path != "/" else "", url.query]
    return parts + ([tail] if len(tail) >= _URL_TAIL_LENGTH_MIN else [])


def _forms_of(value: str) -> Iterator[str]:
    from html import escape  # with its table of 2,000 names, where there is a secret to mask

    yield value
    yield repr(value)[1:-1]
    yield json.dumps(value)[1:-1]
    yield json.dumps(value, ensure_ascii=False)[1:-1]
    yield escape(value)
    raw = value.encode("utf-8", "surrogateescape")
    yield repr(raw)[2:-1]
    for quoted in (quote(raw), quote(raw, safe=""), quote_plus(raw)):
        yield quoted
        yield re.sub(r"%[0-9A-F]{2}", lambda match: match[0].lower(), quoted)
    yield from _base64_forms(raw)


def _base64_forms(raw: bytes) -> Iterator[str]:
    """Give the base64 of the secret, alone and after 0, 1 or 2 (mod 3) bytes of something else."""
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        yield encode(raw).decode("ascii")
        for before in range(3):
            text = encode(b"\0" * before + raw).decode("ascii")
            # Characters that also hold bits of a neighbour differ from case to case.
            yield text[-(-before * 8 // 6) : (before + len(raw)) * 8 // 6]


# -- the file -------------------------------------------------------------------------------------


def _read_file(path: Path) -> dict[str, str]:
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        fd = os.open(path, flags)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        if os.path.islink(path):  # noqa: PTH114 - Path's raises where the folder may not be entered
            raise SecretError(
                f"secrets file '{path}' is a link", hint="put the file itself there"
            ) from error
        hint = "make it yours and readable for you alone"
        if not os.path.lexists(path):
            hint = f"run this as the user '{path.parent}' belongs to, or name another with --home"
        raise SecretError(
            f"secrets file '{path}' cannot be read: {error.strerror}", hint=hint
        ) from error
    try:
        _check_trusted(path, os.fstat(fd))
        data = _read_all(fd)
    finally:
        os.close(fd)
    if len(data) > FILE_BYTES_MAX:
        raise SecretError(f"secrets file '{path}' is over 1 MB", hint="keep KEY=VALUE lines only")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise SecretError(f"secrets file '{path}' is not UTF-8", hint="save it as UTF-8") from None
    return _parse(path, text)


def _read_all(fd: int) -> bytes:
    data = b""
    while len(data) <= FILE_BYTES_MAX and (chunk := os.read(fd, FILE_BYTES_MAX + 1)):
        data += chunk
    return data


def _check_trusted(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise SecretError(
            f"secrets file '{path}' is not a regular file", hint="put KEY=VALUE lines in a file"
        )
    if found.st_uid not in {os.geteuid(), 0}:
        raise SecretError(
            f"secrets file '{path}' belongs to another user", hint=f"chown $USER {path}"
        )
    if found.st_mode & 0o077:
        raise SecretError(
            f"secrets file '{path}' may be read by others (mode {found.st_mode & 0o777:04o})",
            hint=f"chmod 600 {path}",
        )


_LINE = re.compile(r"(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_]*)=(.*)\Z", re.DOTALL)
_SINGLE = re.compile(r"'([^']*)'[ \t]*(?:#.*)?\Z", re.DOTALL)
_DOUBLE = re.compile(r'"((?:[^"\\]|\\.)*)"[ \t]*(?:#.*)?\Z', re.DOTALL)


def _parse(path: Path, text: str) -> dict[str, str]:
    values: dict[str, str] = {}
    for number, raw in enumerate(text.split("\n"), start=1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        match = _LINE.match(line)
        value = _value(match[2]) if match else None
        if match is None or value is None or "\0" in value:
            # The line itself is not shown: it may hold a secret.
            raise SecretError(
                f"secrets file '{path}', line {number}: not a KEY=VALUE line",
                hint="write KEY=VALUE, quoted with '…' or \"…\" if it holds spaces or '#'",
            )
        values[match[1]] = value
    return values


def _value(text: str) -> str | None:
    """Read the right side as a shell would, without expansions; None if its quotes are wrong."""
    bare, text = text, text.strip()
    if text.startswith("'"):
        single = _SINGLE.match(text)
        return single[1] if single else None
    if text.startswith('"'):
        double = _DOUBLE.match(text)
        return re.sub(r'\\(["\\$`])', r"\1", double[1]) if double else None
    return re.split(r"[ \t]+#", bare, maxsplit=1)[0].strip()
