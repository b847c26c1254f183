"""Times are shown in the zone of their run or their schedule, wherever a person sees one."""

from __future__ import annotations

import logging
import sys
import time  # noqa: TID251 - its `tzset`
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from datetime import UTC, date, datetime, tzinfo
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from engine import Step, Workflow
from engine.alert import AlertKind, AlertRow, Due
from engine.alerts.blocks import render_slack
from engine.alerts.kinds import of_alert
from engine.alerts.letter import render_html, render_plain
from engine.cli import compare, pausing
from engine.cli.log_lines import LineFormatter
from engine.cli.main import run_command
from engine.errors import UsageError
from engine.logs import RunLogs
from engine.model import Definition
from engine.moments import microseconds
from engine.ports import Paths
from engine.serve.answers import Answers, Page
from engine.session.alert_facts import told_of
from engine.session.deciding.asked import today_of
from engine.session.schedules import missing
from engine.text import human_time
from store import slots
from store.database import open_reader, open_writer
from store.history import History
from store.memory import memory_store
from tests.fakes import FakeClock
from tests.store.filled import a_run, begun, did, end, us

FAR = "Pacific/Kiritimati"
AT = 72_000.0  # 2011-11-14 20:00 UTC: 14:00 in Chicago, and the next day in Kiritimati
MADE = f"""
INSERT INTO schedule_rows VALUES ('far', '08:00', '{FAR}', 0, '{{}}');
INSERT INTO schedule_rows VALUES ('gone', '2011-11-15 08:00', '{FAR}', 1, '{{}}');
INSERT INTO pause_rows (workflow, paused_at, paused_by, until, reason)
VALUES ('far', 0, 'ann', 4102394400000000, '');
INSERT INTO incident_rows (workflow, step, fingerprint, error, opened_at, opened_run, last_at,
  last_run, failures, thread)
VALUES ('far', 'a', 'x', 'no luck', {us(AT)}, 1, {us(AT)}, 1, 1, '{{}}');
"""
YAML = f"steps:\n  - name: a\n    command: echo\ntz: {FAR}\nschedule: '08:00'\n"


