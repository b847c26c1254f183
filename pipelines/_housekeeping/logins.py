"""Failed logins, from the first log of them that can be read: journal, auth.log or secure, btmp."""

# In a closed folder os.path says no; Path raises.
# ruff: noqa: PTH113

from __future__ import annotations

import os
import re
import struct
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from engine import Skip
from pipelines._housekeeping.shapes import Logins, Tries
from pipelines._machine import journal

ENTRIES_MAX = 50_000
TAIL_BYTES = 16_000_000
SHOWN = 20
NAME_MAX = 64
MESSAGE_MAX = 2000  # none of these programs says so much
ROOT = Path("/")
TEXT_LOGS = ("var/log/auth.log", "var/log/secure")
BTMP = "var/log/btmp"
AUTH, AUTHPRIV = 4, 10  # facilities of syslog


class Tried(NamedTuple):
    """One line of a log: who, from where, how often; let in, or not."""

    user: str
    source: str
    times: int = 1
    is_in: bool = False
    is_first_word: bool = False  # "Invalid user": the failed tries of the same one may follow


class Log(NamedTuple):
    """What was read of a log."""

    name: str
    tried: list[Tried]
    cut: bool = False


class Closed(Exception):
    """There is such a log, and this user may not read it."""


def look(ctx: Any) -> Logins:
    """Count failed logins of the last days by user and source."""
    now = datetime.now(UTC)
    since = now - timedelta(days=ctx.params["login_days"])
    found = count(read(since, now), since)
    ctx.log.info("%d failed logins since %s, by %s", found["total"], since.date(), found["log"])
    return found


def read(since: datetime, until: datetime, root: Path = ROOT) -> Log:
    """Read the first log that is there and open to this user.

    A log that is closed is never taken for an empty one: it is a reason to skip.
    """
    closed, missing = [], []
    for source in (from_journal, from_texts, from_btmp):
        try:
            return source(since, until, root)
        except Closed as error:
            closed.append(str(error))
        except Skip as why:
            missing.append(str(why))
    if closed:
        raise Skip(f"cannot be read as this user: {', '.join(closed)}")
    raise Skip(f"no log of logins here: {'; '.join(missing)}")


# -- three logs -----------------------------------------------------------------------------------


def from_journal(since: datetime, until: datetime, _root: Path = ROOT) -> Log:
    """Read what programs have said to the facilities auth and authpriv."""
    which = (f"SYSLOG_FACILITY={AUTH}", f"SYSLOG_FACILITY={AUTHPRIV}")
    try:
        entries, limited = journal.read(since, until, which, most=ENTRIES_MAX)
    except Skip as why:
        if any(word in str(why) for word in ("permission", "not seeing messages")):
            raise Closed("the journal (group systemd-journal)") from None
        raise
    if limited:
        raise Closed("the journal (group systemd-journal)")
    tried = [one for entry in entries if (one := parse(entry.source, entry.message)) is not None]
    return Log("the journal", tried, cut=len(entries) >= ENTRIES_MAX)


def from_texts(since: datetime, until: datetime, root: Path = ROOT) -> Log:
    """Read the last part of auth.log (Debian) or secure (Fedora), and of the one rotated last."""
    for name in TEXT_LOGS:
        path = root / name
        if not os.path.isfile(path):
            continue
        if path.stat().st_mtime < since.timestamp():  # left by a logger that runs no more?
            raise Skip(f"nothing new in {path.name}")
        lines: list[str] = []
        cut = False
        for part in (path.with_name(path.name + ".1"), path):
            if os.path.isfile(part) and part.stat().st_mtime >= since.timestamp():
                data, short = _tail(part, TAIL_BYTES)
                lines += data.decode("utf-8", "replace").splitlines()
                cut = cut or short
        return Log(f"/{name}", list(parse_lines(lines, since, until)), cut)
    raise Skip("no auth.log or secure")


