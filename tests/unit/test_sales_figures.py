"""The sales report's figures: rules by small cases, then real days against sums done in SQL."""

from __future__ import annotations

import csv
import gzip
import io
import json
import sqlite3
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from pipelines._sales_drop import COLUMNS, parse_drop, unpack
from pipelines._sales_figures import describe, from_json, is_product, pounds, summarize, to_json
from pipelines._sales_sources import read_drop
from tests.sales_drops import REAL, ROOT, SAMPLE, line, needs_real_days, no_password


def test_half_a_penny_goes_to_the_even_one() -> None:
    """Thousandths become pence half to even, above and below zero."""
    shown = [pounds(th) for th in (1005, 1015, 1025, -1005, -1015, 1006, 0)]
    assert [str(value) for value in shown] == [
        "1.00", "1.02", "1.02", "-1.00", "-1.02", "1.01", "0.00",
    ]  # fmt: skip


def test_sums_are_rounded_once() -> None:
    """Three lines of 0.125 make 0.375 and then 0.38, not three times 0.12."""
    lines = [line(quantity=1, price_th=125)] * 3
    assert summarize(lines)["gross_sales"] == Decimal("0.38")


def test_cancellations_adjustments_and_corrections_are_no_sales() -> None:
    """Only plain invoices with a quantity and a price above 0 sell something."""
    lines = [
        line(),
        line(invoice_no="C700002", quantity=-6),
        line(invoice_no="C700003", quantity=1),
        line(invoice_no="A700004", quantity=1, price_th=50_000),
        line(invoice_no="700005", quantity=-10, price_th=0),
        line(invoice_no="700006", quantity=3, price_th=0, customer_id=""),
        line(invoice_no="700007", quantity=1, price_th=-1_000, description=" "),
    ]
    summary = summarize(lines)
    assert summary["gross_sales"] == Decimal("12.48")
    assert summary["cancellations"] == Decimal("-10.40")
    assert summary["net_all_rows"] == Decimal("51.08")
    assert (summary["units_sold"], summary["sale_invoices"], summary["invoices"]) == (6, 1, 7)
    assert (summary["cancellation_invoices"], summary["rows_without_customer"]) == (2, 1)
    assert (summary["rows_zero_price"], summary["rows_negative_price"]) == (2, 1)
    assert (summary["rows_negative_quantity"], summary["rows_blank_description"]) == (2, 1)
    assert (summary["customers"], summary["duplicate_rows"], summary["rows"]) == (1, 0, 7)


def test_a_line_scanned_three_times_is_two_duplicates() -> None:
    """Repeats are counted and stay in the sums."""
    summary = summarize([line(), line(), line(country="EIRE"), line()])
    assert summary["duplicate_rows"] == 2
    assert summary["units_sold"] == 24


@pytest.mark.parametrize(
    "code",
    ["POST", "DOT", "M", "m", "D", "S", "B", "C2", "CRUK", "PADS", "AMAZONFEE", "BANK CHARGES",
     "gift_0001_20"],
)  # fmt: skip
def test_what_is_no_product_is_not_among_the_best(code: str) -> None:
    """Postage, fees and vouchers count as sales but never as a product."""
    assert not is_product(code)
    summary = summarize([line(stock_code=code), line()])
    assert summary["top_products"] == [["31010", Decimal("12.48"), 6]]
    assert summary["gross_sales"] == Decimal("24.96")


def test_the_best_are_ordered_by_gross_then_by_code() -> None:
    """Equal products and countries are ordered by name, and only so many are shown."""
    lines = [line(stock_code=f"3{n:04}", country=f"C{n:02}") for n in reversed(range(12))]
    lines.append(line(stock_code="99999", country="Z", quantity=7))
    summary = summarize(lines)
    codes = [code for code, _, _ in summary["top_products"]]
    assert codes == ["99999", *(f"3{n:04}" for n in range(9))]
    assert [name for name, _ in summary["top_countries"]] == ["Z", "C00", "C01", "C02", "C03"]


def test_hours_without_sales_are_left_out() -> None:
    """Hours come in the day's order, only those in which something was sold."""
    lines = [
        line(invoice_ts="2026-03-02 17:59:59"),
        line(invoice_ts="2026-03-02 09:00:00"),
        line(invoice_ts="2026-03-02 12:00:00", price_th=0),
    ]
    assert [hour for hour, _ in summarize(lines)["gross_by_hour"]] == ["09", "17"]


def test_a_day_without_lines_has_figures() -> None:
    """Nothing sold is an answer, with all its keys."""
    summary = summarize([])
    assert summary["gross_sales"] == Decimal("0.00")
    assert summary["top_products"] == summary["gross_by_hour"] == []
    assert json.loads(to_json(summary))["net_all_rows"] == 0.0


def test_json_has_numbers_and_reads_back() -> None:
    """Money is written as a JSON number and read back as a Decimal."""
    text = to_json(summarize([line(price_th=12_500)]))
    assert '"gross_sales": 75.0,' in text
    assert from_json(text)["gross_sales"] == Decimal(75)
    for wrong in ("[]", "{}", '{"rows": "x"}', "{"):
        with pytest.raises(ValueError, match=r"."):
            from_json(wrong)


def test_a_product_is_named_as_most_sales_name_it() -> None:
    """Corrections like "damaged" and blanks do not name a product."""
    lines = [
        line(description="damaged", quantity=-1, price_th=0),
        line(description="damaged", quantity=-2, price_th=0),
        line(description="OLD LAMP"),
        line(description="LAMP"),
        line(description="LAMP "),
        line(stock_code="31011", description=" "),
    ]
    assert describe(lines, ["31010", "31011"]) == {"31010": "LAMP", "31011": ""}


