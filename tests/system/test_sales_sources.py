"""The sources of the sales workflow for real: folders, a web server, databases."""

from __future__ import annotations

import contextlib
import csv
import functools
import http.server
import io
import sqlite3
import threading
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from engine import RetryAfter
from pipelines._sales_drop import COLUMNS, DataFault, DropCut
from pipelines._sales_sources import SourceDown, SourceFault, read_drop
from tests.sales_drops import (
    MONDAY,
    ROOT,
    SAMPLE,
    SATURDAY,
    TUESDAY,
    figures,
    no_password,
    sample_text,
)
from tests.sales_runs import STEPS, run_sales, statuses

SALES_TEXT = "CREATE TABLE sales ({})".format(", ".join(f"{name} TEXT" for name in COLUMNS))
SALES_TYPED = (
    "CREATE TABLE sales (id INTEGER PRIMARY KEY, invoice_no VARCHAR(7), stock_code VARCHAR(20), "
    "description VARCHAR(100), quantity INTEGER, invoice_ts DATETIME, unit_price NUMERIC(10, 3), "
    "customer_id REAL, country VARCHAR(40))"
)


def make_database(path: Path, table: str) -> None:
    """Put all days of the sample into an SQLite table, nothing where the CSV has nothing."""
    rows = [
        [row[name] or None for name in COLUMNS]
        for day in (date(2026, 3, 1), MONDAY, TUESDAY)
        for row in csv.DictReader(io.StringIO(sample_text(day).decode(), newline=""))
    ]
    names = ", ".join(COLUMNS)
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.execute(table)
        db.executemany(f"INSERT INTO sales ({names}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)


@pytest.mark.parametrize("table", [SALES_TEXT, SALES_TYPED], ids=["text", "typed"])
def test_a_database_gives_the_same_figures_as_the_files(tmp_path: Path, table: str) -> None:
    """Each day is picked out by its times, whatever types the columns have."""
    make_database(tmp_path / "shop.db", table)
    for day in (MONDAY, TUESDAY):
        for url in (f"sqlite:///{tmp_path}/shop.db", "sqlite:///shop.db"):
            drop = read_drop(url, day, tmp_path, no_password)
            assert drop is not None
            assert figures(drop.data, day) == figures(sample_text(day), day)
    assert read_drop(f"sqlite:///{tmp_path}/shop.db", SATURDAY, tmp_path, no_password) is None


def test_a_fault_in_a_database_names_the_table(tmp_path: Path) -> None:
    """A missing table, a missing column and a missing file are told apart; none is made."""
    url = f"sqlite:///{tmp_path}/shop.db"
    with pytest.raises(FileNotFoundError, match="there is no SQLite file"):
        read_drop(url, MONDAY, tmp_path, no_password)
    assert list(tmp_path.iterdir()) == []
    with contextlib.closing(sqlite3.connect(tmp_path / "shop.db")) as db, db:
        db.execute("CREATE TABLE other (x)")
    with pytest.raises(SourceFault) as no_table:
        read_drop(url, MONDAY, tmp_path, no_password)
    assert str(no_table.value) == f"{url} table sales: there is no such table"
    with contextlib.closing(sqlite3.connect(tmp_path / "shop.db")) as db, db:
        db.execute(SALES_TEXT.replace("unit_price", "price"))
    with pytest.raises(DataFault) as no_column:
        read_drop(url, MONDAY, tmp_path, no_password)
    assert str(no_column.value) == f"{url} table sales, column 'unit_price': missing from the table"


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://shop:hunter22@db.invalid/shop",
        "postgresql://db.invalid/shop?user=shop&password=hunter22",
        "mysql+pymysql://shop:hunter22@db.invalid/shop",
        "postgresql://shop:hunter22@db.invalid:hunter22/shop",
        "https://shop:hunter22@files.invalid/drops",
        "sqlite:///x.db?password=hunter22",
    ],
)
def test_a_password_in_the_source_is_refused_and_not_shown(url: str, tmp_path: Path) -> None:
    """Nothing is connected to, and the message does not repeat the password."""
    with pytest.raises(SourceFault) as caught:
        read_drop(url, MONDAY, tmp_path, no_password)
    assert "hunter22" not in str(caught.value)
    if ":hunter22/" not in url:
        assert "and a run's parameters are kept" in str(caught.value)


