"""Make the pictures of the documents anew, from real runs.

    .venv/bin/python -m docs.pictures

It writes `images/terminal.svg`, recorded at a pseudo terminal, and pictures of pages in Chromium:
of the dashboard, and of a run. Paths, host and user of this machine are not in them.
"""

from __future__ import annotations

import getpass
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from docs.sessions import ROOT, environment
from docs.terminal import played, record, svg

if TYPE_CHECKING:
    from playwright.sync_api import Browser, FloatRect, Page

IMAGES = ROOT / "docs" / "images"
BYTES_MAX = 150_000
COLUMNS = 98
HEIGHT_MAX = 1090  # of a page's picture: what is below is cut off
SHOP = '''\
"""A shop's day: its orders and prices, and a page on the web."""

import time

from engine import Step, Workflow, shell


def orders(ctx):
    time.sleep(0.9)
    return {"apple": 3, "pear": 4}


def prices(ctx):
    time.sleep(0.5)
    return {"apple": 0.5, "pear": 0.75}


def page(ctx):
    time.sleep(0.8)
    total = sum(ctx["prices"][name] * number for name, number in ctx["orders"].items())
    with ctx.output("day.html") as file:
        file.write(f"<p>{total} EUR</p>")


UPLOAD = """
[ -d web ] || { echo "web is not mounted" >&2; exit 1; }
cp day.html web/
"""

workflow = (
    Workflow("shop", schedule="*-*-* 07:00:00", description="a shop's day, as a page on the web")
    .add(Step("orders", orders))
    .add(Step("prices", prices))
    .add(Step("page", page, depends_on=["orders", "prices"]))
    .add(Step("upload", shell(UPLOAD), depends_on=["page"], retries=1))
)
'''
SESSION = (
    "kahnban run shop",
    "kahnban why shop upload",
    "mkdir web",
    "kahnban run shop",
)
TITLE = "A run that fails, why it did, and the run that goes on from there"


def terminal() -> str:
    """Record the session."""
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder) / "shop"
        (project / "pipelines").mkdir(parents=True)
        (project / "pipelines" / "shop.py").write_text(SHOP, "utf-8")
        env = environment()
        del env["COLUMNS"], env["PYTHONPATH"]
        came = record(project, SESSION, env, COLUMNS)
        bin_folder = f"{Path(sys.executable).parent}/"
        came = [(at, text.replace(folder, "~").replace(bin_folder, "")) for at, text in came]
    drawn = svg(played(came, COLUMNS), COLUMNS, TITLE)
    left = [name for name in (folder, str(ROOT), os.uname().nodename) if name in drawn]
    if left:
        raise RuntimeError(f"the recording names {left[0]}: make it again")
    return drawn


# -- pages ----------------------------------------------------------------------------------------


def _project(folder: Path) -> None:
    """Make a project with the sample workflows, and some days of runs."""
    left_out = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "pipelines", folder / "pipelines", ignore=left_out)
    (folder / "pipelines" / "shop.py").write_text(SHOP, "utf-8")
    for _ in range(4):
        _kahnban(folder, "run", "sales", "--fresh")
    _kahnban(folder, "run", "housekeeping")
    _kahnban(folder, "run", "daily")
    (folder / "web").mkdir()
    for _ in range(4):
        _kahnban(folder, "run", "shop")
    shutil.rmtree(folder / "web")
    _kahnban(folder, "run", "shop", fails=True)


def _kahnban(folder: Path, *words: str, fails: bool = False) -> None:
    done = subprocess.run(
        ["kahnban", *words, "--quiet"],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != int(fails):
        raise RuntimeError(f"`{' '.join(words)}` ended with {done.returncode}\n{done.stderr}")


@contextmanager
def _served(folder: Path) -> Iterator[str]:
    """Serve the dashboard; give its address."""
    process = subprocess.Popen(
        ["kahnban", "serve", "--port", "0"],
        cwd=folder,
        env=environment(PYTHONUNBUFFERED="1"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert process.stdout
        for line in process.stdout:
            if found := re.search(r"http://[\d.]+:\d+", line):
                yield found[0]
                return
        raise RuntimeError("the dashboard did not say where it is")
    finally:
        process.terminate()
        process.communicate()


@contextmanager
def _browser() -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    executable = shutil.which("chromium")
    if executable is None:
        raise RuntimeError("chromium is not installed")
    flags = ["--no-sandbox", "--disable-gpu"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=flags)
        yield browser
        browser.close()


_NEUTRAL = """(words) => {
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode())
    for (const [found, instead] of words)
      walker.currentNode.data = walker.currentNode.data.replaceAll(found, instead);
}"""


def pages() -> None:
    """Take the pictures of pages."""
    with tempfile.TemporaryDirectory() as name, _browser() as browser:
        folder = (Path(name) / "project").resolve()
        folder.mkdir()
        _project(folder)
        user, host = getpass.getuser(), os.uname().nodename
        words = [
            [str(folder), "~/project"],
            [f"{Path(sys.executable).parent}/", ""],
            [f"{user}@{host}", "ada@host"],
        ]
        page = browser.new_page(viewport={"width": 1000, "height": 300})
        page.goto(max((folder / "var/reports").glob("run-*-shop.html"), key=_number).as_uri())
        _picture(page, "run", words)
        with _served(folder) as address:
            page.goto(address)
            page.wait_for_timeout(3000)  # until workflows' files are read
            page.goto(address)
            _picture(page, "dashboard", words)


def _number(report: Path) -> int:
    return int(report.name.split("-")[1])


def _picture(page: Page, name: str, words: list[list[str]]) -> None:
    page.evaluate(_NEUTRAL, words)
    path = IMAGES / f"{name}.png"
    high = min(HEIGHT_MAX, page.evaluate("document.documentElement.scrollHeight"))
    clip: FloatRect = {"x": 0, "y": 0, "width": 1000, "height": high}
    page.screenshot(path=path, full_page=True, clip=clip)
    size = path.stat().st_size
    if size > BYTES_MAX:
        raise RuntimeError(f"{path.name} has {size:,} bytes, more than {BYTES_MAX:,}")


def main() -> None:
    """Make all of them."""
    IMAGES.mkdir(exist_ok=True)
    (IMAGES / "terminal.svg").write_text(terminal(), "utf-8")
    pages()
    for path in sorted(IMAGES.iterdir()):
        print(f"{path.name}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
