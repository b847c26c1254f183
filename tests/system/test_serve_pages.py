"""The dashboard in a real browser: every page, of runs of every size and kind."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from engine.reports.html import overview
from engine.reports.html.overview import Overview, WorkflowRow
from engine.reports.html.troubles import Trouble
from tests.system.browser import chromium, page_at, picture
from tests.system.project import Project, wait_for
from tests.system.site import Site, served

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

SIZED = """
def works(ctx):
    return 1

def fails(ctx):
    print("the last line <b>of it</b>")
    raise ValueError("<script>alert(1)</script> javascript:alert(2) ]]>")

workflow = Workflow("NAME", schedule="*-*-* 08:00:00", description="Steps <i>by number</i>")
for at in range(SIZE):
    body = fails if at == BROKEN else works
    workflow.add(Step(f"s{at}", body, depends_on=[f"s{at // 4}"] if at else [], retries=0))
"""
LIVE = """
def waits(ctx):
    print("before", flush=True)
    while not Path("GO").exists():
        time.sleep(0.02)
    print("after", flush=True)

workflow = Workflow("NAME", params={"tag": Param(str, default="<b>")})
workflow.add(Step("first", does("first"))).add(Step("waits", waits, depends_on=["first"]))
for at in range(14):
    workflow.add(Step(f"last{at}", does("last"), depends_on=["waits"]))
"""
SIZES = {"five": (5, 3), "sixty": (60, -1), "thousand": (1000, 700)}
KEPT = {"five": ("run", "workflow", "step", "logs", "log"), "live": ("run",), "killed": ("run",)}
RUNS = {"five": 1, "sixty": 2, "thousand": 3, "live": 4, "killed": 5}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Give a project with runs of three sizes, of which two failed."""
    project = Project(tmp_path_factory.mktemp("pages"))
    for name, (size, broken) in SIZES.items():
        text = SIZED.replace("NAME", name).replace("SIZE", str(size))
        project.write(name, text.replace("BROKEN", str(broken)))
        assert project.run("run", "-q", name).code == (0 if broken < 0 else 1)
    for name in ("live", "killed", "kept"):
        project.write(name, LIVE.replace("NAME", name).replace("GO", f"go-{name}"))
    return project


@pytest.fixture(scope="module")
def site(project: Project) -> Iterator[Site]:
    """Serve it, with a run that is on and one that was killed."""
    logs = project.home / "logs"
    live = project.start("run", "live")
    wait_for((logs / "live" / "4" / "waits.1.log").exists)
    killed = project.start("run", "killed")
    wait_for((logs / "killed" / "5" / "waits.1.log").exists)
    killed.kill()
    killed.communicate()
    with served(project) as site:
        wait_for(lambda: "still being read" not in site.text("/"))
        yield site
    (project.root / "go-live").touch()
    live.communicate()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Run one for all."""
    with chromium() as found:
        yield found


@pytest.mark.parametrize("name", RUNS)
def test_every_page_of_a_run(browser: Browser, site: Site, name: str) -> None:
    """Of each size and kind: on a screen and on a phone in the dark, with nothing said or asked."""
    run = RUNS[name]
    step = "waits" if name in ("live", "killed") else f"s{SIZES[name][1] % SIZES[name][0]}"
    expected = {"sixty": "ok", "live": "running", "killed": "interrupted"}.get(name, "failed")
    pages = {
        "run": f"/runs/{run}",
        "workflow": f"/workflows/{name}",
        "step": f"/workflows/{name}/steps/{step}",
        "logs": f"/runs/{run}/logs",
        "log": f"/runs/{run}/logs/{step}/1",
    }
    with page_at(browser, f"{site.home}/search") as watched:
        page = watched.page
        for what, path in pages.items():
            page.goto(site.home + path)
            if what != "logs":
                assert expected in page.locator("h1 + .badge, .head .badge").first.inner_text()
            seen(page, f"{what}-{name}", kept=name in KEPT and what in KEPT[name])


def seen(page: Page, name: str, *, kept: bool = True) -> None:
    """Hold a page to what all are held to, on a screen and on a phone in the dark."""
    assert page.locator("main h1").count() == 1
    for width, scheme in ((1280, "light"), (360, "dark")):
        page.set_viewport_size({"width": width, "height": 740})
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), (name, width)
        if kept:
            page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            picture(page, f"serve-{name}-{width}")


def test_every_other_page(browser: Browser, site: Site) -> None:
    """The same of those that tell of many runs."""
    with page_at(browser, f"{site.home}/search") as watched:
        page = watched.page
        for path, name in {
            "/": "workflows",
            "/runs": "runs",
            "/search?q=s1": "search",
            "/search?q=alert": "search-errors",
            "/search": "search-nothing",
        }.items():
            page.goto(site.home + path)
            told = page.locator("main").inner_text().count("<script>alert(1)")
            assert told == (2 if name in ("workflows", "search-errors") else 0)  # errors, as text
            seen(page, name)


def test_long_words_leave_room_for_the_others(browser: Browser, site: Site) -> None:
    """On the first page all is within its table's frame, on a phone too, and names stay names."""
    now = datetime(2011, 11, 14, 8, tzinfo=UTC)
    name, told = "w" * 63, f"paused by ann: {'W' * 300}"
    trouble = Trouble(name, "s" * 63, "2011-11-13T08:00:00Z", 3, 2, "E" * 300)
    row = WorkflowRow(name, description="d" * 300, due=now, paused=told, missing=told)
    facts = overview.body(Overview([row], [], [], 0, now, troubles=[trouble], troubles_in_all=1))
    with page_at(browser, f"{site.home}/") as watched:
        page = watched.page
        page.evaluate("text => { document.querySelector('main').innerHTML = text }", str(facts))
        for width in (1280, 390):
            page.set_viewport_size({"width": width, "height": 740})
            picture(page, f"serve-long-words-{width}")
            for frame in page.locator(".scroll").all():
                assert frame.evaluate("each => each.scrollWidth <= each.clientWidth"), width
            for cell in page.locator("td.name").all():
                assert cell.evaluate("each => each.offsetWidth") > 150, width


