"""The daily sales report for people: a self-contained HTML page and a text digest, both pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from html import escape
from typing import Any

_HUNDRED = Decimal(100)
_TENTH = Decimal("0.1")
_CROWDED_HOUR = Decimal("0.5")
_LARGE_INVOICE = Decimal("0.2")
_LARGE_CANCELLATIONS = Decimal("0.1")


@dataclass(frozen=True, slots=True)
class Report:
    """What a report shows: a day's figures, what stands out in them, the reports to compare with.

    `largest_invoice` is its number and gross; `before` holds earlier days' figures, newest first.
    """

    day: date
    summary: Mapping[str, Any]
    descriptions: Mapping[str, str]
    drop: str
    largest_invoice: Sequence[Any] | None = None
    before: Sequence[tuple[date, Mapping[str, Any]]] = ()


def money(value: object) -> str:
    """Write an amount of pounds, as in -£1,234.50."""
    amount = Decimal(str(value))
    return f"{'-' if amount < 0 else ''}£{abs(amount):,.2f}"


def change(now: object, before: object) -> str:
    """Write the change against an earlier figure, as in +12.5 %; empty if there is no telling."""
    base = Decimal(str(before))
    if base <= 0:
        return ""
    percent = ((Decimal(str(now)) - base) * _HUNDRED / base).quantize(_TENTH)
    return f"{percent:+,} %" if percent else "±0 %"


def day_name(day: date, *, short: bool = False) -> str:
    """Write a day for people, as in Monday 7 November 2011."""
    return f"{day:%a} {day.day} {day:%b}" if short else f"{day:%A} {day.day} {day:%B %Y}"


def plain(text: object) -> str:
    """Give text on one line without control characters, which could steer a terminal."""
    return " ".join("".join(c if c.isprintable() else " " for c in str(text)).split())


@dataclass(frozen=True, slots=True)
class Headline:
    """One of the figures at the top, with its change against each of the earlier days."""

    title: str
    shown: str
    changes: tuple[str, ...]


def headlines(report: Report) -> list[Headline]:
    """Give the figures at the top, compared with earlier days where there are any."""
    now = report.summary
    found: list[tuple[str, str, Callable[[Mapping[str, Any]], object]]] = [
        ("Gross sales", money(now["gross_sales"]), lambda day: day["gross_sales"]),
        ("Cancellations", money(now["cancellations"]), lambda _: 0),
        ("Net of all lines", money(now["net_all_rows"]), lambda day: day["net_all_rows"]),
        ("Orders", f"{now['sale_invoices']:,}", lambda day: day["sale_invoices"]),
        ("Average order", money(_average(now)), _average),
        ("Units sold", f"{now['units_sold']:,}", lambda day: day["units_sold"]),
        ("Customers", f"{now['customers']:,}", lambda day: day["customers"]),
    ]
    return [
        Headline(title, shown, tuple(change(of(now), of(day)) for _, day in report.before))
        for title, shown, of in found
    ]


def _average(summary: Mapping[str, Any]) -> Decimal:
    orders = summary["sale_invoices"]
    return Decimal(str(summary["gross_sales"])) / orders if orders else Decimal(0)


def remarks(report: Report) -> list[str]:
    """Say in sentences what is unusual about the day and about its data."""
    now = report.summary
    gross = Decimal(str(now["gross_sales"]))
    said = []
    if not gross:
        said.append("Nothing was sold.")
    hour = max(now["gross_by_hour"], key=lambda item: Decimal(str(item[1])), default=None)
    if hour and Decimal(str(hour[1])) > gross * _CROWDED_HOUR:
        share = _percent(hour[1], gross)
        said.append(f"{share} of the day's sales fell between {hour[0]}:00 and {hour[0]}:59.")
    if report.largest_invoice:
        number, total = report.largest_invoice
        if Decimal(str(total)) > gross * _LARGE_INVOICE:
            share = _percent(total, gross)
            said.append(f"Invoice {number} alone came to {money(total)}, {share} of gross.")
    if -Decimal(str(now["cancellations"])) > gross * _LARGE_CANCELLATIONS:
        share = (
            f", {_percent(-Decimal(str(now['cancellations'])), gross)} of gross" if gross else ""
        )
        said.append(f"Cancellations of {money(now['cancellations'])}{share}.")
    counted = [
        (
            "duplicate_rows",
            "repeats an earlier one",
            "repeat an earlier one",
            "; counted as scanned",
        ),
        ("rows_without_customer", "has no customer", "have no customer", ""),
        ("rows_zero_price", "has a price of 0", "have a price of 0", ""),
        ("rows_negative_quantity", "has a quantity below 0", "have a quantity below 0", ""),
        ("rows_negative_price", "has a price below 0", "have a price below 0", ""),
        ("rows_blank_description", "has no description", "have no description", ""),
    ]
    for key, one, many, note in counted:
        if count := now[key]:
            share = _percent(count, now["rows"])
            lines = "line" if count == 1 else "lines"
            said.append(f"{count:,} {lines} ({share}) {one if count == 1 else many}{note}.")
    return said


def _percent(part: object, whole: object) -> str:
    share = Decimal(str(part)) * _HUNDRED / Decimal(str(whole))
    return "under 1 %" if 0 < share < 1 else f"{share:.0f} %"


def _against(report: Report) -> str:
    days = " and with ".join(day_name(day) for day, _ in report.before)
    return f"compared with {days}" if days else ""


# -- text -----------------------------------------------------------------------------------------


def to_text(report: Report) -> str:
    """Write the digest: what a person reads in a terminal or in an email."""
    now = report.summary
    title = f"Sales of {day_name(report.day)}"
    figures = [
        f"{h.title:<18}{h.shown:>14}{''.join(f'{one:>12}' for one in h.changes)}".rstrip()
        for h in headlines(report)
    ]
    if report.before:
        days = "".join(f"{day_name(day, short=True):>12}" for day, _ in report.before)
        figures.insert(0, f"{'change on':>32}{days}")
    parts = [[title, "=" * len(title)], figures]
    products = [
        f"{place:>2}. {plain(code):<8} {_cut(report.descriptions.get(code, '')):<36}"
        f"{money(gross):>12}{units:>7,}"
        for place, (code, gross, units) in enumerate(now["top_products"], 1)
    ]
    parts.append(["Best-selling products (gross, units)", *(products or ["  none"])])
    countries = [
        f"    {_cut(country or '(none)'):<45}{money(gross):>12}"
        for country, gross in now["top_countries"]
    ]
    parts.append(["Countries (gross)", *(countries or ["  none"])])
    hours = now["gross_by_hour"]
    most = max((Decimal(str(gross)) for _, gross in hours), default=Decimal(0))
    bars = [
        f"    {hour}:00 {money(gross):>12} {'#' * round(Decimal(str(gross)) * 36 / most)}".rstrip()
        for hour, gross in hours
        if most
    ]
    parts.append(["Gross sales by hour", *(bars or ["  none"])])
    if said := remarks(report):
        parts.append(["Worth knowing", *(f"  - {plain(remark)}" for remark in said)])
    parts.append([f"{now['rows']:,} lines, {now['invoices']:,} invoices; {plain(report.drop)}"])
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def _cut(text: str) -> str:
    text = plain(text)
    return text if len(text) <= 34 else text[:33] + "…"


# -- HTML -----------------------------------------------------------------------------------------

_STYLE = """
:root { color-scheme: light dark; --page: #f6f6f3; --card: #fff; --ink: #1d2326; --soft: #5b666b;
  --line: #dfe1dc; --bar: #2f6f8f; --up: #1c7a3e; --down: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --page: #14181a; --card: #1d2326; --ink: #e8eaea;
  --soft: #9aa6ab; --line: #323a3e; --bar: #6fb3d2; --up: #6fcf8d; --down: #ff8a80; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main { max-width: 60rem; margin: 0 auto; padding: 1.5rem 1rem 3rem; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: 0; }
h2 { font-size: 1.05rem; margin: 0 0 .6rem; }
p, ul { margin: .3rem 0; } ul { padding-left: 1.2rem; }
.soft, footer, th { color: var(--soft); } footer { font-size: .85rem; overflow-wrap: anywhere; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(12rem, 1fr)); gap: .7rem;
  margin: 1.2rem 0; }
