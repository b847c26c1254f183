"""The sales report's page, digest and archives."""

from __future__ import annotations

import hashlib
import re
import tarfile
from datetime import date, timedelta
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from pipelines._sales_backup import BackupFault, pack, superseded, verify
from pipelines._sales_drop import Line, parse_drop
from pipelines._sales_figures import describe, from_json, largest_invoice, summarize, to_json
from pipelines._sales_page import Report, change, headlines, money, remarks, to_html, to_text
from tests.sales_drops import MONDAY, SAMPLE, line


def report_of(lines: list[Line], **more: Any) -> Report:
    """Make a report of lines, as the step does."""
    summary = summarize(lines)
    names = describe(lines, [code for code, _, _ in summary["top_products"]])
    return Report(MONDAY, summary, names, "a.csv", largest_invoice(lines), **more)


class Tags(HTMLParser):
    """Collects a page's elements and checks that they nest."""

    def __init__(self) -> None:
        """Begin with an empty page."""
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element."""
        self.seen.append((tag, dict(attrs)))
        if tag not in {"meta", "br"}:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element that closes itself."""
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        """Check that the innermost element is the one that ends."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Note text."""
        self.text.append(data)


def read_page(page: str) -> Tags:
    """Parse a page whole."""
    tags = Tags()
    tags.feed(page)
    tags.close()
    assert tags.open == []
    return tags


@pytest.fixture(name="sample_lines")
def _sample_lines() -> list[Line]:
    data = (SAMPLE / "sales-2026-03-02.csv").read_bytes()
    return parse_drop(data, "sales-2026-03-02.csv", MONDAY)


def test_the_page_is_whole_and_loads_nothing(sample_lines: list[Line]) -> None:
    """The page stands alone: no script, no link, no address but its own."""
    page = to_html(report_of(sample_lines))
    tags = read_page(page)
    names = {tag for tag, _ in tags.seen}
    assert not names & {"script", "link", "img", "iframe", "object", "form"}
    assert not re.search(r"https?:|url\(|@import", page)
    assert not [key for _, attrs in tags.seen for key in attrs if key in {"src", "href"}]
    assert "prefers-color-scheme: dark" in page


def test_the_page_shows_the_figures(sample_lines: list[Line]) -> None:
    """Every headline, product and country stands in the page."""
    report = report_of(sample_lines)
    text = " ".join(read_page(to_html(report)).text)
    assert "Sales of Monday 2 March 2026" in text
    for headline in headlines(report):
        assert headline.shown in text
    for code, gross, _ in report.summary["top_products"]:
        assert code in text
        assert money(gross) in text
    for country, _ in report.summary["top_countries"]:
        assert country in text


def test_text_of_the_drop_is_escaped() -> None:
    """What a drop holds cannot become markup, nor steer a terminal."""
    evil = '<script>alert("x")</script>\x1b[31m\u202e\u2028\x9b]]>'
    report = report_of([line(description=evil, country=evil, stock_code=evil)])
    tags = read_page(to_html(report))
    assert "script" not in {tag for tag, _ in tags.seen}
    assert "&lt;script&gt;" in to_html(report)
    for text in (to_html(report), to_text(report)):
        assert not set("\x1b\u202e\u2028\x9b") & set(text)


@pytest.mark.parametrize("lines", [[], [line(quantity=-1)], [line(price_th=1)]])
def test_odd_days_have_a_page_too(lines: list[Line]) -> None:
    """No sales, or next to none, still make a report."""
    report = report_of(lines, before=[(date(2026, 3, 1), summarize([]))])
    assert read_page(to_html(report)).seen
    assert to_text(report).startswith("Sales of Monday 2 March 2026\n")


