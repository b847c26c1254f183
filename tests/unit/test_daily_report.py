"""The daily report as a page and as text: whole, safe, and saying what it should."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import pytest

from pipelines._daily import digest, glance, page
from pipelines._daily.shapes import Day
from pipelines._machine import units
from pipelines._machine.text import seen
from tests.unit import daily_day as made

VOID = {"meta"}


class Outline(HTMLParser):
    """Collects the page's text and tags, and whether every tag is closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.text: list[str] = []
        self.attributes: set[str] = set()
        self.faults: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag that wants to be closed."""
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag that closes itself."""
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_endtag(self, tag: str) -> None:
        """Hold a closing tag against the last open one."""
        if not self.open or self.open.pop() != tag:
            self.faults.append(tag)

    def handle_data(self, data: str) -> None:
        """Keep what a reader sees."""
        if self.open and self.open[-1] != "style":
            self.text.append(data)


def outline(html: str) -> Outline:
    """Read a page."""
    read = Outline()
    read.feed(html)
    read.close()
    return read


def hostile(value: Any, text: str) -> Any:
    """Put `text` in front of every text in a value, but for what is parsed again."""
    if isinstance(value, dict):
        parsed = {"date", "measured_at", "refreshed_at", "last", "first", "severity", "threshold"}
        return {key: one if key in parsed else hostile(one, text) for key, one in value.items()}
    if isinstance(value, list):
        return [hostile(one, text) for one in value]
    return text + value if isinstance(value, str) else value


@pytest.mark.parametrize("day", [made.day(), made.bad_day()])
def test_a_page_is_well_formed_and_needs_nothing_else(day: Day) -> None:
    """No script, no address, no resource: it can be opened from a disk in ten years."""
    html = page.page(day, made.backup())
    read = outline(html)
    assert read.faults == []
    assert read.open == []
    assert not read.tags & {"script", "link", "img", "iframe", "object", "a", "form", "base"}
    assert not {name for name in read.attributes if name.startswith(("on", "src", "href"))}
    assert "url(" not in html
    assert "@import" not in html
    assert not re.search(r"https?:|//\w", html)
    assert "default-src 'none'" in html


def test_a_page_shows_all_sections_of_a_bad_day() -> None:
    """The verdict is the heading, and the findings stand before everything else."""
    html = page.page(made.bad_day(), made.backup())
    assert "<h1>2 things on web1 cannot wait</h1>" in html
    assert re.findall("<h2>([^<]+)</h2>", html) == [
        "What to do",
        "The day in numbers",
        "Disks",
        "Memory and load",
        "Updates",
        "Services",
        "Errors in the journal",
        "Workflows",
        "Backup",
    ]
    text = " ".join(" ".join(outline(html).text).split())
    for said in (
        "/srv: 96 %, 3.8 GB free (limit 95 %)",
        "+1.8 GB since yesterday · full in 1 day at this rate",
        "certbot.service",
        "FileNotFoundError: sales-2026-11-22.csv is not there",
        "the store and 3 named files, 5.0 MB, read back",
    ):
        assert said in text
    assert html.count('<li class="critical">') == 2
    assert html.count('class="spark"') == 1


def test_a_quiet_day_has_no_list_of_findings() -> None:
    """What is missing is said with its reason, in words."""
    day = made.day(journal=None, skipped={"fetch_journal": "no journalctl on this machine"})
    html = page.page(day)
    assert "<h1>All is well on web1</h1>" in html
    assert "What to do" not in html
    assert "<dt>journal</dt><dd>no journalctl on this machine</dd>" in html
    assert "Backup" not in html


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "\"'><b onload=x>",
        "&lt;",
        "\x1b[31m\u202e",
        "]]> --> \udc80\u2028\x9b\x00",
    ],
)
def test_no_text_becomes_markup(text: str) -> None:
    """Whatever stands in a process's name, a unit, a message, an error, a path or a reason."""
    day = hostile(made.bad_day(), text)
    day["skipped"] = {"fetch_x": text}
    read = outline(page.page(day, hostile(made.backup(), text)))
    plain = outline(page.page(made.bad_day(), made.backup()))
    assert read.tags - plain.tags <= {"dt", "dd", "dl"}
    assert read.attributes == plain.attributes
    assert read.faults == []
    shown = "".join(read.text)
    assert seen(text) in shown
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    page.page(day).encode()


def test_hidden_characters_are_made_visible_and_lines_stay() -> None:
    """A name must not be able to turn the text after it around."""
    assert seen("a\u202eb\x00c\u200bd\ne") == "a�b�c�d\ne"


