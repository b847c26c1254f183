"""The text of systemd units and crontab lines that run a workflow on its schedule."""

from __future__ import annotations

import hashlib
import re
import shlex
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NotRequired, TypedDict, Unpack

from engine.errors import UsageError
from engine.schedule.calendar import ScheduleRefused, timer_text
from engine.schedule.cron import hourly_fields
from engine.schedule.firings import offset
from engine.schedule.hardening import hardened, read_hardening
from engine.schedule.installed import mark
from engine.schedule.reading import Schedule, cron_of, schedule_of
from engine.schedule.wakeups import YEARS, wakeups
from engine.schedule.zones import checked_zone, machine_zone

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.model import Definition

_SQLITE = "sqlite:///"
STEM_BYTES_MAX = 230  # of the 255 of a unit's name, with room for ".alerts" and ".service"

# systemd refuses quotes, backslashes and glob characters in a program's path and never undoes `$$`
# in it: such a path reaches the kernel as an argument of sh.
SH = ("/bin/sh", "-c", 'exec "$0" "$@"')
_ODD_PROGRAM = re.compile(r"[\"'\\*?\[$]")
_PLAIN_WORD = re.compile(r"[A-Za-z0-9_./:=,@+-]+\Z")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_PASSWORD = re.compile(r"://[^/@]*:[^/@]+@|pass(?:word|wd)?=", re.IGNORECASE)

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


class Installation(TypedDict):
    """Where and as whom the workflow is to run.

    `command` holds the program's words, the first an absolute path; `user` goes with `system`
    (units of the machine), without which the units are for the user's own systemd.
    """

    command: Sequence[str]
    root: Path
    home: Path
    store_url: str | None
    user: str | None
    system: bool
    pipelines: NotRequired[Path | None]


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
    words = words_of(where, ("run", definition.name, "--scheduled", "-q"))
    command = f"cd {shlex.quote(str(where['root']))} && {shlex.join(words)}"
    try:
        fields = cron_of(schedule)
    except ScheduleRefused as why:
        return f"# cron cannot say {why}: no crontab line for '{schedule.text}'"
    told: list[str] = []
    if any(shifts := _shifts(schedule)):
        minutes = {minute for calendar in schedule.calendars for minute in calendar.minutes}
        fields = (hourly_fields((minute - shift) % 60 for minute in minutes for shift in shifts),)
        told = [f"# Each hour, as cron has no {schedule.zone}: what is not due yet is not run."]
    return "\n".join([*(f"{each} {command.replace('%', chr(92) + '%')}" for each in fields), *told])


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
    files = units(definition, **where)
    parts = [f"# {name}\n{text}" for name, text in files.items()]
    parts.append(how_to_install(f"{unit_stem(definition.name)}.timer", "schedule install", where))
    cron = cron_line(definition, **where)
    how = "# Without systemd, in a crontab (what is missed is caught up by the next start):"
    parts.append(f"{how}\n{cron}\n")
    return "\n".join(parts)


def how_to_install(timer: str, command: str, where: Installation) -> str:
    """Say which command installs units with this timer, and how it is done by hand."""
    if where["system"]:
        folder, systemctl, last = "/etc/systemd/system", "systemctl", ""
    else:
        folder, systemctl = "~/.config/systemd/user", "systemctl --user"
        last = "#   loginctl enable-linger        # run while you are logged out, too\n"
    return (
        f"# `{command}` does all of this. By hand, save each part under its name in\n"
        f"# {folder}, then:\n"
        f"#   {systemctl} daemon-reload\n"
        f"#   {systemctl} enable --now {shlex.quote(timer)}\n"
        f"{last}"
    )


def needs_of(where: Installation) -> str:
    """Say what must be up first; the user's own systemd knows neither network nor mounts."""
    if not where["system"]:
        return ""
    folders = dict.fromkeys((str(where["root"]), str(where["home"])))
    return (
        "Wants=network-online.target\n"
        "After=network-online.target\n"
        f"RequiresMountsFor={' '.join(quote_word(each, variables=False) for each in folders)}\n"
    )


def body_of(where: Installation, action: Sequence[str], identifier: str) -> str:
    """Give the lines that run a command of ours, and what its lines in the journal are under."""
    user = f"User={where['user'].replace('%', '%%')}\n" if where["user"] else ""
    return (
        f"{user}"
        f"WorkingDirectory={str(where['root']).replace('%', '%%')}\n"
        "Environment=PYTHONUNBUFFERED=1\n"
        f"ExecStart={exec_line(words_of(where, action))}\n"
        f"SyslogIdentifier={identifier}"
    )


def words_of(where: Installation, action: Sequence[str]) -> list[str]:
    """Give the words of a command of ours, with the places that were chosen."""
    words = [*where["command"], *action, "--home", str(where["home"])]
    if where["store_url"]:
        words += ["--store", where["store_url"]]
    if pipelines := where.get("pipelines"):
        words += ["--pipelines", str(pipelines)]
    return words


def exec_line(words: Sequence[str]) -> str:
    """Write a command as ExecStart= takes it."""
    if _ODD_PROGRAM.search(words[0]):
        words = (*SH, *words)
    program = quote_word(words[0], variables=False)
    return " ".join((program, *(quote_word(word) for word in words[1:])))


def quote_word(word: str, *, variables: bool = True) -> str:
    """Write one word so that systemd reads it back as it is; `variables`: `$` means something."""
    text = word.replace("%", "%%")
    if variables:
        text = text.replace("$", "$$")
    if _PLAIN_WORD.match(word):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def exec_words(line: str) -> list[str]:
    """Read a line of `exec_line` back: the inverse, without the detour through sh."""
    found = re.findall(r'"((?:[^"\\]|\\.)*)"|(\S+)', line)
    words = [re.sub(r"\\(.)", r"\1", quoted) or plain for quoted, plain in found]
    words = [word.replace("%%", "%") for word in words]
    words = [words[0], *(word.replace("$$", "$") for word in words[1:])]
    return words[len(SH) :] if tuple(words[: len(SH)]) == SH else words


def check(where: Installation) -> None:
    """Raise `UsageError` if something cannot be written into a unit."""
    if not where["command"]:
        raise UsageError("no program to schedule", hint="give the words of the command")
    paths = {
        "the program": where["command"][0],
        "the project root": str(where["root"]),
        "the home": str(where["home"]),
    }
    if pipelines := where.get("pipelines"):
        paths["the pipelines folder"] = str(pipelines)
    for what, path in paths.items():
        if not path.startswith("/"):
            raise UsageError(f"{what} {path!r} is no absolute path", hint="give the whole path")
    for word in (*where["command"], *paths.values(), where["store_url"] or "", where["user"] or ""):
        if _CONTROL.search(word):
            raise UsageError(
                f"{word!r} holds a control character and cannot be written into a unit",
                hint="rename it",
            )
    root = str(where["root"])
    if root != root.strip() or root.endswith("\\"):
        raise UsageError(
            f"the project root {root!r} ends in a space or backslash, which systemd cannot name",
            hint="rename the folder",
        )
    _check_secrets_and_user(where)


def _check_secrets_and_user(where: Installation) -> None:
    if where["store_url"] and _PASSWORD.search(where["store_url"]):
        raise UsageError(
            "the store's URL holds a password, and units hold no secrets",
            hint=f"write ENGINE_STORE=URL into {where['home'] / 'env'} and leave --store out",
        )
    if where["user"] and not where["system"]:
        raise UsageError(
            f"user '{where['user']}' given for units of the user's own systemd",
            hint="ask for units of the machine, or leave the user out",
        )
