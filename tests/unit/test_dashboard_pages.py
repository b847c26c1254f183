"""What the dashboard's pages say, as functions of their facts alone."""

from __future__ import annotations

from datetime import UTC, datetime

from engine.reports.html import logs_page, overview, runs_page, shell, step_page, workflow_page
from engine.reports.html.logs_page import LogFacts
from engine.reports.html.overview import Overview, Undelivered, WorkflowRow
from engine.reports.html.runs_page import Asked, RunsFacts
from engine.reports.html.step_page import StepFacts
from engine.reports.html.troubles import Trouble
from engine.reports.html.workflow_page import WorkflowFacts
from store.trends import RunRow, StepPast

NOW = datetime(2011, 11, 14, 12, tzinfo=UTC)
AT_US = round(NOW.timestamp() * 1_000_000) - 60_000_000


def run(number: int, status: str = "ok", **more: object) -> RunRow:
    """Make a run that began a minute ago."""
    plain = RunRow(number, "flow", status, AT_US, 4.0, 3, 3, 0, 0, 0, 0, "", "{}", "hand", "")
    return plain._replace(**more)  # type: ignore[arg-type]


def test_the_first_page_tells_what_wants_a_look() -> None:
    """Losses, runs that are on, broken files, alerts that did not go; all of it as text."""
    rows = [
        WorkflowRow("flow", [run(2, "failed"), run(1)], due=NOW.replace(hour=18), schedule="daily"),
        WorkflowRow("bad<>", broken="line 1: <b>\nmore"),
        WorkflowRow("old", [run(3)], gone=True),
        WorkflowRow("flow.backfill", [run(4)], gone=True),
        WorkflowRow("calm", due=NOW, schedule="daily", paused="paused by ann: <away>"),
        WorkflowRow("lost", due=NOW, missing="the run of 08:00 never came"),
    ]
    troubles = [Trouble("flow", "a/b", "2011-11-13T08:00:00Z", 3, 2, "no <luck>")]
    on = [run(4, "running", duration_s=None)]
    alerts = [Undelivered(2, "slack", 3, "no & answer"), Undelivered(None, "email", 0, "", "lost")]
    told_first = [("It has lost.", "See it.")]
    text = overview.body(Overview(rows, on, alerts, 2, NOW, told_first, troubles, 22))
    for told in (
        "<p>It has lost.</p><p>See it.</p>",
        "1 run on now",
        "1m 00s so far",
        "2 alerts undelivered",
        '<a href="/workflows/lost">lost</a></td><td>email',
        '–</i>paused</span> <small class="soft">by ann: &lt;away&gt;</small></td>',
        '!</i>missing</span> <small class="soft">the run of 08:00 never came</small><br><time',
        "22 open incidents",
        "21 more: see `incidents`.",
        '<a href="/workflows/flow/steps/a%2Fb">a/b</a>',
        "no &lt;luck&gt;",
        "no &amp; answer",
        "line 1: &lt;b&gt;",
        'href="/workflows/bad%3C%3E"',
        "no file defines it any more",
        "the backfills of flow",
        'title="daily"',
        "no run yet",
    ):
        assert told in text, told
    assert text.count("no file defines it") == 1
    assert "more" not in text.partition("line 1")[2].partition("</td>")[0]
    assert "There is none yet" in overview.body(Overview((), (), (), 0, NOW))


def test_the_usual_is_of_good_runs() -> None:
    """The median of the last ten that went well; of none, nothing."""
    runs = [run(2, "failed", duration_s=900.0), *(run(1, duration_s=float(at)) for at in range(30))]
    assert overview.usual(runs) == 4.5
    parts = [run(3, cached=1, duration_s=0.1), run(4, only_steps='["a"]', duration_s=0.1)]
    assert overview.usual([*parts, *runs]) == 4.5
    assert overview.usual([run(1, "failed"), *parts]) is None


