"""An email in a real browser, as the programs that show HTML mail see it."""

from __future__ import annotations

from pathlib import Path

from engine.alerts.letter import render_html
from engine.alerts.of_runs import of_report
from tests.system.browser import chromium, page_at, picture
from tests.unit.alert_reports import hostile_report


def test_mail_fits_a_phone_and_asks_for_nothing(tmp_path: Path) -> None:
    """No script, no request, no scrolling sideways; the colour of the text is the reader's."""
    file = tmp_path / "mail.html"
    file.write_text(render_html(of_report(hostile_report())), encoding="utf-8")
    with (
        chromium() as browser,
        page_at(browser, f"file://{file}", width=360, scheme="dark") as watched,
    ):
        page = watched.page
        picture(page, "mail-hostile-phone-dark")
        assert page.evaluate("document.documentElement.scrollWidth") == 360
        assert page.evaluate("getComputedStyle(document.body).color") == "rgb(255, 255, 255)"
        assert page.locator("h1 span").inner_text() == "failed"
        assert page.locator("script, link, img, a").count() == 0