def test_an_empty_project_and_a_server_that_is_gone(browser: Browser, tmp_path: Path) -> None:
    """Nothing is there yet, and it says so; a page out of date says that, and is not blank."""
    project = Project(tmp_path)
    context = browser.new_context()
    left = context.new_page()
    with served(project) as site, page_at(browser, f"{site.home}/") as watched:
        text = watched.page.locator("main").inner_text()
        assert "There is no store yet." in text
        assert "There is none yet" in text
        picture(watched.page, "serve-empty")
        left.goto(f"{site.home}/")
    left.evaluate("document.getElementById('page').dataset.every = '50'")
    left.locator("#stale", has_text="does not answer").wait_for(timeout=8000)
    assert "There is no store yet." in left.locator("main").inner_text()
    context.close()
    assert not project.home.exists()


def test_a_page_is_kept_up_to_date(browser: Browser, project: Project, site: Site) -> None:
    """What a reader has typed, opened, focused and scrolled stays; at the run's end it stops."""
    run = project.start("run", "kept")
    logs = project.home / "logs" / "kept" / "6"
    wait_for((logs / "waits.1.log").exists)
    with (
        page_at(browser, f"{site.home}/runs/6") as watched,
        page_at(browser, f"{site.home}/runs/6/logs/waits/1") as log,
    ):
        page = watched.page
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.locator("form.filter input").fill("last1")
        page.keyboard.press("ArrowLeft")
        page.evaluate("scrollTo(0, 150)")
        assert page.locator("tbody[data-s]:visible").count() == 5
        assert log.page.locator(".log").inner_text().count("before") == 1
        (project.root / "go-kept").touch()
        page.locator(".head .badge", has_text="ok").wait_for(timeout=8000)
        assert page.locator("form.filter input").input_value() == "last1"
        assert page.locator("tbody[data-s]:visible").count() == 5
        assert page.evaluate("document.activeElement.name") == "text"
        assert page.evaluate("document.activeElement.selectionStart") == 4
        assert page.evaluate("scrollY") == 150
        log.page.locator(".log", has_text="after").wait_for(timeout=8000)
        assert log.page.locator(".log").inner_text().count("before") == 1
        run.communicate()
        before = len(asked)
        time.sleep(1.3)
        assert len(asked) == before
        picture(log.page, "serve-log-followed")
