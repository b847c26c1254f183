"""Failed logins: read from the logs of several distributions, and never taken for none."""

from __future__ import annotations

import os
import struct
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from engine.errors import Skip
from pipelines._housekeeping import logins
from pipelines._housekeeping.logins import Closed, Log, Tried, count, parse, parse_btmp, parse_lines
from pipelines._machine import journal
from pipelines._machine.journal import Entry

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
SINCE = NOW - timedelta(days=1)

FEDORA = """\
{stamp} web sshd[811]: Failed password for root from 203.0.113.9 port 50122 ssh2
{stamp} web sshd-session[812]: Failed password for invalid user admin from 203.0.113.9 port 4 ssh2
{stamp} web sshd[811]: pam_unix(sshd:auth): authentication failure; logname= uid=0 rhost=203.0.113.9
{stamp} web sshd[813]: Connection closed by authenticating user root 203.0.113.9 port 51 [preauth]
{stamp} web su[90]: pam_unix(su:auth): authentication failure; logname=ada uid=1000 euid=0 \
tty=pts/0 ruser=ada rhost=  user=root
"""


@pytest.mark.parametrize(
    ("program", "message", "tried"),
    [
        (
            "sshd",
            "Failed password for root from 203.0.113.9 port 50122 ssh2",
            Tried("root", "203.0.113.9"),
        ),
        (
            "sshd-session",
            "Failed keyboard-interactive/pam for invalid user bob from 2001:db8::7 port 22 ssh2",
            Tried("bob", "2001:db8::7"),
        ),
        (
            "sshd",
            "Failed password for invalid user  from 10.0.0.1 port 2 ssh2",
            Tried("?", "10.0.0.1"),
        ),
        ("sshd", "Failed publickey for ada from 10.0.0.1 port 2 ssh2: RSA SHA256:abc", None),
        (
            "sshd",
            "Failed publickey for invalid user x from 10.0.0.1 port 2 ssh2: RSA SHA256:abc",
            Tried("x", "10.0.0.1"),
        ),
        (
            "sshd",
            "message repeated 3 times: [ Failed password for root from 10.0.0.1 port 2 ssh2]",
            Tried("root", "10.0.0.1", 3),
        ),
        (
            "sshd",
            "Invalid user test from 10.0.0.1 port 40000",
            Tried("test", "10.0.0.1", is_first_word=True),
        ),
        ("sshd", "Invalid user old from 10.0.0.1", Tried("old", "10.0.0.1", is_first_word=True)),
        (
            "sshd",
            "Accepted publickey for ada from 10.0.0.1 port 2 ssh2: ED25519 SHA256:abc",
            Tried("ada", "10.0.0.1", is_in=True),
        ),
        # What was typed as a name cannot pass for what sshd says.
        (
            "sshd",
            "Failed password for invalid user a from 1.1.1.1 port 22 ssh2 from 9.9.9.9 port 4 ssh2",
            Tried("a from 1.1.1.1 port 22 ssh2", "9.9.9.9"),
        ),
        (
            "sshd",
            "Invalid user Accepted password for root from 1.1.1.1 port 1 ssh2 from 9.9.9.9 port 4",
            Tried(
                "Accepted password for root from 1.1.1.1 port 1 ssh2", "9.9.9.9", is_first_word=True
            ),
        ),
        ("logger", "Failed password for root from 203.0.113.9 port 50122 ssh2", None),
        (
            "dropbear",
            "Bad password attempt for 'root' from 203.0.113.9:4711",
            Tried("root", "203.0.113.9"),
        ),
        (
            "dropbear",
            "Login attempt for nonexistent user from 203.0.113.9:4711",
            Tried("?", "203.0.113.9"),
        ),
        (
            "dropbear",
            "Pubkey auth succeeded for 'root' with ssh-ed25519 key SHA256:abc from 10.0.0.1:4",
            Tried("root", "10.0.0.1", is_in=True),
        ),
        (
            "sudo",
            "pam_unix(sudo:auth): authentication failure; tty=pts/1 ruser=ada rhost=  user=ada",
            Tried("ada", "sudo"),
        ),
        (
            "vsftpd",
            "pam_unix(vsftpd:auth): authentication failure; tty=ftp ruser=bob rhost=198.51.100.4",
            Tried("?", "198.51.100.4"),
        ),
        ("cron", "pam_unix(cron:session): session opened for user root(uid=0) by (uid=0)", None),
        (
            "sshd",
            "Failed password for " + "x" * 500 + " from 10.0.0.1 port 2 ssh2",
            Tried("x" * 64, "10.0.0.1"),
        ),
    ],
)
def test_messages_of_logins(program: str, message: str, tried: Tried | None) -> None:
    """Each program's own words are read; what the user typed is a name and nothing else."""
    assert parse(program, message) == tried


def local(moment: datetime) -> str:
    """Give a time as older syslogs write it, without a year."""
    here = moment.astimezone()
    month = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
    return f"{month[here.month - 1]} {here.day:2} {here:%H:%M:%S}"


