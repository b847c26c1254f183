"""A run's page in a real browser: of runs of every kind and size, by light, dark and on a phone."""

from __future__ import annotations

import signal
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from engine.reports.html.facts import Attempt, PageFacts
from engine.reports.html.run_page import document_of
from tests.builders import graph_of
from tests.pages import attempt, facts_of, step
from tests.system.browser import chromium, page_at, picture
from tests.system.project import Project

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

PHONE = 360
FIVE = """
class Flaky:
    asked = 0
    def __call__(self, ctx):
        self.asked += 1
        if self.asked < 2:
            raise ConnectionError("no answer")
        return {"rows": 1204}

def join(ctx):
    print("reading 3 files")
    raise ValueError("<b>no</b> column 'amount'\\u202e & more")

workflow = (
    Workflow("orders", params={"day": Param(str, default="<i>monday</i>")})
    .add(Step("fetch", does("<script>alert(1)</script>", 0.02)))
    .add(Step("rates", Flaky(), backoff=0.2))
    .add(Step("clean", does("clean"), depends_on=["fetch"]))
    .add(Step("join", join, depends_on=["clean", "rates"], retries=0))
    .add(Step("publish", does("done"), depends_on=["join"]))
)
"""
LONG = """
workflow = Workflow("long")
workflow.add(Step("first", does("first")))
workflow.add(Step("hang", does("hangs", 60), depends_on=["first"]))
workflow.add(Step("after", does("after"), depends_on=["hang"]))
"""
BIG = """
def nothing(ctx):
    pass

workflow = Workflow("big")
for at in range(1000):
    workflow.add(Step(f"load_{at:03}", nothing, depends_on=["load_000"] if at else []))
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Give one browser to all tests of this file."""
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Give one project to all tests of this file."""
    made = Project(tmp_path_factory.mktemp("pages"))
    made.write("orders", FIVE)
    made.write("long", LONG)
    made.write("big", BIG)
    return made


def words(page: Page, selector: str) -> str:
    """Give the text of a part of the page, as it is seen."""
    return " ".join(page.locator(selector).first.inner_text().split())


def is_too_wide(page: Page) -> bool:
    """Whether the page itself is to be moved sideways."""
    wide: bool = page.evaluate("document.documentElement.scrollWidth > innerWidth")
    return wide


def test_a_run_leaves_a_page_that_tells_what_failed(browser: Browser, project: Project) -> None:
    """The page lies beside the report, its owner's alone; all that users wrote is text on it."""
    done = project.run("run", "orders")
    assert done.code == 1
    (path,) = (project.home / "reports").glob("run-*-orders.html")
    assert f"\npage: {path}\n" in done.out
    run = path.name.split("-")[1]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(path.read_bytes()) <= 20_480
    with page_at(browser, path.as_uri()) as seen:
        page = seen.page
        picture(page, "run-5-light")
        assert page.title() == f"orders, run {run}: failed"
        assert words(page, "section").startswith("join failed after 1 attempt, "), (
            "the failure comes first"
        )
        assert "ValueError: <b>no</b> column 'amount'\\u202e & more" in words(page, ".bad pre")
        assert words(page, ".bad .command").endswith(f"run orders --resume {run}")
        assert "<i>monday</i>" in words(page, "#run")
        assert "<script>alert(1)</script>" in words(page, "#values")
        assert page.locator("#graph a").count() == 5
        assert words(page, "#s1 td:nth-child(3)") == "2"
        assert page.locator("#timeline .a-wait").count() == 2  # with the legend's
        assert not is_too_wide(page)
    with page_at(browser, path.as_uri(), width=PHONE, scheme="dark") as seen:
        picture(seen.page, "run-5-phone-dark")
        assert not is_too_wide(seen.page)
        seen.page.emulate_media(media="print")
        assert seen.page.evaluate("getComputedStyle(document.body).backgroundColor") == (
            "rgb(255, 255, 255)"
        )


def test_the_page_of_a_killed_run_tells_what_was_under_way(
    browser: Browser, project: Project, tmp_path: Path
) -> None:
    """While it is on the page says so; after a SIGKILL it is interrupted; nothing is written."""
    process = project.start("run", "long")
    project.wait_for_effect("hangs")
    on, dead = tmp_path / "on.html", tmp_path / "dead.html"
    assert project.run("report", "long", "--html", str(on)).out == f"page: {on}\n"
    project.stopped(process, signal.SIGKILL)
    before = project.rows("SELECT * FROM run_rows")
    dead.write_text(project.run("report", "long", "--html", "-").out, "utf-8")
    assert project.rows("SELECT * FROM run_rows") == before
    with page_at(browser, on.as_uri()) as seen:
        picture(seen.page, "run-on")
        assert words(seen.page, ".head .badge") == "▶\ufe0e running"
        assert "running for" in words(seen.page, ".lead")
        assert words(seen.page, "#s1 .badge") == "▶\ufe0e running"
    with page_at(browser, dead.as_uri()) as seen:
        picture(seen.page, "run-killed")
        assert words(seen.page, ".head .badge") == "! interrupted"
        assert words(seen.page, ".bad").startswith("Under way when it ended hang To go on")
        assert words(seen.page, "#s2 .note") == "not started"


