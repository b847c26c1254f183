"""The daily operations report of the machine it runs on.

It needs no network and no set-up, and works for root and for a plain user, on a laptop and in a
container. What a machine lacks is skipped, with the reason, and the report goes on without it.

    python -m engine run daily --workers 4
    python -m engine run daily --set backup_paths=/etc/nginx:~/notes
"""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

from engine import Param, Step, Workflow
from engine.model import TriggerRule
from pipelines._daily import backup as backups
from pipelines._daily import findings, host, journal, packages, runs, services, trend
from pipelines._daily.deliver import message
from pipelines._daily.digest import digest
from pipelines._daily.page import page
from pipelines._daily.shapes import Backup, Day, Host, Journal, Packages, Services, StoreDay
from pipelines._machine import records
from pipelines._machine.delivery import Sent, send, settings_of
from pipelines._machine.findings import headline, order

FETCHES = ("fetch_host", "fetch_packages", "fetch_services", "fetch_journal", "fetch_store")


def fetch_host(ctx: Any) -> Host:
    """Measure disks, memory, load, uptime and the heaviest programs."""
    return host.measure(ctx.paths.home)


def fetch_packages(ctx: Any) -> Packages:
    """List the packages that an update waits for."""
    found = packages.measure()
    ctx.log.info("%s: %d packages wait", found["manager"], len(found["waiting"]))
    return found


def fetch_services(ctx: Any) -> Services:
    """List the systemd units that have failed."""
    found = services.measure()
    ctx.log.info("systemd is %s, %d units failed", found["state"], len(found["failed"]))
    return found


def fetch_journal(ctx: Any) -> Journal:
    """Group the journal's errors since yesterday."""
    day: date = ctx.params["date"]
    since = datetime.combine(day - timedelta(days=1), time()).astimezone()
    until = datetime.combine(day + timedelta(days=1), time()).astimezone()
    return journal.measure(since, min(until, datetime.now(UTC)))


def fetch_store(ctx: Any) -> StoreDay:
    """Read the last day's runs, failures, retries and slowest steps from our own store."""
    midnight = datetime.combine(ctx.params["date"] + timedelta(days=1), time()).astimezone()
    until = min(midnight, datetime.now(UTC))
    return runs.measure(ctx.paths.store_url, until - timedelta(days=1), until, but=ctx.run_id)


def transform(ctx: Any) -> Day:
    """Turn what was measured into findings, worst first, and compare it with earlier days."""
    now, day = datetime.now(UTC), ctx.params["date"]
    machine, waiting, units, errors, store = (ctx.get(name) for name in FETCHES)
    figures = trend.figures(
        day.isoformat(),
        now.isoformat(timespec="seconds"),
        host=machine,
        packages=waiting,
        services=units,
        journal=errors,
        store=store,
    )
    earlier = trend.load_earlier(ctx.paths.home / "reports", day, figures["host"])
    growth = trend.growth(earlier, figures, machine)
    found = order(
        [
            *(findings.of_host(machine) if machine else ()),
            *findings.of_growth(growth),
            *(findings.of_services(units) if units else ()),
            *(findings.of_store(store) if store else ()),
            *(findings.of_packages(waiting, now) if waiting else ()),
            *(findings.of_journal(errors) if errors else ()),
        ]
    )
    figures["findings"] = len(found)
    reasons = records.notes(ctx.paths.store_url, ctx.run_id, "skipped")
    ctx.log.info("%s", headline(found, figures["host"] or "this machine"))
    return Day(
        date=day.isoformat(),
        measured_at=figures["measured_at"],
        name=figures["host"] or "this machine",
        run=ctx.run_id,
        host=machine,
        packages=waiting,
        services=units,
        journal=errors,
        store=store,
        skipped={name: reasons.get(name) or "skipped" for name in FETCHES if ctx.get(name) is None},
        findings=found,
        figures=figures,
        before=trend.last_before(earlier, day),
        growth=growth,
    )


def report(ctx: Any) -> str:
    """Write the page, the digest, and the day's figures for the days to come."""
    day: Day = ctx["transform"]
    stem = ctx.paths.home / "reports" / f"daily-{day['date']}"
    with ctx.output(f"{stem}.html") as file:
        file.write(page(day))
    with ctx.output(f"{stem}.txt") as file:
        file.write(digest(day))
    with ctx.output(f"{stem}.json") as file:
        json.dump(day["figures"], file, indent=1)
    return f"{stem}.html"


def backup(ctx: Any) -> Backup:
    """Save the store and the named paths in a dated archive, read back and verified."""
    folder = ctx.paths.home / "backups"
    return backups.write(
        ctx.paths.store_url,
        backups.named_paths(ctx.params["backup_paths"], ctx.paths.root),
        folder,
        f"daily-{ctx.params['date'].isoformat()}.tar.gz",
        folder / f"{backups.SCRATCH}-{ctx.run_id}-{ctx.attempt}",
        ctx.output,
    )


def deliver(ctx: Any) -> list[str]:
    """Put a copy into the outbox, send it where a channel is configured, drop old archives."""
    day, saved = ctx["transform"], ctx["backup"]
    for gone in backups.prune(ctx.paths.home / "backups", keep=Path(saved["archive"]).name):
        ctx.log.info("removed the old archive %s", gone)
    outbox = ctx.paths.home / "outbox"
    stem = outbox / f"daily-{day['date']}"
    with ctx.output(f"{stem}.html") as file:
        file.write(page(day, saved))
    with ctx.output(f"{stem}.txt") as file:
        file.write(digest(day, saved))
    sent = Sent(Path(f"{stem}.sent.json"), ctx.idempotency_key)
    said = send(message(day, saved), settings_of(ctx), sent)
    ctx.log.info("delivered %s.html and .txt", stem)
    for line in said:
        ctx.log.info("%s", line)
    return [f"{stem}.html", f"{stem}.txt", *said]


workflow = Workflow(
    "daily",
    description="The daily operations report of this machine.",
    schedule="*-*-* 08:00:00",
    alert_on="failure",  # on other days `deliver` has sent the report itself
    params={
        "date": Param(date, default="today", help="the day the report is for"),
        "backup_paths": Param(
            str, default="", help="files and folders to save, separated by ':' or ','"
        ),
    },
)
for fetch in (fetch_host, fetch_packages, fetch_services, fetch_journal, fetch_store):
    workflow.add(Step(fetch.__name__, fetch, timeout="2m"))
workflow.add(Step("transform", transform, depends_on=FETCHES, trigger_rule=TriggerRule.NONE_FAILED))
workflow.add(Step("report", report, depends_on=["transform"]))
workflow.add(
    Step(
        "backup",
        backup,
        timeout="1h",
        # Not ValueError: a path that is not there will not be there in two seconds.
        retry_on=(OSError, RuntimeError),
    )
)
workflow.add(Step("deliver", deliver, depends_on=["report", "backup", "transform"], timeout="2m"))
