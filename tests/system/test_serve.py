"""The dashboard as a server: whom it answers, what it shows, and what it never does."""

from __future__ import annotations

import http.client
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from functools import partial
from pathlib import Path

import pytest

from engine.errors import UsageError
from engine.reports.html import shell
from engine.serve import server
from engine.serve.definitions import Defined, load_all
from store.version import REVISIONS
from tests.system.project import Project, wait_for
from tests.system.site import Site, served

HOSTILE = "<script>alert(1)</script>\" onmouseover=alert(2) ' ]]> \u202e javascript:alert(3)"
FLOW = f"""
def body(ctx):
    print({HOSTILE!r})
    raise ValueError({HOSTILE!r})

workflow = (
    Workflow("flow", params={{"text": Param(str, default={HOSTILE!r})}}, schedule="daily",
             description={HOSTILE!r})
    .add(Step("fetch", does("fetched")))
    .add(Step("load", body, depends_on=["fetch"], retries=0))
)
"""
CSP = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)


@pytest.fixture(scope="module")
def flow(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Give a project with a run that failed, full of hostile texts."""
    project = Project(tmp_path_factory.mktemp("served"))
    project.write("flow", FLOW)
    assert project.run("run", "flow").code == 1
    return project


@pytest.fixture(scope="module")
def site(flow: Project) -> Iterator[Site]:
    """Give a dashboard over it."""
    with served(flow) as found:
        yield found


# -- whom it answers ------------------------------------------------------------------------------


def test_only_its_own_hosts_are_answered(site: Site) -> None:
    """A name that was made to lead here, none at all, and two are refused."""
    for host in ("127.0.0.1", "localhost", "LOCALHOST", "[::1]"):
        assert site.ask("/health", host=f"{host}:{site.port}").status == 200, host
    other = (
        *("evil.example", "127.0.0.1.evil", "evil@127.0.0.1", "[::ffff:127.0.0.1]", "0.0.0.0"),
        *("::1", "localhost.", "127.1"),
    )
    for host in ("", *other, "127.0.0.1", *(f"{name}:{site.port}" for name in other)):
        got = site.ask("/", host=host)
        assert (got.status, "kahnban" in got.text.lower()) in ((403, False), (400, False)), host
    with socket.create_connection(("127.0.0.1", site.port)) as link:
        host = f"Host: localhost:{site.port}\r\n"
        link.sendall(f"GET / HTTP/1.1\r\n{host}Host: evil.example\r\n\r\n".encode())
        assert link.recv(100).split()[1] in (b"403", b"400")


def test_nothing_can_be_changed(site: Site) -> None:
    """Only GET and HEAD are known, and HEAD gives no body."""
    for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"):
        got = site.ask("/runs/1", method)
        assert (got.status, got.head["allow"]) == (405, "GET, HEAD"), method
    got = site.ask("/runs/1", "HEAD")
    assert (got.status, got.text) == (200, "")
    assert int(got.head["content-length"]) > 1000


def test_pages_of_other_sites_get_nothing(site: Site) -> None:
    """Neither by their origin nor by what the browser says of them; a link may be followed."""
    own = f"http://127.0.0.1:{site.port}"
    assert site.ask("/", origin="http://evil.example").status == 403
    assert site.ask("/", origin="null").status == 403
    assert site.ask("/", origin=own, sec_fetch_site="same-origin").status == 200
    for mode, dest, status in (
        ("cors", "empty", 403),
        ("no-cors", "script", 403),
        ("navigate", "iframe", 403),
        ("navigate", "document", 200),
    ):
        head = {"sec_fetch_site": "cross-site", "sec_fetch_mode": mode, "sec_fetch_dest": dest}
        got = site.ask("/", **head)
        assert got.status == status, mode
        assert not [name for name in got.head if name.startswith("access-control")]


def test_every_answer_says_what_a_browser_may_do(site: Site) -> None:
    """Also one that refuses: no script and no style but its own, in no frame, kept nowhere."""
    for path, method, status in (
        ("/", "GET", 200),
        ("/runs/1", "GET", 200),
        ("/nothing", "GET", 404),
        ("/", "POST", 405),
        ("/style.css", "GET", 200),
    ):
        got = site.ask(path, method)
        assert got.status == status
        assert got.head["content-security-policy"] == CSP
        assert got.head["x-content-type-options"] == "nosniff"
        assert got.head["referrer-policy"] == "no-referrer"
        assert got.head["x-frame-options"] == "DENY"
        kept = "private, max-age=31536000, immutable" if path == "/style.css" else "no-store"
        assert got.head["cache-control"] == kept
        assert "server" not in got.head


def test_no_address_leads_out(site: Site) -> None:
    """What is in an address is looked up in the store, and is neither a path nor SQL."""
    for path in (
        *("/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "//etc/passwd", "/runs/..%2f1"),
        *("/runs/1/logs/..%2f..%2f..%2fruns.db/1", "/runs/1/logs/%2e%2e/1", "/runs/-1", "/runs/2"),
        *("/runs/1'%20OR%201=1", "/runs/99999999999999999999", "/workflows/x'%20OR%20'1", "/runs/"),
        *("/workflows/flow/steps/x", "/workflows/%00", "/runs/1/logs/fetch/9", "/runs/1/logs/x/1"),
    ):
        assert site.ask(path).status == 404, path
    assert site.ask(f"/{'x' * 8000}").status == 400
    assert site.ask(f"/runs?workflow={'x' * 8000}").status == 400
    assert site.ask("/runs/1/logs/load/1?at=-1").status == 400
    assert "No run is like that." in site.text("/runs?workflow=x'%20OR%20'1'='1")
    assert "is no day" in site.text("/runs?since=1'%20OR%201=1")
    assert "Nothing holds" in site.text("/search?q='%20OR%20''='")
    assert "Nothing holds" in site.text("/search?q=%25")


def test_hostile_texts_are_shown_as_text(site: Site) -> None:
    """In every page that shows one: no tag, no attribute, nothing that turns text round."""
    wait_for(lambda: "still being read" not in site.text("/"))
    for path in (
        *("/", "/runs", "/runs/1", "/workflows/flow", "/workflows/flow/steps/load"),
        *("/runs/1/logs/load/1", "/search?q=alert", "/runs/1/logs"),
    ):
        text = site.text(path)
        assert "<script>alert" not in text, path
        assert '" onmouseover' not in text, path
        assert "\u202e" not in text, path
        assert path == "/runs/1/logs" or "&lt;script&gt;alert(1)&lt;/script&gt;" in text, path


def _lacks(site: Site, path: str, word: str) -> bool:
    return word not in site.text(path)


def test_secrets_that_came_later_are_masked(flow: Project, site: Site) -> None:
    """A word that became a secret after it was stored and logged is not shown."""
    env = flow.home / "env"
    assert "onmouseover" in site.text("/runs/1")  # which has not changed since, but for the secret
    env.write_text("TOKEN=onmouseover\nNAME=load, run\n")
    env.chmod(0o600)
    try:
        for path in ("/runs", "/runs/1", "/runs/1/logs/load/1", "/search?q=alert(1)"):
            # What was sent to all is made anew after a second, where making it is slow, after five.
            wait_for(partial(_lacks, site, path, "onmouseover"))
            assert "***" in site.text(path), path
        assert "<title>Log of *** 1</title>" in site.text("/runs/1/logs/load/1")
    finally:
        env.unlink()


def test_a_log_that_is_a_link_is_not_followed(flow: Project, site: Site) -> None:
    """Nor is a folder; nothing but the run's own files is read."""
    folder = flow.home / "logs" / "flow" / "1"
    (flow.root / "outside").write_text("not to be seen\n")
    (folder / "fetch.1.log").symlink_to(flow.root / "outside")
    got = site.ask("/runs/1/logs/fetch/1")
    assert (got.status, "not to be seen" in got.text) == (404, False)
    (folder / "fetch.1.log").unlink()


def test_style_and_script_are_its_own(site: Site) -> None:
    """A page names them with their hash, and they come from here."""
    text = site.text("/")
    assert f'href="/style.css?{shell.version(shell.STYLE)}"' in text
    assert f'src="/script.js?{shell.version(shell.SCRIPT)}"' in text
    assert site.text("/script.js") == shell.SCRIPT
    assert site.ask("/health").text.startswith('{"version": "')


def test_two_hundred_readers_are_answered(site: Site) -> None:
    """All at once, each the same page, whenever it was made."""
    links = []
    try:
        for _ in range(200):
            link = http.client.HTTPConnection("127.0.0.1", site.port, timeout=20)
            link.request("GET", "/runs/1")
            links.append(link)
        answers = [link.getresponse() for link in links]
        assert {answer.status for answer in answers} == {200}
        pages = {answer.read().partition(b"<footer>")[0] for answer in answers}
        assert len(pages) == 1
    finally:
        for link in links:
            link.close()


# -- how it begins and ends -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["ctrl-c", "term"]
)
def test_it_ends_at_once(project: Project, number: signal.Signals, code: int) -> None:
    """Also while somebody is being answered; it says where it is, and nothing else."""
    process = project.start("serve", "--port", "0")
    assert process.stdout is not None
    line = process.stdout.readline()
    port = int(line.split("/ ")[0].rpartition(":")[2])
    assert line == f"the dashboard is at http://127.0.0.1:{port}/ (Ctrl-C ends it)\n"
    with socket.create_connection(("127.0.0.1", port)) as link:
        link.sendall(b"GET / HTTP/1.1\r\n")
        ended = project.stopped(process, number)
    assert (ended.code, ended.out, ended.err) == (code, "", "")
    assert ended.seconds < 1
    assert not project.home.exists()


