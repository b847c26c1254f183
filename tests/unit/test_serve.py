"""The parts of the dashboard that need no server: who is refused, what is kept, what is drawn."""

from __future__ import annotations

import asyncio
import os
import socket
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from engine.reports.html import bars, shell
from engine.reports.html.bars import Bar, axis, calendar, plot, strip
from engine.reports.html.markup import Html
from engine.reports.html.runs_page import Asked
from engine.serve import log_files, peer, shared
from engine.serve.answers import asked_for, masked
from engine.serve.guard import hosts, refusal
from engine.serve.looking import Problem
from engine.serve.shared import Answer, Shared
from store.search import escaped
from store.trends import RunRow, Wanted
from tests.fakes import FakeClock

NOW = datetime(2011, 11, 14, 12, tzinfo=UTC)


def scope(method: str = "GET", path: str = "/", **head: str) -> dict[str, object]:
    """Make what a server hands on of a request."""
    fields = {"host": "localhost:8321", **head}
    return {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [
            (name.replace("_", "-").encode(), text.encode()) for name, text in fields.items()
        ],
        "state": {},
    }


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        (scope(), None),
        (scope(host="LocalHost:8321"), None),
        (scope(host="localhost"), 403),
        (scope(host="localhost:80"), 403),
        (scope(host="localhost:8321.evil.example"), 403),
        (scope("POST"), 405),
        (scope(origin="http://localhost:8321"), None),
        (scope(origin="https://localhost:8321"), 403),
        (scope(sec_fetch_site="same-site"), 403),
        (scope(path="http://localhost:8321/"), 400),
        (scope(path="/" + 2000 * "x"), 400),
        ({**scope(), "state": {"foreign": True}}, 403),
    ],
)
def test_refusals(asked: dict[str, object], status: int | None) -> None:
    """Each with its status; what is asked as it should be is answered."""
    found = refusal(asked, hosts(8321))
    assert (found.status if found else None) == status


def test_port_80_needs_no_port() -> None:
    """Browsers leave it out."""
    assert "localhost" in hosts(80)
    assert "localhost" not in hosts(8080)


def test_whose_a_connection_is() -> None:
    """The kernel's table has it, by both ends; a line of another connection is none of it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname())
        taken, address = server.accept()
        with client, taken:
            assert peer.is_own(address, taken.getsockname())
            assert address == client.getsockname()
    line = "   1: 0100007F:1F90 0100007F:D431 01 00000000:00000000 00:00000000 00000000  1000 0 7"
    assert peer.user_of([line], "0100007F:1F90", "0100007F:D431") == 1000
    assert peer.user_of([line], "0100007F:1F91", "0100007F:D431") is None


def test_readers_share_one_rendering() -> None:
    """Who asks while it is made, or while it is fresh, gets that; then it is made anew."""
    clock = FakeClock()
    made: list[Answer | None] = []

    def make(before: Answer | None) -> Answer:
        made.append(before)
        return Answer(200, str(len(made)).encode())

    async def ask() -> None:
        with ThreadPoolExecutor(2) as pool:
            kept = Shared(clock, pool)
            answers = await asyncio.gather(*(kept.get("a", make) for _ in range(50)))
            assert {answer.body for answer in answers} == {b"1"}
            assert (await kept.get("a", make)).body == b"1"
            assert (await kept.get("b", make)).body == b"2"
            clock.pass_to(shared.FRESH_S)
            assert (await kept.get("a", make)).body == b"3"

    asyncio.run(ask())
    assert made == [None, None, Answer(200, b"1")]


def test_what_took_long_rests_longer() -> None:
    """So that readers of a big page take no more than a part of one core; not for ever."""
    clock = FakeClock()

    def slow(_before: Answer | None) -> Answer:
        clock.pass_to(clock.now() + 0.3)
        return Answer(200, str(clock.now()).encode())

    async def ask() -> None:
        with ThreadPoolExecutor(1) as pool:
            kept = Shared(clock, pool)
            first = await kept.get("a", slow)
            clock.pass_to(0.3 * (shared.REST + 1) - 0.1)
            assert await kept.get("a", slow) is first
            clock.pass_to(0.3 * (shared.REST + 1) + 0.1)
            assert await kept.get("a", slow) is not first

    asyncio.run(ask())


def test_only_so_much_is_kept_and_made_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was not asked for the longest is let go; who is too many is told."""
    monkeypatch.setattr(shared, "KEPT_MAX", 2)
    monkeypatch.setattr(shared, "WAITING_MAX", 3)
    count = 0

    def make(_before: Answer | None) -> Answer:
        nonlocal count
        count += 1
        return Answer(200, str(count).encode())

    async def ask() -> None:
        with ThreadPoolExecutor(1) as pool:
            kept = Shared(FakeClock(), pool)
            for key in ("a", "b", "a", "c"):
                await kept.get(key, make)
            assert (await kept.get("a", make)).body == b"1"
            assert (await kept.get("b", make)).body == b"4"
            many = await asyncio.gather(*(kept.get(str(key), make) for key in range(5)))
            assert [answer.status for answer in many] == [200, 200, 200, 503, 503]

    asyncio.run(ask())


