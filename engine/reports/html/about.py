"""What else there is to know of a run: what changed, its values, its parameters, who ran it."""

from __future__ import annotations

from typing import Any

from engine.reports.html.facts import PageFacts, Value
from engine.reports.html.layout import section
from engine.reports.html.markup import EMPTY, Html, joined
from engine.reports.html.words import clock_time, fact, word
from engine.text import human_size


def changes(facts: PageFacts) -> Html:
    """Tell what is not as it was in the last good run; of a run that went well, if anything is."""
    if facts.good_run is None or (not facts.changes and facts.report["status"] == "ok"):
        return EMPTY
    told = facts.changes or ["nothing that is recorded"]
    listed = joined(Html("<li>{}</li>").format(line) for line in told)
    content = Html('<ul class="plain">{}</ul>').format(listed)
    heading = f"What changed since the last good run, run {facts.good_run}"
    return section("changes", heading, content)


def values(facts: PageFacts) -> Html:
    """List the context values that the run wrote."""
    if not facts.values:
        return EMPTY
    table = Html(
        '<div class="scroll"><table class="steps values"><thead><tr><th scope="col">Key'
        '<th scope="col">Written by'
        '<th scope="col" class="num">Size<th scope="col">Value</thead>{}'
        "</table></div>"
    ).format(joined(map(_value, facts.values)))
    beside: Any = EMPTY
    if facts.values_in_all > len(facts.values):
        text = f"{len(facts.values):,} of {facts.values_in_all:,}"
        beside = Html('<p class="soft">{}</p>').format(text)
    return section("values", "Context values", table, beside)


def _value(value: Value) -> Html:
    shape = Html(
        '<tbody><tr><th scope="row">{}<td>{}<td class="num">{}<td class="note">'
        "<code>{}</code></tbody>\n"
    )
    by = value.step or Html('<span class="soft">the caller</span>')
    return shape.format(value.key, by, human_size(value.size_bytes), value.preview)


def about_run(facts: PageFacts) -> Html:
    """Tell when, where and by whom it was run, and with which parameters."""
    report = facts.report
    by = "@".join(filter(None, [report.get("user"), report.get("host")]))
    others = [("continues run", report["resumed_from"])]
    if report["root_run"] not in (None, report["run_id"], report["resumed_from"]):
        others.append(("first run of the chain", report["root_run"]))
    rows = [fact(name, value) for name, value in report["params"].items()]
    about = [
        fact("started", clock_time(report["started"], facts.zone)),
        fact("ended", clock_time(report["finished"], facts.zone) if report["finished"] else ""),
        fact("run by", by),
        fact("workers", facts.workers or ""),
        *(fact(name, value) for name, value in others),
        fact("the run before ended", word(report["previous_status"] or "")),
        fact("threads left running", report["threads_left"] or ""),
        fact("log", report["log"]),
    ]
    shape = Html("<dl>{}</dl>")
    parts = [shape.format(joined(about))]
    if rows:
        parts.append(Html("<h3>Parameters</h3><dl>{}</dl>").format(joined(rows)))
    return section("run", "About this run", joined(parts))