def test_a_port_that_is_taken_is_told(flow: Project, site: Site) -> None:
    """With another one; a second dashboard at that is fine."""
    taken = flow.run("serve", "--port", str(site.port))
    assert taken.code == 3
    assert taken.error == (
        f"error: port {site.port} of 127.0.0.1 is taken by another program\n"
        f"hint: give another: --port {site.port + 1}; or --port 0 for any that is free\n"
    )
    with served(flow, "--host", "localhost") as other:
        assert "flow" in other.text("/")


def test_no_other_address_is_served(flow: Project) -> None:
    """Others of the network come by ssh."""
    refused = flow.run("serve", "--host", "0.0.0.0")
    assert refused.code == 2
    assert refused.error == (
        "error: the dashboard is for this machine alone, not for '0.0.0.0'\n"
        "hint: from elsewhere: ssh -L 8321:127.0.0.1:8321 THIS-MACHINE, then open"
        " http://127.0.0.1:8321/ there\n"
    )
    for host in ("::", "192.0.2.1", "example.org", ""):
        with pytest.raises(UsageError, match="for this machine alone"):
            server.listen(host, 0)


def test_without_its_packages_it_says_what_to_install(flow: Project) -> None:
    """As an install without the extra has it."""
    (flow.root / "starlette.py").write_text("raise ModuleNotFoundError(name='starlette')")
    try:
        refused = flow.run("serve", PYTHONPATH=f"{flow.root}:{Path(server.__file__).parents[2]}")
    finally:
        (flow.root / "starlette.py").unlink()
    assert refused.code == 2
    assert refused.error == (
        "error: 'serve' needs the package 'starlette', which is not installed\n"
        "hint: install what it takes: pip install 'kahnban[serve]'\n"
    )


