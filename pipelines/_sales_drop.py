"""A day's sales drop: CSV bytes in, checked lines out; each fault names file, line and column."""

from __future__ import annotations

import bisect
import csv
import gzip
import io
import re
import zlib
from collections.abc import Iterator
from datetime import date, datetime
from typing import NamedTuple

COLUMNS = (
    "invoice_no",
    "stock_code",
    "description",
    "quantity",
    "invoice_ts",
    "unit_price",
    "customer_id",
    "country",
)
DROP_BYTES_MAX = 256 * 1024 * 1024

_GZIP_MAGIC = b"\x1f\x8b"
_GZIP_FAULTS = (EOFError, zlib.error, gzip.BadGzipFile)
_INVOICE = re.compile(r"[CA]?[0-9]+")
_QUANTITY = re.compile(r"-?[0-9]{1,12}")
_PRICE = re.compile(r"(-?)([0-9]{1,12})(?:\.([0-9]{1,20}))?")
_TIMESTAMP = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}")
_PRICE_DECIMALS = 3
_SHOWN_CHARS = 40


class DataFault(ValueError):
    """The drop's content is wrong; reading it again changes nothing until somebody mends it."""


class DropCut(Exception):
    """The drop is not whole, perhaps still being written; worth another try."""


class Line(NamedTuple):
    """One invoice line; the price is in thousandths of a pound."""

    invoice_no: str
    stock_code: str
    description: str
    quantity: int
    invoice_ts: str
    price_th: int
    customer_id: str
    country: str

    @property
    def amount_th(self) -> int:
        """What the line comes to, in thousandths of a pound."""
        return self.quantity * self.price_th

    @property
    def is_cancellation(self) -> bool:
        """Whether the line belongs to a cancellation."""
        return self.invoice_no.startswith("C")

    @property
    def is_sale(self) -> bool:
        """Whether the line sells something: a plain invoice, a quantity and a price above 0."""
        return self.invoice_no.isdigit() and self.quantity > 0 and self.price_th > 0


def unpack(data: bytes, name: str) -> bytes:
    """Give the CSV inside `data`, which is gzip if it or its name says so.

    Raises `DropCut`, saying how far the text goes, if the gzip is not whole.
    """
    if not (name.endswith(".gz") or data.startswith(_GZIP_MAGIC)):
        return data
    whole = io.BytesIO()
    try:
        if not data:  # which `gzip` takes for an empty text
            raise EOFError
        with gzip.open(io.BytesIO(data)) as packed:
            while part := packed.read1(1 << 16):
                whole.write(part)
                if whole.tell() > DROP_BYTES_MAX:
                    raise DataFault(f"{name}: unpacks to more than {DROP_BYTES_MAX:,} bytes")
    except _GZIP_FAULTS as fault:
        where = place(name, whole.getvalue().decode("utf-8", "replace"))
        cut = isinstance(fault, EOFError)
        what = "the gzip is cut short here" if cut else f"the gzip is damaged here ({fault})"
        raise DropCut(f"{where}: {what}; is the file still being written?") from None
    return whole.getvalue()


def place(name: str, text: str) -> str:
    """Name the place where `text`, the beginning of a drop, ends: file, line and column."""
    rows = _loosely(text)
    titles = _titles(rows)
    filled = len(rows[-1]) if rows else 0
    starts_row = not text or (text.endswith("\n") and filled >= len(titles))
    index = 0 if starts_row else min(max(filled, 1), len(titles)) - 1
    return f"{name}, line {text.count(chr(10)) + 1}, column '{titles[index]}'"


def _loosely(text: str) -> list[list[str]]:
    """Read CSV whatever its quotes; of a field that is too long only the beginning."""
    text = text.replace("\r", "")  # alone it is a fault to the reader, however loose
    rows, at = [], 0
    reader = csv.reader(io.StringIO(text, newline="\n"))
    try:
        for row in reader:
            rows.append(row)
            at = reader.line_num
    except csv.Error:
        record = text.split("\n", at)[-1][: csv.field_size_limit()]
        rows += csv.reader(io.StringIO(record, newline="\n"))
    return rows


def _titles(rows: list[list[str]]) -> list[str]:
    """Give the header, or what it should be where there is none yet."""
    header = next((row for row in rows[:-1] if row), COLUMNS)
    return [title.removeprefix("\ufeff") for title in header]


