"""Reading a sales drop: every fault is found and named where it stands."""

from __future__ import annotations

import gzip
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines._sales_drop import COLUMNS, DataFault, DropCut, parse_drop, place, unpack
from tests.sales_drops import GOOD, HEADER, MONDAY, drop_of, lines_of, sample_text


def test_a_line_is_read_with_its_price_in_thousandths() -> None:
    """A price keeps its three decimals, as an integer."""
    assert lines_of(GOOD.replace("2.08", "0.395"))[0].price_th == 395
    assert lines_of(GOOD.replace("2.08", "-11.5"))[0].price_th == -11500
    assert lines_of(GOOD.replace("2.08", "7"))[0].price_th == 7000
    assert lines_of(GOOD.replace("2.08", "2.9500"))[0].price_th == 2950


def test_columns_are_found_by_name() -> None:
    """Order does not matter and further columns are passed over, as are BOM, CRLF, blank lines."""
    columns = ["till", *reversed(COLUMNS)]
    cells = ["7", *reversed(GOOD.split(","))]
    data = "\ufeff" + ",".join(columns) + "\r\n\r\n" + ",".join(cells) + "\r\n"
    assert parse_drop(data.encode(), "a.csv", MONDAY) == lines_of(GOOD)


def test_the_last_line_may_lack_its_end() -> None:
    """A missing newline at the end of the file loses nothing."""
    assert parse_drop(drop_of(GOOD).rstrip(b"\n"), "a.csv", MONDAY) == lines_of(GOOD)


