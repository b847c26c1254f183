"""Alerts of real runs, sent to a real local web server: what is queued, sent, kept and said."""

from __future__ import annotations

import contextlib
import http.server
import json
import re
import signal
import time
from datetime import datetime
from email.message import EmailMessage
from typing import Any

import pytest

from engine.alerts.slack_limits import faults
from engine.cli.main import run_command
from engine.schedule.unit_parts import exec_words
from store.database import open_writer
from tests.system.alert_servers import Hook, answer, free_port, raw, smtp
from tests.system.alert_servers import hook as webhook
from tests.system.project import Project

FLOW = """\
def body(ctx):
    effect("body")
    if Path("wait").exists():
        time.sleep(20)
    if Path("fail").exists():
        raise ValueError("<!channel> & co")

workflow = Workflow("flow"ALERT_ON).add(Step("work", body, retries=0))
"""


def _flow(project: Project, alert_on: str = "") -> None:
    more = f', alert_on="{alert_on}"' if alert_on else ""
    project.write("flow", FLOW.replace("ALERT_ON", more))


def _texts(hook: Hook) -> list[str]:
    return [body["text"] for body in hook.bodies]


def test_every_outcome_is_told_by_default(project: Project) -> None:
    """An alert per run, after its end; the address is nowhere in the home folder."""
    _flow(project)
    with webhook(answer(200, "ok")) as hook:
        env = {"SLACK_WEBHOOK_URL": hook.url}
        assert project.run("run", "flow", **env).code == 0
        (project.root / "fail").touch()
        assert project.run("run", "flow", **env).code == 1
        told = _texts(hook)
    assert told[0].startswith("flow ok in ")
    assert told[1] == "flow failed: work: ValueError: &lt;!channel&gt; &amp; co"
    assert project.rows("SELECT status, tries FROM alerts") == [("sent", 1), ("sent", 1)]
    for path in project.home.rglob("*"):
        if path.is_file():
            assert b"s3cr3t" not in path.read_bytes(), path


@pytest.mark.parametrize(
    ("alert_on", "told"),
    [("failure", [1, 3]), ("change", [1, 3]), ("always", [0, 1, 3, 4])],
)
def test_alert_on(project: Project, alert_on: str, told: list[int]) -> None:
    """Ok, failed, failed, ok, ok: an incident is opened and closed; the rule is for the others."""
    _flow(project, alert_on)
    outcomes = ["ok", "failed", "failed", "ok", "ok"]
    with webhook(answer(200, "ok")) as hook:
        for outcome in outcomes:
            (project.root / "fail").touch() if outcome == "failed" else (
                project.root / "fail"
            ).unlink(missing_ok=True)
            project.run("run", "flow", "--fresh", SLACK_WEBHOOK_URL=hook.url)
        runs = [row[0] - 1 for row in project.rows("SELECT run_id FROM alerts ORDER BY run_id")]
        assert len(hook.bodies) == len(told)
    assert runs == told


def test_setting_overrides_the_workflow(project: Project) -> None:
    """ENGINE_ALERT_ON goes before alert_on."""
    _flow(project, "always")
    with webhook(answer(200, "ok")) as hook:
        env = {"SLACK_WEBHOOK_URL": hook.url, "ENGINE_ALERT_ON": "failure"}
        assert project.run("run", "flow", **env).code == 0
        assert hook.bodies == []


def test_undelivered_alerts_go_out_later(project: Project) -> None:
    """A server that refuses fails no run; what it missed goes with `alerts send`, word for word."""
    _flow(project)
    assert project.run("run", "flow").code == 0
    project.write("flow", FLOW.replace("ALERT_ON", "").replace("=0)", '=0, version="2")'))
    (project.root / "fail").touch()
    nobody = {"SMTP_URL": f"smtp://127.0.0.1:{free_port()}", "MAIL_TO": "ops@example.com"}
    with webhook(answer(429, "", {"Retry-After": "60"})) as hook:
        result = project.run("run", "flow", SLACK_WEBHOOK_URL=hook.url, **nobody)
        first = hook.bodies[0]
    assert result.code == 1
    assert result.seconds < 8  # 5 s for alerts, and the start
    assert "2 alerts undelivered: see `python -m engine alerts`" in project.run("history").err
    with webhook(answer(200, "ok")) as hook, smtp() as (inbox, port):
        somebody = nobody | {"SMTP_URL": f"smtp://127.0.0.1:{port}"}
        sent = project.run("alerts", "send", SLACK_WEBHOOK_URL=hook.url, **somebody)
        assert (sent.code, sent.out) == (0, "sent 2, failed 0, given up 0\n")
        assert hook.bodies == [first]
    _judge_mail(project, inbox.message())
    assert project.run("alerts").out == "no undelivered alerts\n"
    fields = [entry["text"] for entry in _fields(first)]
    assert fields[0] == "steps: 1 failed"
    assert re.fullmatch(r"duration: [\d.]+m?s, usually [\d.]+m?s", fields[1])
    assert re.fullmatch(r"last success: \d{4}-\d\d-\d\d \d\d:\d\d UTC, run 1", fields[2])