@pytest.mark.parametrize(
    "url", ["nosuch://host/db", "file:///tmp", "sqlite://", "sqlite:///:memory:"]
)
def test_what_is_no_source_is_refused(url: str, tmp_path: Path) -> None:
    """An address that leads nowhere is the user's fault, found at once."""
    with pytest.raises(SourceFault):
        read_drop(url, MONDAY, tmp_path, no_password)


def test_a_folder_that_is_not_there_is_no_missing_drop(tmp_path: Path) -> None:
    """A share that is not mounted must not pass for a day without trade."""
    with pytest.raises(FileNotFoundError, match="there is no source folder"):
        read_drop("nowhere", SATURDAY, tmp_path, no_password)
    (tmp_path / "file.csv").touch()
    with pytest.raises(SourceFault, match="give the folder that holds the drops"):
        read_drop("file.csv", SATURDAY, tmp_path, no_password)


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves a folder; names ending in a number are answered with that status."""

    def do_GET(self) -> None:
        """Answer with a file, a fault, or half of what was announced."""
        kind = self.path.split("/")[1]
        if kind.isdigit():
            self.send_error(int(kind))
        elif kind == "busy":
            self.send_response(503)
            self.send_header("Retry-After", "7")
            self.end_headers()
        elif kind == "half":
            data = sample_text(MONDAY)
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data[: len(data) // 2])
        else:
            super().do_GET()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture(name="web", scope="module")
def _web() -> Iterator[str]:
    handler = functools.partial(Quiet, directory=str(SAMPLE.parent))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_a_web_folder_gives_the_same_figures_as_the_files(web: str) -> None:
    """Packed and plain drops are both found, with or without a slash at the end."""
    for day, folder in ((MONDAY, "sales-sample"), (TUESDAY, "sales-sample/?token=x")):
        drop = read_drop(f"{web}/{folder}", day, ROOT, no_password)
        assert drop is not None
        assert figures(drop.data, day) == figures(sample_text(day), day)
        assert drop.name.startswith(f"{web}/sales-sample/sales-{day}.csv")
        assert "token" not in drop.name


def test_a_web_folder_without_the_drop_has_none(web: str) -> None:
    """404 means that the drop is missing; other answers are faults of the server's."""
    assert read_drop(f"{web}/sales-sample", SATURDAY, ROOT, no_password) is None
    assert read_drop(f"{web}/410", MONDAY, ROOT, no_password) is None
    for status, kind in ((500, SourceDown), (503, SourceDown), (429, SourceDown)):
        with pytest.raises(kind, match=f"the server answers {status} "):
            read_drop(f"{web}/{status}", MONDAY, ROOT, no_password)
    with pytest.raises(SourceFault, match="the server answers 403 "):
        read_drop(f"{web}/403", MONDAY, ROOT, no_password)


def test_a_busy_server_is_given_the_time_it_asks_for(web: str) -> None:
    """`Retry-After` decides when the next try comes."""
    with pytest.raises(RetryAfter, match="the server answers 503 ") as caught:
        read_drop(f"{web}/busy", MONDAY, ROOT, no_password)
    assert caught.value.seconds == 7


def test_half_a_download_is_not_taken_for_a_drop(web: str) -> None:
    """A connection that ends too soon is worth another try."""
    with pytest.raises(DropCut, match=r"the download stops [\d,]+ bytes short"):
        read_drop(f"{web}/half", MONDAY, ROOT, no_password)


def test_a_server_that_is_down_is_worth_another_try() -> None:
    """A refused connection and a name that does not resolve are not the user's fault."""
    for url in ("http://127.0.0.1:1/drops", "http://files.invalid/drops"):
        with pytest.raises(SourceDown, match=f"{url}/sales-2026-03-02.csv.gz: "):
            read_drop(url, MONDAY, ROOT, no_password)


def test_databases_and_web_folders_run_through(tmp_path: Path, web: str) -> None:
    """The delivered figures do not depend on where the drop lay."""
    make_database(tmp_path / "shop.db", SALES_TYPED)
    wanted = figures(sample_text(TUESDAY), TUESDAY)
    for name, source in (
        ("database", f"sqlite:///{tmp_path}/shop.db"),
        ("web", f"{web}/sales-sample"),
    ):
        home = tmp_path / name
        code, report = run_sales(home, source=source, date=TUESDAY)
        assert (code, statuses(report)) == (0, dict.fromkeys(STEPS, "ok"))
        assert (home / "outbox" / f"sales-{TUESDAY}.json").read_text("utf-8") == wanted
