"""The page of a run: what it says of runs of every kind."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from engine.reports.html.facts import PageFacts, Value
from engine.reports.html.run_page import body, document_of
from engine.usual import Spread
from tests.pages import attempt, facts_of, iso, step


class _Text(HTMLParser):
    """The text that a reader sees, and whether every element that is opened is closed."""

    _VOID = frozenset({"meta", "link", "input", "rect", "path", "line"})
    _LOOSE = frozenset({"td", "th", "tr", "thead", "tbody"})

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what is opened."""
        del attrs
        if tag not in self._VOID | self._LOOSE:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """See that it was opened last."""
        if tag not in self._VOID | self._LOOSE:
            assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """See that it may be closed at once."""
        assert tag in self._VOID, (tag, attrs)

    def handle_data(self, data: str) -> None:
        """Keep what is read."""
        if data.strip() and self.open[-1:] not in (["style"], ["script"]):
            self.words.append(" ".join(data.split()))


def shown(facts: PageFacts) -> str:
    """Give the words of a page, after a look at whether its elements are whole."""
    reader = _Text()
    reader.feed(document_of(facts))
    reader.close()
    assert reader.open == []
    return " ".join(reader.words)


TROUBLE = [
    step("fetch", expected_s=0.2, duration_s=1.0),
    step(
        "load",
        "failed",
        attempts=2,
        duration_s=5.0,
        error="ValueError: no\nluck",
        last_lines=["08:00:05 out     row 17"],
        log="/home/logs/load.2.log",
    ),
    step("tell", "skipped", note="dependency failed: load"),
]
TRIES = [
    attempt(0, 0, 1),
    attempt(1, 1, 2, "timed_out", retry=4),
    attempt(1, 4, 6, "failed", number=2),
]


def test_what_failed_comes_first() -> None:
    """The first failure, its error, its log and the command stand before all else."""
    usual = Spread(3.0, 4.0, 5.0, 8)
    text = shown(facts_of("fetch load>fetch tell>load", TROUBLE, TRIES, usual=usual))
    parts = [
        "Run 7 flow ✗ failed started 2011-11-14 08:00:00 UTC · took 10.0s · usually 4.0s",
        "(mostly 3.0s to 5.0s in the last 8 good runs)",
        "3 steps 1 ok 1 failed 1 skipped",
        "load failed after 2 attempts, 5.0s ValueError: no luck",
        "Last line of its log 08:00:05 out row 17 log: /home/logs/load.2.log",
        "To go on from there kahnban run flow --resume 7",
        "Graph fetch: ok, 1.0s",
        "Critical path: fetch (1.0s) → load (5.0s)",
        "attempt 1 timed out after 1.0s (at +1.0s); waited 2.0s to retry",
        "attempt 2 failed after 2.0s (at +4.0s); on the critical path",
        "– tell skipped dependency failed: load",
        "fetch ✓ ok 1 1.0s 5.0 × 0.2s +0ms",
        "run by ann@here workers 4",
        "kahnban 0.1.0 · as of 2011-11-14 08:00:12 UTC",
    ]
    places = [text.find(part) for part in parts]
    assert -1 not in places, parts[places.index(-1)] + "\n" + text
    assert places == sorted(places)


def test_outcomes_differ_by_shape() -> None:
    """Bars of attempts that ended otherwise are of other shapes, and the legend tells them."""
    page = body(facts_of("fetch load>fetch tell>load", TROUBLE, TRIES))
    bars = re.findall(r'<rect class="(a[a-z-]*)', page.partition("<ol")[2])
    assert bars == ["a", "a-way", "a-late", "a", "a-way"]
    legend = re.findall(r"</svg>([a-z ]+)</span>", page.partition('class="legend"')[2])
    assert legend == [
        "ok",
        "failed",
        "timed out",
        "waits for its retry",
        "would usually end",
        "critical path",
    ]


def test_a_retried_step_is_not_told_as_slow() -> None:
    """What is usual is so of one attempt; the waits between several are none of it."""
    slow = step("a", expected_s=1.0, duration_s=30.0)
    assert "30.0s 30 × 1.0s" in shown(facts_of("a", [slow], [attempt(0, 0, 10)]))
    retried = shown(facts_of("a", [{**slow, "attempts": 2}], [attempt(0, 0, 10)]))
    assert "30.0s 1.0s" in retried
    assert "×" not in retried


