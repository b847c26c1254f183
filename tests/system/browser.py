"""A real browser for tests of pages: Debian's Chromium, driven by playwright.

`page_at` watches what a page must never do: say something on the console, or ask for what lies
elsewhere. Pictures are kept in `var/screenshots`, to be looked at.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest

from tests.conftest import ROOT

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Dialog, Page

SCREENSHOTS = ROOT / "var" / "screenshots"
_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@contextmanager
def chromium() -> Iterator[Browser]:
    """Run a browser; the test that wants it is skipped where there is none."""
    executable = shutil.which("chromium")
    if executable is None:
        pytest.skip("chromium is not installed: pages are not looked at")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=list(_FLAGS))
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Watched:
    """A page under watch, and what it did that it must not do."""

    page: Page
    wrongs: list[str] = field(default_factory=list)

    def heard(self, said: ConsoleMessage) -> None:
        """Note what was said on the console, unless it is plain talk."""
        if said.type != "log":
            self.wrongs.append(f"console: {said.text}")

    def asked(self, dialog: Dialog) -> None:
        """Note a dialog, and get rid of it."""
        self.wrongs.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def wanted(self, url: str, home: str) -> None:
        """Note a request that leaves `home`."""
        if not url.startswith((home, "data:")):
            self.wrongs.append(f"request: {url}")


@contextmanager
def page_at(
    browser: Browser,
    address: str,
    *,
    width: int = 1280,
    scheme: Literal["dark", "light"] = "light",
) -> Iterator[Watched]:
    """Open an address (`file:` or `http:`); at the end the page must have done nothing wrong.

    Wrong are an error or a warning on the console, a dialog, an exception, and any request to
    another origin.
    """
    context = browser.new_context(
        viewport={"width": width, "height": 800}, color_scheme=scheme, reduced_motion="reduce"
    )
    page = context.new_page()
    watched = Watched(page)
    home = "/".join(address.split("/")[:3])
    page.on("console", watched.heard)
    page.on("pageerror", lambda error: watched.wrongs.append(f"exception: {error}"))
    page.on("dialog", watched.asked)
    page.on("request", lambda request: watched.wanted(request.url, home))
    try:
        page.goto(address)
        yield watched
        assert watched.wrongs == []
    finally:
        context.close()


def picture(page: Page, name: str) -> Path:
    """Keep a picture of the whole page as `var/screenshots/NAME.png`."""
    SCREENSHOTS.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = SCREENSHOTS / f"{name}.png"
    page.screenshot(path=path, full_page=True)
    return path
