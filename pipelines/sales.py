r"""The daily sales report: one day's drop of invoice lines, from where it lies to the outbox.

    python -m engine run sales
    python -m engine run sales --set source=/data/drops --set date=2011-11-14
    python -m engine backfill sales --set source=/data/drops --param date --from 2011-10-01 \
        --to 2011-11-30 --parallel 4

Without settings it reports on the made-up drop in `pipelines/sales-sample`. For a shop of your own
make your folder, web folder or database the default of `source`, "yesterday" that of `date`, and
add `schedule="*-*-* 06:30:00"`.

`fetch` takes the drop in whole or not at all: what is wrong with its content fails there, so that
a mended drop is read anew by the next run.
"""

from __future__ import annotations

import hashlib
import re
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine import Param, RetryAfter, Skip, Step, Workflow
from pipelines._sales_backup import KEPT_DAYS, BackupFault, pack, superseded, verify
from pipelines._sales_drop import DropCut, parse_drop
from pipelines._sales_figures import (
    Summary,
    describe,
    from_json,
    largest_invoice,
    summarize,
    to_json,
)
from pipelines._sales_page import Report, to_html, to_text
from pipelines._sales_sources import PASSWORD_NAME, Drop, read_drop

if TYPE_CHECKING:
    from engine.context import StepContext

SAMPLE = "pipelines/sales-sample"
SAMPLE_DAY = "2026-03-03"
SATURDAY = 5  # of `date.weekday`

_REPORT = re.compile(r"sales-([0-9]{4}-[0-9]{2}-[0-9]{2})\.json\Z")


class DropLate(Exception):
    """The day's drop is not there yet."""


# -- the steps ------------------------------------------------------------------------------------


def fetch(ctx: StepContext) -> dict[str, Any]:
    """Read the day's drop, check every line of it, and keep it for the steps that follow."""
    source, day = ctx.params["source"], ctx.params["date"]
    drop = _drop_of(ctx, day)
    if drop is None:
        if day.weekday() == SATURDAY:
            raise Skip("no trade on Saturdays")
        raise DropLate(
            f"no sales of {day:%A} {day} in {_named(source)} yet: the drop is late "
            "(another day: --set date=YYYY-MM-DD)"
        )
    lines = parse_drop(drop.data, drop.name, day)
    if not drop.data.endswith(b"\n"):
        ctx.log.warning("%s: its last line has no end; is it cut short?", drop.name)
    with ctx.output(ctx.paths.home / "sales" / f"raw-{day}.csv", "wb") as file:
        file.write(drop.data)
    ctx.log.info("%s: %d lines", drop.name, len(lines))
    return {"raw": _home_path(ctx, f"sales/raw-{day}.csv"), "drop": drop.name, "rows": len(lines)}


def transform(ctx: StepContext) -> str:
    """Work out the day's figures, as `summary` in the context and as JSON in the reports."""
    day, fetched = ctx.params["date"], ctx["fetch"]
    lines = parse_drop(Path(fetched["raw"]).read_bytes(), fetched["drop"], day)
    summary = summarize(lines)
    ctx["summary"] = summary
    ctx["descriptions"] = describe(lines, [code for code, _, _ in summary["top_products"]])
    ctx["largest_invoice"] = largest_invoice(lines)
    with ctx.output(ctx.paths.home / "reports" / f"sales-{day}.json") as file:
        file.write(to_json(summary))
    return _home_path(ctx, f"reports/sales-{day}.json")


def report(ctx: StepContext) -> dict[str, str]:
    """Write the page and the text digest, compared with the days before this one."""
    day, reports = ctx.params["date"], ctx.paths.home / "reports"
    content = Report(
        day=day,
        summary=ctx["summary"],
        descriptions=ctx["descriptions"],
        drop=ctx["fetch"]["drop"],
        largest_invoice=ctx["largest_invoice"],
        before=_days_before(ctx, reports, day),
    )
    with ctx.output(reports / f"sales-{day}.html") as page:
        page.write(to_html(content))
    with ctx.output(reports / f"sales-{day}.txt") as digest:
        digest.write(to_text(content))
    return {
        "html": _home_path(ctx, f"reports/sales-{day}.html"),
        "text": _home_path(ctx, f"reports/sales-{day}.txt"),
    }


def backup(ctx: StepContext) -> dict[str, Any]:
    """Archive the day's lines, figures and page, and read the archive back."""
    day = ctx.params["date"]
    paths = [Path(ctx["fetch"]["raw"]), Path(ctx["transform"]), Path(ctx["report"]["html"])]
    contents = {path.name: path.read_bytes() for path in paths}
    folder = ctx.paths.home / "backups"
    archive = folder / f"sales-{day}.tar.gz"
    data = pack(contents, day)
    with ctx.output(archive, "wb") as file:
        file.write(data)
        file.flush()
        verify(Path(file.name), hashlib.sha256(data).hexdigest(), contents)
    digest = hashlib.sha256(data).hexdigest()
    with ctx.output(archive.with_name(archive.name + ".sha256")) as file:
        file.write(f"{digest}  {archive.name}\n")  # what `sha256sum -c` reads
    return {"archive": _home_path(ctx, f"backups/{archive.name}"), "sha256": digest}


