"""The units that have `watch` look at all schedules every ten minutes, and its crontab line."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Unpack

from engine.schedule.installed import mark
from engine.schedule.unit_parts import body_of, check, crontab_command, laid_out, needs_of

if TYPE_CHECKING:
    from engine.schedule.unit_parts import Installation

WATCH = "--watch"  # stands where a workflow's name does, and can be none
FOLDER_LENGTH_MAX = 40

_ODD = re.compile(r"[^A-Za-z0-9_.-]+")
_ACTION = ("watch", "--alert")

SERVICE = """\
{mark}
[Unit]
Description=kahnban: watch schedules and runs
{needs}
[Service]
Type=oneshot
TimeoutStartSec=300
{body}
# 1: something is wrong, which it has told; nothing is wrong with the watch itself.
SuccessExitStatus=1
LimitCORE=0
"""

# A slot is missing five minutes after it, and most are at a multiple of five: a minute after that.
TIMER = """\
{mark}
[Unit]
Description=kahnban: when schedules and runs are watched

[Timer]
OnCalendar=*:6/10 UTC
AccuracySec=30s
Unit={service}

[Install]
WantedBy=timers.target
"""
CRON = "6-56/10 * * * *"


def watch_units(**where: Unpack[Installation]) -> dict[str, str]:
    """Give the files of the service and the timer of `watch`, by name; raises as `units`."""
    check(where)
    stem, ours = watch_stem(where), mark(WATCH, where["root"], where["home"])
    service = f"{stem}.service"
    needs, body = needs_of(where), body_of(where, _ACTION, "kahnban.watch")
    return {
        service: SERVICE.format(mark=ours, needs=needs, body=body),
        f"{stem}.timer": TIMER.format(mark=ours, service=service),
    }


def watch_stem(where: Installation) -> str:
    """Give what the files are called, without suffix: after the project's folder.

    Units of workflows begin with `kahnban-`, so that one called `watch` has others. The digest
    tells projects apart whose folders have the same name.
    """
    folder = _ODD.sub("_", where["root"].name)[:FOLDER_LENGTH_MAX]
    digest = hashlib.sha256(f"{where['root']}\0{where['home']}".encode()).hexdigest()[:8]
    return f"kahnban.watch-{folder}-{digest}"


def watch_cron_line(**where: Unpack[Installation]) -> str:
    """Give the crontab line that does the same without systemd."""
    check(where)
    return f"{CRON} {crontab_command(where, _ACTION)} >/dev/null"


def show_watch(**where: Unpack[Installation]) -> str:
    """Give the units under `# NAME` headers, how to install them, and the crontab line."""
    cron = f"# Without systemd, in a crontab:\n{watch_cron_line(**where)}"
    return laid_out(watch_units(**where), "schedule install --watch", where, cron)