def test_a_thousand_steps_are_filtered_by_keyboard(browser: Browser, project: Project) -> None:
    """The graph is of a few nodes, the timeline of lanes, and typing leaves the rows that fit."""
    assert project.run("run", "big", "-q").code == 0
    (path,) = (project.home / "reports").glob("run-*-big.html")
    assert len(path.read_bytes()) <= 500_000
    with page_at(browser, path.as_uri()) as seen:
        page = seen.page
        assert page.locator("#graph a").count() == 2
        assert "load_* ×999" in words(page, "#graph")
        assert "worker 1" in words(page, "#timeline")
        page.focus("#graph .graph")
        for _ in range(50):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.type") == "search":
                break
        page.keyboard.type("LOAD_07")
        assert words(page, "output") == "10 shown"
        assert page.locator("tbody[data-s]:visible").count() == 10
        page.keyboard.press("Tab")
        page.keyboard.type("ok")
        assert words(page, "output") == "10 shown"
        page.locator("#steps").scroll_into_view_if_needed()
        picture(page, "run-1000-filtered")
        page.set_viewport_size({"width": PHONE, "height": 800})
        assert not is_too_wide(page)


def sixty() -> PageFacts:
    """Make a run of sixty steps in six layers, with all that may become of one."""
    statuses = {7: "failed", 13: "skipped", 22: "cached", 31: "interrupted", 40: "cancelled"}
    names, steps, tries = [], [], list[Attempt]()
    for at in range(60):
        ups = sorted({at - 10, at // 10 * 10 - 10 + at * 7 % 10}) if at >= 10 else []
        names.append(f"s{at}" + (">" if ups else "") + ",".join(f"s{up}" for up in ups))
        status = statuses.get(at, "ok")
        steps.append(step(f"s{at}", status, note="told" * (status != "ok"), expected_s=0.8))
        begin = at // 10 * 1.5 + at % 4 * 0.1
        if status in ("ok", "interrupted"):
            tries.append(attempt(at, begin, begin + 1, status))
    tries += [attempt(7, 0.2, 0.6, "timed_out", retry=0.9)]
    tries += [attempt(7, 0.9, 1.2, "failed", number=2)]
    return facts_of(graph_of(" ".join(names)), steps, tries)


def hostile() -> PageFacts:
    """Make a run in which every text tries to be more than text."""
    bad = "</title></style></svg><script>alert(1)</script>\"'><img src=x onerror=alert(1)>]]>"
    names = [f"{bad}{at}" for at in range(3)]
    steps = [
        step(name, "failed", error=bad, note="\u202e" + bad, last_lines=[bad]) for name in names
    ]
    report = {"workflow": bad, "params": {bad: "javascript:alert(1)"}, "note": bad}
    tries = [attempt(at, at, at + 1, "failed") for at in range(3)]
    return facts_of("a b>a c>b", steps, tries, report=report, good_run=3, changes=[bad])


@pytest.mark.parametrize(
    ("name", "facts"),
    [
        ("empty", facts_of("", [], report={"status": "skipped", "note": "run 6 is on"})),
        ("60", sixty()),
        ("hostile", hostile()),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_pages_fit_any_screen_and_do_nothing_wrong(
    browser: Browser, tmp_path: Path, name: str, facts: PageFacts
) -> None:
    """By light and by dark, wide and narrow: no error, no request, no need to move sideways."""
    path = tmp_path / "page.html"
    path.write_text(document_of(facts), "utf-8")
    assert path.stat().st_size <= 80_000
    with page_at(browser, path.as_uri(), scheme="dark") as seen:
        picture(seen.page, f"run-{name}-dark")
        assert not is_too_wide(seen.page)
        seen.page.set_viewport_size({"width": PHONE, "height": 800})
        picture(seen.page, f"run-{name}-phone")
        assert not is_too_wide(seen.page)


def test_pointing_at_a_step_shows_its_neighbours(browser: Browser, tmp_path: Path) -> None:
    """By pointer or by keyboard, what a step waits for and what waits for it stand out."""
    path = tmp_path / "page.html"
    path.write_text(document_of(facts_of("a b>a c>b d", [step(name) for name in "abcd"])), "utf-8")
    with page_at(browser, path.as_uri()) as seen:
        near = "[...document.querySelectorAll('a.near title')].map(one => one.textContent[0])"
        seen.page.hover("[data-n='0']")
        assert seen.page.evaluate(near) == ["a", "b"]
        seen.page.keyboard.press("Tab")
        seen.page.focus("[data-n='1']")
        assert seen.page.evaluate(near) == ["a", "b", "c"]