# -- the state of the store -----------------------------------------------------------------------


def test_the_store_is_shown_as_it_is(project: Project, flow: Project) -> None:
    """Missing, there, damaged, older, newer, locked, another: each is told, and none is changed."""
    project.write("flow", FLOW)
    asked = iter(range(100))
    with served(project) as site:

        def told() -> tuple[int, str]:
            got = site.ask(f"/search?q={next(asked)}")  # another each time: not one that is kept
            return got.status, got.text

        assert "There is no store yet" in site.text("/")
        status, text = told()
        assert (status, "No store yet" in text) == (404, True)
        assert not project.home.exists()
        assert site.ask("/health").text.count('"none yet"') == 1
        project.home.mkdir(mode=0o700)
        source = sqlite3.connect(flow.store)
        _copy(source, project.store)
        assert told()[0] == 200
        for version, words in ((REVISIONS[0], "of the older version"), ("9999", "newer than this")):
            _execute(project.store, f"UPDATE alembic_version SET version_num = '{version}'")
            status, text = told()
            assert (status, words in text) == (503, True)
        _execute(project.store, f"UPDATE alembic_version SET version_num = '{REVISIONS[-1]}'")
        lock = sqlite3.connect(project.store, isolation_level=None)
        lock.execute("PRAGMA locking_mode = EXCLUSIVE")
        lock.execute("BEGIN EXCLUSIVE")
        status, text = told()
        lock.close()
        assert (status, "The store is locked" in text) == (503, True)
        source.close()


