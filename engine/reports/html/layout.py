"""A whole document around a body, with a policy that allows its own style and script only."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256

from engine.reports.html.markup import EMPTY, Html
from engine.reports.html.style import SCRIPT, STYLE

_DOCUMENT = Html("""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<title>{title}</title>
<link rel="icon" href="data:,">
<style>{style}</style>
</head>
<body>
{nav}<main id="page">
{body}
</main>
{script}</body>
</html>
""")

_SECTION = Html(
    '<section id="{id}" aria-labelledby="{id}-h"><div class="title"><h2 id="{id}-h">{title}</h2>'
    "{beside}</div>{body}</section>\n"
)


def document(title: str, body: Html, *, nav: Html = EMPTY, script: str = SCRIPT) -> str:
    """Give the document: it opens offline and asks for nothing; `nav` comes before its main part.

    The script is run once the page is there; without one no script is allowed.
    """
    return str(
        _DOCUMENT.format(
            policy=policy(script),
            title=title,
            style=Html(STYLE),
            nav=nav,
            body=body,
            script=Html(f"<script>{script}</script>\n") if script else EMPTY,
        )
    )


def section(name: str, heading: str, content: Html, beside: Html = EMPTY) -> Html:
    """Give a part of a page under a heading; `beside` stands on its line."""
    return _SECTION.format(id=name, title=heading, beside=beside, body=content)


def policy(script: str = SCRIPT, *, more: str = "") -> str:
    """Give the content security policy of such a document, as for an HTTP header.

    `more` are further directives, such as `connect-src 'self'`.
    """
    parts = ["default-src 'none'", f"style-src '{_hash(STYLE)}'", "img-src data:"]
    parts += [f"script-src '{_hash(script)}'"] if script else []
    parts += ["base-uri 'none'", "form-action 'none'"]
    return "; ".join([*parts, more] if more else parts)


def _hash(text: str) -> str:
    return f"sha256-{b64encode(sha256(text.encode()).digest()).decode()}"
