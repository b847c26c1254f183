"""The text of systemd units and crontab lines that run a workflow on its schedule."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from engine.schedule.calendar import ScheduleRefused, timer_text
from engine.schedule.cron import hourly_fields
from engine.schedule.firings import offset
from engine.schedule.hardening import hardened, read_hardening
from engine.schedule.installed import mark
from engine.schedule.reading import Schedule, cron_of, schedule_of
from engine.schedule.unit_parts import (
    Installation,
    body_of,
    check,
    crontab_command,
    laid_out,
    needs_of,
    quote_word,
)
from engine.schedule.wakeups import YEARS, wakeups
from engine.schedule.zones import checked_zone, machine_zone

if TYPE_CHECKING:
    from engine.model import Definition

_SQLITE = "sqlite:///"
STEM_BYTES_MAX = 230  # of the 255 of a unit's name, with room for ".alerts" and ".service"

SERVICE = """\
{mark}
[Unit]
Description={description}
OnFailure={alerts}
{needs}
[Service]
# oneshot: `systemctl start` waits and tells how the run ended; a run may take as long as it takes.
Type=oneshot
TimeoutStartSec=infinity
{body}
# 75: a run is on already. 143: stopped by systemd; the next run goes on from there.
SuccessExitStatus=75 143
# TERM goes to the engine alone, which ends its steps itself and records how (5 s of grace).
KillMode=mixed
KillSignal=SIGTERM
TimeoutStopSec=30
# A step the kernel kills for its memory fails alone; core dumps would hold secrets.
OOMPolicy=continue
LimitCORE=0
{hardening}"""

# Left out unless the workflow's `hardening` asks for it, as each could stop what a step does when
# run by hand: NoNewPrivileges and all that imply it (sudo, ping), ProtectSystem and ReadWritePaths
# (steps write where they like), PrivateTmp (files shared with others), SystemCallFilter. Left out
# always: PrivateNetwork and IPAddressDeny (no alert would get out), UMask (a published file may be
# for others to read; the engine sets the modes of its own files), MemoryDenyWriteExecute (compiled
# code), MemoryMax and RuntimeMaxSec.

ALERTS = """\
{mark}
[Unit]
Description={description}
{needs}
[Service]
Type=oneshot
TimeoutStartSec=300
{body}
LimitCORE=0
"""

TIMER = """\
{mark}
[Unit]
Description={description}

[Timer]
{calendars}
# A start missed while the machine was off is made up for, once, at the next boot.
Persistent=true
AccuracySec=1s
Unit={service}

[Install]
WantedBy=timers.target
"""


def units(definition: Definition, **where: Unpack[Installation]) -> dict[str, str]:
    """Give the files of the workflow's service, timer and alerts service, by name.

    Raises `UsageError` if there is no schedule or something cannot be written into a unit.
    """
    schedule = schedule_of(definition)
    check(where)
    stem = unit_stem(definition.name)
    service, timer = f"{stem}.service", f"{stem}.timer"
    # `kahnban-NAME-alerts` could be the service of a workflow called `NAME-alerts`.
    alerts = f"kahnban.alerts{stem.removeprefix('kahnban')}.service"
    needs = needs_of(where)
    ours = mark(definition.name, where["root"], where["home"])
    identifier = f"kahnban-{definition.name}"
    return {
        service: SERVICE.format(
            mark=ours,
            description=f"kahnban: run {definition.name}",
            alerts=alerts,
            needs=needs,
            body=body_of(where, ("run", definition.name, "--scheduled"), identifier),
            hardening=_hardening(definition, where),
        ),
        timer: TIMER.format(
            mark=ours,
            description=f"kahnban: when {definition.name} runs",
            calendars=_calendars(schedule),
            service=service,
        ),
        alerts: ALERTS.format(
            mark=ours,
            description=f"kahnban: send the alerts {definition.name} left",
            needs=needs,
            body=body_of(where, ("alerts", "send"), identifier),
        ),
    }


def unit_stem(name: str) -> str:
    """Give what the unit files of workflow `name` are called, without suffix.

    systemd's names are ASCII: other characters are escaped byte by byte, as systemd-escape does.
    """
    stem = "kahnban-" + "".join(
        char if char.isascii() else "".join(f"\\x{byte:02x}" for byte in char.encode())
        for char in name
    )
    if len(stem) <= STEM_BYTES_MAX:
        return stem
    digest = hashlib.sha256(name.encode()).hexdigest()[:16]
    return f"{stem[: STEM_BYTES_MAX - 20].rpartition(chr(92))[0]}-{digest}"


def _hardening(definition: Definition, where: Installation) -> str:
    if not definition.hardening:
        return ""
    folders = [str(where["root"]), str(where["home"])]
    if where["store_url"] and where["store_url"].startswith(_SQLITE):
        folders.append(str(Path(where["store_url"].removeprefix(_SQLITE)).parent))
    writable = [quote_word(each, variables=False) for each in dict.fromkeys(folders)]
    words = read_hardening(definition.hardening)
    return hardened(words, writable, system=where["system"])


def _calendars(schedule: Schedule) -> str:
    zone = f" {schedule.zone}" if schedule.zone else ""
    lines = [f"OnCalendar={timer_text(calendar)}{zone}" for calendar in schedule.calendars]
    if extra := wakeups(schedule):
        lines.append("# Around changes of the clock, where systemd passes over times that are due:")
        lines += [f"OnCalendar={calendar}" for calendar in extra]
    return "\n".join(lines)


def cron_line(definition: Definition, **where: Unpack[Installation]) -> str:
    """Give the lines for a crontab, to be pasted as they are; a comment says what cron cannot.

    `-q` keeps cron from mailing the output of runs that went well.
    """
    schedule = schedule_of(definition)
    check(where)
    command = crontab_command(where, ("run", definition.name, "--scheduled", "-q"))
    try:
        fields = cron_of(schedule)
    except ScheduleRefused as why:
        return f"# cron cannot say {why}: no crontab line for '{schedule.text}'"
    told: list[str] = []
    if any(shifts := _shifts(schedule)):
        minutes = {minute for calendar in schedule.calendars for minute in calendar.minutes}
        hourly = hourly_fields((minute - shift) % 60 for minute in minutes for shift in shifts)
        if fields != (hourly,):
            told = [f"# Each hour, as cron has no {schedule.zone}: what is not due yet is not run."]
        fields = (hourly,)
    return "\n".join([*(f"{each} {command}" for each in fields), *told])


def _shifts(schedule: Schedule) -> set[int]:
    """Give by how many minutes the schedule's zone is ahead of the machine's, through a year."""
    if schedule.zone is None:
        return set()
    days = [datetime(YEARS.start, 1, 1, tzinfo=UTC) + timedelta(days=day) for day in range(366)]
    ours, theirs = checked_zone(schedule.zone), machine_zone()
    apart = (offset(day, ours) - offset(day, theirs) for day in days)
    return {each // timedelta(minutes=1) for each in apart}


def show(definition: Definition, **where: Unpack[Installation]) -> str:
    """Give all units under `# NAME` headers, how to install them, and the crontab line."""
    how = "# Without systemd, in a crontab (what is missed is caught up by the next start):"
    cron = f"{how}\n{cron_line(definition, **where)}"
    return laid_out(units(definition, **where), "schedule install", where, cron)
