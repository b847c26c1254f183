"""Failed systemd units."""

from __future__ import annotations

from pathlib import Path

from engine import Skip
from pipelines._daily.shapes import Services, Unit
from pipelines._machine.commands import look

RUNNING = Path("/run/systemd/system")  # the documented sign that systemd is the init system


def measure() -> Services:
    """Ask systemd for its failed units; skips where systemd does not run."""
    if not RUNNING.is_dir():
        raise Skip("systemd is not running here")
    state, _ = look(("systemctl", "is-system-running"), ok=tuple(range(5)))
    listed, _ = look(
        ("systemctl", "list-units", "--failed", "--all", "--no-legend", "--plain", "--no-pager")
    )
    failed = parse_units(listed)
    if failed:
        wanted = "--property=Id,Result,StateChangeTimestamp"
        names = [unit["name"] for unit in failed]
        shown, _ = look(("systemctl", "show", wanted, "--", *names))
        failed = with_details(failed, shown)
    return Services(state=state.strip() or "unknown", failed=failed)


def parse_units(text: str) -> list[Unit]:
    """Read `systemctl list-units --plain --no-legend`: unit, load, active, sub, description."""
    units = []
    for line in text.splitlines():
        words = line.lstrip("●*x ").split(None, 4)
        if len(words) >= 4 and words[2] == "failed":
            name, description = words[0], words[4] if len(words) > 4 else ""
            units.append(Unit(name=name, description=description.strip(), result="", since=""))
    return sorted(units, key=lambda unit: unit["name"])


def with_details(units: list[Unit], shown: str) -> list[Unit]:
    """Add result and time of each unit, by its Id, from `systemctl show`."""
    details: dict[str, dict[str, str]] = {}
    for block in shown.split("\n\n"):
        fields = dict(line.partition("=")[::2] for line in block.splitlines() if "=" in line)
        details[fields.get("Id", "")] = fields
    return [
        Unit(
            name=unit["name"],
            description=unit["description"],
            result=details.get(unit["name"], {}).get("Result", ""),
            since=details.get(unit["name"], {}).get("StateChangeTimestamp", ""),
        )
        for unit in units
    ]