def test_one_that_fails_is_made_again() -> None:
    """A fault of one making is not kept."""

    def fails(_before: Answer | None) -> Answer:
        raise ValueError("once")

    async def ask() -> None:
        with ThreadPoolExecutor(1) as pool:
            kept = Shared(FakeClock(), pool)
            with pytest.raises(ValueError, match="once"):
                await kept.get("a", fails)
            assert (await kept.get("a", lambda _: Answer(200, b"x"))).body == b"x"

    asyncio.run(ask())


def test_what_runs_are_wanted() -> None:
    """What cannot be read is said, and left out."""
    asked, wanted, wrong = asked_for({"status": "failed", "workflow": "a", "before": "7"})
    assert (asked, wrong) == (Asked("a", "failed", before=7), "")
    assert wanted == Wanted("a", "failed", None, None, 7)
    asked, wanted, wrong = asked_for(
        {"status": "bad", "since": "yesterday", "until": "9999-12-32", "before": "-1"}
    )
    assert (asked, wanted) == (Asked(), Wanted())
    assert wrong == (
        "“bad” is no outcome of a run. “yesterday” is no day: write 2026-01-31."
        " “9999-12-32” is no day: write 2026-01-31. “-1” is no run's number."
    )
    day = asked_for({"since": "2011-11-14"})[1].since_us
    assert day == datetime(2011, 11, 14).astimezone().timestamp() * 1_000_000


def test_all_texts_in_facts_are_masked() -> None:
    """In records, tuples, lists and mappings, however deep; nothing else is touched."""
    row = RunRow(1, "flow", "ok", 5, 1.0, 1, 1, 0, 0, 0, 0, "the secret", "{}", "hand", "")
    found = masked(
        [Asked("secret"), row, {"secret": ["secret", 7, None]}],
        lambda text: text.replace("secret", "***"),
    )
    assert found[0] == Asked("***")
    assert found[1] == row._replace(note="the ***")
    assert found[2] == {"***": ["***", 7, None]}


# -- logs -----------------------------------------------------------------------------------------