def test_another_file_in_the_stores_place_is_seen(project: Project, flow: Project) -> None:
    """One that is no store, another store, as a restore puts it there, and none at all."""
    project.write("flow", FLOW)
    project.home.mkdir(mode=0o700)
    with served(project) as site, closing(sqlite3.connect(flow.store)) as source:
        _copy(source, project.store)
        assert "#1</a>" in site.text("/search?q=alert")
        (project.root / "junk").write_bytes(b"not a store at all" * 1000)
        (project.root / "junk").rename(project.store)
        got = site.ask("/search?q=a2")
        assert (got.status, "is damaged or no store" in got.text) == (503, True)
        assert site.ask("/health").status == 503
        _copy(source, project.root / "other")
        (project.root / "other").rename(project.store)
        assert "#1</a>" in site.text("/search?q=alert(1")
        _hold_to_a_size(site, project)
        project.store.unlink()
        got = site.ask("/search?q=a3")
        assert (got.status, "No store yet" in got.text) == (404, True)
        assert not project.store.exists()


def _hold_to_a_size(site: Site, project: Project) -> None:
    """Of an error of 10 MB a part is shown, or that it is too much; no page is large for it."""
    huge = "replace(hex(zeroblob(5000000)), '00', '<x')"
    _execute(project.store, f"UPDATE attempt_rows SET error = {huge} WHERE outcome = 'failed'")
    for path, status in (
        ("/runs/1", 503),
        ("/workflows/flow/steps/load", 200),
        ("/search?q=%3cx%3cx", 200),
    ):
        got = site.ask(path)
        assert (got.status, len(got.text) < 100_000) == (status, True), path


def _copy(source: sqlite3.Connection, path: Path) -> None:
    target = sqlite3.connect(path)
    source.backup(target)
    target.close()
    path.chmod(0o600)


def _execute(path: Path, sql: str) -> None:
    connection = sqlite3.connect(path)
    connection.execute(sql)
    connection.commit()
    connection.close()


@pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("setpriv") is None, reason="needs root and setpriv"
)
def test_another_users_store_is_told(project: Project) -> None:
    """With what to do; nothing of it is shown, and no copy is made."""
    project.chain()
    assert project.run("run", "flow").code == 1
    for path in (project.home, *project.home.rglob("*")):
        os.chown(path, _NOBODY, _NOBODY)
    mortal = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search", sys.executable]
    process = subprocess.Popen(
        [*mortal, "-m", "engine", "serve", "--port", "0"],
        cwd=project.root,
        env=project.env(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    site = Site(int(process.stdout.readline().split("/ ")[0].rpartition(":")[2]), process)
    got = site.ask("/runs")
    process.terminate()
    assert process.communicate() == ("", "")
    assert got.status == 503
    assert f"cannot look at the store &#39;{project.store}&#39;: Permission denied" in got.text


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: to be another user")
def test_another_user_is_not_answered(site: Site) -> None:
    """A port is open to all users of the machine, the store is not."""
    ask = (
        "import http.client, sys; c = http.client.HTTPConnection('127.0.0.1', sys.argv[1]);"
        "c.request('GET', '/health'); print(c.getresponse().read().decode())"
    )
    words = ["/usr/bin/python3", "-I", "-c", ask, str(site.port)]
    found = subprocess.run(words, user=_NOBODY, cwd="/", capture_output=True, text=True, check=True)
    assert found.stdout == "this dashboard belongs to another user of this machine\n\n"


_NOBODY = 65_534


# -- runs that are on -----------------------------------------------------------------------------

LIVE = """
def waits(ctx):
    print("before", flush=True)
    while not Path("NAME").exists():
        time.sleep(0.02)
    print("after", flush=True)

workflow = Workflow("NAME").add(Step("first", does("first")))
workflow.add(Step("waits", waits, depends_on=["first"]))
workflow.add(Step("last", does("last"), depends_on=["waits"]))
"""


@pytest.fixture(scope="module")
def living(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Give a project with two workflows that wait for a file of theirs."""
    project = Project(tmp_path_factory.mktemp("living"))
    for name in ("live", "killed"):
        project.write(name, LIVE.replace("NAME", name))
    return project


@pytest.fixture(scope="module")
def beside(living: Project) -> Iterator[Site]:
    """Give a dashboard over it."""
    with served(living) as found:
        yield found


def begun(project: Project, name: str) -> tuple[subprocess.Popen[str], int]:
    """Start a run, and wait until its second step has begun; gives its number, too."""
    run = project.start("run", name)
    wait_for(lambda: bool(list((project.home / "logs" / name).glob("*/waits.1.log"))))
    return run, int(project.rows(f"SELECT max(id) FROM runs WHERE workflow = '{name}'")[0][0])


def test_a_run_that_is_on_is_followed(living: Project, beside: Site) -> None:
    """Its page and its log are asked for again, until it has ended."""
    run, number = begun(living, "live")
    path = f"/runs/{number}"
    page = beside.ask(path)
    assert f'data-live="{path}"' in page.text
    assert page.head["live-every"] == "1000"
    assert page.head["etag"] in page.text.replace("&#34;", '"')
    same = beside.ask(path, if_none_match=page.head["etag"])
    assert (same.status, same.text) == (304, "")
    assert f'href="{path}"' in beside.text("/runs?status=running")
    followed = beside.text(f"{path}/logs/waits/1")
    assert "before" in followed
    place = followed.partition('data-next="')[2].partition('"')[0]
    assert beside.text(place) == ""
    (living.root / "live").touch()
    run.communicate(timeout=10)
    wait_for(lambda: "after" in beside.text(place))
    assert "log-next" not in beside.ask(place).head
    wait_for(lambda: beside.ask(path, if_none_match='"x"').head["live-every"] == "0")
    inside = beside.text(path)
    assert "running" not in inside.partition("<main")[2]
    assert "<html" not in beside.ask(path, if_none_match='"x"').text


def test_a_run_that_was_killed_is_shown_as_interrupted(living: Project, beside: Site) -> None:
    """With what was running; nothing of that is recorded by a look."""
    run, number = begun(living, "killed")
    run.kill()
    run.communicate()
    page = beside.ask(f"/runs/{number}")
    assert page.head["live-every"] == "0"
    for words in ("interrupted", "its engine died", "not started"):
        assert words in page.text
    link = f'href="/runs/{number}"'
    assert link in beside.text("/runs?status=interrupted&workflow=killed")
    assert link not in beside.text("/runs?status=running&workflow=killed")
    assert "interrupted" in beside.text("/workflows/killed/steps/waits")
    assert 'data-next="' not in beside.text(f"/runs/{number}/logs/waits/1")
    assert living.rows(f"SELECT status FROM runs WHERE id = {number}") == [("running",)]


# -- what could hold it up ------------------------------------------------------------------------


def test_slow_connections_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred that never send a whole request keep nobody from an answer, and are ended."""
    monkeypatch.setattr(server, "PHASE_S", 0.5)

    async def app(_scope: object, _receive: object, send: object) -> None:
        assert callable(send)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"here"})

    taken = server.listen("127.0.0.1", 0)
    port = taken.getsockname()[1]
    running = server.server_of(app)
    thread = threading.Thread(target=running.run, kwargs={"sockets": [taken]})
    thread.start()
    slow = []
    try:
        wait_for(lambda: running.started)
        for at in range(100):
            link = socket.create_connection(("127.0.0.1", port), timeout=5)
            slow.append(link)
            link.sendall(b"GET / HTTP/1.1\r\nX-Slow: " if at % 2 else b"")
        answer = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        answer.request("GET", "/")
        assert answer.getresponse().read() == b"here"
        answer.close()
        begun = time.monotonic()
        while time.monotonic() - begun < 0.4:  # a byte now and then buys no time
            for link in slow[1::2]:
                with suppress(ConnectionError):
                    link.sendall(b"x")
            time.sleep(0.1)
        for link in slow:
            assert _is_cut(link)
        assert time.monotonic() - begun < 3
    finally:
        for link in slow:
            link.close()
        running.should_exit = True
        thread.join()


def _is_cut(link: socket.socket) -> bool:
    try:
        return link.recv(10) == b""
    except ConnectionError:
        return True


def test_a_file_that_hangs_or_dies_is_told_as_broken(tmp_path: Path) -> None:
    """And holds up none of the others; what they print is nobody's answer."""
    folder = tmp_path / "pipelines"
    folder.mkdir()
    one = "from engine import Step, Workflow\n"
    one += "workflow = Workflow({!r}, schedule='daily').add(Step('a', print))\nprint('{{')"
    sources = {
        "a.py": one.format("a"),
        "b.py": "import time; time.sleep(60)",
        "c.py": "import os; os._exit(7)",
        "d.py": "this is no Python",
        "e.py": one.format("e"),
        "f.py": "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)",
        "g.py": "x = 1",
    }
    for name, source in sources.items():
        (folder / name).write_text(source)
    found = {each.name: each for each in load_all(folder, [*sources, "g.yaml"], 1.0)}
    for name in "ae":
        assert found[name] == Defined(name, steps=1, schedule="daily", calendar="daily")
    assert found["b"].broken == "it does not load within 1 s"
    assert found["c"].broken == "loading it ends its process with code 7"
    assert "d.py" in found["d"].broken
    assert found["f"].broken == "loading it ends its process by signal 11"
    assert found["g"].broken == "two files define it: keep one of them"