@pytest.fixture
def clock_of(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Give what sets the machine's zone, for this test."""
    with monkeypatch.context() as patched:

        def in_zone(name: str) -> None:
            patched.setenv("TZ", name)
            time.tzset()

        yield in_zone
    time.tzset()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a run of a workflow in Kiritimati, and a day later one of a workflow without a zone."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "pipelines").mkdir()
    (folder / "pipelines" / "far.yaml").write_text(YAML)
    with closing(open_writer(folder / "var" / "runs.db")) as database:
        journal = begun(database, "a", at=AT, workflow="far", zone=FAR, slot=us(AT))
        did(journal, 0, at=AT, took=2.0, outcomes="failed")
        end(journal, "failed", at=AT + 2.0)
        a_run(database, at=AT + 86_400, workflow="plain")
        database.raw.executescript(MADE)
    return folder


@pytest.fixture
def home(made: Path, clock_of: Callable[[str], None], monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give that project, on a machine in Chicago."""
    monkeypatch.setattr(sys, "path", [*sys.path])  # commands add the project's root
    monkeypatch.setattr(missing, "GRACE_S", 0)  # the machine may have started just now
    monkeypatch.setenv("COLUMNS", "200")
    clock_of("America/Chicago")
    return made


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("history", [" 2011-11-15 10:00 Pacific/Kiritimati  ", " 2011-11-15 14:00  "]),
        ("history far", ["  STARTED (Pacific/Kiritimati)  ", " 2011-11-15 10:00  "]),
        (
            "show 1",
            [
                "  slot       2011-11-15 10:00\n",
                "  started    2011-11-15 10:00 Pacific/Kiritimati\n",
                "  finished   2011-11-15 10:00\n",
            ],
        ),
        ("why 1 a", ["(times: Pacific/Kiritimati)\n", "  2011-11-15 10:00:02.000  it failed: "]),
        ("incidents", ["  open since 2011-11-15 10:00 +14  "]),
        ("list", ["08:00 Pacific/Kiritimati", "far is paused by ann until 2100-01-01 00:00 +14\n"]),
        ("watch", ["gone: the run of 2011-11-15 08:00 +14 never came\n"]),
        (
            "report 1 --html -",
            [">2011-11-15 10:00:00 +14</time>", ">2011-11-15 10:00:02 +14</time>"],
        ),
        ("history far --since 2011-11-15", [" 2011-11-15 10:00  "]),
        ("history far --since 2011-11-15T10:01", ["no runs of 'far' to show\n"]),
        ("report 1 --json", ['"started": "2011-11-14T20:00:00.000Z"', f'"zone": "{FAR}"']),
    ],
)
def test_commands(
    home: Path, capsys: pytest.CaptureFixture[str], words: str, told: list[str]
) -> None:
    """By the clock of the run's zone, which says its name; what programs read stays UTC."""
    options = ["--home", str(home / "var"), "--pipelines", str(home / "pipelines")]
    run_command([*words.split(), *options])
    out = capsys.readouterr().out
    assert [text for text in told if text not in out] == [], out
    assert "2011-11-14 14:00" not in out


class _Known:
    """Stands for files that have been read."""

    is_whole = True

    def known(self) -> Mapping[str, Any]:
        return {}


def _answers(home: Path) -> Answers:
    paths = Paths(home, home / "var", f"sqlite:///{home}/var/runs.db")
    known: Any = _Known()
    return Answers(paths, known, {}, ("kahnban",))


@pytest.mark.parametrize(
    ("page", "told"),
    [
        (lambda made: made.first(), ">2011-11-15 10:00 +14<"),
        (lambda made: made.runs({}), ">2011-11-15 10:00 +14<"),
        (lambda made: made.runs({}), ">2011-11-15 14:00<"),
        (lambda made: made.runs({}), "Days begin by the clock of this machine (C"),
        (lambda made: made.runs({}), "<label>Since (C"),
        (lambda made: made.workflow("far"), ">2011-11-15 10:00 +14<"),
        (lambda made: made.step("far", "a"), ">2011-11-15 10:00 +14<"),
        (lambda made: made.run(1), ">2011-11-15 10:00:00 +14<"),
    ],
)
def test_pages(home: Path, page: Callable[[Answers], Page], told: str) -> None:
    """Each row tells its run's time and the zone; days are those of the machine, and say so."""
    body = str(page(_answers(home)).body)
    assert told in body
    assert "2011-11-14 14:00" not in body


def test_alerts(home: Path) -> None:
    """Slack, and both forms of a letter, say the zone of a run, and so of an incident of it."""
    facts = {"incident": 1, "workflow": "far", "step": "a", "error": "no luck", "failures": 1}
    facts |= {"opened": "2011-11-14T20:00:00Z", "opened_run": 1}
    with closing(open_reader(home / "var" / "runs.db")) as database:
        for kind in (AlertKind.RUN, AlertKind.REMINDER, AlertKind.CLOSED):
            due = Due(1, kind, "", facts)
            payload = told_of(History(database), due, _answers(home).environment())
            content = of_alert(AlertRow(1, "slack", payload, 0, kind=kind))
            texts = [str(render_slack(content)), render_plain(content), render_html(content)]
            assert all("2011-11-15 10:00 +14" in text for text in texts), kind


# -- logs, and changes of the clock ---------------------------------------------------------------


def _head(at: str, *, zone: tzinfo | None = None, kept: bool = False) -> str:
    lines = LineFormatter(str, kept=kept)
    lines.zone = zone
    record = logging.LogRecord("engine.run", logging.INFO, "", 0, "x", None, None)
    record.created = datetime.fromisoformat(at).timestamp()
    return lines.format(record).removesuffix(" INFO    x")


def test_lines_of_logs(clock_of: Callable[[str], None], tmp_path: Path) -> None:
    """The console says a zone that is not the machine's; files have the offset of each time."""
    clock_of("America/Chicago")
    at, far = "2011-11-14T20:00:00Z", ZoneInfo(FAR)
    assert _head(at) == "14:00:00"
    assert _head(at, zone=ZoneInfo("America/Chicago")) == "14:00:00"
    assert _head(at, zone=far) == "10:00:00 +14"
    assert _head(at, kept=True) == "2011-11-14 14:00:00-06:00"
    assert _head(at, zone=far, kept=True) == "2011-11-15 10:00:00+14:00"
    clock: Any = FakeClock(AT)
    log = RunLogs(tmp_path, run_id=1, clock=clock, mask=str, zone=far).open("a", 1)
    log.write("hi\n")
    log.close()
    assert log.path.read_text() == "10:00:00+14:00 out     hi\n"


@pytest.mark.parametrize("zone", [None, ZoneInfo("Europe/Berlin")])
def test_an_hour_that_comes_twice(clock_of: Callable[[str], None], zone: tzinfo | None) -> None:
    """Where the clock is set back, a time says which it is; as it is set forward it needs not."""
    clock_of("Europe/Berlin")
    autumn = [f"2026-10-25T{utc}:00Z" for utc in ("23:59", "00:30", "01:30", "02:00")]
    assert [_head(at, zone=zone) for at in autumn[1:]] == [
        "02:30:00 CEST",
        "02:30:00 CET",
        "03:00:00",
    ]
    assert _head(autumn[1], zone=zone, kept=True) == "2026-10-25 02:30:00+02:00"
    assert _head(autumn[2], zone=zone, kept=True) == "2026-10-25 02:30:00+01:00"
    spring = [f"2026-03-29T{utc}:00Z" for utc in ("00:59", "01:00")]
    assert [_head(at, zone=zone) for at in spring] == ["01:59:00", "03:00:00"]
    now = datetime(2026, 10, 25, 12, tzinfo=UTC)
    told = [human_time(at, now, zone, says_zone=True) for at in (*autumn[1:3], *spring)]
    assert told == [
        "today 02:30 CEST",
        "today 02:30 CET",
        "2026-03-29 01:59",
        "2026-03-29 03:00",
    ]
    moments = [microseconds(datetime.fromisoformat(at)) for at in autumn[1:]]
    told = [compare._moment(at, now, zone) for at in moments]
    assert told == ["02:30:00 CEST", "02:30:00 CET", "03:00:00"]
    assert human_time("9999-12-31T23:59:59Z", now, zone) == "9999-12-31T23:59:59Z"


def test_a_pause_ends_by_the_clock_of_the_workflow(clock_of: Callable[[str], None]) -> None:
    """A date alone is the midnight of its zone, else of the machine; too far a date is refused."""
    clock_of("America/Chicago")
    now = datetime(2011, 11, 14, 20, tzinfo=UTC)
    far, plain = Definition("far", (), tz=FAR), Definition("plain", ())
    assert pausing._until(far, "2011-11-16", now) == us(34 * 3_600.0)
    assert pausing._until(plain, "2011-11-16", now) == us(54 * 3_600.0)
    for text, told in (
        ("2011-11-15 09:59", "is past"),
        ("0001-01-01", "is past"),
        ("9999-12-31", "is too far ahead"),
    ):
        with pytest.raises(UsageError) as caught:
            pausing._until(far, text, now)
        assert caught.value.message == f"--until {text} {told}"


def test_a_schedules_zone_is_its_workflows() -> None:
    """It may be named at either place, and decides the same: `today`, too."""
    for schedule, tz in (("08:00", FAR), (f"0 8 * * * {FAR}", None), (f"08:00 {FAR}", FAR)):
        workflow = Workflow("far", schedule=schedule, tz=tz).add(Step("a", print))
        clock: Any = FakeClock(AT)
        assert today_of(workflow.definition(), clock) == date(2011, 11, 15), schedule
    assert Workflow("near", schedule="08:00").tz is None


def test_what_is_no_runs_goes_by_the_schedule() -> None:
    """As it was noted last, be it the machine's; without a schedule by the newest run."""
    with closing(memory_store(Path("/proc/none/runs.db"))) as database:
        for workflow in ("noted", "here", "never noted"):
            a_run(database, workflow=workflow, zone="Asia/Tokyo")
            a_run(database, workflow=workflow, zone=FAR)
        with database.write() as cursor:
            slots.note(cursor, "noted", ("08:00", "Europe/Berlin"), {}, 0)
            slots.note(cursor, "here", ("08:00", ""), {}, 0)
        names = map(History(database).zone_name, ("noted", "here", "never noted", "unknown"))
        assert list(names) == ["Europe/Berlin", "", FAR, ""]