def test_a_good_run_is_told_against_its_usual() -> None:
    """A run that went well says how it compares, and nothing of failures."""
    usual = Spread(4.0, 4.0, 4.0, 1)
    text = shown(facts_of("a", [step("a")], [attempt(0, 0, 10)], usual=usual))
    assert "took 10.0s · 2.5 × its usual 4.0s 1 step 1 ok" in text
    assert "To go on" not in text


def test_a_run_that_is_on_tells_how_it_stands() -> None:
    """It counts the time until now; what runs has no end, what waits tells until when."""
    steps = [step("a", "running", duration_s=None, finished=None), step("b", "backing_off")]
    tries = [attempt(0, 1, None), attempt(1, 0, 2, "failed", retry=20)]
    on = {"status": "running", "finished": None, "duration_s": None, "resume_command": "again"}
    facts = facts_of("a b", steps, tries, report=on, usual=Spread(29.0, 30.0, 31.0, 5))
    text = shown(facts)
    assert (
        "running for 12.0s · usually 30.0s (mostly 29.0s to 31.0s in the last 5 good runs)" in text
    )
    assert "attempt 1 running for 11.0s (at +1.0s)" in text
    assert "attempt 1 failed after 2.0s (at +0ms); waited 18.0s to retry" in text
    assert "again" not in text
    assert 'class="a-open s-running" x="5%" width="55%"' in body(facts)


def test_a_run_whose_engine_died_tells_what_was_under_way() -> None:
    """The steps that ran when it was killed are named, with the command that goes on."""
    steps = [step("a"), step("b", "interrupted", note="its engine died", duration_s=None)]
    steps.append(step("c", "cancelled", note="not started"))
    cut = {"status": "interrupted", "finished": None, "duration_s": None, "note": "its engine died"}
    cut["resume_command"] = "kahnban run flow --resume 7"
    tries = [attempt(0, 0, 1), attempt(1, 1, None)]
    text = shown(facts_of("a b>a c>b", steps, tries, report=cut))
    assert "flow ! interrupted started 2011-11-14 08:00:00 UTC 3 steps" in text
    assert "Under way when it ended b To go on from there kahnban run flow --resume 7" in text
    assert "c cancelled not started" in text
    assert "attempt 1 lost with its engine (at +1.0s)" in text
    assert "running" not in text


@pytest.mark.parametrize(
    "report",
    [
        {"status": "skipped", "note": "run 6 is on", "duration_s": 0.0, "finished": iso(0)},
        {"status": "failed", "note": "pipelines/flow.py:3: no such step\n    oops(\n        ^"},
    ],
)
def test_a_run_without_steps_says_why(report: dict[str, object]) -> None:
    """One skipped at once, or failed at its definition, has a note and no empty parts."""
    text = shown(facts_of("", [], report=report))
    assert f"no steps {' '.join(str(report['note']).split())}" in text
    for part in ("Graph", "Timeline", "Steps", "Context values"):
        assert part not in text


def test_cached_chosen_and_marked_steps_say_so() -> None:
    """Where a step's outcome comes from is told beside it."""
    steps = [
        step("a", "cached", source_run=3),
        step("b", "ok", attempts=0, started=None, marked_by="ann", note="marked as done by ann"),
        step("d", "cached", source_run=3, note="ok in run 3"),
        step("c", "skipped", note="not chosen"),
    ]
    text = shown(facts_of("a b d c", steps, report={"only_steps": ["a", "b"]}))
    assert "Run 7, only a, b" in text
    assert "a ↻ cached from run 3" in text
    assert "b ✓ ok marked as done by ann d ↻ cached ok in run 3 c" in text
    assert "c – skipped not chosen" in text


def test_changes_since_the_last_good_run_come_before_the_graph() -> None:
    """Of a run that failed they are told first, also that there are none; of a good one if any."""
    bad = shown(facts_of("a", [step("a", "failed")], good_run=3, changes=["'a': code changed"]))
    told = "What changed since the last good run, run 3 'a': code changed Graph"
    assert told in bad
    none = shown(facts_of("a", [step("a", "failed")], good_run=3))
    assert "What changed since the last good run, run 3 nothing that is recorded" in none
    good = shown(facts_of("a", [step("a")], good_run=3))
    assert "What changed" not in good


def test_big_runs_are_told_by_lanes_and_a_part_of_their_steps() -> None:
    """Of more than 80 steps workers' lanes are drawn; of too many steps the graph is not."""
    steps = [step(f"s{at}") for at in range(81)]
    tries = [attempt(at, at / 100, at / 100 + 0.01) for at in range(81)]
    facts = facts_of(" ".join(f"s{at}" for at in range(81)), steps, tries, workers=1)
    text = shown(facts)
    assert "worker 1 81 attempts ok, from s0 8%" in text
    told = {"steps_in_all": 20_000, "counts": {"ok": 20_000}}
    text = shown(facts_of(None, steps, tries, report=told))
    assert "20,000 steps 20,000 ok" in text
    assert "The run has so many steps that its graph is not drawn." in text
    assert "81 of 20,000: first what did not go well, then what took longest" in text