def parse_drop(data: bytes, name: str, day: date) -> list[Line]:
    """Read the lines of `day` from CSV; `name` is what a fault calls the file.

    Columns are found by their header, in any order; further columns are passed over. Raises
    `DataFault` at the first thing that is wrong, with the physical line it stands in.
    """
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as fault:
        where = place(name, data[: fault.start].decode("utf-8"))
        raise DataFault(f"{where}: byte 0x{data[fault.start]:02x} is not UTF-8") from None
    records = _records(text.removeprefix("\ufeff"), name)
    first = next(records, None)
    if first is None:
        raise DataFault(f"{name}, line 1, column '{COLUMNS[0]}': the file is empty, no header line")
    header = first[1]
    positions = _positions(header, name)
    day_text = day.isoformat()
    lines = []
    for at, fields in records:
        if len(fields) != len(header):
            raise DataFault(_wrong_width(name, at, fields, header))
        row = [fields[position] for position in positions]
        fault_at = _check(row, day_text)
        if fault_at is not None:
            column, what = fault_at
            line = at + sum(field.count("\n") for field in fields[: positions[column]])
            raise DataFault(f"{name}, line {line}, column '{COLUMNS[column]}': {what}")
        lines.append(_line(row))
    return lines


def _records(text: str, name: str) -> Iterator[tuple[int, list[str]]]:
    """Give each record with the physical line it begins in; blank lines hold none."""
    # Only LF ends a line here, so that the numbers are those an editor shows.
    reader = csv.reader(io.StringIO(text, newline="\n"), strict=True)
    while True:
        at = reader.line_num + 1
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as fault:
            raise DataFault(_broken_csv(text, name, at, str(fault))) from None
        if fields:
            yield at, fields


def _broken_csv(text: str, name: str, at: int, what: str) -> str:
    """Say in which column of the record beginning in line `at` the quoting goes wrong."""
    lines = text.split("\n")
    record = "\n".join(lines[at - 1 :])
    closed = "unexpected end" not in what
    if closed:
        ends = range(1, len(record) + 1)
        record = record[: bisect.bisect_left(ends, x=True, key=lambda end: _trips(record[:end]))]
    fields = (_loosely(record) or [[]])[-1] or [""]
    titles = _titles([*_loosely(lines[0]), []])
    line = at + sum(field.count("\n") for field in fields[:-1])
    column = titles[min(len(fields), len(titles)) - 1]
    what = f"is quoted wrongly: {what}" if closed else "a quote is opened here and never closed"
    return f"{name}, line {line}, column '{column}': {what}"


def _trips(text: str) -> bool:
    try:
        list(csv.reader(io.StringIO(text, newline="\n"), strict=True))
    except csv.Error as fault:
        return "unexpected end" not in str(fault)
    return False


def _positions(header: list[str], name: str) -> list[int]:
    positions = []
    for column in COLUMNS:
        count = header.count(column)
        if count != 1:
            what = "is missing from the header" if count == 0 else f"is there {count} times"
            raise DataFault(f"{name}, line 1, column '{column}': {what}")
        positions.append(header.index(column))
    return positions


def _wrong_width(name: str, at: int, fields: list[str], header: list[str]) -> str:
    line = at + sum(field.count("\n") for field in fields)
    if len(fields) < len(header):
        where = f"{name}, line {line}, column '{header[len(fields)]}': missing"
    else:
        where = f"{name}, line {line}, column '{header[-1]}': more columns follow it"
    return f"{where}; the line has {len(fields)} columns, the header {len(header)}"


def _check(row: list[str], day: str) -> tuple[int, str] | None:
    """Find the first column of a row that is wrong, and say what is wrong with it."""
    invoice_no, stock_code, _, quantity, invoice_ts, price, _, _ = row
    if not _INVOICE.fullmatch(invoice_no):
        return 0, f"{_shown(invoice_no)} is not an invoice number"
    if not stock_code:
        return 1, "empty"
    if not _QUANTITY.fullmatch(quantity):
        return 3, f"{_shown(quantity)} is not a whole number"
    if not _is_timestamp(invoice_ts):
        return 4, f"{_shown(invoice_ts)} is not a time like '{day} 09:30:00'"
    if not invoice_ts.startswith(day):
        return 4, f"{_shown(invoice_ts)} is not on {day}"
    match = _PRICE.fullmatch(price)
    if not match:
        return 5, f"{_shown(price)} is not a price"
    if (match[3] or "")[_PRICE_DECIMALS:].strip("0"):
        return 5, f"{_shown(price)} has more than {_PRICE_DECIMALS} decimals"
    return None


def _is_timestamp(text: str) -> bool:
    if not _TIMESTAMP.fullmatch(text):
        return False
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def _line(row: list[str]) -> Line:
    invoice_no, stock_code, description, quantity, invoice_ts, price, customer_id, country = row
    match = _PRICE.fullmatch(price)
    assert match, price  # checked before
    sign, pounds, decimals = match[1], match[2], (match[3] or "")[:_PRICE_DECIMALS]
    price_th = int(pounds + decimals.ljust(_PRICE_DECIMALS, "0")) * (-1 if sign else 1)
    return Line(
        invoice_no,
        stock_code,
        description,
        int(quantity),
        invoice_ts,
        price_th,
        customer_id,
        country,
    )


def _shown(text: str) -> str:
    return repr(text if len(text) <= _SHOWN_CHARS else text[: _SHOWN_CHARS - 1] + "…")
