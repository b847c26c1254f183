"""The sales workflow's steps on a context of the test's own: what each reads, writes, refuses."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import pytest

from engine import Skip
from engine.context import StepContext
from engine.outputs import Outputs, publish
from engine.ports import Paths
from pipelines import sales
from tests.sales_drops import MONDAY, ROOT, SAMPLE, SATURDAY, TUESDAY, figures, sample_text


class Context(dict[str, Any]):
    """A step's context: a dict for values, the engine's own outputs for files."""

    def __init__(self, home: Path, source: object, day: date) -> None:
        """Stand for a run of the workflow with these parameters."""
        super().__init__()
        self.params = {"source": str(source), "date": day}
        self.paths = Paths(ROOT, home, f"sqlite:///{home}/runs.db")
        self.log = logging.getLogger("sales-test")
        self.outputs = Outputs(ROOT, "test")
        self.output = self.outputs.open

    def secret(self, name: str, default: object = None) -> object:
        """Have no secrets."""
        assert name == "SALES_DB_PASSWORD"
        return default


def run_step(step: Callable[[StepContext], Any], ctx: Context) -> Any:
    """Run one step to its success: its files are published, its value is stored."""
    ctx.outputs = Outputs(ROOT, step.__name__)
    ctx.output = ctx.outputs.open
    ctx[step.__name__] = step(cast("StepContext", ctx))
    publish(ctx.outputs.files)
    return ctx[step.__name__]


def run_all(home: Path, day: date, source: object = SAMPLE) -> Context:
    """Run all steps in their order."""
    ctx = Context(home, source, day)
    for step in sales.workflow.steps:
        run_step(cast("Callable[[StepContext], Any]", step.run), ctx)
    return ctx


def names(folder: Path) -> list[str]:
    """Give the names in a folder."""
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture(name="home")
def _home(tmp_path: Path) -> Iterator[Path]:
    home = tmp_path / "home"
    home.mkdir()
    yield home
    leftovers = [path for path in home.rglob("*") if path.name.startswith(".")]
    assert leftovers == []


def test_the_steps_wait_for_each_other() -> None:
    """Delivery waits for the report and for its backup."""
    assert {step.name: tuple(step.depends_on) for step in sales.workflow.steps} == {
        "fetch": (),
        "transform": ("fetch",),
        "report": ("transform",),
        "backup": ("report",),
        "deliver": ("report", "backup"),
    }


def test_the_defaults_lead_to_a_day_of_the_sample() -> None:
    """A first try finds a drop."""
    source, day = (sales.workflow.params[name].default for name in ("source", "date"))
    assert (ROOT / source / f"sales-{day}.csv.gz").is_file()


def test_the_summary_is_money_as_decimals(home: Path) -> None:
    """The context holds what the JSON shows, exactly."""
    ctx = run_all(home, TUESDAY)
    assert ctx["summary"]["gross_sales"] == Decimal("2160.02")
    assert ctx["fetch"]["rows"] == ctx["summary"]["rows"] == 73
    assert (home / "reports" / f"sales-{TUESDAY}.json").read_text("utf-8") == figures(
        sample_text(TUESDAY), TUESDAY
    )


def test_a_second_run_writes_the_same(home: Path) -> None:
    """Every step may be done again: the same drop gives the same bytes everywhere."""
    run_all(home, TUESDAY)
    first = {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}
    run_all(home, TUESDAY)
    assert {path: path.read_bytes() for path in home.rglob("*") if path.is_file()} == first


def test_reports_are_compared_with_the_day_and_the_week_before(home: Path) -> None:
    """Later days, broken reports and other files are no reports before this one.

    The Sunday before has no report here, but it has a drop.
    """
    run_all(home, MONDAY)
    reports = home / "reports"
    week_ago = reports / f"sales-{TUESDAY - timedelta(days=7)}.json"
    shutil.copy(reports / f"sales-{MONDAY}.json", week_ago)
    shutil.copy(week_ago, reports / f"sales-{TUESDAY + timedelta(days=1)}.json")
    shutil.copy(week_ago, reports / f"sales-{TUESDAY - timedelta(days=5)}.json")
    (reports / "sales-2026-99-99.json").write_text("{}")
    (reports / "run-7-sales.json").write_text("{}")
    run_all(home, TUESDAY)
    page = (home / "outbox" / f"sales-{TUESDAY}.html").read_text("utf-8")
    assert ">compared with Monday 2 March 2026 and with Tuesday 24 February 2026<" in page
    (reports / f"sales-{MONDAY}.json").write_text("{")
    run_all(home, TUESDAY)
    page = (home / "outbox" / f"sales-{TUESDAY}.html").read_text("utf-8")
    assert ">compared with Sunday 1 March 2026 and with Tuesday 24 February 2026<" in page


def test_a_report_is_the_same_in_whatever_order_days_are_done(tmp_path: Path) -> None:
    """A backfill does several at once: what a day is compared with does not depend on that."""
    homes = [tmp_path / "forward", tmp_path / "backward"]
    for home, days in zip(homes, ([MONDAY, TUESDAY], [TUESDAY, MONDAY]), strict=True):
        home.mkdir()
        for day in days:
            run_all(home, day)
    outboxes = [
        {path.name: path.read_bytes() for path in (home / "outbox").iterdir()} for home in homes
    ]
    assert outboxes[0] == outboxes[1]
    page = outboxes[0][f"sales-{TUESDAY}.html"].decode()
    assert ">compared with Monday 2 March 2026<" in page


def test_a_faulty_drop_of_another_day_spoils_no_report(home: Path, tmp_path: Path) -> None:
    """The comparison lacks that day, and the log says why."""
    shutil.copytree(SAMPLE, tmp_path / "drops")
    (tmp_path / "drops" / f"sales-{MONDAY}.csv").write_text("spoilt", "utf-8")
    run_all(home, TUESDAY, tmp_path / "drops")
    page = (home / "outbox" / f"sales-{TUESDAY}.html").read_text("utf-8")
    assert ">compared with Sunday 1 March 2026<" in page


def test_a_saturday_without_a_drop_is_skipped_and_with_one_is_not(
    home: Path, tmp_path: Path
) -> None:
    """The day of the week excuses a missing drop only."""
    with pytest.raises(Skip, match=r"^no trade on Saturdays$"):
        run_step(sales.fetch, Context(home, SAMPLE, SATURDAY))
    text = sample_text(MONDAY).decode().replace(str(MONDAY), str(SATURDAY))
    (tmp_path / f"sales-{SATURDAY}.csv").write_text(text, "utf-8")
    assert run_step(sales.fetch, Context(home, tmp_path, SATURDAY))["rows"] == 68


def test_a_missing_drop_is_late(home: Path) -> None:
    """On any other day the drop is still to come, which is worth another try."""
    with pytest.raises(sales.DropLate, match=r"no sales of Wednesday 2026-03-04 in .* yet"):
        run_step(sales.fetch, Context(home, SAMPLE, date(2026, 3, 4)))
    assert issubclass(sales.DropLate, sales.workflow.steps[0].retry_on)
    assert not issubclass(ValueError, sales.workflow.steps[0].retry_on)


def test_the_oldest_archives_go_with_their_raw_lines(home: Path) -> None:
    """Thirty days are kept, and lines that no archive holds yet stay."""
    for folder in ("backups", "sales"):
        (home / folder).mkdir()
    days = [MONDAY - timedelta(days=n) for n in range(1, 32)]
    for day in days:
        (home / "backups" / f"sales-{day}.tar.gz").touch()
        (home / "backups" / f"sales-{day}.tar.gz.sha256").touch()
        (home / "sales" / f"raw-{day}.csv").touch()
    (home / "sales" / "raw-2000-01-01.csv").touch()
    run_all(home, TUESDAY)
    kept = [TUESDAY, *days[:29]]
    assert names(home / "backups") == sorted(
        f"sales-{day}.tar.gz{suffix}" for day in kept for suffix in ("", ".sha256")
    )
    assert names(home / "sales") == sorted(f"raw-{day}.csv" for day in [*kept, "2000-01-01"])