@pytest.mark.parametrize(
    "stamp",
    [local(NOW - timedelta(hours=1)), "2026-11-25T10:59:00.123456+00:00", "2026-11-25T11:00:00Z"],
)
def test_lines_of_secure_and_auth_log(stamp: str) -> None:
    """Fedora and older Debian write times without a year, newer Debian ISO ones."""
    tried = list(parse_lines(FEDORA.format(stamp=stamp).splitlines(), SINCE, NOW))
    assert tried == [
        Tried("root", "203.0.113.9"),
        Tried("admin", "203.0.113.9"),
        Tried("root", "su"),
    ]


@pytest.mark.parametrize(
    ("stamp", "counts"),
    [
        (local(SINCE), True),
        (local(SINCE - timedelta(seconds=1)), False),
        (local(NOW + timedelta(minutes=2)), True),  # clocks differ a little
        (local(NOW + timedelta(days=2)), False),  # that is last year's
        ("Feb 30 10:00:00", False),
        ("2026-13-25T11:00:00Z", False),
    ],
)
def test_only_lines_of_the_window_count(stamp: str, counts: bool) -> None:
    """A time without a year is the last such one; one that is none counts nowhere."""
    line = f"{stamp} web sshd[1]: Failed password for root from 10.0.0.1 port 2 ssh2"
    assert bool(list(parse_lines([line, "", "-- no line --"], SINCE, NOW))) is counts


def test_a_line_of_last_december_is_of_last_year() -> None:
    """In January the months before are the old year's."""
    new_year = datetime(2027, 1, 1, 0, 30, tzinfo=UTC).astimezone()
    line = f"{local(new_year - timedelta(hours=20))} web sshd[1]: Invalid user x from 10.0.0.1"
    assert len(list(parse_lines([line], new_year - timedelta(days=1), new_year))) == 1


def record(form: int, user: str, host: str, at: datetime) -> bytes:
    """Make a record of btmp, of 384 or of 400 bytes."""
    head = struct.pack(
        "=h2xi32s4s32s256s2h", 6, 4711, b"ssh:notty", b"", user.encode(), host.encode(), 0, 0
    )
    rest = "=iii4i20x" if form == 384 else "=qqq4i20x4x"
    return head + struct.pack(rest, 0, int(at.timestamp()), 0, 0, 0, 0, 0)


@pytest.mark.parametrize("form", [384, 400])
def test_btmp_of_both_forms_is_read(form: int) -> None:
    """x86 and arm64 keep records of different sizes; without a host the terminal is named."""
    data = record(form, "root", "203.0.113.9", NOW) + record(form, "ada", "", SINCE)
    data += record(form, "old", "203.0.113.9", SINCE - timedelta(seconds=1))
    assert len(data) == 3 * form
    assert list(parse_btmp(data, SINCE, NOW)) == [
        Tried("root", "203.0.113.9"),
        Tried("ada", "ssh:notty"),
    ]


@pytest.mark.parametrize("data", [b"", b"x" * 384, b"\0" * 100])
def test_what_is_no_btmp_counts_nothing(data: bytes) -> None:
    """Neither an empty file nor garbage is a login."""
    assert list(parse_btmp(data, SINCE, NOW)) == []


def test_tries_are_counted_by_user_and_source() -> None:
    """The most come first; the word that greets an invalid user is not counted beside its tries."""
    log = Log(
        "the journal",
        [
            Tried("root", "10.0.0.1"),
            Tried("admin", "10.0.0.2", is_first_word=True),
            Tried("admin", "10.0.0.2", 2),
            Tried("guest", "10.0.0.2", is_first_word=True),
        ],
    )
    found = count(log, SINCE)
    assert [(one["user"], one["source"], one["count"]) for one in found["tries"]] == [
        ("admin", "10.0.0.2", 2),
        ("guest", "10.0.0.2", 1),
        ("root", "10.0.0.1", 1),
    ]
    assert (found["total"], found["sources"], found["cut"]) == (4, 2, False)


@pytest.mark.parametrize(("before", "marked"), [(9, False), (10, True)])
def test_a_login_after_many_failures_is_marked(before: int, marked: bool) -> None:
    """Ten failures are more than a slip of the finger; the order of the lines counts."""
    log = Log(
        "x", [Tried("root", "a", 50), Tried("ada", "b", before), Tried("ada", "b", is_in=True)]
    )
    first = count(log, SINCE)["tries"][0]
    assert (first["source"], first["came_in"]) == (("b", True) if marked else ("a", False))
    early = Log("x", [Tried("ada", "b", is_in=True), Tried("ada", "b", 20)])
    assert not count(early, SINCE)["tries"][0]["came_in"]


def journal_says(monkeypatch: pytest.MonkeyPatch, answer: object) -> None:
    """Let the journal answer with entries and whether some were hidden, or with a reason."""

    def read(*_words: object, most: int) -> object:
        assert most == 50_000
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(journal, "read", read)