def test_a_log_is_read_in_whole_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From its end back as far as fits, then on from there; a half line waits for its rest."""
    monkeypatch.setattr(log_files, "TEXT_BYTES_MAX", 12)
    folder = tmp_path / "logs" / "flow" / "1"
    folder.mkdir(parents=True)
    log = folder / "a.1.log"
    log.write_bytes(b"one\ntwo\nthree\nfo")

    def read(at: int | None) -> log_files.Chunk:
        with log_files.folder_of(tmp_path, "flow", 1) as opened:
            return log_files.read(opened, "a", 1, at, lambda text: text.replace("three", "***"))

    assert read(None) == ("***\n", 8, 14)
    assert read(14) == ("", 14, 14)
    log.write_bytes(b"one\ntwo\nthree\nfour \x1b[31m\xff\n")
    assert read(14) == ("", 14, 14) or read(14).text == "four \\x1b[31m\\xff\n"
    monkeypatch.setattr(log_files, "TEXT_BYTES_MAX", 100)
    assert read(14) == ("four \\x1b[31m\\xff\n", 14, 26)
    assert read(99) == ("", 99, 99)


def test_no_link_is_followed_to_a_log(tmp_path: Path) -> None:
    """Neither the file nor a folder on the way; nor is a pipe waited for."""
    there = tmp_path / "logs" / "flow" / "1"
    there.mkdir(parents=True)
    (tmp_path / "logs" / "away").symlink_to(there.parent)
    (there / "a.1.log").symlink_to("/etc/hostname")
    os.mkfifo(there / "b.1.log")
    (there / "c.1.log").write_text("fine\n")
    with log_files.folder_of(tmp_path, "flow", 1) as folder:
        assert log_files.names_in(folder) == {("c", 1): 5}
        for step in "ab":
            with pytest.raises(Problem, match="log of"):
                log_files.read(folder, step, 1, None, str)
        assert log_files.read(folder, "../1/c", 1, None, str) == ("", 0, 0)
        assert log_files.read(folder, "none", 1, None, str) == ("", 0, 0)
    for name in ("away", "..", ".", "flow/1", "none"):
        with log_files.folder_of(tmp_path, name, 1) as folder:
            assert folder is None, name


# -- drawings -------------------------------------------------------------------------------------


def test_marks_of_an_axis() -> None:
    """At most five, at round distances, and what is longest is within."""
    assert axis(0) == (1.0, 1)
    assert axis(0.19) == (5 * 10.0**-2, 4)
    assert axis(1.2) == (5 * 10.0**-1, 3)
    assert axis(59) == (15.0, 4)
    assert axis(61) == (15.0, 5)
    assert axis(400_000) == (86_400.0, 5)
    assert axis(40 * 86_400) == (8 * 86_400.0, 5)
    for seconds in (1e-5, 0.003, 0.7, 9, 77, 5000, 1e6):
        step_s, marks = axis(seconds)
        assert step_s * marks >= seconds * 0.999
        assert marks <= 5


def test_a_strip_tells_more_than_colours() -> None:
    """What did not go well has a cross; all together have a text, and each its own."""
    drawn = strip(
        [Bar("/runs/1", "ok", 2.0, "run 1: ok"), Bar("/runs/2", "failed", 4.0, "run 2: <failed>")],
        30,
    )
    assert 'aria-label="last 2 runs: 1 ok, 1 failed"' in drawn
    assert drawn.count("<path") == 1
    assert "<title>run 2: &lt;failed&gt;</title>" in drawn
    assert drawn.index("/runs/1") < drawn.index("/runs/2")


def test_a_calendar_has_every_day_once() -> None:
    """Half a year to today; days with runs have a shade, a cross if not all went well, a link."""
    days = {"2011-11-14": {"ok": 3, "failed": 1}, "2011-11-13": {"ok": 1}}
    drawn = calendar(days, date(2011, 11, 14), {"2011-11-14": "/runs?since=2011-11-14"})
    assert drawn.count("<rect") == 25 * 7 + 1
    assert "<title>2011-11-14: 4 runs, 1 not ok</title>" in drawn
    assert drawn.count("<path") == 1
    assert drawn.count("<a ") == 1
    assert 'aria-label="5 runs on 2 days; not all ok on 1"' in drawn
    assert calendar({}, date(2011, 11, 14), {}).count("<path") == 0


def test_a_plot_has_a_median_and_marks_failures() -> None:
    """As a line and as crosses; with nothing to show it is still a drawing."""
    points = [Bar("/runs/1", "ok", 2.0, "one"), Bar("/runs/2", "timed_out", 4.0, "two")]
    drawn = plot(points, 2.0, ("then", "now"))
    assert drawn.count('class="median"') == 1
    assert drawn.count("<path") == 1
    assert "durations: last 2 runs: 1 ok, 1 timed out; median 2.0s" in drawn
    assert "no run yet" in plot([], None, ("", ""))


def test_addresses_keep_what_is_in_them() -> None:
    """A name cannot become another part of an address, or markup."""
    assert shell.address("workflows", "a/../b?c#d", q='"x&') == (
        "/workflows/a%2F..%2Fb%3Fc%23d?q=%22x%26"
    )
    assert shell.address() == "/"
    assert shell.link("<b>", "runs", 1) == Html('<a href="/runs/1">&lt;b&gt;</a>')


def test_a_word_is_looked_for_as_it_stands() -> None:
    """What LIKE would take for something else stands for itself."""
    assert escaped("50%_\\x") == "50\\%\\_\\\\x"


def test_a_summary_counts_outcomes() -> None:
    """In the order they came."""
    assert bars.summary([]) == "no run yet"