def from_btmp(since: datetime, until: datetime, root: Path = ROOT) -> Log:
    """Read the records of bad logins that login and sshd keep."""
    path = root / BTMP
    if not os.path.isfile(path):
        raise Skip("no btmp")
    data, cut = _tail(path, TAIL_BYTES - TAIL_BYTES % (384 * 400))
    return Log(f"/{BTMP}", list(parse_btmp(data, since, until)), cut)


def _tail(path: Path, size: int) -> tuple[bytes, bool]:
    """Give the last bytes of a file, and whether there are more before them."""
    try:
        with path.open("rb") as file:
            length = file.seek(0, os.SEEK_END)
            file.seek(max(0, length - size))
            return file.read(size), length > size
    except PermissionError:
        raise Closed(f"{path} (group {_group(path)})") from None


def _group(path: Path) -> str:
    try:
        return path.group()
    except (KeyError, OSError):
        return "unknown"


# -- lines ----------------------------------------------------------------------------------------

# A user's name is whatever somebody typed, " from 1.2.3.4 port 5" as well: what sshd itself says
# stands at the end of the line.
_END = r" from (?P<source>\S+) port \d+(?: ssh2)?(?:: \S+ \S+)?\Z"
_SSH_FAILED = re.compile(
    r"Failed (?P<how>\S+) for (?P<invalid>invalid user )?(?P<user>.*)" + _END, re.DOTALL
)
_SSH_INVALID = re.compile(
    r"Invalid user (?P<user>.*) from (?P<source>\S+)(?: port \d+)?\Z", re.DOTALL
)
_SSH_IN = re.compile(r"Accepted \S+ for (?P<user>.*)" + _END, re.DOTALL)
_DROPBEAR_FAILED = re.compile(
    r"(?:Bad (?:PAM )?password attempt for|Login attempt for nonexistent user)"
    r"(?: '(?P<user>.*)')? from (?P<source>\S+):\d+\Z"
)
_DROPBEAR_IN = re.compile(
    r"(?:Password|PAM password|Pubkey) auth succeeded for '(?P<user>.*?)'"
    r".* from (?P<source>\S+):\d+\Z"
)
_PAM = re.compile(
    r"pam_unix\((?P<service>[^:)]+):auth\): authentication failure;"
    r".* rhost=(?P<source>\S*)(?:\s+user=(?P<user>\S*))?\s*\Z"
)
_REPEATED = re.compile(r"message repeated (?P<times>\d+) times: \[ (?P<message>.*)\]\Z", re.DOTALL)


def parse(program: str, message: str) -> Tried | None:
    """Read one message; None if it tells of no login.

    A key that is not taken is no failed login of a known user: programs offer all that they have.
    """
    if len(message) > MESSAGE_MAX:
        return None
    times, message = 1, message.strip()
    if repeated := _REPEATED.match(message):
        times, message = int(repeated["times"]), repeated["message"].strip()
    if program.startswith("sshd"):
        return _parse_ssh(message, times)
    if program == "dropbear":
        if found := _DROPBEAR_FAILED.match(message):
            return Tried(_name(found["user"]), found["source"], times)
        if found := _DROPBEAR_IN.match(message):
            return Tried(_name(found["user"]), found["source"], is_in=True)
    if (found := _PAM.match(message)) and not found["service"].startswith(("sshd", "dropbear")):
        return Tried(_name(found["user"]), found["source"] or found["service"], times)
    return None


def _parse_ssh(message: str, times: int) -> Tried | None:
    if found := _SSH_FAILED.match(message):
        if found["how"] in {"none", "publickey"} and not found["invalid"]:
            return None
        return Tried(_name(found["user"]), found["source"], times)
    if found := _SSH_INVALID.match(message):
        return Tried(_name(found["user"]), found["source"], times, is_first_word=True)
    if found := _SSH_IN.match(message):
        return Tried(_name(found["user"]), found["source"], is_in=True)
    return None


def _name(user: str | None) -> str:
    return (user or "?")[:NAME_MAX]


