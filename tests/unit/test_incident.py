"""When two errors are the same trouble."""

from __future__ import annotations

import pytest

from engine.clock import SystemClock
from engine.incident import fingerprint, lasting, told


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("ValueError: no luck", "ValueError: no luck"),
        ("KeyError: 'day-17'", "KeyError: '…'"),
        ('no such table: "t_20261126"', "no such table: '…'"),
        ("can't open 'a b.csv'", "can't open '…'"),
        ("[Errno 2] no file: /data/in/2026-11-26.csv: gone", "[Errno 2] no file: /…: gone"),
        ("GET https://api.example.com/v1?day=3 answered 503", "GET /… answered 503"),
        ("<object at 0x7f26040c10d0>", "<object at 0>"),
        ("commit 4a1f9c2 is gone", "commit 0 is gone"),
        ("id 550e8400-e29b-41d4-a716-446655440000", "id 0"),
        ("at 2026-11-26T01:39:31.5Z", "at 0"),
        ("at Thu Nov 26 01:39:31", "at 0"),
        ("no answer within 4.9s", "no answer within 0"),
        ("no answer within 850ms", "no answer within 0"),
        ("10.0.0.17:5432 refused", "0 refused"),
        ("the facade is decaf", "the facade is decaf"),
        ("  a\tb  ", "a b"),
    ],
)
def test_what_lasts_of_a_line(line: str, expected: str) -> None:
    """Numbers, hex, times, paths and what is quoted are left out, and nothing else."""
    assert lasting(line) == expected
    assert lasting(expected) == expected


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("took 1m 20s", "took 45s"),
        ("no answer for 1h30m", "no answer for 45 minutes"),
        ("at 09:30 AM on November 6", "at 1:30 PM on Friday, December 14"),
        ("seit Do 26. Nov. 2026 weg", "seit Fr 4. Dez. 2026 weg"),
        ("le 4 décembre 10:15", "le 26 novembre 9:05"),
        ("off by -1.5e-05", "off by 3"),
        ("12,000 rows lost", "1 row lost"),
        ("1.2 GB left", "900KiB left"),
        ("request 01HFZ3K7ABCDEFGHJKMNPQRSTV failed", "request 8F3K2LPQ9ZXYW7VT failed"),
        ("no data/2026-11-26/eu.csv", "no data/2026-11-27/us.csv"),
        ("Can’t read “a b”", "Can’t read “c”"),
        ("columns {'a', 'b'} are missing", "columns {'c'} are missing"),
        ("ann@example.com bounced", "bob@example.org bounced"),
        ("lines [1, 2, 3]", "lines [17]"),
    ],
)
def test_what_differs_from_day_to_day_is_one_trouble(one: str, other: str) -> None:
    """Durations of several units, dates in words, sizes, ids, and how many of them there are."""
    assert fingerprint(one) == fingerprint(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("exit code 3", "exit code 137"),
        (
            "Command '['x']' returned non-zero exit status 1.",
            "Command '['x']' returned non-zero exit status 2.",
        ),
        ("exited with 3", "exited with 4"),
        ("rc=-9", "rc=1"),
        ("ended by signal 9", "ended by signal 15"),
        ("HTTP 404", "HTTP 503"),
        ("HTTP/1.1 404 at 10:15", "HTTP/1.1 503 at 10:15"),
        (
            "curl: (22) The requested URL returned error: 404",
            "curl: (22) The requested URL returned error: 500",
        ),
        ("status 404", "status 503"),
        ("response status code: 404", "response status code: 503"),
        ("https://a.example/x?day=3 answered 404", "https://a.example/x?day=4 answered 503"),
        ("Errno 2", "Errno 13"),
        ("[Errno 2] /data/1.csv", "[Errno 13] /data/1.csv"),
        ("ORA-00942: gone", "ORA-01017: gone"),
        ("failed with ORA-00942", "failed with ORA-01017"),
        ("E1234: row 17", "E1235: row 17"),
        ("ERROR 1045 (28000)", "ERROR 1049 (28000)"),
        ("SQLSTATE[42S02]: no", "SQLSTATE[42S22]: no"),
        ("error[E0308]: no", "error[E0382]: no"),
    ],
)
def test_numbers_that_say_which_trouble_it_is_count(one: str, other: str) -> None:
    """How a process ended, what a server or the system answered, and codes of errors."""
    assert fingerprint(one) != fingerprint(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Error: 404 rows missing", "Error: 317 rows missing"),
        ("status 5 times asked", "status 17 times asked"),
        ("exit code 3 after 12.5 s", "exit code 3 after 2 s"),
        ("no data/E1234.csv", "no data/E1235.csv"),
        ("open 'E1234'", "open 'E1235'"),
        ("order A1234 is missing", "order A1235 is missing"),
        ("error 2026-11-26", "error 2026-11-27"),
        ("HTTP 10.0.0.1:503", "HTTP 10.0.0.2:503"),
    ],
)
def test_numbers_beside_such_words_that_count_something_do_not(one: str, other: str) -> None:
    """What is counted, named, quoted, a date or an address differs from day to day."""
    assert fingerprint(one) == fingerprint(other)


def test_first_and_last_line_and_type_count() -> None:
    """What stands between them, and what lasting leaves out, does not."""
    one = fingerprint("ValueError: row 17 of 'a'\n  somewhere\nat line 3\n")
    assert one == fingerprint("ValueError: row 9000 of 'b'\n\n  elsewhere\nat line 44")
    others = ["TypeError: row 17 of 'a'\nat line 3", "ValueError: row 17 of 'a'\nat the end"]
    others += ["ValueError: no row\nat line 3", "", "ValueError"]
    assert len({one, *map(fingerprint, others)}) == 6


def test_what_is_told_is_the_last_line() -> None:
    """Cut to 500 characters; nothing of nothing."""
    assert told("Traceback:\n  ValueError: no luck\n\n") == "ValueError: no luck"
    assert told("x" * 600) == "x" * 500
    assert told("\n") == ""
    wrong = "flow.py:3: workflow 'flow': catchup is 'no'\n    flow = Workflow()\n    ^~~~"
    assert told(wrong) == "flow.py:3: workflow 'flow': catchup is 'no'"  # it was known as `^`


def test_a_mark_below_a_line_is_not_what_is_told() -> None:
    """Of a file that cannot be loaded the last line says where in the line above."""
    error = "flow.py:1: SyntaxError: invalid syntax\n    syntax error here\n           ^"
    assert told(error) == told(f"{error}^~~\n") == "flow.py:1: SyntaxError: invalid syntax"


@pytest.mark.parametrize(
    "what",
    ["'", "“", "1 ", "1h", "1,", "-", "a.", "a/", "a@a.", "a1", "1 ab ", "rc=", "error 1", "E1"],
)
def test_long_lines_take_no_time(what: str) -> None:
    """A line of a million of anything is cut before anything is looked for."""
    began = SystemClock().now()
    assert fingerprint(what * 1_000_000) == fingerprint(what * 2_000_000)
    assert SystemClock().now() - began < 2  # 20 ms and less
