"""The report as one HTML page that needs nothing else: no network, no script."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from datetime import datetime

from pipelines._daily.findings import LIMITS
from pipelines._daily.glance import (
    backup_line,
    disk_change,
    disk_outlook,
    missing,
    numbers,
)
from pipelines._daily.shapes import (
    Backup,
    Day,
    Host,
    Journal,
    Packages,
    Program,
    Services,
    StoreDay,
)
from pipelines._daily.style import CSS
from pipelines._daily.trend import memory_percent, swap_percent
from pipelines._machine import units
from pipelines._machine.findings import Finding, headline, limit, worst
from pipelines._machine.text import seen

SHOWN = 12


def esc(value: object) -> str:
    """Make any text safe and visible in HTML."""
    return html.escape(seen(str(value)), quote=True)


def page(day: Day, backup: Backup | None = None) -> str:
    """Give the whole page; `backup` adds what was saved."""
    said = headline(day["findings"], day["name"])
    parts = [
        _head(day, said),
        _findings(day["findings"]),
        _numbers(day),
        _disks(day),
        _machine(day["host"]) if day["host"] else "",
        _packages(day["packages"]) if day["packages"] else "",
        _services(day["services"]) if day["services"] else "",
        _journal(day["journal"]) if day["journal"] else "",
        _store(day["store"]) if day["store"] else "",
        _backup(backup) if backup else "",
        _missing(day),
        _foot(day),
    ]
    body = "\n".join(part for part in parts if part)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="referrer" content="no-referrer">
<title>{esc(said)}, {esc(day["date"])}</title>
<style>{CSS}</style>
</head>
<body>
<main>
{body}
</main>
</body>
</html>
"""


def _head(day: Day, said: str) -> str:
    host = day["host"]
    about = ""
    if host:
        facts = (
            host["system"],
            units.several_cores(host["cores"]),
            f"{units.size(host['memory_total_bytes'])} memory",
            f"up {units.span(host['up_s'])}",
        )
        about = f'<p class="about">{esc(" · ".join(facts))}</p>'
    return (
        f'<header class="{esc(worst(day["findings"]))}">'
        f'<p class="when">{esc(units.weekday(day["date"]))}</p>'
        f"<h1>{esc(said)}</h1>{about}</header>"
    )


def _section(title: str, body: str) -> str:
    return f"<section><h2>{esc(title)}</h2>\n{body}\n</section>"


def _findings(findings: Sequence[Finding]) -> str:
    if not findings:
        return ""
    items = "\n".join(
        f'<li class="{esc(one["severity"])}"><span class="mark">{esc(one["severity"])}</span>'
        f'<div><p class="what">{esc(one["what"])}</p>'
        f'<p class="facts">{esc(one["where"])}: {esc(one["value"])}'
        f'<span class="soft">{esc(limit(one))}</span></p>'
        f'<p class="todo">{esc(one["todo"])}</p></div></li>'
        for one in findings
    )
    return _section("What to do", f'<ul class="findings">\n{items}\n</ul>')


def _numbers(day: Day) -> str:
    shown = numbers(day)
    if not shown:
        return ""
    items = "".join(
        f'<div><dt>{esc(one.label)}</dt><dd class="value">{esc(one.value)}</dd>'
        f'<dd class="change">{esc(one.change)}</dd></div>'
        for one in shown
    )
    return _section("The day in numbers", f'<dl class="numbers">{items}</dl>')


def _disks(day: Day) -> str:
    if not day["host"]:
        return ""
    sparks = {one["mount"]: one["used"] for one in day["growth"]}
    meters = [
        _meter(
            disk["mount"],
            f"{units.size(disk['used_bytes'])} used, {units.size(disk['free_bytes'])} free",
            disk["used_percent"],
            "disk_percent",
            under=[disk_change(day, disk["mount"]), disk_outlook(day, disk["mount"])],
            spark=_spark(sparks.get(disk["mount"], ())),
        )
        for disk in day["host"]["disks"]
    ]
    return _section("Disks", "<div>" + "\n".join(meters) + "</div>")


