"""The report: what was found, the gravest first, with what to do; as text and as JSON."""

from __future__ import annotations

import json
import platform
import shlex
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from pipelines._housekeeping.shapes import Certificates, Disks, LargeFiles, Logins
from pipelines._machine import records, units
from pipelines._machine.findings import (
    Finding,
    Limits,
    Measure,
    headline,
    judge,
    of_disk,
    of_growing,
    order,
)
from pipelines._machine.text import section, seen, told

STEPS = {
    "prune": "old runs",
    "disks": "disks",
    "large_files": "large new files",
    "logins": "failed logins",
    "find_certificates": "certificates",
    "certificates": "certificates",
}
LOOKS = ("disks", "large_files", "logins", "find_certificates", "certificates")
FAILED_LOGINS = Limits(20, None, None)  # a machine on the internet has more every day
CAME_IN = Limits(None, 1, None)
LARGE_FILES = Limits(1, None, None)
STUCK = Limits(None, 1, None)
BROKEN = Limits(None, 1, None)
EXPIRES_DAYS_URGENT = 7


def write(ctx: Any) -> dict[str, Any]:
    """Judge what the looks have found, and write it down; what nobody looked at is named."""
    found = {name: ctx.get(name) for name in LOOKS}
    findings = order(list(judged(found, ctx.get("pruned"), ctx.params["expiry_days"])))
    now = datetime.now(UTC).astimezone()
    said = headline(findings, platform.node() or "this machine")
    missing = [*_not_run(ctx, found), *_incomplete(found)]
    stem = ctx.paths.home / "reports" / f"housekeeping-{now.date().isoformat()}"
    with ctx.output(f"{stem}.txt") as file:
        file.write(text(said, now, findings, found, told_of_pruning(ctx.get("pruned")), missing))
    with ctx.output(f"{stem}.json") as file:
        kept: dict[str, Any] = {"measured_at": now.isoformat(timespec="seconds"), "headline": said}
        kept |= {"findings": findings, "not_looked_at": missing, "pruned": ctx.get("pruned")}
        json.dump(kept | found, file, indent=1, ensure_ascii=False)
    ctx.log.info("%s: %s.txt", said, stem)
    urgent = sum(one["severity"] == "critical" for one in findings)
    return {"findings": len(findings), "urgent": urgent, "headline": said, "json": f"{stem}.json"}


# -- judging --------------------------------------------------------------------------------------


def judged(found: dict[str, Any], pruned: Any, expiry_days: int) -> Iterator[Finding]:
    """Turn all that was found into findings."""
    if found["disks"]:
        yield from of_disks(found["disks"])
    if found["certificates"]:
        yield from of_certificates(found["certificates"], expiry_days)
        for path in found["certificates"]["broken"]:
            yield from of_broken(path)
    if found["logins"]:
        yield from of_logins(found["logins"])
    if found["large_files"]:
        yield from of_files(found["large_files"])
    stuck = [text for one in (pruned or {}).get("workflows", ()) for text in one["stuck"]]
    if stuck:
        yield from judge(
            Measure(STUCK, len(stuck), units.several(len(stuck), "path")),
            what="old runs could not be let go",
            where=stuck[0],
            todo="see who owns the logs and reports in the engine's home",
        )


def of_disks(disks: Disks) -> Iterator[Finding]:
    """Judge how full disks are, and where they are heading."""
    for disk in disks["disks"]:
        yield from of_disk(disk)
    for one in disks["growth"]:
        yield from of_growing(one)


def of_certificates(known: Certificates, expiry_days: int) -> Iterator[Finding]:
    """Judge each certificate by the days it has left."""
    limits = Limits(None, expiry_days, EXPIRES_DAYS_URGENT)
    for one in known["certificates"]:
        left, day = one["days_left"], one["expires_at"][:10]
        if left <= 0:
            what, shown = "a certificate has expired", f"on {day}"
        else:
            what, shown = "a certificate is about to expire", f"{units.days(left)} left, to {day}"
        path = one["path"]
        renew = "certbot renew" if "/letsencrypt/" in path else "renew it, then reload its servers"
        yield from judge(
            Measure(limits, left, shown, " days", falling=True),
            what=f"{what}: {one['subject']}",
            where=path,
            todo=f"{renew}; look at it with: openssl x509 -noout -text -in {shlex.quote(path)}",
        )


def of_broken(path: str) -> Iterator[Finding]:
    """Tell of a file that a server is told to use, and cannot."""
    yield from judge(
        Measure(BROKEN, 1, "openssl finds no certificate in it"),
        what="a server's certificate is broken",
        where=path,
        todo=f"put a sound one there; see: openssl x509 -noout -text -in {shlex.quote(path)}",
    )


