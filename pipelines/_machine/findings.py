"""Findings: what is wrong, how wrong, and what to do about it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import NamedTuple, TypedDict

from pipelines._machine import units
from pipelines._machine.disks import Disk
from pipelines._machine.growth import Growth

SEVERITIES = ("critical", "warning", "notice", "ok")  # worst first


class Limits(NamedTuple):
    """From which value on something is a notice, a warning, critical; None: never."""

    notice: float | None
    warning: float | None
    critical: float | None

    def reached(self, value: float, *, falling: bool = False) -> tuple[str, float] | None:
        """Give the gravest limit reached, with its severity; `falling`: less is worse."""
        for severity in SEVERITIES[:3]:
            limit = getattr(self, severity)
            if limit is not None and (value <= limit if falling else value >= limit):
                return severity, limit
        return None


SPACE_PERCENT = Limits(80, 90, 95)  # of what a plain user can have
INODES_PERCENT = Limits(80, 90, 95)
DAYS_UNTIL_FULL = Limits(30, 14, 3)  # at the rate of the last days; fewer is worse


class Finding(TypedDict):
    """Something to know: how bad, what, where, its value, the limit, and what to do.

    The limit is `none` where there should be nothing of the kind at all.
    """

    severity: str
    what: str
    where: str
    value: str
    threshold: str
    todo: str


def order(findings: list[Finding]) -> list[Finding]:
    """Put the worst first; equals keep the order in which they were found."""
    return sorted(findings, key=lambda finding: SEVERITIES.index(finding["severity"]))


def worst(findings: list[Finding]) -> str:
    """Give the severity of the whole day."""
    return order(findings)[0]["severity"] if findings else "ok"


def headline(findings: list[Finding], name: str) -> str:
    """Say the day in one sentence."""
    count = dict.fromkeys(SEVERITIES, 0)
    for finding in findings:
        count[finding["severity"]] += 1
    if count["critical"]:
        things = units.several(count["critical"], "thing")
        return f"{things} on {name} cannot wait"
    if count["warning"]:
        things = units.several(count["warning"], "thing")
        verb = "needs" if count["warning"] == 1 else "need"
        return f"{things} on {name} {verb} attention"
    if count["notice"]:
        return f"{name} is well; {units.several(count['notice'], 'thing')} to know"
    return f"All is well on {name}"


class Measure(NamedTuple):
    """A value, how it is shown, and the limits it is held against; `falling`: less is worse."""

    limits: Limits
    value: float
    shown: str
    unit: str = ""
    falling: bool = False


def judge(measure: Measure, *, what: str, where: str, todo: str) -> Iterator[Finding]:
    """Give a finding if a limit is reached."""
    reached = measure.limits.reached(measure.value, falling=measure.falling)
    if reached:
        severity, bound = reached
        # A limit of one means that there should be none: "limit 1" would say nothing.
        threshold = f"{bound:g}{measure.unit}" if measure.unit or bound != 1 else "none"
        yield Finding(
            severity=severity,
            what=what,
            where=where,
            value=measure.shown,
            threshold=threshold,
            todo=todo,
        )


def of_disk(disk: Disk) -> Iterator[Finding]:
    """Judge how full a disk is."""
    mount, used = shlex.quote(disk["mount"]), units.percent(disk["used_percent"])
    shown = f"{used}, {units.size(disk['free_bytes'])} free"
    yield from judge(
        Measure(SPACE_PERCENT, disk["used_percent"], shown, " %"),
        what="disk is nearly full",
        where=disk["mount"],
        todo=f"find what fills it with: du -xh -d1 {mount} | sort -h | tail",
    )
    if disk["inodes_percent"] is not None:
        shown = units.percent(disk["inodes_percent"])
        yield from judge(
            Measure(INODES_PERCENT, disk["inodes_percent"], shown, " %"),
            what="disk is nearly out of inodes",
            where=disk["mount"],
            todo=f"find the many small files with: du -x --inodes -d2 {mount} | sort -n | tail",
        )


def of_growing(growth: Growth) -> Iterator[Finding]:
    """Judge where a disk is heading."""
    left = growth["days_until_full"]
    if left is not None:
        shown = f"{units.days(left)} left at {units.size(growth['bytes_per_day'])} a day"
        yield from judge(
            Measure(DAYS_UNTIL_FULL, left, shown, " days", falling=True),
            what="disk is filling up",
            where=growth["mount"],
            todo=f"find what grows under {growth['mount']}, or make room in time",
        )


def limit(finding: Finding) -> str:
    """Give the limit in parentheses, or nothing where any is too many."""
    return "" if finding["threshold"] == "none" else f" (limit {finding['threshold']})"