def _machine(host: Host) -> str:
    available, total = host["memory_available_bytes"], host["memory_total_bytes"]
    limited = "this container's limit" if host["memory_limited"] else ""
    meters = [
        _meter(
            "Memory",
            f"{units.size(available)} available of {units.size(total)}",
            memory_percent(host),
            "memory_percent",
            under=[limited],
        )
    ]
    if host["swap_total_bytes"]:
        swapped = f"{units.size(host['swap_used_bytes'])} of {units.size(host['swap_total_bytes'])}"
        meters.append(_meter("Swap", f"{swapped} used", swap_percent(host), "swap_percent"))
    load = host["load"]
    per_core = load[2] / max(host["cores"], 0.01)
    shown = " · ".join(f"{value:.2f}" for value in load)
    meters.append(
        _meter(
            "Load",
            f"{shown} over 1, 5 and 15 minutes, on {units.several_cores(host['cores'])}",
            100 * per_core,
            "load_per_core",
            judged=per_core,
        )
    )
    heavy = (
        _programs("Heaviest by memory", host["by_memory"], "memory"),
        _programs("Busiest just now, of one core", host["by_cpu"], "cpu"),
    )
    pair = f'<div class="pair gap">{"".join(heavy)}</div>'
    return _section("Memory and load", f"<div>{''.join(meters)}</div>{pair}")


def _programs(caption: str, programs: Iterable[Program], by: str) -> str:
    rows = [
        (
            esc(one["name"])
            + (f' <span class="soft">× {one["count"]}</span>' if one["count"] > 1 else ""),
            units.size(one["memory_bytes"])
            if by == "memory"
            else units.percent(one["cpu_percent"]),
        )
        for one in programs
    ]
    if not rows:
        return f'<div><p class="soft small">{esc(caption)}</p><p>Nothing worth naming.</p></div>'
    body = "".join(
        f'<tr><td>{name}</td><td class="n">{esc(value)}</td></tr>' for name, value in rows
    )
    return f"<div><table><caption>{esc(caption)}</caption><tbody>{body}</tbody></table></div>"


def _packages(packages: Packages) -> str:
    waiting = packages["waiting"]
    age = ""
    if packages["refreshed_at"]:
        then = datetime.fromisoformat(packages["refreshed_at"]).astimezone()
        age = f"as known on {then.day} {units.month(then.month)}, {then:%H:%M}"
    if not waiting:
        return _section("Updates", _line("No package waits for an update", age))
    rows = [
        (
            esc(one["name"]) + (' <span class="soft">security</span>' if one["security"] else ""),
            esc(one["old"]),
            esc(one["new"]),
        )
        for one in waiting[:SHOWN]
    ]
    table = _table(("package", "installed", "waiting"), rows)
    rest = len(waiting) - SHOWN
    more = f"and {rest} more" if rest > 0 else ""
    return _section("Updates", table + _line(more, age, css="more"))


def _services(services: Services) -> str:
    if not services["failed"]:
        return _section("Services", _line("No unit has failed", f"systemd: {services['state']}"))
    rows = [
        (esc(one["name"]), esc(one["description"]), esc(one["result"]), esc(one["since"]))
        for one in services["failed"][: 2 * SHOWN]
    ]
    return _section("Services", _table(("failed unit", "what it is", "result", "since"), rows))


def _journal(journal: Journal) -> str:
    if not journal["groups"]:
        said = _line("No errors since yesterday", journal["limits"])
        return _section("Errors in the journal", said)
    rows = [
        (
            f"{one['count']:,}",
            f"{esc(one['source'])}",
            f"<code>{esc(one['message'])}</code>",
            esc(units.clock(one["last"])),
        )
        for one in journal["groups"][:SHOWN]
    ]
    table = _table(("times", "from", "the last one said", "last"), rows, right=(0, 3))
    rest = len(journal["groups"]) - SHOWN
    more = f"and {units.several(rest, 'other message')}" if rest > 0 else ""
    return _section("Errors in the journal", table + _line(more, journal["limits"], css="more"))