def of_logins(logins: Logins) -> Iterator[Finding]:
    """Judge how often somebody failed to log in, and whether one of them came in at last."""
    sources = dict.fromkeys(one["source"] for one in logins["tries"] if one["came_in"])
    for source in sources:
        tries = sum(one["count"] for one in logins["tries"] if one["source"] == source)
        yield from judge(
            Measure(CAME_IN, 1, f"{units.several(tries, 'failed try', 'failed tries')} before"),
            what="a login after many failed ones",
            where=source,
            todo="ask who that was; see: last -i; if nobody knows, change the password",
        )
    more = " or more" if logins["cut"] else ""
    yield from judge(
        Measure(FAILED_LOGINS, logins["total"], units.several(logins["total"], "time") + more),
        what="somebody tried to log in and failed",
        where=f"from {units.several(logins['sources'], 'source')}, by {logins['log']}",
        todo="allow keys only (PasswordAuthentication no), or limit who may connect",
    )


def of_files(large: LargeFiles) -> Iterator[Finding]:
    """Tell of large new files as one finding; the list follows below."""
    if large["files"]:
        path = large["files"][0]["path"]
        yield from judge(
            Measure(LARGE_FILES, large["count"], f"{units.size(large['total_bytes'])} in all"),
            what=units.several(large["count"], "large new file"),
            where=f"the largest is {path}",
            todo=f"remove what nobody needs; see: ls -l {shlex.quote(path)}",
        )


# -- what was not looked at -----------------------------------------------------------------------


def _not_run(ctx: Any, found: dict[str, Any]) -> list[str]:
    """Name the looks that were skipped or failed, with the reason."""
    reasons: dict[str, str] = {}
    for status in ("skipped", "failed"):
        reasons |= records.notes(ctx.paths.store_url, ctx.run_id, status)
    if found["find_certificates"] and not found["find_certificates"]["count"]:
        reasons.pop("certificates", None)  # there was nothing to look at
    return [f"{STEPS[name]}: {why}" for name, why in reasons.items() if name in STEPS]


def _incomplete(found: dict[str, Any]) -> Iterator[str]:
    """Say where a look did not see all."""
    large: LargeFiles | None = found["large_files"]
    if large and large["left"]:
        folders = units.several(large["left"], "folder")
        yield f"large new files: {folders} and what is below, for want of time (walk_s)"
    if large and large["unread"]:
        yield f"large new files: {units.several(large['unread'], 'folder')} closed to this user"
    looks = (found["find_certificates"], found["certificates"])
    unread = [path for look in looks if look for path in look["unread"]]
    if unread:
        yield f"certificates: not there, or closed to this user: {units.names(unread)}"


# -- text -----------------------------------------------------------------------------------------


def text(
    said: str,
    now: datetime,
    findings: list[Finding],
    found: dict[str, Any],
    pruned: list[str],
    missing: list[str],
) -> str:
    """Give the report as plain text."""
    when = f"{units.weekday(now.date().isoformat())}, {now:%H:%M}"
    parts = [
        f"{said}\n{when}" + ("\nNot all was looked at: see the end." if missing else ""),
        told(findings),
        section("Disks", list(_disk_lines(found["disks"]))),
        section("Certificates", list(_certificate_lines(found))),
        section("Failed logins", list(_login_lines(found["logins"]))),
        section("Large new files", list(_file_lines(found["large_files"]))),
        section("Old runs", pruned),
        section("Not looked at", missing),
    ]
    return seen("\n\n".join(part for part in parts if part)) + "\n"


def _disk_lines(disks: Disks | None) -> Iterator[str]:
    heading = {one["mount"]: one for one in (disks["growth"] if disks else ())}
    for disk in disks["disks"] if disks else ():
        line = f"{units.percent(disk['used_percent']):>6}  {disk['mount']}"
        line += f", {units.size(disk['free_bytes'])} free"
        one = heading.get(disk["mount"])
        if one and one["days_until_full"] is not None:
            line += f", full in about {units.days(one['days_until_full'])}"
        yield line


def _certificate_lines(found: dict[str, Any]) -> Iterator[str]:
    if found["find_certificates"] and not found["find_certificates"]["count"]:
        yield "none found"
    known: Certificates | None = found["certificates"]
    for one in known["certificates"] if known else ():
        yield f"{one['expires_at'][:10]}  {one['subject']}  {one['path']}"


def _login_lines(logins: Logins | None) -> Iterator[str]:
    if logins and not logins["total"]:
        yield f"none since {logins['since'][:10]}, by {logins['log']}"
    for one in logins["tries"] if logins else ():
        came_in = ", then came in" if one["came_in"] else ""
        yield f"{one['count']:>6,} × {one['user']} from {one['source']}{came_in}"


def _file_lines(large: LargeFiles | None) -> Iterator[str]:
    for one in large["files"] if large else ():
        yield f"{units.size(one['size_bytes']):>7}  {one['changed_at'][:10]}  {one['path']}"
    if large and large["count"] > len(large["files"]):
        yield f"and {large['count'] - len(large['files']):,} more"


def told_of_pruning(pruned: Any) -> list[str]:
    """Say which runs are gone, by what `db prune --json` has said."""
    lines = []
    for one in (pruned or {}).get("workflows", ()):
        count = len(one["runs"]) + len(one["rows_kept"])
        size = units.size(one["value_bytes"] + one["file_bytes"])
        lines.append(f"{one['workflow']}: {units.several(count, 'run')} let go, {size}")
    if pruned is not None and not lines:
        lines.append("none was due to go")
    return lines