def test_all_that_waits_goes_out(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """However much it is; a claim takes twenty of a channel."""
    _flow(project)
    monkeypatch.chdir(project.root)
    project.home.mkdir()
    with contextlib.closing(open_writer(project.store)) as store, store.write() as cursor:
        sql = "INSERT INTO alert_rows (channel, status, created_at, kind, workflow, facts, tries,"
        sql += " error) VALUES ('slack', 'pending', 1, 'run', 'flow', '{}', 1, '')"
        cursor.executemany(sql, [()] * 21)
    assert run_command(["alerts"]) == 0
    with webhook(answer(200, "ok")) as hook:
        monkeypatch.setenv("SLACK_WEBHOOK_URL", hook.url)
        assert run_command(["alerts", "send"]) == 0
        assert len(hook.bodies) == 21
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["flow  slack  pending  1 try"] * 21 + ["sent 21, failed 0, given up 0"]


def _fields(body: dict[str, Any]) -> list[dict[str, str]]:
    (found,) = [block["fields"] for block in body["blocks"] if "fields" in block]
    return list(found)


def _judge_mail(project: Project, message: EmailMessage) -> None:
    """Hold an email to its digest, and to the page that the run has left, attached to it."""
    assert message["Subject"] == "flow failed: work: ValueError: <!channel> & co"
    body = message.get_body(("plain",))
    assert body is not None
    told = body.get_content().replace("\r", "")
    start = r"flow failed: work\n\nfailed first: work, 1 attempt, [\d.]+m?s, usually [\d.]+m?s\n"
    assert re.match(start + "  ValueError: <!channel> & co\n", told)
    page = project.home / "reports" / "run-2-flow.html"
    assert "\nchanged since the last success\n  'work': version added\n" in told
    assert f"files\n  report: {page}\n" in told
    (attached,) = message.iter_attachments()
    assert attached.get_filename() == "run-2-flow.html"
    assert "ValueError: &lt;!channel&gt; &amp; co" in attached.get_content()


def _on_failure(project: Project) -> list[str]:
    """Give the command of the unit that systemd starts when the run's own has failed."""
    _, _, units = project.run("schedule", "show", "flow").out.partition("OnFailure=")
    name, _, rest = units.partition("\n")
    _, _, unit = rest.partition(f"# {name}\n")
    (line,) = [line for line in unit.split("# To install")[0].splitlines() if "ExecStart=" in line]
    words = exec_words(line.removeprefix("ExecStart="))
    assert words[1:3] == ["-m", "engine"]
    return words[3:]


@pytest.mark.parametrize("by", ["alerts send", "the timer's OnFailure=", "the next run"])
def test_death_of_the_engine_is_told_once(project: Project, by: str) -> None:
    """A killed run's alert goes out with the first that can send it, and not again after that."""
    schedule = ', schedule="*-*-* 08:00:00"'
    project.write("flow", FLOW.replace("ALERT_ON", schedule))
    (project.root / "wait").touch()
    process = project.start("run", "flow")
    project.wait_for_effect("body")
    assert project.stopped(process, signal.SIGKILL).code == -signal.SIGKILL
    (project.root / "wait").unlink()
    with webhook(answer(200, "ok")) as hook:
        env = {"SLACK_WEBHOOK_URL": hook.url}
        if by != "the next run":
            words = ["alerts", "send"] if by == "alerts send" else _on_failure(project)
            assert project.run(*words, **env).out == "sent 1, failed 0, given up 0\n"
            assert len(hook.bodies) == 1
        assert project.run("run", "flow", **env).code == 0
        told = _texts(hook)
    assert project.rows("SELECT status FROM alerts") == [("sent",)] * 2
    assert len(told) == 2
    assert told[0].startswith("flow interrupted at work: its engine died")
    facts = [entry["text"] for entry in _fields(hook.bodies[0])]
    assert facts[0] == "steps: 1 interrupted"
    assert "last success: none" in facts
    assert "run flow --resume 1" in json.dumps(hook.bodies[0])
    assert re.fullmatch(r"flow recovered after 1 failure, [\d.]+m?s", told[1])


KILLED = """
import engine.alerts.lanes, store.outbox

def dies(*args, **more):
    os.kill(os.getpid(), signal.SIGKILL)

if Path("kill").exists():
    WHERE = dies
"""


@pytest.mark.parametrize(
    ("where", "told", "repeated"),
    [
        ("store.outbox.StoredOutbox.claim", 1, False),
        ("engine.alerts.lanes._attempt", 1, True),
        ("store.outbox.StoredOutbox.sent", 2, True),
    ],
    ids=["between commit and claim", "between claim and send", "between send and record"],
)
def test_killed_while_alerting(project: Project, where: str, told: int, repeated: bool) -> None:
    """The run's alert is never lost, comes at most twice, and then says that it may be a repeat."""
    _flow(project)
    path = project.root / "pipelines" / "flow.py"
    path.write_text(path.read_text("utf-8") + KILLED.replace("WHERE", where), encoding="utf-8")
    (project.root / "kill").touch()
    with webhook(answer(200, "ok")) as hook:
        env = {"SLACK_WEBHOOK_URL": hook.url}
        assert project.run("run", "flow", **env).code == -signal.SIGKILL
        assert project.rows("SELECT status FROM runs") == [("ok",)]
        (project.root / "kill").unlink()
        assert project.run("alerts", "send", **env).out == "sent 1, failed 0, given up 0\n"
        texts = _texts(hook)
    assert project.rows("SELECT status FROM alerts") == [("sent",)]
    assert len(texts) == told
    assert all(text.startswith("flow ok in ") for text in texts)
    assert [text.endswith(" (may be a repeat)") for text in texts] == [False] * (told - 1) + [
        repeated
    ]


def test_one_digest_for_all_failures(project: Project) -> None:
    """500 steps that fail at once are one message that counts them."""
    project.write(
        "flow",
        """
workflow = Workflow("flow")
for number in range(500):
    workflow = workflow.add(Step(f"s{number}", broken, retries=0))
""",
    )
    with webhook(answer(200, "ok")) as hook:
        assert project.run("run", "flow", "-q", SLACK_WEBHOOK_URL=hook.url).code == 1
        (text,) = _texts(hook)
        (body,) = hook.bodies
    assert text.startswith("flow failed: s")
    assert text.endswith("ValueError: no luck (+499 more failed)")
    assert _fields(body)[0]["text"] == "steps: 500 failed"
    assert project.rows("SELECT count(*) FROM incidents") == [(500,)]
    assert "\n… and 488 more: 488 failed\n" in body["blocks"][5]["text"]["text"]
    assert faults(text, body["blocks"]) == []


def test_hanging_and_dripping_servers_hold_nothing_up(project: Project) -> None:
    """The command ends at most 5 s after the run, with the run's own exit code."""
    _flow(project)

    def hang(_handler: object, _number: int) -> None:
        release.wait(20)

    with webhook(hang) as hook, raw(b"2", *[b"2"] * 100, every_s=0.1) as port:
        release = hook.release
        email = {"SMTP_URL": f"smtp://127.0.0.1:{port}", "MAIL_TO": "ops@example.com"}
        result = project.run("run", "flow", "--json", SLACK_WEBHOOK_URL=hook.url, **email)
        ended_at = time.time()
        release.set()
    assert result.code == 0
    ((finished,),) = project.rows("SELECT finished_at FROM runs")
    assert ended_at - datetime.fromisoformat(finished).timestamp() < 6  # 5 s, and the exit
    assert project.rows("SELECT channel, status, tries FROM alerts ORDER BY channel") == [
        ("email", "pending", 1),
        ("slack", "sending", 1),  # it has the message, and may yet take it
    ]


TWO_RUNS = """
import threading
from engine import Step, Workflow

def fails(ctx):
    raise ValueError("no luck")

flows = [Workflow(name).add(Step("no", fails, retries=0)) for name in ("one", "two")]
threads = [threading.Thread(target=flow.run) for flow in flows]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""


def test_two_runs_of_a_process_tell_once(project: Project) -> None:
    """What one of them is sending is not the other's to repeat."""
    (project.root / "two.py").write_text(TWO_RUNS)

    def slow(handler: http.server.BaseHTTPRequestHandler, number: int) -> None:
        time.sleep(0.15)
        answer(200, "ok")(handler, number)

    with webhook(slow) as hook:
        (project.home).mkdir()
        (project.home / "env").write_text(f"SLACK_WEBHOOK_URL={hook.url}\n")
        (project.home / "env").chmod(0o600)
        assert project.python("two.py").code == 0
        texts = sorted(_texts(hook))
    assert texts == [f"{name} failed: no: ValueError: no luck" for name in ("one", "two")]
    assert project.rows("SELECT status, tries FROM alerts") == [("sent", 1)] * 2


def test_nothing_configured_is_said_once(project: Project) -> None:
    """A run without channels says in one line how to get alerts."""
    _flow(project)
    result = project.run("run", "flow")
    assert result.err.count("no alerts: set SLACK_WEBHOOK_URL, or SMTP_URL and MAIL_TO, in") == 1
    assert project.rows("SELECT count(*) FROM alerts") == [(0,)]


def test_env_file_is_read_and_must_be_private(project: Project) -> None:
    """Settings in `<home>/env` count as those of the environment; others must not read it."""
    _flow(project)
    project.home.mkdir()
    file = project.home / "env"
    with webhook(answer(200, "ok")) as hook:
        file.write_text(f"SLACK_WEBHOOK_URL={hook.url}\n", encoding="utf-8")
        file.chmod(0o644)
        refused = project.run("run", "flow")
        assert refused.code == 2
        assert "chmod 600" in refused.error
        assert not project.store.exists() or project.rows("SELECT * FROM runs") == []
        file.chmod(0o600)
        assert project.run("run", "flow").code == 0
        assert len(hook.bodies) == 1