@pytest.mark.parametrize("day", [made.day(), made.bad_day()])
def test_a_page_is_the_same_each_time(day: Day) -> None:
    """The same day makes the same bytes: writing it again changes nothing."""
    assert page.page(day) == page.page(day)


def test_a_day_with_nothing_measured_is_still_a_page() -> None:
    """Every source can be missing at once."""
    day = made.day(
        host=None,
        packages=None,
        services=None,
        journal=None,
        store=None,
        skipped={"fetch_host": "?"},
    )
    counted = ("updates", "failed_units", "journal_errors", "runs", "failed_runs")
    nothing: dict[str, Any] = dict.fromkeys(("memory_percent", "load_per_core", *counted))
    day["figures"].update(nothing)  # type: ignore[typeddict-item]
    assert outline(page.page(day)).faults == []
    assert digest.digest(day).endswith("Not looked at\n-------------\nmachine: ?\n")


def test_the_digest_of_a_quiet_day(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short enough for a glance."""
    monkeypatch.setattr(units, "clock", lambda _moment: "08:00")
    day = made.day(
        skipped={"fetch_services": "systemd is not running here"},
        before=made.figures("2026-11-22", 37 * made.GB, updates=3),
    )
    assert digest.digest(day) == (
        "All is well on web1\n"
        "Monday, 23 November 2026, measured 08:00\n"
        "\n"
        "Numbers\n"
        "-------\n"
        "memory used       38 %\n"
        "load a core       0.20\n"
        "updates waiting      0  -3 since yesterday\n"
        "failed units         0\n"
        "journal errors       0\n"
        "runs                 3\n"
        "failed runs          0\n"
        "\n"
        "Disks\n"
        "-----\n"
        "/  ########............    40 %  60 GB free\n"
        "   +3.0 GB since yesterday\n"
        "\n"
        "Not looked at\n"
        "-------------\n"
        "services: systemd is not running here\n"
    )


def test_the_digest_names_findings_worst_first_with_commands_on_one_line() -> None:
    """A command is for copying."""
    text = digest.digest(made.bad_day(), made.backup())
    assert text.startswith("2 things on web1 cannot wait\n")
    assert text.index("CRITICAL") < text.index("WARNING") < text.index("NOTICE")
    assert (
        "\n  -> read: systemctl status certbot.service; journalctl -u certbot.service -e\n" in text
    )
    assert "37 × sshd: error: kex_exchange_identification" in text
    assert "read back" in text


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        ("2026-11-22", "yesterday"),
        ("2026-11-20", "20 November"),
        ("2025-12-31", "31 December 2025"),
    ],
)
def test_the_day_compared_with_is_named(before: str, expected: str) -> None:
    """A report after a weekend does not say yesterday."""
    assert glance.since_when(made.day(before=made.figures(before))) == expected
    assert glance.since_when(made.day()) == ""


@pytest.mark.parametrize(
    ("label", "value", "earlier", "expected"),
    [
        ("memory used", 40.0, 37.2, "+3 points since yesterday"),
        ("memory used", 40.0, 39.6, ""),
        ("load a core", 0.2, 0.5, "-0.30 since yesterday"),
        ("journal errors", 1500, 200, "+1,300 since yesterday"),
        ("runs", 3, 3, ""),
        ("runs", 3, None, ""),
    ],
)
def test_a_number_says_how_it_moved(
    label: str, value: float, earlier: float | None, expected: str
) -> None:
    """And nothing where it did not, or nobody knows."""
    assert glance.change(label, value, earlier, "yesterday") == expected


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (9.96 * 1024, "10 kB"),
        (1536 * 1024, "1.5 MB"),
        (1000 * 1024**3, "1.0 TB"),
        (-5 * 1024**3, "-5.0 GB"),
        (5 * 1024**6, "5120 PB"),
    ],
)
def test_sizes_read_well(count: float, expected: str) -> None:
    """Never four digits while there is a larger unit."""
    assert units.size(count) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0.04, "0.0 s"),
        (9.94, "9.9 s"),
        (10, "10 s"),
        (59.6, "1 min"),
        (61, "1 min 1 s"),
        (3600, "1 h"),
        (90_061, "1 d 1 h"),
        (86_400 * 400, "400 d"),
    ],
)
def test_spans_read_well(seconds: float, expected: str) -> None:
    """In the two largest units."""
    assert units.span(seconds) == expected
    assert units.several(1, "entry", "entries") == "1 entry"
    assert units.several(1200, "entry", "entries") == "1,200 entries"
