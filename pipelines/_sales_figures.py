"""The figures of one day's sales: pure sums over its lines, in thousandths of a pound."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from pipelines._sales_drop import Line

NON_PRODUCT_CODES = frozenset(
    {
        "POST",
        "DOT",
        "M",
        "m",
        "D",
        "S",
        "B",
        "C2",
        "CRUK",
        "PADS",
        "AMAZONFEE",
        "BANK CHARGES",
    }
)
VOUCHER_PREFIX = "gift_0001_"
TOP_PRODUCTS = 10
TOP_COUNTRIES = 5

Summary = dict[str, Any]


def is_product(stock_code: str) -> bool:
    """Tell goods from postage, fees, discounts, samples and vouchers."""
    return stock_code not in NON_PRODUCT_CODES and not stock_code.startswith(VOUCHER_PREFIX)


def pounds(thousandths: int) -> Decimal:
    """Give pounds and pence, half a penny going to the even one."""
    return (Decimal(thousandths) / 1000).quantize(Decimal("0.01"), ROUND_HALF_EVEN)


def summarize(lines: Sequence[Line]) -> Summary:
    """Give the day's figures, in the order in which they are written.

    A sale line has an invoice of digits only and a quantity and price above 0. Lines that repeat
    an earlier one in every column are counted and stay in all sums.
    """
    sales = [line for line in lines if line.is_sale]
    return {
        "rows": len(lines),
        "duplicate_rows": len(lines) - len(set(lines)),
        "invoices": len({line.invoice_no for line in lines}),
        "cancellation_invoices": len({line.invoice_no for line in lines if line.is_cancellation}),
        "rows_without_customer": sum(not line.customer_id for line in lines),
        "customers": len({line.customer_id for line in lines if line.customer_id}),
        "rows_zero_price": sum(line.price_th == 0 for line in lines),
        "rows_negative_quantity": sum(line.quantity < 0 for line in lines),
        "rows_negative_price": sum(line.price_th < 0 for line in lines),
        "rows_blank_description": sum(not line.description.strip() for line in lines),
        "gross_sales": pounds(sum(line.amount_th for line in sales)),
        "cancellations": pounds(sum(line.amount_th for line in lines if line.is_cancellation)),
        "net_all_rows": pounds(sum(line.amount_th for line in lines)),
        "units_sold": sum(line.quantity for line in sales),
        "sale_invoices": len({line.invoice_no for line in sales}),
        "top_products": _top_products(sales),
        "top_countries": _top_countries(sales),
        "gross_by_hour": _gross_by_hour(sales),
    }


def _top_products(sales: Sequence[Line]) -> list[list[Any]]:
    gross: Counter[str] = Counter()
    units: Counter[str] = Counter()
    for line in sales:
        if is_product(line.stock_code):
            gross[line.stock_code] += line.amount_th
            units[line.stock_code] += line.quantity
    best = _falling(gross)[:TOP_PRODUCTS]
    return [[code, pounds(total), units[code]] for code, total in best]


def _top_countries(sales: Sequence[Line]) -> list[list[Any]]:
    gross: Counter[str] = Counter()
    for line in sales:
        gross[line.country] += line.amount_th
    return [[country, pounds(total)] for country, total in _falling(gross)[:TOP_COUNTRIES]]


def _gross_by_hour(sales: Sequence[Line]) -> list[list[Any]]:
    gross: Counter[str] = Counter()
    for line in sales:
        gross[line.invoice_ts[11:13]] += line.amount_th
    return [[hour, pounds(gross[hour])] for hour in sorted(gross)]


def _falling(totals: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(totals.items(), key=lambda item: (-item[1], item[0]))


def describe(lines: Sequence[Line], codes: Sequence[str]) -> dict[str, str]:
    """Give each product its most used description on sale lines, the first of equals."""
    names: dict[str, Counter[str]] = {code: Counter() for code in codes}
    for line in lines:
        if line.stock_code in names and line.is_sale and line.description.strip():
            names[line.stock_code][line.description.strip()] += 1
    return {code: found.most_common(1)[0][0] if found else "" for code, found in names.items()}


def largest_invoice(lines: Sequence[Line]) -> list[Any] | None:
    """Give number and gross of the invoice that sold most, or None if nothing was sold."""
    gross: Counter[str] = Counter()
    for line in lines:
        if line.is_sale:
            gross[line.invoice_no] += line.amount_th
    return next(([number, pounds(total)] for number, total in _falling(gross)), None)


def to_json(summary: Summary) -> str:
    """Write a summary as JSON, money as numbers with at most two decimals."""
    return json.dumps(summary, indent=1, ensure_ascii=False, default=float) + "\n"


def from_json(text: str) -> Summary:
    """Read a summary back; raises `ValueError` if the text is not one."""
    found = json.loads(text, parse_float=Decimal)
    if not isinstance(found, dict) or found.keys() != summarize([]).keys():
        raise ValueError("not a sales summary")
    return found