def _store(store: StoreDay) -> str:
    if not store["runs"]:
        return _section("Workflows", _line("No other run in the last day", ""))
    rows = [
        (
            esc(one["workflow"]),
            esc(one["last_status"] or "skipped"),
            f"{one['runs']}",
            f"{one['failed']}" if one["failed"] else '<span class="soft">0</span>',
            esc(units.span(one["seconds"])),
        )
        for one in store["workflows"]
    ]
    body = _table(("workflow", "last run", "runs", "failed", "took"), rows, right=(2, 3, 4))
    if store["retries"]:
        retries = units.several(store["retries"], "retry", "retries")
        body += _line(f"{retries} in all", "", css="more small")
    if store["failures"]:
        failed = [
            (
                esc(f"{one['workflow']} / {one['step']}"),
                f"<code>{esc(one['error'])}</code>",
                f"{one['run']}",
            )
            for one in store["failures"]
        ]
        heads = ("failed step", "last line of its error", "run")
        body += f'<div class="gap">{_table(heads, failed, right=(2,))}</div>'
    if store["slowest"]:
        slow = [
            (
                esc(f"{one['workflow']} / {one['step']}"),
                esc(units.span(one["duration_s"])),
                esc(units.span(one["typical_s"])) if one["typical_s"] is not None else "–",
            )
            for one in store["slowest"]
        ]
        heads = ("slowest step", "took", "typically")
        body += f'<div class="gap">{_table(heads, slow, right=(1, 2))}</div>'
    return _section("Workflows", body)


def _backup(backup: Backup) -> str:
    body = f"<p>{esc(backup_line(backup))}</p>"
    for left in backup["left_out"][:SHOWN]:
        body += f'<p class="soft small">left out: {esc(left)}</p>'
    return _section("Backup", body)


def _missing(day: Day) -> str:
    rows = "".join(f"<dt>{esc(name)}</dt><dd>{esc(why)}</dd>" for name, why in missing(day))
    return _section("Not looked at", f'<dl class="plain">{rows}</dl>') if rows else ""


def _foot(day: Day) -> str:
    clock = units.clock(day["measured_at"])
    taken = datetime.fromisoformat(day["measured_at"]).astimezone()
    on = f"{taken.day} {units.month(taken.month)} {taken.year}, {clock}"
    return f"<footer>Measured on {esc(day['name'])} on {esc(on)}, run {day['run']}.</footer>"


def _line(said: str, aside: str, css: str = "") -> str:
    parts = [esc(said) if said else "", f'<span class="soft">{esc(aside)}</span>' if aside else ""]
    shown = '<span class="soft"> · </span>'.join(part for part in parts if part)
    return f'<p class="{css}">{shown}</p>' if shown else ""


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[int] = ()) -> str:
    """Lay out cells that are HTML already."""

    def css(column: int) -> str:
        return ' class="n"' if column in right else ' class="k"' if column == 1 else ""

    head = "".join(f"<th{css(i)}>{esc(text)}</th>" for i, text in enumerate(heads))
    body = "\n".join(
        "<tr>" + "".join(f"<td{css(i)}>{cell}</td>" for i, cell in enumerate(row)) + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table>"


def _meter(  # noqa: PLR0913 - a bar with its labels
    name: str,
    shown: str,
    percent: float,
    bounds: str,
    *,
    judged: float | None = None,
    under: Sequence[str] = (),
    spark: str = "",
) -> str:
    reached = LIMITS[bounds].reached(percent if judged is None else judged)
    width = max(0.0, min(100.0, percent))
    notes = " · ".join(part for part in under if part)
    below = ""
    if notes or spark:
        below = f'<div class="row under"><span>{esc(notes)}</span>{spark}</div>'
    return (
        f'<div class="meter {reached[0] if reached else ""}"><div class="row">'
        f'<span class="name">{esc(name)}</span><span class="soft small">{esc(shown)}</span></div>'
        f'<svg class="bar" viewBox="0 0 100 7" preserveAspectRatio="none" role="img" '
        f'aria-label="{esc(units.percent(percent))}">'
        f'<rect class="track" width="100" height="7" rx="1"/>'
        f'<rect class="fill" width="{width:.1f}" height="7" rx="1"/></svg>{below}</div>'
    )


def _spark(values: Sequence[int]) -> str:
    """Draw the days on record as a line; two or fewer make none."""
    if len(values) <= 2:
        return ""
    low, high = min(values), max(values)
    step = 100 / (len(values) - 1)
    points = [
        f"{i * step:.1f} {20 - 18 * (value - low) / (high - low) if high > low else 11:.1f}"
        for i, value in enumerate(values)
    ]
    label = f"used, the last {len(values)} reports"
    return (
        f'<svg class="spark" viewBox="0 0 100 22" preserveAspectRatio="none" role="img" '
        f'aria-label="{label}"><path d="M{" L".join(points)}"/></svg>'
    )