def test_a_page_of_runs_leads_to_the_next() -> None:
    """By the last one's number, with all that was asked for; what was wrong is said."""
    row = run(7, "failed", failed=1, skipped=2, retries=1, params='{"day": "<x>"}', note="no luck")
    asked = Asked("flow", "failed", "2011-11-14", "", 9)
    text = runs_page.body(
        RunsFacts(
            asked,
            [row],
            more=True,
            days={},
            workflows=["other"],
            now=NOW,
            days_cut=20_000,
            wrong="“x” is none.",
        )
    )
    assert 'href="/runs?workflow=flow&amp;status=failed&amp;since=2011-11-14&amp;before=7"' in text
    assert 'href="/runs?workflow=flow&amp;status=failed&amp;since=2011-11-14"' in text
    assert "3 · 1 failed · 2 skipped · 1 retry" in text
    assert "day=&lt;x&gt; · no luck" in text
    assert '<option value="flow" selected>' in text
    assert "Of the last 20,000 runs." in text
    assert "“x” is none." in text
    assert ">older<" not in runs_page.body(
        RunsFacts(Asked(), [row], more=False, days={}, workflows=[], now=NOW)
    )


def test_a_workflow_without_runs_has_a_page() -> None:
    """With what its file says; with runs it has their durations and its steps."""
    row = WorkflowRow("flow", description="<i>", broken="bad")
    text = workflow_page.body(WorkflowFacts(row, [], {}, [], 0, {}, NOW))
    assert "No run yet." in text
    assert "&lt;i&gt;" in text
    assert "<svg" not in text
    facts = WorkflowFacts(row, [run(2), run(1)], {}, ["a"], 700, {"a": (0.5, 9)}, NOW)
    text = workflow_page.body(facts)
    assert "How long the last 2 runs took" in text
    assert 'href="/workflows/flow/steps/a"' in text
    assert "699 more are not shown" in text
    assert "the dashed line is" in text


def test_a_workflow_tells_what_goes_on_and_what_never_ran() -> None:
    """Its open incidents without its own name, and its last slots without a run."""
    trouble = Trouble("flow", "", "2011-11-13T08:00:00Z", 3, 2, "its engine died")
    row = WorkflowRow("flow", schedule="08:00", due=NOW, paused="paused by ann")
    passed = [("today 08:00", "paused by ann: <away>")]
    facts = WorkflowFacts(row, [], {}, [], 0, {}, NOW, troubles=[trouble], passed=passed)
    text = workflow_page.body(facts)
    assert "1 open incident</h2>" in text
    assert '<span class="soft">the run</span>' in text
    assert ">Workflow</th>" not in text
    assert "<dt>Schedule</dt><dd>08:00</dd>" in text
    assert '"when">today 08:00</td><td class="text soft">paused by ann: &lt;away&gt;</td>' in text


def test_a_line_that_is_not_drawn_is_not_told() -> None:
    """Where nothing went well yet there is no median, of a workflow and of a step."""
    facts = WorkflowFacts(WorkflowRow("flow"), [run(1, "failed")], {}, ["a"], 1, {}, NOW)
    step = StepFacts("flow", "a", [StepPast(1, "failed", AT_US, 1.0, 1, "", "bad")], NOW)
    for text in (workflow_page.body(facts), step_page.body(step)):
        assert "A cross is" in text
        assert "dashed" not in text


def test_a_step_tells_how_it_fared() -> None:
    """Its failures and retries are counted, each error leads to its log."""
    past = [
        StepPast(2, "failed", AT_US, 1.0, 3, "", "<no> luck"),
        StepPast(1, "ok", AT_US, 2.0, 1, "", ""),
    ]
    text = step_page.body(StepFacts("flow", "a b", past, NOW))
    assert "1 of 2 runs failed; 1 with retries; usually 2.0s" in text
    assert 'href="/runs/2/logs/a%20b/3"' in text
    assert "&lt;no&gt; luck" in text


def test_a_log_is_followed_while_its_attempt_runs() -> None:
    """From where its text ends; one that has ended is not."""
    facts = LogFacts(1, "flow", "a", 2, 2, "running", "<b>\nend\n", 1000, 1008)
    text = logs_page.body(facts)
    assert 'data-next="/runs/1/logs/a/2?at=1008"' in text
    assert "&lt;b&gt;\nend\n</pre>" in text
    assert "The first 1.0 kB are not shown" in text
    assert 'href="/runs/1/logs/a/1"' in text
    ended = logs_page.body(LogFacts(1, "flow", "a", 1, 1, "ok", "", 0, None))
    assert "Nothing was logged or printed." in ended
    assert "data-next" not in ended


def test_times_of_no_year_are_left_out() -> None:
    """A store may hold any number."""
    assert shell.iso(0) == "1970-01-01T00:00:00.000+00:00"
    assert shell.iso(1 << 62) == ""
