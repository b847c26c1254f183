"""The sales workflow for real: whole runs on good, late and faulty drops."""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.sales_drops import (
    MONDAY,
    REAL,
    SAMPLE,
    SATURDAY,
    TUESDAY,
    figures,
    needs_real_days,
    sample_text,
)
from tests.sales_runs import STEPS, run_sales, statuses, step_of

OUTBOX = [f"sales-{TUESDAY}.html", f"sales-{TUESDAY}.json", f"sales-{TUESDAY}.txt"]


def contents(folder: Path) -> dict[str, bytes]:
    """Give the files of a folder, none if it is not there."""
    return {path.name: path.read_bytes() for path in folder.glob("*")}


def test_a_first_try_needs_no_settings(tmp_path: Path) -> None:
    """The sample's report is delivered, its archive whole, its figures those of the drop."""
    code, report = run_sales(tmp_path)
    assert (code, statuses(report)) == (0, dict.fromkeys(STEPS, "ok"))
    outbox = contents(tmp_path / "outbox")
    assert sorted(outbox) == OUTBOX
    assert all(contents(tmp_path / "reports")[name] == data for name, data in outbox.items())
    assert outbox[OUTBOX[1]].decode() == figures(sample_text(TUESDAY), TUESDAY)
    archive = tmp_path / "backups" / f"sales-{TUESDAY}.tar.gz"
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    beside = archive.with_name(archive.name + ".sha256").read_text()
    assert beside == f"{digest}  {archive.name}\n"
    with tarfile.open(archive) as reading:
        raw = reading.extractfile(f"raw-{TUESDAY}.csv")
        assert raw is not None
        assert raw.read() == sample_text(TUESDAY)
        assert sorted(reading.getnames()) == [f"raw-{TUESDAY}.csv", OUTBOX[0], OUTBOX[1]]


@needs_real_days
@pytest.mark.parametrize("day", ["2011-11-07", "2011-10-09"])
def test_a_real_day_gives_the_worked_example(tmp_path: Path, day: str) -> None:
    """The whole workflow writes exactly the keys and values of the worked example."""
    code, _ = run_sales(tmp_path, source=REAL / "drops", date=day)
    assert code == 0
    wanted = json.loads((REAL / "worked-example.json").read_text("utf-8"))[day]
    found = json.loads((tmp_path / "outbox" / f"sales-{day}.json").read_text("utf-8"))
    assert json.dumps(found) == json.dumps(wanted)


def test_no_trade_on_saturdays(tmp_path: Path) -> None:
    """Without a drop on a Saturday there is nothing to do, and that is well."""
    code, report = run_sales(tmp_path, date=SATURDAY)
    assert (code, statuses(report)) == (0, dict.fromkeys(STEPS, "skipped"))
    assert step_of(report, "fetch")["note"] == "no trade on Saturdays"
    assert contents(tmp_path / "outbox") == {}


def test_a_late_drop_is_waited_for_and_then_a_failure(tmp_path: Path) -> None:
    """It is tried again, fails, delivers nothing, and once it is there the next run delivers."""
    drops = tmp_path / "drops"
    drops.mkdir()
    home = tmp_path / "home"
    code, report = run_sales(home, source=drops, date=TUESDAY)
    assert code == 1
    assert statuses(report) == {"fetch": "failed"} | dict.fromkeys(STEPS[1:], "skipped")
    fetch = step_of(report, "fetch")
    assert fetch["attempts"] == 4
    assert f"no sales of Tuesday 2026-03-03 in '{drops}' yet: the drop is late" in fetch["error"]
    assert contents(home / "outbox") == {}
    shutil.copy(SAMPLE / f"sales-{TUESDAY}.csv.gz", drops)
    code, report = run_sales(home, source=drops, date=TUESDAY)
    assert (code, statuses(report)) == (0, dict.fromkeys(STEPS, "ok"))
    assert sorted(contents(home / "outbox")) == OUTBOX


def cut_gzip(data: bytes) -> bytes:
    """Pack a drop and lose the end."""
    return gzip.compress(data)[:-200]


FAULTS: dict[str, tuple[Callable[[bytes], bytes], str, int]] = {
    "truncated gzip": (cut_gzip, "the gzip is cut short here", 4),
    "bad number": (
        lambda data: gzip.compress(data.replace(b",8.25,", b",8.2s,", 1)),
        "column 'unit_price': '8.2s' is not a price",
        1,
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_drop_delivers_nothing_and_spoils_nothing(tmp_path: Path, fault: str) -> None:
    """Yesterday's report stays; bad data is not retried; the mended drop goes through."""
    spoil, message, attempts = FAULTS[fault]
    home, drops = tmp_path / "home", tmp_path / "drops"
    shutil.copytree(SAMPLE, drops)
    assert run_sales(home, source=drops, date=MONDAY)[0] == 0
    yesterday = {name: contents(home / name) for name in ("outbox", "reports", "backups")}
    bad = drops / f"sales-{TUESDAY}.csv.gz"
    bad.write_bytes(spoil(sample_text(TUESDAY)))
    code, report = run_sales(home, source=drops, date=TUESDAY)
    assert code == 1
    assert statuses(report) == {"fetch": "failed"} | dict.fromkeys(STEPS[1:], "skipped")
    fetch = step_of(report, "fetch")
    assert f"{bad}, line " in fetch["error"]
    assert message in fetch["error"]
    assert fetch["attempts"] == attempts
    for name, files in yesterday.items():
        found = contents(home / name)
        assert {key: found[key] for key in files} == files
        assert not [key for key in found if str(TUESDAY) in key]
    shutil.copy(SAMPLE / bad.name, bad)
    assert run_sales(home, source=drops, date=TUESDAY)[0] == 0
    assert set(OUTBOX) < set(contents(home / "outbox"))


def test_a_password_in_the_url_is_refused_before_a_run(tmp_path: Path) -> None:
    """It gets nowhere: no run is begun, nothing holds it, and the error does not show it."""
    source = "postgresql://shop:hunter22@db.invalid/shop"
    with pytest.raises(AssertionError, match="a URL with a password") as refused:
        run_sales(tmp_path, source=source, date=TUESDAY)
    assert "hunter22" not in str(refused.value)
    for path in tmp_path.rglob("*"):
        assert path.is_dir() or b"hunter22" not in path.read_bytes()