def test_the_journal_comes_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """On Arch there is nothing else; where there is more, nothing is counted twice."""
    failed = "Failed password for root from 10.0.0.1 port 2 ssh2"
    journal_says(monkeypatch, ([Entry("sshd", failed, 6, ""), Entry("sudo", "x", 5, "")], False))
    log = logins.read(SINCE, NOW, tmp_path)
    assert log == Log("the journal", [Tried("root", "10.0.0.1")])


NO_JOURNAL = Skip("the journal cannot be read: No journal files were found.")


def test_auth_log_and_its_last_rotation_are_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What was rotated away within the window counts; an older one is not opened."""
    journal_says(monkeypatch, NO_JOURNAL)
    logs = tmp_path / "var/log"
    logs.mkdir(parents=True)
    line = "2026-11-25T09:00:00Z web sshd[1]: Failed password for {} from 10.0.0.1 port 2 ssh2\n"
    for name, user in (("auth.log", "new"), ("auth.log.1", "old")):
        (logs / name).write_text(line.format(user))
        os.utime(logs / name, (NOW.timestamp(), NOW.timestamp()))
    log = logins.read(SINCE, NOW, tmp_path)
    assert log == Log("/var/log/auth.log", [Tried("old", "10.0.0.1"), Tried("new", "10.0.0.1")])
    os.utime(logs / "auth.log.1", (0, 0))
    assert logins.read(SINCE, NOW, tmp_path).tried == [Tried("new", "10.0.0.1")]


def test_a_log_that_nobody_writes_says_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """An auth.log that was left behind does not stand for a journal that is closed."""
    journal_says(
        monkeypatch, Skip("journalctl failed: Hint: You are currently not seeing messages")
    )
    logs = tmp_path / "var/log"
    logs.mkdir(parents=True)
    (logs / "auth.log").touch()
    os.utime(logs / "auth.log", (0, 0))
    with pytest.raises(Skip) as caught:
        logins.read(SINCE, NOW, tmp_path)
    closed = "the journal (group systemd-journal)"
    assert str(caught.value) == f"cannot be read as this user: {closed}"


@pytest.mark.parametrize(
    "answer",
    [
        ([], True),
        Skip("journalctl failed: No journal files were opened due to insufficient permissions."),
    ],
)
def test_closed_logs_are_told_not_taken_for_empty(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, answer: object
) -> None:
    """A user who may not read a log gets no "none"."""
    journal_says(monkeypatch, answer)
    logs = tmp_path / "var/log"
    logs.mkdir(parents=True)
    (logs / "btmp").touch()

    def refuse(path: Path, _size: int) -> tuple[bytes, bool]:
        raise Closed(f"{path} (group utmp)")

    monkeypatch.setattr(logins, "_tail", refuse)
    with pytest.raises(Skip) as caught:
        logins.read(SINCE, NOW, tmp_path)
    assert str(caught.value) == (
        "cannot be read as this user: the journal (group systemd-journal), "
        f"{logs}/btmp (group utmp)"
    )


def test_a_machine_without_any_log_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """All that was looked for is named."""
    journal_says(monkeypatch, NO_JOURNAL)
    with pytest.raises(Skip) as caught:
        logins.read(SINCE, NOW, tmp_path)
    assert str(caught.value) == (
        "no log of logins here: the journal cannot be read: No journal files were found."
        "; no auth.log or secure; no btmp"
    )


def test_an_empty_btmp_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """There nobody failed."""
    journal_says(monkeypatch, NO_JOURNAL)
    (tmp_path / "var/log").mkdir(parents=True)
    (tmp_path / "var/log/btmp").touch()
    assert logins.read(SINCE, NOW, tmp_path) == Log("/var/log/btmp", [])


def test_a_tail_is_whole_records(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Of a btmp of gigabytes the end is read, from the beginning of a record on."""
    journal_says(monkeypatch, NO_JOURNAL)
    monkeypatch.setattr(logins, "TAIL_BYTES", 384 * 400 + 5)
    (tmp_path / "var/log").mkdir(parents=True)
    one = record(384, "root", "10.0.0.1", NOW)
    (tmp_path / "var/log/btmp").write_bytes(one * 401)
    log = logins.read(SINCE, NOW, tmp_path)
    assert (len(log.tried), log.cut) == (400, True)


HEADS = ("", "Failed password for ", "Pubkey auth succeeded for '", "pam_unix(a:auth): ")
AGAIN = (" from a port 1", "' from ", " rhost= ", "Failed x for ", "message repeated 1 times: [ ")


@pytest.mark.timeout(5)
@pytest.mark.parametrize("program", ["sshd", "dropbear", "sudo"])
@pytest.mark.parametrize("times", [100, 40_000])
def test_a_hostile_message_costs_no_time(program: str, times: int) -> None:
    """However long a name somebody has typed, a log is read in a moment."""
    for head in HEADS:
        for text in AGAIN:
            assert parse(program, head + text * times + "!") is None