# -- real days ------------------------------------------------------------------------------------


@needs_real_days
@pytest.mark.parametrize("day", ["2011-11-07", "2011-10-09"])
def test_the_worked_example_comes_out_in_every_field(day: str) -> None:
    """Keys, their order and every value are those of the worked example."""
    wanted = json.loads((REAL / "worked-example.json").read_text("utf-8"))[day]
    drop = read_drop(str(REAL / "drops"), date.fromisoformat(day), ROOT, no_password)
    assert drop is not None
    found = json.loads(
        to_json(summarize(parse_drop(drop.data, drop.name, date.fromisoformat(day))))
    )
    assert list(found) == list(wanted)
    assert found == wanted


def real_or_sample_days() -> list[Path]:
    """Give the drops to check the sums on: ours, and the real ones where they are."""
    found = [*SAMPLE.glob("sales-*.csv*"), *(REAL / "drops").glob("sales-*.csv*")]
    return sorted(found)


BEST_PRODUCTS = r"""
    SELECT stock_code, sum(th), sum(quantity) FROM sale
    WHERE stock_code NOT IN ('POST', 'DOT', 'M', 'm', 'D', 'S', 'B', 'C2', 'CRUK', 'PADS',
        'AMAZONFEE', 'BANK CHARGES') AND stock_code NOT LIKE 'gift\_0001\_%' ESCAPE '\'
    GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 10
"""


def figures_by_sql(path: Path) -> dict[str, Any]:
    """Work a day's figures out a second way: SQL over the same rows, money in thousandths."""
    data = path.read_bytes()
    text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode()
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    db = sqlite3.connect(":memory:")
    db.execute(
        "CREATE TABLE s (invoice_no TEXT, stock_code TEXT, description TEXT, quantity INTEGER, "
        "invoice_ts TEXT, price INTEGER, customer_id TEXT, country TEXT)"
    )
    for row in rows:
        row["unit_price"] = str(int(Decimal(row["unit_price"]) * 1000))
    db.executemany(
        "INSERT INTO s VALUES (?, ?, ?, ?, ?, ?, ?, ?)", [[row[c] for c in COLUMNS] for row in rows]
    )
    db.execute(
        "CREATE VIEW sale AS SELECT *, quantity * price AS th FROM s "
        "WHERE invoice_no NOT LIKE 'C%' AND invoice_no NOT LIKE 'A%' AND quantity > 0 AND price > 0"
    )

    def one(sql: str) -> Any:
        return db.execute(sql).fetchone()[0] or 0

    def rounded(thousandths: int) -> float:
        pence, rest = divmod(thousandths, 10)  # half to even, by hand
        return (pence + (rest > 5 or (rest == 5 and pence % 2 == 1))) / 100

    figures = {
        "rows": one("SELECT count(*) FROM s"),
        "duplicate_rows": one(
            "SELECT (SELECT count(*) FROM s) - count(*) FROM (SELECT DISTINCT * FROM s)"
        ),
        "invoices": one("SELECT count(DISTINCT invoice_no) FROM s"),
        "cancellation_invoices": one(
            "SELECT count(DISTINCT invoice_no) FROM s WHERE invoice_no LIKE 'C%'"
        ),
        "rows_without_customer": one("SELECT count(*) FROM s WHERE customer_id = ''"),
        "customers": one("SELECT count(DISTINCT customer_id) FROM s WHERE customer_id <> ''"),
        "rows_zero_price": one("SELECT count(*) FROM s WHERE price = 0"),
        "rows_negative_quantity": one("SELECT count(*) FROM s WHERE quantity < 0"),
        "rows_negative_price": one("SELECT count(*) FROM s WHERE price < 0"),
        "rows_blank_description": one("SELECT count(*) FROM s WHERE trim(description) = ''"),
        "gross_sales": rounded(one("SELECT sum(th) FROM sale")),
        "cancellations": rounded(
            one("SELECT sum(quantity * price) FROM s WHERE invoice_no LIKE 'C%'")
        ),
        "net_all_rows": rounded(one("SELECT sum(quantity * price) FROM s")),
        "units_sold": one("SELECT sum(quantity) FROM sale"),
        "sale_invoices": one("SELECT count(DISTINCT invoice_no) FROM sale"),
        "top_products": [
            [code, rounded(th), units] for code, th, units in db.execute(BEST_PRODUCTS)
        ],
        "top_countries": [
            [country, rounded(th)]
            for country, th in db.execute(
                "SELECT country, sum(th) FROM sale GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 5"
            )
        ],
        "gross_by_hour": [
            [hour, rounded(th)]
            for hour, th in db.execute(
                "SELECT substr(invoice_ts, 12, 2), sum(th) FROM sale GROUP BY 1 ORDER BY 1"
            )
        ],
    }
    db.close()
    return figures


def test_every_day_agrees_with_sums_done_in_sql() -> None:
    """All figures of all days at hand are the same when a database works them out."""
    days = real_or_sample_days()
    assert len(days) in {3, 55}
    for path in days:
        day = date.fromisoformat(path.name[6:16])
        data = unpack(path.read_bytes(), path.name)
        found = json.loads(to_json(summarize(parse_drop(data, path.name, day))))
        wanted = figures_by_sql(path)
        assert json.dumps(found) == json.dumps(wanted), path.name