_LINE = re.compile(
    r"(?:(?P<iso>\d{4}-\d\d-\d\dT\S+)|(?P<old>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d)) \S+ "
    r"(?P<program>[^\s\[:(]+)(?:\([^)]*\))?(?:\[\d+\])?: (?P<message>.*)"
)


def parse_lines(lines: Iterable[str], since: datetime, until: datetime) -> Iterator[Tried]:
    """Read lines of a log of syslog's, with times of the new form or of the old one."""
    for line in lines:
        found = _LINE.match(line)
        if not found:
            continue
        tried = parse(found["program"].rpartition("/")[2], found["message"])
        if tried is not None and since <= _moment(found["iso"], found["old"], until) <= until:
            yield tried


_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_NEVER = datetime.min.replace(tzinfo=UTC)


def _moment(iso: str | None, old: str | None, until: datetime) -> datetime:
    """Give a line's time; the old form has no year: it is the last one before `until`."""
    try:
        if iso is not None:
            moment = datetime.fromisoformat(iso)
            return moment if moment.tzinfo else moment.astimezone()
        month, day, clock = (old or "").split()
        hour, minute, second = map(int, clock.split(":"))
        local = until.astimezone()
        for year in (local.year, local.year - 1):
            when = datetime(year, _MONTHS.index(month) + 1, int(day), hour, minute, second)  # noqa: DTZ001 - the log's, which is local
            if when.astimezone() <= until + timedelta(minutes=5):
                return min(when.astimezone(), until)
    except ValueError:
        pass
    return _NEVER


# As utmp(5) has it: type, pid, line, id, user, host, exit, session, time, address, and no more.
_UTMP = (
    struct.Struct("=h2xi32s4s32s256s2hiii4i20x"),  # where time counts in 32 bits: x86
    struct.Struct("=h2xi32s4s32s256s2hqqq4i20x4x"),  # where it does not: arm64
)


def parse_btmp(data: bytes, since: datetime, until: datetime) -> Iterator[Tried]:
    """Read records of btmp: each is one failed login."""
    form = next((one for one in _UTMP if _fits(one, data)), None)
    if form is None:
        return
    for fields in form.iter_unpack(data):
        line, user, host, seconds = fields[2], fields[4], fields[5], fields[9]
        if fields[0] and since.timestamp() <= seconds <= until.timestamp():
            yield Tried(_name(_text(user)), _text(host) or _text(line) or "?")


def _fits(form: struct.Struct, data: bytes) -> bool:
    """Tell the two forms apart: by size, and by times that make sense."""
    if len(data) % form.size:
        return False
    return all(
        0 <= fields[0] <= 9 and 0 <= fields[9] < 1 << 34 for fields in form.iter_unpack(data)
    )


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode("utf-8", "replace")


# -- counting -------------------------------------------------------------------------------------


def count(log: Log, since: datetime) -> Logins:
    """Count by user and source, most first; a source that failed and then came in is marked.

    Of an invalid user sshd says one line when it comes and one for each try: the larger counts.
    """
    failed, first, came_in = Counter[tuple[str, str]](), Counter[tuple[str, str]](), set[str]()
    known = Counter[str]()
    for one in log.tried:
        if one.is_in:
            if known[one.source] >= FAILED_BEFORE:
                came_in.add(one.source)
            continue
        (first if one.is_first_word else failed)[one.user, one.source] += one.times
        known[one.source] += one.times
    every = {key: max(failed[key], first[key]) for key in (*failed, *first)}
    ranked = sorted(every.items(), key=lambda item: (item[0][1] not in came_in, -item[1], item[0]))
    return Logins(
        log=log.name,
        since=since.isoformat(timespec="seconds"),
        total=sum(every.values()),
        sources=len({source for _, source in every}),
        tries=[
            Tries(user=user, source=source, count=number, came_in=source in came_in)
            for (user, source), number in ranked[:SHOWN]
        ],
        cut=log.cut,
    )


FAILED_BEFORE = 10  # so many failures before a login are more than a slip of the finger
