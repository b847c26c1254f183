"""What surrounds the pages of the dashboard: the way from each to all others, style and script.

Style and script are of the server's own; its header says what a page may do.
"""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from urllib.parse import quote, urlencode

from engine.records import record
from engine.reports.html import style
from engine.reports.html.markup import EMPTY, Html, joined
from engine.text import human_time
from engine.zones import zone_named

_HERE = Path(__file__).parent

STYLE = style.STYLE + (_HERE / "dashboard.css").read_text("utf-8")
SCRIPT = style.SCRIPT + (_HERE / "live.js").read_text("utf-8")

_SHELL = Html("""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/style.css?{style}">
<script src="/script.js?{script}" defer></script>
</head>
<body>
<a class="jump" href="#page">To the page</a>
<header class="top"><nav aria-label="Dashboard"><a class="home" href="/">Kahnban</a>\
<a href="/runs"{here}>Runs</a></nav>
<form action="/search" role="search"><label class="hide" for="q">Search</label>\
<input id="q" name="q" type="search" placeholder="run, step, error …" maxlength="200" value="{q}">\
<button>Search</button></form></header>
<main id="page"{live}>
{body}
</main>
<p id="stale" role="status" hidden></p>
</body>
</html>
""")


@record
class Live:
    """How a page is kept up to date: where its inside is, what it is now, how often to ask."""

    address: str
    tag: str
    every_s: float


def page(title: str, body: Html, *, live: Live | None = None, at: str = "", q: str = "") -> str:
    """Give a whole page; `at` is the address of the part of the dashboard that it is in."""
    kept = EMPTY
    if live is not None:
        kept = Html(' data-live="{}" data-tag="{}" data-every="{}"').format(
            live.address, live.tag, round(live.every_s * 1000)
        )
    return str(
        _SHELL.format(
            title=title,
            style=version(STYLE),
            script=version(SCRIPT),
            here=Html(' aria-current="page"') if at == "/runs" else EMPTY,
            live=kept,
            body=body,
            q=q,
        )
    )


def version(text: str) -> str:
    """Give what tells a file of ours from an older one, which a browser may keep."""
    return sha256(text.encode()).hexdigest()[:12]


# -- addresses ------------------------------------------------------------------------------------


def address(*parts: object, **query: object) -> str:
    """Give an address of the dashboard; whatever is in its parts stays a part."""
    path = "".join(f"/{quote(str(part), safe='')}" for part in parts) or "/"
    asked = {name: str(value) for name, value in query.items() if value not in (None, "")}
    return f"{path}?{urlencode(asked)}" if asked else path


def link(text: object, *parts: object, **query: object) -> Html:
    """Give a link to an address of the dashboard."""
    return Html('<a href="{}">{}</a>').format(address(*parts, **query), text)


def crumbs(*links: Html) -> Html:
    """Give the way that leads to a page, from above."""
    items = joined(Html("<li>{}</li>").format(each) for each in links)
    return Html('<nav class="crumbs" aria-label="Where this is"><ol>{}</ol></nav>').format(items)


def when(part: object, template: str) -> Html:
    """Give the template with the part in it; nothing where there is no part."""
    return Html(template).format(part) if part else EMPTY


# -- times ----------------------------------------------------------------------------------------


def iso(us: int) -> str:
    """Give microseconds since 1970 as UTC text; of no year that there is, nothing."""
    try:
        return datetime.fromtimestamp(us / 1e6, UTC).isoformat(timespec="milliseconds")
    except (ValueError, OverflowError, OSError):
        return ""


def near_text(us: int, now: datetime, zone: str | None) -> str:
    """Give a time in the zone of that name as near to now as it is: "today 08:00"."""
    return human_time(iso(us), now, zone_named(zone), says_zone=True)


def near(us: int, now: datetime, zone: str | None) -> Html:
    """As `near_text`, with the time of the store beside it for programs."""
    return Html('<time datetime="{}">{}</time>').format(iso(us), near_text(us, now, zone))
