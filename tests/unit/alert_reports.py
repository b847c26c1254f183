"""Reports of runs as alerts get them, good and bad, and what is made of them."""

from __future__ import annotations

from typing import Any

from engine.alerts import letter
from engine.alerts.blocks import render_slack
from engine.alerts.of_runs import of_report

HOSTILE = (
    "<!channel> <!here> <@U123> <http://evil.example|click> `code` ```fence``` *b* _i_ ~s~ "
    '& < > &lt; </div><script>alert(1)</script> "quoted" '
    "\u202eevil\u202c \u200f \x1b[31mred\x1b[0m \x00 \x07 \u2028 \ud800 :boom: "
    "]]> --> \x9b2J \x85 %s {0} $HOME"
)


def a_step(name: str, status: str = "ok", **more: Any) -> dict[str, Any]:
    """Give one step of a report."""
    return {
        "name": name,
        "status": status,
        "duration_s": 2.1,
        "attempts": 1,
        "note": "",
        "started": "2026-11-23T08:00:00.123Z",
        "finished": "2026-11-23T08:00:02.223Z",
        "source_run": None,
        "error": "",
        "expected_s": None,
        "log": None,
        "last_lines": [],
        **more,
    }


def a_report(**more: Any) -> dict[str, Any]:
    """Give the report of a run that failed at `fetch`."""
    error = "Traceback (most recent call last):\n  …\nConnectionError: refused\n"
    report: dict[str, Any] = {
        "workflow": "daily",
        "run_id": 17,
        "status": "failed",
        "started": "2026-11-23T08:00:00.123Z",
        "finished": "2026-11-23T08:00:04.123Z",
        "duration_s": 4.0,
        "params": {"date": "2026-11-23"},
        "resumed_from": None,
        "root_run": 17,
        "note": "",
        "dry_run": False,
        "user": "ops",
        "host": "box",
        "threads_left": 0,
        "counts": {"ok": 1, "failed": 1, "skipped": 1},
        "steps": [
            a_step("host"),
            a_step("fetch", "failed", attempts=3, error=error, last_lines=["asking", "refused"]),
            a_step("report", "skipped", duration_s=0.0, note="dependency failed: fetch"),
        ],
        "first_failure": "fetch",
        "resume_command": "python -m engine run daily --resume 17",
        "log": "var/logs/daily.log",
        "report": "var/reports/run-17-daily.html",
        "previous_status": "ok",
    }
    return report | more


def a_failure_with_a_past() -> dict[str, Any]:
    """Give the report of a run that continued another, after runs that went well."""
    report = a_report(
        duration_s=62.0,
        resumed_from=15,
        last_success={"run_id": 16, "finished": "2026-11-22T08:00:31Z"},
        usual=[20.0, 25.0, 31.0],
        first_usual=[8.0, 12.0, 15.0],
        changes=["step 'fetch': its code", "requests 2.31.0 → 2.32.1"],
    )
    host, fetch, _ = report["steps"]
    host |= {"duration_s": 9.0, "expected_s": 2.0}
    fetch |= {"duration_s": 41.0, "expected_s": 12.0}
    return report


def hostile_report() -> dict[str, Any]:
    """Give a report whose every text is hostile."""
    step = a_step(HOSTILE, "failed", error=HOSTILE, note=HOSTILE, last_lines=[HOSTILE] * 20)
    texts = ("workflow", "note", "user", "host", "resume_command", "log", "report", "first_failure")
    return a_report(steps=[step], params={HOSTILE: HOSTILE}, **dict.fromkeys(texts, HOSTILE))


def many(count: int) -> dict[str, Any]:
    """Give a report of `count` steps, of which every tenth failed."""
    steps = [
        a_step(f"step-{n}", "failed" if n % 10 == 9 else "ok", error="ValueError: bad")
        for n in range(count)
    ]
    counts = {"ok": count - count // 10, "failed": count // 10}
    return a_report(steps=steps, counts=counts, first_failure="step-9")


REPORTS = {
    "one step": a_report(steps=[a_step("fetch", "failed", error="ValueError: no")]),
    "sixty steps": many(60),
    "a thousand steps": many(1000),
    "hostile": hostile_report(),
    "one megabyte on one line": a_report(
        steps=[a_step("fetch", "failed", error="ValueError: " + "<&>" * 350_000)]
    ),
    "one megabyte of lines": a_report(
        steps=[a_step("fetch", "failed", error="at x\n" * 200_000 + "ValueError: end")]
    ),
    "a thousand parameters": a_report(params={f"name{n}": "v" * 1000 for n in range(1000)}),
    "long names": a_report(
        workflow="w" * 100, steps=[a_step("s" * 100, "failed", error="E: " + "&" * 500)] * 2
    ),
    "no step": a_report(steps=[], first_failure=None, note="pipelines/daily.py:3: no such module"),
    "nothing at all": {},
    "other types": {"steps": [None, 3, {}], "params": 7, "counts": [], "duration_s": "x"},
}


def headline(report: dict[str, Any], *, repeat: bool = False) -> str:
    """Give an email's subject."""
    return of_report(report, repeat=repeat).headline


def slack_blocks(
    report: dict[str, Any], *, repeat: bool = False
) -> tuple[str, list[dict[str, Any]]]:
    """Give a notification's text and its blocks."""
    return render_slack(of_report(report, repeat=repeat))


def plain_text(report: dict[str, Any]) -> str:
    """Give an email's plain text."""
    return letter.render_plain(of_report(report))


def html(report: dict[str, Any]) -> str:
    """Give an email's HTML."""
    return letter.render_html(of_report(report))


def texts_of(blocks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Give every text object of the blocks."""
    found = []
    for block in blocks:
        found += [block["text"]] if "text" in block else []
        found += block.get("fields", []) + block.get("elements", [])
    return found


def said_in(block: dict[str, Any]) -> str:
    """Give all that a block says."""
    return "\n".join(entry["text"] for entry in texts_of([block]))
