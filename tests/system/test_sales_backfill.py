"""The backfill of `sales` over two real months: the same whatever comes between, and right."""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sales_drops import REAL, ROOT, needs_real_days

DROPS = REAL / "drops"
OUTPUTS = ("outbox", "reports", "backups", "sales")
PATIENCE_S = 60.0
KILLS = 2
SETTINGS = ("ENGINE_", "KAHNBAN_", "SLACK_", "SMTP_", "MAIL_", "SALES_")


def start(home: Path, *more: str) -> subprocess.Popen[str]:
    """Start the backfill of all days of two months, into a home of its own."""
    words = ["--param", "date", "--from", "2011-10-01", "--to", "2011-11-30"]
    where = ["--set", f"source={DROPS}", "--home", str(home)]
    return subprocess.Popen(
        [sys.executable, "-m", "engine", "backfill", "sales", *words, *more, *where],
        cwd=ROOT,
        env={name: text for name, text in os.environ.items() if not name.startswith(SETTINGS)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def outputs(home: Path) -> dict[str, str]:
    """Give the sha256 of each file that the workflow has made."""
    found = {}
    for folder in OUTPUTS:
        for path in (home / folder).iterdir():
            if not path.name.startswith(("run-", ".")):
                digest = hashlib.sha256(path.read_bytes()).hexdigest()
                found[f"{folder}/{path.name}"] = digest
    return found


def killed_and_gone_on(home: Path, chance: random.Random) -> Iterator[int]:
    """Kill the backfill twice, as soon as it has done a random part; give its exit codes."""
    for _ in range(KILLS):
        process = start(home, "--parallel", "4", "-q")
        more = done(home) + 1 + chance.randrange(15)
        while process.poll() is None and done(home) < more:
            time.sleep(chance.random() * 0.05)
        process.kill()
        _, err = process.communicate(timeout=PATIENCE_S)
        assert "Traceback" not in err, err
        yield process.returncode
    process = start(home, "--parallel", "4", "-q")
    process.communicate(timeout=PATIENCE_S)
    yield process.returncode


def done(home: Path) -> int:
    """Count the days that are in the outbox."""
    return len(list(home.glob("outbox/*.json")))


def rows(home: Path, sql: str) -> list[tuple[object, ...]]:
    """Ask the store."""
    connection = sqlite3.connect(f"file:{home / 'runs.db'}?mode=ro", uri=True)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def sums_of_drops() -> tuple[int, ...]:
    """Ask the drops by SQL for what the reports are to add up to: pence are thousandths here."""
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE line (day, invoice, quantity INTEGER, price REAL, customer)")
    for path in sorted(DROPS.iterdir()):
        day = path.name[6:16]
        with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
            lines = [
                (day, row["invoice_no"], row["quantity"], row["unit_price"], row["customer_id"])
                for row in csv.DictReader(file)
            ]
        connection.executemany("INSERT INTO line VALUES (?, ?, ?, ?, ?)", lines)
    sale = "invoice GLOB '[0-9]*' AND quantity > 0 AND price > 0"
    money = "CAST(round(price * 1000) AS INTEGER) * quantity"
    found: tuple[int, ...] = connection.execute(
        f"""SELECT count(*), sum({money}) FILTER (WHERE {sale}),
                   sum({money}) FILTER (WHERE invoice LIKE 'C%'), sum({money}),
                   sum(quantity) FILTER (WHERE {sale}),
                   count(DISTINCT day || invoice) FILTER (WHERE {sale}),
                   count(DISTINCT day || customer) FILTER (WHERE customer <> '')
            FROM line"""
    ).fetchone()
    connection.close()
    return found


def sums_of_reports(home: Path) -> tuple[int, ...]:
    """Add up the reports of all days."""
    reports = [json.loads(path.read_text("utf-8")) for path in home.glob("outbox/*.json")]
    assert len(reports) == 52
    found = [sum(report["rows"] for report in reports)]
    for key in ("gross_sales", "cancellations", "net_all_rows"):
        found.append(sum(round(report[key] * 1000) for report in reports))
    for key in ("units_sold", "sale_invoices", "customers"):
        found.append(sum(report[key] for report in reports))
    return tuple(found)


@pytest.mark.slow
@needs_real_days
def test_two_months_come_out_the_same_however_they_are_done(tmp_path: Path) -> None:
    """One run after the other; four at once, and killed time and again: the same files, all right.

    Saturdays have no drop: they are done, by the workflow's own rule, and cost nothing.
    """
    steady, troubled = tmp_path / "steady", tmp_path / "troubled"
    process = start(steady, "--json")
    seed = int(os.environ.get("KAHNBAN_SEED") or random.SystemRandom().randrange(2**32))
    print(f"seed {seed}")
    codes = list(killed_and_gone_on(troubled, random.Random(seed)))
    out, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, err
    report = json.loads(out)
    assert report["counts"] == {"ok": 61}
    saturdays = [step for step in report["steps"] if "no trade on Saturdays" in step["note"]]
    assert len(saturdays) == 9
    assert codes == [*[-signal.SIGKILL] * KILLS, 0]
    assert outputs(steady) == outputs(troubled)
    assert sums_of_reports(steady) == sums_of_drops()
    ok = rows(troubled, "SELECT params FROM runs WHERE workflow = 'sales' AND status = 'ok'")
    assert len(ok) == len(set(ok)) == 61
    assert rows(troubled, "SELECT count(*) FROM alerts") == [(0,)]
    before = (troubled / "runs.db").read_bytes()
    again = start(troubled)
    out, _ = again.communicate(timeout=PATIENCE_S)
    assert again.returncode == 0
    told = "nothing to do: 61 values of date, 2011-10-01 to 2011-11-30: ok already\n"
    assert out == told
    assert (troubled / "runs.db").read_bytes() == before