def test_of_very_many_steps_those_worth_a_look_are_listed() -> None:
    """A thousand, and those of the critical path; the graph and the lanes are of all."""
    steps = [step(f"s{at}", duration_s=0.1) for at in range(1500)]
    steps[700] = step("s700", "failed", error="boom")
    names = ["s0", *(f"s{at}>s0" for at in range(1, 1499)), "s1499"]
    tries = [attempt(at, at / 150, at / 150 + 0.001) for at in range(1500)]
    page = body(facts_of(" ".join(names), steps, tries))
    assert page.count("<tbody") == 1001
    assert '<tbody id="s700" data-s="failed">' in page
    assert '<tbody id="s1499"' in page  # ended last
    assert "1,001 of 1,500: first what did not go well, then what took longest" in page
    assert "s1 … ×1,498" in page


def test_where_very_many_fail_not_every_error_is_told_in_full() -> None:
    """The page of a thousand failures that say much would be of no use to a browser or a mail."""
    long = f"ValueError: {'<&' * 1_500}"
    steps = [step(f"s{at}", "failed", error=long, note=long) for at in range(1_000)]
    facts = facts_of(None, steps, [], report={"first_failure": "s0"})
    text = shown(facts)
    told = text.count(long) - 1  # beside the first, which stands above all
    assert 0 < told < 20
    left_out = f"Errors and log lines of {999 - told} more steps are not told here: see the logs."
    assert left_out in text
    assert len(document_of(facts)) < 2_000_000
    few = shown(facts_of(None, steps[:5], [], report={"first_failure": "s0"}))
    assert few.count(long) == 5
    assert "are not told here" not in few


def test_notes_of_several_lines_keep_them() -> None:
    """In the table they are broken, in the head they stand as they are; none of it is markup."""
    page = body(facts_of("a", [step("a", note="<1>\n2")], report={"note": "1\n  ^"}))
    assert '<td class="note">&lt;1&gt;<br>2' in page
    assert "<pre>1\n  ^</pre>" in page


HOSTILE = [
    "<script>alert(1)</script>",
    "\"'><img src=x onerror=alert(1)>",
    "]]></svg></title></style><b>",
    "javascript:alert(1)",
    "\u202egnp.exe\u2066",
    "{0.__class__}{}%s",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_texts_of_users_are_shown_as_they_are(text: str) -> None:
    """Whatever stands in a name, note, error, log, value or parameter, no part of it is markup."""
    steps = [
        step(f"{text}", "failed", error=f"{text}\n{text}", note=text, last_lines=[text], log=text),
        step(f"{text}2", note=text, marked_by=text, error=text),
    ]
    report = {"workflow": text, "note": text, "params": {text: text}, "user": text, "host": text}
    report |= {"log": text, "first_failure": text, "resume_command": text, "only_steps": [text]}
    facts = facts_of(
        "a b>a",
        steps,
        [attempt(0, 0, 1, "failed"), attempt(1, 1, 2)],
        report=report,
        values=[Value(text, text, 9, text)],
        values_in_all=1,
        good_run=3,
        changes=[text],
    )
    plain = facts_of(
        "a b>a",
        [
            step("x", "failed", error="x\nx", note="x", last_lines=["x"], log="x"),
            step("y", note="x", marked_by="x", error="x"),
        ],
        [attempt(0, 0, 1, "failed"), attempt(1, 1, 2)],
        report={key: "x" for key in report if key not in ("params", "only_steps")}
        | {"params": {"x": "x"}, "only_steps": ["x"]},
        values=[Value("x", "x", 9, "x")],
        values_in_all=1,
        good_run=3,
        changes=["x"],
    )
    assert "\u202e" not in body(facts)
    assert _skeleton(facts) == _skeleton(plain)


def _skeleton(facts: PageFacts) -> list[str]:
    """Give the elements of a page with the names of their attributes."""
    found: list[str] = []

    class Reader(HTMLParser):
        """Notes every tag, of an element that is closed at once too."""

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            found.append(f"{tag} {' '.join(name for name, _ in attrs)}")

        def handle_endtag(self, tag: str) -> None:
            found.append(f"/{tag}")

    Reader().feed(document_of(facts))
    return found