AT_TIME = "a.csv, line 2, column 'invoice_ts'"
AT_NAME = "a.csv, line 2, column 'description'"
AT_COUNTRY = "a.csv, line 2, column 'country'"
FAULTS = {
    "invoice": (
        [GOOD, GOOD.replace("700001", "X1")],
        "a.csv, line 3, column 'invoice_no': 'X1' is not an invoice number",
    ),
    "stock code": ([GOOD.replace("31010", "")], "a.csv, line 2, column 'stock_code': empty"),
    "quantity": (
        [GOOD.replace(",6,", ",6.5,")],
        "a.csv, line 2, column 'quantity': '6.5' is not a whole number",
    ),
    "quantity in other digits": (
        [GOOD.replace(",6,", ",٦,")],
        "a.csv, line 2, column 'quantity': '٦' is not a whole number",
    ),
    "timestamp": (
        [GOOD.replace("09:30:00", "24:30:00")],
        f"{AT_TIME}: '2026-03-02 24:30:00' is not a time like '{MONDAY} 09:30:00'",
    ),
    "another day": (
        [GOOD.replace("03-02", "03-01")],
        "a.csv, line 2, column 'invoice_ts': '2026-03-01 09:30:00' is not on 2026-03-02",
    ),
    "price": (
        [GOOD.replace("2.08", "2,08").replace("2,08", '"2,08"')],
        "a.csv, line 2, column 'unit_price': '2,08' is not a price",
    ),
    "price not a number": (
        [GOOD.replace("2.08", "NaN")],
        "a.csv, line 2, column 'unit_price': 'NaN' is not a price",
    ),
    "price too fine": (
        [GOOD.replace("2.08", "2.0801")],
        "a.csv, line 2, column 'unit_price': '2.0801' has more than 3 decimals",
    ),
    "long text": (
        [GOOD.replace(",6,", f",{'9' * 5000},")],
        f"a.csv, line 2, column 'quantity': '{'9' * 39}…' is not a whole number",
    ),
    "too few": (
        [GOOD, "700001,31010,LAMP,6,2026-03-02 09:30:00"],
        "a.csv, line 3, column 'unit_price': missing; the line has 5 columns, the header 8",
    ),
    "too many": (
        [GOOD + ",more"],
        f"{AT_COUNTRY}: more columns follow it; the line has 9 columns, the header 8",
    ),
    "after a line break in quotes": (
        [GOOD, GOOD.replace("FOX NIGHT LAMP", '"FOX\nNIGHT\nLAMP"').replace("2.08", "x"), GOOD],
        "a.csv, line 5, column 'unit_price': 'x' is not a price",
    ),
    "below a line break in quotes": (
        [GOOD.replace("FOX NIGHT LAMP", '"FOX\nLAMP"'), GOOD.replace(",6,", ",six,")],
        "a.csv, line 4, column 'quantity': 'six' is not a whole number",
    ),
    "open quote": (
        [GOOD, GOOD.replace("FOX", '"FOX'), GOOD],
        "a.csv, line 3, column 'description': a quote is opened here and never closed",
    ),
    "a stray quote, tripped over later": (
        [GOOD, GOOD.replace("FOX", '"FOX'), *[GOOD] * 900, GOOD.replace("FOX", 'F"X')],
        "a.csv, line 3, column 'description': is quoted wrongly: ',' expected after '\"'",
    ),
    "a field without end": (
        [GOOD.replace("FOX", "F" * 200_000)],
        f"{AT_NAME}: is quoted wrongly: field larger than field limit (131072)",
    ),
    "text after a quote": (
        [GOOD, GOOD.replace("FOX NIGHT", '"FOX" NIGHT')],
        "a.csv, line 3, column 'description': is quoted wrongly: ',' expected after '\"'",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_names_file_line_and_column(fault: str) -> None:
    """Whatever is wrong with a line, the error says where it stands."""
    lines, message = FAULTS[fault]
    with pytest.raises(DataFault) as caught:
        lines_of(*lines)
    assert str(caught.value) == message


@pytest.mark.parametrize("column", COLUMNS)
def test_a_missing_column_is_named(column: str) -> None:
    """A header without a column that is needed is refused."""
    header = HEADER.replace(column, "other")
    with pytest.raises(DataFault) as caught:
        parse_drop(f"{header}\n{GOOD}\n".encode(), "a.csv", MONDAY)
    assert str(caught.value) == f"a.csv, line 1, column '{column}': is missing from the header"


def test_a_doubled_column_is_refused() -> None:
    """Two columns of one name leave open which of them counts."""
    with pytest.raises(DataFault, match=r"^a.csv, line 1, column 'country': is there 2 times$"):
        parse_drop(f"{HEADER},country\n".encode(), "a.csv", MONDAY)


def test_an_empty_file_is_refused_and_a_header_alone_is_not() -> None:
    """A day without lines is a day without sales, a file without a header is none."""
    with pytest.raises(DataFault, match="the file is empty, no header line"):
        parse_drop(b"", "a.csv", MONDAY)
    assert parse_drop(f"{HEADER}\n".encode(), "a.csv", MONDAY) == []


def test_bad_utf8_is_found_where_it_stands() -> None:
    """A byte that is not UTF-8 is named with its line and column."""
    data = drop_of(GOOD, GOOD.replace("FOX", "F£X")).replace("£".encode(), b"\xa3")
    with pytest.raises(DataFault) as caught:
        parse_drop(data, "a.csv", MONDAY)
    assert str(caught.value) == "a.csv, line 3, column 'description': byte 0xa3 is not UTF-8"


def test_a_gzip_cut_short_says_how_far_it_goes() -> None:
    """What is left of a cut gzip is read as far as it goes, and refused."""
    stored = gzip.compress(drop_of(*[GOOD] * 50), compresslevel=0, mtime=0)
    cut = stored[: 10 + 5 + len(drop_of(*[GOOD] * 3)) + len("700001,310")]
    with pytest.raises(DropCut) as caught:
        unpack(cut, "a.csv.gz")
    assert str(caught.value) == (
        "a.csv.gz, line 5, column 'stock_code': the gzip is cut short here; "
        "is the file still being written?"
    )
    for size in range(len(stored)):
        with pytest.raises(DropCut):
            unpack(stored[:size], "a.csv.gz")


def test_a_damaged_gzip_is_refused() -> None:
    """A wrong checksum, or something that is no gzip at all, gives no lines."""
    good = gzip.compress(drop_of(GOOD), mtime=0)
    with pytest.raises(DropCut, match=r"damaged here \(CRC check failed"):
        unpack(good[:-8] + bytes(4) + good[-4:], "a.csv.gz")
    with pytest.raises(DropCut, match=r"damaged here \(Not a gzipped file"):
        unpack(drop_of(GOOD), "a.csv.gz")


def test_gzip_is_known_by_its_bytes_too() -> None:
    """A server may hand out a plain name compressed."""
    assert unpack(gzip.compress(b"x"), "a.csv") == b"x"
    assert unpack(b"x", "a.csv") == b"x"


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("", "line 1, column 'invoice_no'"),
        (HEADER + "\n", "line 2, column 'invoice_no'"),
        (f"{HEADER}\n{GOOD}\n", "line 3, column 'invoice_no'"),
        (HEADER + '\n1,2,"a, b\nc', "line 3, column 'description'"),
        (HEADER + "\n1,2,x,", "line 2, column 'quantity'"),
        (HEADER + "\n1,2," + "x" * 200_000, "line 2, column 'description'"),
    ],
)
def test_a_place_is_counted_in_lines_and_columns(text: str, where: str) -> None:
    """The end of a text is found again by line and column."""
    assert place("a.csv", text) == f"a.csv, {where}"


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_whatever_is_spoilt_is_found_where_it_stands(data: st.DataObject) -> None:
    """A drop with bytes changed, put in or cut off is read, or refused with its place."""
    drop = bytearray(sample_text(MONDAY))
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(drop)))
        end = data.draw(st.sampled_from([start, start + 1, start + 9, len(drop)]))
        drop[start:end] = data.draw(st.text('",\n\r\0 0-.£é', max_size=3)).encode()
    packed = data.draw(st.booleans())
    raw = gzip.compress(bytes(drop))[: data.draw(st.integers(0, 4000))] if packed else bytes(drop)
    refused = ""
    try:
        parse_drop(unpack(raw, "a.gz" if packed else "a.csv"), "a.csv", MONDAY)
    except (DataFault, DropCut) as fault:
        refused = str(fault)
    assert not refused or re.match(r"a\.(gz|csv), line [0-9]+, column '", refused)