.card, section { background: var(--card); border: 1px solid var(--line); border-radius: .5rem; }
.card { padding: .7rem .9rem; } .card strong { display: block; font-size: 1.3rem; }
.card strong, .card b, td.n, th.n { font-variant-numeric: tabular-nums; white-space: nowrap; }
.card span, .card small { font-size: .85rem; color: var(--soft); } .card small { display: block;
  white-space: nowrap; }
.card b { font-weight: 600; } .up { color: var(--up); } .down { color: var(--down); }
section { padding: 1rem; margin: 0 0 1rem; overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .93rem; }
th { text-align: left; font-weight: 500; } th, td { padding: .28rem .5rem; }
tbody tr { border-top: 1px solid var(--line); } td.n, th.n { text-align: right; }
td.share { width: 22%; min-width: 5rem; } td.share svg { width: 100%; height: .6rem; }
rect { fill: var(--bar); } svg { display: block; } .hours svg { width: 100%; min-width: 34rem;
  height: auto; }
.hours text { fill: var(--soft); font-size: 13px; text-anchor: middle; }
@media print { body { background: none; } section, .card { break-inside: avoid; } }
"""


def to_html(report: Report) -> str:
    """Write the page: no script, nothing loaded from elsewhere, all text escaped."""
    now = report.summary
    title = f"Sales of {day_name(report.day)}"
    said = "".join(f"<li>{escape(plain(remark))}</li>" for remark in remarks(report))
    notes = f"<section><h2>Worth knowing</h2><ul>{said}</ul></section>" if said else ""
    against = escape(_against(report))
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>\n<body><main>\n"
        f'<h1>{escape(title)}</h1><p class="soft">{against}</p>\n'
        f'<div class="cards">{_cards(report)}</div>\n'
        f'{notes}\n<section class="hours"><h2>Gross sales by hour</h2>'
        f"{_hours(now['gross_by_hour'])}</section>\n"
        f"<section><h2>Best-selling products</h2>{_products(report)}</section>\n"
        f"<section><h2>Countries</h2>{_countries(now)}</section>\n"
        f"<footer>{now['rows']:,} lines, {now['invoices']:,} invoices, of which "
        f"{now['cancellation_invoices']:,} cancel something. Source: "
        f"{escape(plain(report.drop))}</footer>\n</main></body></html>\n"
    )


def _cards(report: Report) -> str:
    cards = []
    for headline in headlines(report):
        notes = "".join(
            f'<small><b class="{_direction(one)}">{escape(one)}</b> on '
            f"{day_name(day, short=True)}</small>"
            for one, (day, _) in zip(headline.changes, report.before, strict=True)
            if one
        )
        cards.append(
            f'<div class="card"><span>{headline.title}</span><strong>{headline.shown}</strong>'
            f"{notes}</div>"
        )
    return "".join(cards)


def _direction(change_text: str) -> str:
    return {"+": "up", "-": "down"}.get(change_text[:1], "same")


def _hours(hours: Sequence[Sequence[Any]]) -> str:
    gross = {int(hour): Decimal(str(amount)) for hour, amount in hours}
    most = max(gross.values(), default=Decimal(0))
    if not most:
        return "<p>Nothing was sold.</p>"
    first, last = min(gross), max(gross)
    step, height = 72, 150
    drawn = []
    for place, hour in enumerate(range(first, last + 1)):
        amount = gross.get(hour, Decimal(0))
        tall = float(amount / most) * height
        left = place * step
        tip = f"{hour:02}:00 to {hour:02}:59: {money(amount)}"
        drawn.append(
            f'<g><title>{tip}</title><rect x="{left + 4}" y="{18 + height - tall:.1f}" '
            f'width="{step - 8}" height="{tall:.1f}" rx="2"/>'
            f'<text x="{left + step // 2}" y="{13 + height - tall:.1f}">{_short(amount)}</text>'
            f'<text x="{left + step // 2}" y="{height + 34}">{hour:02}</text></g>'
        )
    # Few bars keep their size instead of filling the page's width.
    width = max(len(drawn), 12) * step
    label = "Bars of gross sales for each hour of the day"
    return (
        f'<svg viewBox="0 0 {width} {height + 40}" role="img" aria-label="{label}">'
        f"{''.join(drawn)}</svg>"
    )


def _short(amount: Decimal) -> str:
    thousand, ten_thousand = 1_000, 10_000
    if amount >= ten_thousand:
        return f"£{amount / thousand:.0f}k"
    return f"£{amount / thousand:.1f}k" if amount >= thousand else f"£{amount:.0f}"


def _products(report: Report) -> str:
    rows = report.summary["top_products"]
    most = max((Decimal(str(gross)) for _, gross, _ in rows), default=Decimal(0))
    body = "".join(
        f"<tr><td>{escape(plain(code))}</td>"
        f"<td>{escape(plain(report.descriptions.get(code, '')))}</td>"
        f'<td class="n">{money(gross)}</td><td class="n">{units:,}</td>{_bar(gross, most)}</tr>'
        for code, gross, units in rows
    )
    head = (
        '<th>Code</th><th>Product</th><th class="n">Gross</th><th class="n">Units</th>'
        '<th aria-label="share"></th>'
    )
    return _table(head, body)


def _countries(now: Mapping[str, Any]) -> str:
    total = Decimal(str(now["gross_sales"]))
    body = "".join(
        f'<tr><td>{escape(plain(country)) or "(none)"}</td><td class="n">{money(gross)}</td>'
        f'<td class="n">{_percent(gross, total)}</td>{_bar(gross, total)}</tr>'
        for country, gross in now["top_countries"]
    )
    head = (
        '<th>Country</th><th class="n">Gross</th><th class="n">Share</th>'
        '<th aria-label="share"></th>'
    )
    return _table(head, body)


def _bar(part: object, whole: Decimal) -> str:
    share = float(Decimal(str(part)) * _HUNDRED / whole)
    return (
        '<td class="share"><svg viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect width="{share:.1f}" height="8"/></svg></td>'
    )


def _table(head: str, body: str) -> str:
    if not body:
        return "<p>None.</p>"
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