def deliver(ctx: StepContext) -> list[str]:
    """Put copies of the page, the digest and the figures into the outbox; keep 30 archives."""
    delivered = []
    for path in (ctx["report"]["html"], ctx["report"]["text"], ctx["transform"]):
        name = Path(path).name
        with ctx.output(ctx.paths.home / "outbox" / name, "wb") as file:
            file.write(Path(path).read_bytes())
        delivered.append(_home_path(ctx, f"outbox/{name}"))
    ctx.log.info("delivered %s", ", ".join(delivered))
    _let_old_archives_go(ctx)
    return delivered


# -- their parts ----------------------------------------------------------------------------------


def _drop_of(ctx: StepContext, day: date) -> Drop | None:
    source = ctx.params["source"]
    return read_drop(source, day, ctx.paths.root, lambda: ctx.secret(PASSWORD_NAME, default=None))


def _home_path(ctx: StepContext, name: str) -> str:
    return str(ctx.paths.home / name)


def _let_old_archives_go(ctx: StepContext) -> None:
    """Keep the last 30, with their raw lines.

    By now this run's own archive is at its place: of runs side by side the last one sees them all.
    """
    folder = ctx.paths.home / "backups"
    for old in superseded(folder, ctx.params["date"]):
        for path in (
            folder / f"sales-{old}.tar.gz",
            folder / f"sales-{old}.tar.gz.sha256",
            ctx.paths.home / "sales" / f"raw-{old}.csv",
        ):
            path.unlink(missing_ok=True)
        ctx.log.info("removed the archive of %s: the last %d days are kept", old, KEPT_DAYS)


def _named(source: str) -> str:
    # The query of an address may hold a token.
    return f"'{source.partition('?')[0]}'"


def _days_before(ctx: StepContext, reports: Path, day: date) -> list[tuple[date, Summary]]:
    """Give the newest earlier day's figures, and those of the same weekday a week ago.

    Of a day in the week before that has no report yet, they are worked out from its drop: so a
    report is the same whichever of the days around it was done first.
    """
    names = [match[1] for path in reports.iterdir() if (match := _REPORT.match(path.name))]
    week_ago = day - timedelta(days=7)
    near = [day - timedelta(days=days) for days in range(1, 7)]
    far = sorted((name for name in names if name < week_ago.isoformat()), reverse=True)
    before: list[tuple[date, Summary]] = []
    for other in [*map(str, near), str(week_ago), *far]:
        if before and other != str(week_ago):
            continue
        try:
            earlier = date.fromisoformat(other)
            found = _figures_of(ctx, reports, earlier, reported=other in names)
        except (OSError, ValueError, DropCut, RetryAfter) as error:
            ctx.log.warning("sales of %s are left out of the comparison: %s", other, error)
            continue
        if found is not None:
            before.append((earlier, found))
    return before


def _figures_of(ctx: StepContext, reports: Path, day: date, *, reported: bool) -> Summary | None:
    if reported:
        return from_json((reports / f"sales-{day}.json").read_text("utf-8"))
    drop = _drop_of(ctx, day)
    if drop is None:
        return None
    return from_json(to_json(summarize(parse_drop(drop.data, drop.name, day))))


# A late or half-written drop and a machine that stumbles are worth another try, bad data is not.
_WORTH_RETRY = (DropLate, DropCut, BackupFault, OSError)

workflow = (
    Workflow(
        "sales",
        description="one day's sales from its drop to a report in the outbox",
        params={
            "source": Param(
                str,
                default=SAMPLE,
                help="a folder of sales-YYYY-MM-DD.csv[.gz], its http(s) URL, or a database URL",
            ),
            "date": Param(date, default=SAMPLE_DAY, help="the day; the default is in the sample"),
        },
    )
    .add(Step("fetch", fetch, retries=3, timeout="2m", retry_on=_WORTH_RETRY))
    .add(
        Step("transform", transform, depends_on=["fetch"], timeout="1m", retry_on=_WORTH_RETRY),
    )
    .add(
        Step("report", report, depends_on=["transform"], timeout="1m", retry_on=_WORTH_RETRY),
    )
    .add(
        Step("backup", backup, depends_on=["report"], timeout="2m", retry_on=_WORTH_RETRY),
    )
    .add(
        Step(
            "deliver",
            deliver,
            depends_on=["report", "backup"],
            timeout="1m",
            retry_on=_WORTH_RETRY,
        )
    )
)