def test_a_report_is_compared_with_the_one_before() -> None:
    """Changes are given against the earlier figures, read back from their JSON."""
    before = from_json(to_json(summarize([line(quantity=4)])))
    report = report_of([line()], before=[(date(2026, 3, 1), before)])
    shown = {headline.title: headline.changes for headline in headlines(report)}
    assert shown == {
        "Gross sales": ("+50.0 %",),
        "Cancellations": ("",),
        "Net of all lines": ("+50.0 %",),
        "Orders": ("±0 %",),
        "Average order": ("+50.0 %",),
        "Units sold": ("+50.0 %",),
        "Customers": ("±0 %",),
    }
    assert to_text(report).splitlines()[3:5] == [
        "                       change on   Sun 1 Mar",
        "Gross sales               £12.48     +50.0 %",
    ]
    assert "compared with Sunday 1 March 2026" in to_html(report)


def test_a_change_is_left_out_where_it_says_nothing() -> None:
    """Nothing grows from nothing, and a loss has no percentage."""
    assert change(5, 0) == ""
    assert change(5, -1) == ""
    assert change(90, Decimal(100)) == "-10.0 %"


def test_money_is_written_for_people() -> None:
    """The sign stands before the pound."""
    assert money(Decimal("-1234.5")) == "-£1,234.50"
    assert money(Decimal("0.00")) == "£0.00"


def test_remarks_say_what_is_unusual() -> None:
    """A crowded hour, large cancellations and faulty lines are pointed out."""
    lines = [
        line(),
        line(),
        line(invoice_no="C700002", quantity=-6, customer_id=""),
        line(invoice_no="700005", quantity=3, price_th=0, description=""),
    ]
    assert remarks(report_of(lines)) == [
        "100 % of the day's sales fell between 09:00 and 09:59.",
        "Invoice 700001 alone came to £24.96, 100 % of gross.",
        "Cancellations of -£12.48, 50 % of gross.",
        "1 line (25 %) repeats an earlier one; counted as scanned.",
        "1 line (25 %) has no customer.",
        "1 line (25 %) has a price of 0.",
        "1 line (25 %) has a quantity below 0.",
        "1 line (25 %) has no description.",
    ]


def test_the_digest_fits_a_terminal(sample_lines: list[Line]) -> None:
    """Lines stay within 80 columns and end without blanks."""
    for text in to_text(report_of(sample_lines)).splitlines():
        assert len(text) <= 80
        assert text == text.rstrip()


# -- archives -------------------------------------------------------------------------------------


def test_an_archive_reads_back(tmp_path: Path) -> None:
    """What was packed is there again, and packing it again gives the same bytes."""
    contents = {"a.csv": b"x" * 1000, "b.json": b"{}", "ü.html": b""}
    data = pack(contents, MONDAY)
    assert data == pack(contents, MONDAY)
    archive = tmp_path / "a.tar.gz"
    archive.write_bytes(data)
    verify(archive, hashlib.sha256(data).hexdigest(), contents)
    with tarfile.open(archive) as reading:
        assert reading.getnames() == list(contents)


def test_an_archive_that_differs_is_refused(tmp_path: Path) -> None:
    """A changed byte and a missing file are both found."""
    data = pack({"a.csv": b"x"}, MONDAY)
    archive = tmp_path / "a.tar.gz"
    archive.write_bytes(data)
    sha256 = hashlib.sha256(data).hexdigest()
    with pytest.raises(BackupFault, match="its files differ"):
        verify(archive, sha256, {"a.csv": b"x", "b.csv": b""})
    archive.write_bytes(data[:-1] + b"\xff")
    with pytest.raises(BackupFault, match="its sha256 differs"):
        verify(archive, sha256, {"a.csv": b"x"})


def test_the_last_thirty_days_are_kept(tmp_path: Path) -> None:
    """The day in hand counts as one of thirty, however old, and other files are no archives."""
    days = [MONDAY + timedelta(days=n) for n in range(1, 33)]
    for name in (*(f"sales-{day}.tar.gz" for day in days), "sales-2000-01-01.tar.gz.old"):
        (tmp_path / name).touch()
    assert superseded(tmp_path, MONDAY) == [f"{day}" for day in reversed(days[:3])]
    assert superseded(tmp_path, days[-1]) == [f"{day}" for day in reversed(days[:2])]
    assert superseded(tmp_path, days[0]) == [f"{day}" for day in reversed(days[1:3])]
