"""Alerts of real runs, sent to a real local web server: what is queued, sent, kept and said."""

from __future__ import annotations

import signal

import pytest

from tests.system.alert_servers import Hook, answer
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
    [("failure", [1, 2, 3]), ("change", [1, 3]), ("always", [0, 1, 2, 3, 4])],
)
def test_alert_on(project: Project, alert_on: str, told: list[int]) -> None:
    """Ok, failed, failed, ok, ok: `failure` includes the first success after one."""
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
    """A failing server fails no run; what it missed goes with `alerts send`."""
    _flow(project)
    with webhook(answer(503)) as hook:
        result = project.run("run", "flow", SLACK_WEBHOOK_URL=hook.url)
    assert result.code == 0
    assert result.seconds < 8  # 5 s for alerts, and the start
    assert "1 alert undelivered: see `alerts`" in project.run("history").err
    with webhook(answer(200, "ok")) as hook:
        sent = project.run("alerts", "send", SLACK_WEBHOOK_URL=hook.url)
        assert (sent.code, sent.out) == (0, "sent 1, failed 0, given up 0\n")
        assert _texts(hook)[0].startswith("flow ok in ")
    assert project.run("alerts").out == "no undelivered alerts\n"


def test_death_of_the_engine_is_told_once(project: Project) -> None:
    """A killed run's alert goes out with `alerts send`, and not again with the next run."""
    _flow(project)
    (project.root / "wait").touch()
    process = project.start("run", "flow")
    project.wait_for_effect("body")
    assert project.stopped(process, signal.SIGKILL).code == -signal.SIGKILL
    (project.root / "wait").unlink()
    with webhook(answer(200, "ok")) as hook:
        env = {"SLACK_WEBHOOK_URL": hook.url}
        assert project.run("alerts", "send", **env).out == "sent 1, failed 0, given up 0\n"
        assert project.run("run", "flow", **env).code == 0
        told = _texts(hook)
    assert len(told) == 2
    assert told[0].startswith("flow interrupted at work: its engine died")
    assert "was interrupted before" in told[1]


def test_hanging_server_holds_nothing_up(project: Project) -> None:
    """The command ends at most 5 s after the run, with the run's own exit code."""
    _flow(project)

    def hang(_handler: object, _number: int) -> None:
        release.wait(20)

    with webhook(hang) as hook:
        release = hook.release
        result = project.run("run", "flow", "--json", SLACK_WEBHOOK_URL=hook.url)
        release.set()
    assert result.code == 0
    assert result.seconds < 6.5
    assert project.rows("SELECT status, tries FROM alerts") == [("pending", 1)]


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
