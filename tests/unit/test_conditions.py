"""Conditions as text: what they mean, what is refused and where, what is recorded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from engine.conditions import STATUSES, Condition, checked, parse
from engine.conditions.checking import Scope
from engine.definitions import load_file
from engine.errors import ConditionError, DefinitionError
from engine.fingerprint import fingerprint
from engine.model import ENDED_STEP, Param, Step, StepStatus, TriggerRule
from engine.workflow import Workflow
from engine.workflow_conditions import scopes
from tests.builders import graph_of, nothing

GRAPH = graph_of(
    "fetch pull.all>fetch fetch-prices naïve-größe bad gone own>fetch,pull.all,fetch-prices,"
    "naïve-größe,bad,gone late>own else"
)
PARAMS = {
    "n": int,
    "rate": float,
    "region": str,
    "full": bool,
    "day": date,
    "at": datetime,
    "file": Path,
}
SCOPE = scopes(
    GRAPH,
    {name: Param(kind) for name, kind in PARAMS.items()},
    dict.fromkeys(GRAPH.names, TriggerRule.ALL_DONE),
)("own")


class Context:
    """What conditions read from; `asked` holds what was, in order."""

    def __init__(
        self,
        left: Mapping[str, Mapping[str, Any]],
        statuses: Mapping[str, str],
        params: Mapping[str, Any],
    ) -> None:
        """Take what each step left under which key."""
        self.params = params
        self.asked: list[str] = []
        self._left, self._statuses = left, statuses

    def status(self, step: str) -> str:
        """Give a status."""
        self.asked.append(f"{step}.status")
        return self._statuses.get(step, "ok")

    def left_by(self, step: str, key: str, default: Any) -> Any:
        """Give what a step left under a key."""
        self.asked.append(f"{step}:{key}")
        return self._left.get(step, {}).get(key, default)


def context() -> Context:
    """Give a context in which steps left values of all kinds."""
    return Context(
        {
            "fetch": {
                "rows": 3,
                "zero": 0.0,
                "price": Decimal("0.1"),
                "share": 0.1,
                "nan": float("nan"),
                "signal": Decimal("sNaN"),
                "name": "apple",
                "ready": True,
                "none": None,
                "tags": ["a", "b"],
                "pair": (1, 2.5),
                "mixed": [1, "a", None],
                "empty": [],
                "colours": {"red", "blue"},
                "deep": {"x": {"y": [10, {"z": 7}]}, 2: "two", "n": None},
                "day": date(2024, 2, 29),
                "at": datetime(2024, 2, 29, 8, 0),
                "utc": datetime(2024, 2, 29, 8, 0, tzinfo=UTC),
                "path": Path("data/in.csv"),
                "id": UUID(int=1),
                "first": 1,
                "fetch": {"first": 2, "second": 20, "status": "?"},
            },
            "pull.all": {"pull.all": True, "rows": 9},
            "fetch-prices": {"total-net": 12},
            "naïve-größe": {"größe": 4},
            "bad": {},
        },
        {"bad": "failed", "gone": "skipped"},
        {
            "n": 5,
            "rate": 0.1,
            "region": "eu",
            "full": False,
            "day": date(2024, 3, 1),
            "at": datetime(2024, 3, 1, 12, 0),
            "file": Path("in.csv"),
        },
    )


def tied(text: str, scope: Scope = SCOPE) -> Condition:
    """Parse and tie a condition that is right."""
    condition, wrong = parse(text).tied(scope)
    assert wrong == []
    return condition


HOLDS = """
fetch.rows > 0 · fetch.rows == 3 · fetch.rows == 3.0 · fetch.rows != 4 · fetch.rows >= 3
-1 < fetch.zero · fetch.zero == 0 · fetch.zero == -0 · 0 < fetch.rows < 10 · 10 > fetch.rows >= 3
fetch.price == 0.1 · fetch.share == 0.1 · params.rate == 0.1 · fetch.share == fetch.price
fetch.share < 0.2 · fetch.price < fetch.rows
fetch.name == "apple" · fetch.name == 'apple' · fetch.name < "banana" · "app" in fetch.name
fetch.ready · fetch.ready == true · not params.full · params.full == false · true · not false
fetch.none == null · fetch.rows != null · null == null · fetch.deep.n == null
"a" in fetch.tags · "c" not in fetch.tags · not "c" in fetch.tags · fetch.name in ["apple", "pear"]
fetch.tags == ["a", "b"] · fetch.tags != [] · fetch.empty == [] · fetch.pair == [1, 2.5]
"x" not in fetch.empty · fetch.mixed == [1, "a", null] · fetch.mixed != [true, "a", null]
1 in fetch.mixed · 2 not in fetch.mixed · null in fetch.mixed · null not in fetch.tags
"red" in fetch.colours · "x" in fetch.deep · 2 in fetch.deep · "y" not in fetch.deep
fetch.deep.x.y.0 == 10 · fetch.deep.x.y.1.z == 7 · fetch.deep.2 == "two"
fetch.first == 1 · fetch.second == 20
pull.all · pull.all.rows == 9 · pull.all.status == "ok"
fetch-prices.total-net > 10 · naïve-größe.größe == 4
fetch.day == "2024-02-29" · fetch.day < params.day · params.day >= "2024-03-01"
"2024-01-01" < params.day < "2025-01-01" · params.day in ["2024-03-01", "2024-03-02"]
fetch.at == "2024-02-29T08:00" · fetch.at < params.at · fetch.utc == "2024-02-29T09:00+01:00"
fetch.path == "data/in.csv" · params.file == "./in.csv" · params.file != fetch.path
params.n == 5 and params.region == "eu" · params.n in [4, 5] · params.region not in ["us"]
fetch.status == "ok" · bad.status == "failed" · bad.status != "ok" · gone.status in ["skipped"]
bad.status == "ok" and bad.rows > 0 or fetch.rows == 3
not (fetch.rows == 4 or fetch.rows == 5) · (fetch.rows == 3) == true
"it's" == 'it\\'s' · "a\\nb" != "a b" · "\\\\" == '\\\\' · "tab\\t" == "tab\t"
"""


@pytest.mark.parametrize(
    "text", [one for line in HOLDS.strip().split("\n") for one in line.split(" · ")]
)
def test_what_holds(text: str) -> None:
    """Each is true, its opposite is not, and both are so in their normal form."""
    assert tied(text)(context()) is True
    assert tied(f"not ({text})")(context()) is False
    assert tied(tied(text).text)(context()) is True


@pytest.mark.parametrize(
    ("text", "why", "hint"),
    [
        ("fetch.rows", "fetch.rows is a number, not true or false", ""),
        ("fetch.none", "fetch.none is null, not true or false", ""),
        ("not fetch.name", "fetch.name is text, not true or false", ""),
        ("true and fetch.tags", "fetch.tags is a list, not true or false", ""),
        (
            'fetch.rows > "3"',
            'fetch.rows is a number and "3" is text: the two cannot be compared',
            "",
        ),
        (
            'fetch.rows == "3"',
            'fetch.rows is a number and "3" is text: the two cannot be compared',
            "",
        ),
        (
            "fetch.ready == 1",
            "fetch.ready is true or false and 1 is a number: the two cannot be compared",
            "",
        ),
        (
            "fetch.ready < fetch.ready",
            (
                "fetch.ready is true or false and fetch.ready is true or false:"
                " '<' needs two numbers, texts or dates"
            ),
            "",
        ),
        (
            "fetch.none < 1",
            "fetch.none is null and 1 is a number: the two cannot be compared",
            "",
        ),
        (
            "fetch.nan == fetch.nan",
            (
                "fetch.nan is not a number (NaN) and fetch.nan is not a number (NaN):"
                " the two cannot be compared"
            ),
            "",
        ),
        (
            "fetch.signal < 1",
            "fetch.signal is not a number (NaN) and 1 is a number: the two cannot be compared",
            "",
        ),
        (
            "fetch.id == fetch.id",
            "fetch.id is of type UUID and fetch.id is of type UUID: the two cannot be compared",
            "",
        ),
        (
            "fetch.deep == fetch.deep",
            (
                "fetch.deep is a mapping and fetch.deep is a mapping:"
                " '==' does not compare sets and mappings"
            ),
            "",
        ),
        (
            "fetch.rows in fetch.rows",
            "fetch.rows is a number and fetch.rows is a number: 'in' needs a list on its right",
            "",
        ),
        (
            "1 in fetch.tags",
            "1 is a number and fetch.tags is a list: nothing in the list is a number",
            "write what is looked for as it is there",
        ),
        ("fetch.day == fetch.at", None, ""),
        (
            'fetch.day == "29.2.2024"',
            'fetch.day is a date and "29.2.2024" is text: the text is not a date',
            'write it as "2011-11-14"',
        ),
        (
            "fetch.at < fetch.utc",
            (
                "fetch.at is a date and time and fetch.utc is a date and time:"
                " only one of the two has a time zone"
            ),
            'write the offset too, as in "2011-11-14T08:00:00+01:00"',
        ),
        (
            "fetch.row > 0",
            "fetch, a mapping, has no 'row'",
            "look at what the step writes and returns",
        ),
        ("fetch.secnd > 0", "fetch, a mapping, has no 'secnd'", "did you mean 'second'?"),
        ("fetch.deep.x.z > 0", "fetch.deep.x, a mapping, has no 'z'", None),
        ("fetch.tags.2 == 1", "fetch.tags, a list, has no '2'", None),
        ("fetch.tags.-1 == 1", "fetch.tags, a list, has no '-1'", None),
        ("fetch.name.0 == 1", "fetch.name, text, has no '0'", None),
        ("fetch-prices", "step 'fetch-prices' left no value", None),
        ("fetch-prices.x == 1", "step 'fetch-prices' left no 'x'", None),
        (
            "bad.rows > 0",
            "step 'bad' is failed and left no 'rows'",
            'write bad.status == "ok" and … to ask only then',
        ),
        ("gone", "step 'gone' is skipped and left no value", None),
    ],
)
def test_what_cannot_be_decided(text: str, why: str | None, hint: str | None) -> None:
    """It is an error that names the condition, what was read and of which kind it is."""
    with pytest.raises(ConditionError) as raised:
        tied(text)(context())
    if why is not None:
        assert raised.value.message == f"condition '{text}' cannot be decided: {why}"
    if hint is not None:
        assert raised.value.hint == hint


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("fetch.rows > 5 and bad.rows > 0", ["fetch:rows"]),
        ("fetch.rows > 0 or bad.rows > 0", ["fetch:rows"]),
        ('bad.status == "ok" and bad.rows > 0', ["bad.status"]),
        ("1 < fetch.rows < bad.rows", ["fetch:rows", "bad:rows", "bad:bad", "bad.status"]),
        ("fetch.rows == 3 and fetch.rows == 4", ["fetch:rows"]),
        ("fetch.second == 20", ["fetch:second", "fetch:fetch"]),
        ("params.n == 5", []),
    ],
)
def test_no_more_is_asked_than_is_needed(text: str, asked: list[str]) -> None:
    """From left to right, each once; a comparison reads both its sides."""
    told = context()
    try:
        tied(text)(told)
    except ConditionError:
        assert "bad.rows" in text
    assert told.asked == asked


NOT_KNOWN = "is not known here"
COMPARE = 'compare it with something, as in fetch.rows > 0 or fetch.status == "ok"'
CALCULATE = "conditions do not calculate: let the step before leave the figure"


@pytest.mark.parametrize(
    ("text", "offset", "message", "hint"),
    [
        (
            "",
            0,
            "the condition is empty",
            'write one, such as fetch.rows > 0 or fetch.status == "ok"',
        ),
        (" \n", 0, "the condition is empty", None),
        ("fetch.rows >", 12, "the condition ends too early", None),
        ("fetch.rows > 0 and", 18, "the condition ends too early", None),
        ("(fetch.rows > 0", 0, "this '(' is not closed", "add the ')'"),
        ("fetch.rows in [1, 2", 14, "this '[' is not closed", "add the ']'"),
        ("fetch.rows in [1 2]", 17, "'2' cannot stand here", None),
        ("fetch.rows in [fetch.n]", 15, "a list holds numbers and quoted texts", None),
        ("fetch.rows in [[1]]", 15, "a list holds numbers and quoted texts", None),
        ("fetch.rows > 0)", 14, "')' cannot stand here", "take it out, or open it before"),
        ("fetch.rows in (1, 2)", 16, "',' cannot stand here", 'a list is written ["a", "b"]'),
        ('ctx["fetch"]', 3, "'[' cannot stand here", "write keys with dots: STEP.KEY, STEP.0"),
        ("always()", 6, "'(' cannot stand here", "that is the step's trigger_rule: all_done"),
        (
            'fetch.tags contains "x"',
            11,
            "'contains' cannot stand here",
            'write it the other way round: "text" in STEP.KEY',
        ),
        ("fetch.rows == 'a", 14, "this quote is not closed", "end the text with '"),
        ('fetch.rows == "\\d"', 15, "a backslash that stands for nothing", None),
        ("fetch.rows = 1", 11, f"'=' {NOT_KNOWN}", "write =="),
        ("fetch.rows === 1", 11, f"'===' {NOT_KNOWN}", "write =="),
        ("fetch.rows <> 1", 11, f"'<>' {NOT_KNOWN}", "write !="),
        ("fetch.ready && true", 12, f"'&&' {NOT_KNOWN}", "write and"),
        ("fetch.ready || true", 12, f"'||' {NOT_KNOWN}", "write or"),
        ("!fetch.ready", 0, f"'!' {NOT_KNOWN}", "write not"),
        ("fetch.ready AND true", 12, f"'AND' {NOT_KNOWN}", "write and"),
        ("fetch.ready == True", 15, f"'True' {NOT_KNOWN}", "write true"),
        ("fetch.none is null", 11, "'is' cannot stand here", "write == or !="),
        ("fetch.rows + 1 > 2", 11, f"'+' {NOT_KNOWN}", CALCULATE),
        ("fetch.rows - 1 > 2", 11, f"'-' {NOT_KNOWN}", CALCULATE),
        ("fetch.rows -1 > 2", 11, "'-1' cannot stand here", CALCULATE),
        ("len(fetch.tags) > 2", 3, "'(' cannot stand here", None),
        ("${{ fetch.rows }} > 2", 0, f"'$' {NOT_KNOWN}", None),
        ("fetch.name == “apple”", 14, f"'“' {NOT_KNOWN}", "use straight quotes"),
        ("fetch.rows\0 > 0", 10, f"the character U+0000 {NOT_KNOWN}", None),
        ("fetch.rows ; true", 11, f"';' {NOT_KNOWN}", None),
        ("1 < fetch.rows == 3", 4, "this is compared to both sides", None),
        ("1 < fetch.rows > 3", 4, "this is compared to both sides", None),
        ("-.5 < fetch.rows", 0, "'-' is not known here", None),
        (".5 < fetch.rows", 0, "'.5' is neither a number nor a name", None),
        ("-5x < fetch.rows", 0, "'-5x' is neither a number nor a name", None),
        ("1 == 1 or " * 120 + "true", 0, "the condition is 1,204 characters long", None),
        (
            "(" * 51 + "true" + ")" * 51,
            51,
            "more than 50 parentheses or nots within each other",
            None,
        ),
        ("not " * 51 + "true", 204, "more than 50 parentheses or nots within each other", None),
        # what it refers to
        ("fecth.rows > 0", 0, "unknown step 'fecth'", "did you mean 'fetch'?"),
        ("FETCH.rows > 0", 0, "unknown step 'FETCH'", "did you mean 'fetch'?"),
        ("steps.fetch.rows > 0", 0, "unknown step 'steps'", "begin with the step: fetch.rows"),
        ("param.region == 'eu'", 0, "unknown step 'param'", "write params.region"),
        (
            "fetch.rows > 1_000",
            13,
            "unknown step '1_000'",
            'numbers are plain digits; text goes in quotes: "1_000"',
        ),
        ("true and region == 'eu'", 9, "unknown step 'region'", "write params.region"),
        ("fetch.status == ok", 16, "unknown step 'ok'", 'text goes in quotes: "ok"'),
        (
            "params.day > 2024-01-01",
            13,
            "unknown step '2024-01-01'",
            'text goes in quotes: "2024-01-01"',
        ),
        ("params.regin == 'eu'", 0, "unknown parameter 'regin'", "did you mean 'region'?"),
        ("params == 'eu'", 0, "this names no parameter", "write params.n, …"),
        ("params.region.x == 'eu'", 0, "'params.region.x': a parameter has no parts", None),
        ("own.rows > 0", 0, "a condition is asked before its own step has run", None),
        ("late.rows > 0", 0, "step 'late' runs after step 'own'", "turn the dependency round"),
        (
            "else.rows > 0",
            0,
            "step 'own' does not depend on step 'else'",
            "add 'else' to the depends_on of step 'own'",
        ),
        ("fetch.rows. > 0", 0, "'fetch.rows.' has nothing between two dots", None),
        (
            "fetch.status.x == 'ok'",
            0,
            "'fetch.status.x': a status has no parts",
            "write fetch.status",
        ),
        # kinds
        ("3", 0, "the condition is a number, not true or false", COMPARE),
        ('"fetch.rows > 0"', 0, "the condition is text, not true or false", COMPARE),
        ("fetch.status", 0, "the condition is a status, not true or false", COMPARE),
        ("params.region", 0, "the condition is text, not true or false", COMPARE),
        ("[1]", 0, "the condition is a list, not true or false", COMPARE),
        ("null", 0, "the condition is null, not true or false", COMPARE),
        ("true and 1", 9, "'and' needs true or false, and this is a number", None),
        ('fetch.name == "a" or "b"', 21, "'or' needs true or false, and this is text", None),
        ("not params.n", 4, "'not' needs true or false, and this is a number", "compare it"),
        (
            'params.n > "5"',
            0,
            "this compares a number with text: the two cannot be compared",
            "leave out the quotes, or look at what params.n is",
        ),
        (
            "params.day > 5",
            0,
            "this compares a date with a number: the two cannot be compared",
            None,
        ),
        ("params.full < true", 0, None, None),
        ("params.day == params.at", 0, None, None),
        ("params.file < 'a'", 0, None, None),
        ('params.day > "1.3.2024"', 13, "'1.3.2024' is not a date", 'write it as "2011-11-14"'),
        ('params.day == "today"', 14, "'today' is not a date", None),
        ('params.n in ["4", "5"]', 0, "this looks for a number among what is text", None),
        ('params.n in "45"', 0, None, None),
        (
            'fetch.status == "success"',
            16,
            "no step ends with the status 'success'",
            'did you mean "ok"?',
        ),
        (
            '"faild" == fetch.status',
            0,
            "no step ends with the status 'faild'",
            "did you mean 'failed'?",
        ),
        (
            'fetch.status == "cached"',
            16,
            "no step ends with the status 'cached'",
            'a step reused from an earlier run reads "ok"',
        ),
        (
            'fetch.status in ["ok", "gone"]',
            23,
            "no step ends with the status 'gone'",
            "a status is ok, failed, skipped, cancelled or interrupted",
        ),
        ("fetch.status == 1", 0, "a status is compared with a text or a list of texts", None),
        ('fetch.status < "ok"', 0, "a status is compared with a text or a list of texts", None),
        ('"ok" in fetch.status', 0, "a status is compared with a text or a list of texts", None),
    ],
)
def test_what_is_refused(text: str, offset: int, message: str | None, hint: str | None) -> None:
    """At load, with the character, what is wrong, and what to write instead."""
    wrong = checked(text, SCOPE)[1]
    assert len(wrong) == 1
    assert wrong[0].offset == offset
    if message is not None:
        assert wrong[0].message == message
    assert wrong[0].hint
    if hint is not None:
        assert wrong[0].hint == hint


CHOSEN = Workflow(
    "chosen",
    params={
        "mode": Param(str, default="full", choices=("full", "delta")),
        "level": Param(int, default=1, choices=(1, 2)),
        "day": Param(date, default="2024-03-01", choices=("2024-03-01",)),
        "free": "x",
    },
)


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ('params.mode == "ful"', 'mode\' is never "ful"', "did you mean 'full'?"),
        ('"x" != params.mode', 'mode\' is never "x"', "its choices are full, delta"),
        ('params.mode in ["full", "y"]', 'mode\' is never "y"', None),
        ("params.level == 3", "level' is never 3", "its choices are 1, 2"),
        ('params.day == "2024-03-02"', 'day\' is never "2024-03-02"', None),
        ('params.mode == "delta" or params.mode == null or params.mode < "x"', None, None),
        ('params.level == 1.0 and params.day == "2024-03-01" and params.free == "y"', None, None),
    ],
)
def test_choices_of_parameters(text: str, message: str | None, hint: str | None) -> None:
    """A value that a parameter cannot have is a slip of the pen."""
    scope = scopes(GRAPH, CHOSEN.params, dict.fromkeys(GRAPH.names, TriggerRule.ALL_SUCCESS))
    _, wrong = checked(text, scope("own"))
    assert [one.message for one in wrong] == ([f"parameter '{message}"] if message else [])
    if hint is not None:
        assert wrong[0].hint == hint


SEEN = {
    "all_success": ("ok",),
    "none_failed": ("ok", "skipped"),
    "one_failed": ("ok", "failed", "skipped"),
    "all_done": STATUSES,
}


@pytest.mark.parametrize("rule", TriggerRule)
@pytest.mark.parametrize("status", STATUSES)
def test_statuses_that_a_rule_keeps_from_a_step(rule: TriggerRule, status: str) -> None:
    """A condition that its own step's rule makes impossible is refused: it would run never."""
    scope = scopes(graph_of("a b>a c>b"), {}, dict.fromkeys("abc", rule))("c")
    seen = SEEN[rule]
    told = " or ".join(", ".join(seen).rsplit(", ", 1))
    never = [] if status in seen else [f"this is never true: step 'c' runs only if 'b' is {told}"]
    for text in (f'b.status == "{status}"', f'"{status}" == b.status', f'b.status in ["{status}"]'):
        _, wrong = checked(text, scope)
        assert [one.message for one in wrong] == never
        assert all("trigger_rule: all_done" in one.hint for one in wrong)
    # what is said of it is true, and harmless
    assert checked(f'not b.status == "{status}"', scope)[1] == []
    assert (checked(f'b.status != "{status}"', scope)[1] == []) is (seen != (status,))
    # further up, all is possible that lets a run go on
    _, wrong = checked(f'a.status == "{status}"', scope)
    assert (wrong == []) is (rule == "all_done" or status in ("ok", "failed", "skipped"))


def test_all_faults_come_in_one_go() -> None:
    """In order of their places."""
    text = 'fecth.rows > 0 and params.m == 1 or else.x and fetch.status == "yes" and "x"'
    assert [(one.offset, one.message) for one in checked(text, SCOPE)[1]] == [
        (0, "unknown step 'fecth'"),
        (19, "unknown parameter 'm'"),
        (36, "step 'own' does not depend on step 'else'"),
        (63, "no step ends with the status 'yes'"),
        (73, "'and' needs true or false, and this is text"),
    ]


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        (" fetch.rows>0 ", "fetch.rows > 0"),
        ("fetch.rows>0 and(true)", "fetch.rows > 0 and true"),
        ("(a and b) or c", "a and b or c"),
        ("a and (b or c)", "a and (b or c)"),
        ("a and (b and c)", "a and (b and c)"),
        ("not(a==b)", "not a == b"),
        ("not not (a)", "not not a"),
        ("(not a) == b", "(not a) == b"),
        ("a not\nin ['x',]", 'a not in ["x"]'),
        ("a == 'say \"hi\"'", 'a == "say \\"hi\\""'),
        ("a == 0.10 or a == -7", "a == 0.10 or a == -7"),
        ("a == 0.00000001", "a == 0.00000001"),
    ],
)
def test_normal_form(text: str, normal: str) -> None:
    """It is the same however the text is spaced, and does not change any more."""
    assert parse(text).text == normal
    assert parse(normal).text == normal
    assert parse(normal).tree == parse(text).tree


# -- names ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("steps", "text", "read"),
    [
        (["a", "a.b"], "a.b.c", "a.b:c"),
        (["a", "a.b"], "a.c", "a:c"),
        (["a", "a.b.c"], "a.b.d", "a:b"),
        (["a."], "a..b", "a.:b"),
        (["2024"], "2024.x", "2024:x"),
        (["1.5"], "1.5.x", "1.5:x"),
        (["not"], "not.x", "not:x"),
        (["in", "or"], "or.in", "or:in"),
        (["a.status"], "a.status", "a.status:a.status"),
        (["日本"], "日本.数", "日本:数"),
        (["é"], "e\u0301.x", "é:x"),
        (["हिन्दी"], "हिन्दी.x", "हिन्दी:x"),
    ],
)
def test_the_longest_name_counts(steps: list[str], text: str, read: str) -> None:
    """Names of steps hold dots, dashes, digits and letters of any script."""
    scope = Scope("own", steps, {}, lambda above, _: above != "own")
    told = context()
    with pytest.raises(ConditionError):
        tied(text, scope)(told)
    assert told.asked[0] == read


def test_a_step_called_params() -> None:
    """It is in the parameters' way only where they are spoken of."""
    scope = Scope("own", ["params", "fetch"], {"n": int}, lambda above, _: above != "own")
    assert checked("fetch.n == 1", scope)[1] == []
    (wrong,) = checked("params.n == 1", scope)[1]
    assert wrong.message == "'params.n' may be a parameter or what step 'params' left"
    assert wrong.hint == "give step 'params' another name"


def test_statuses_are_those_that_steps_end_with() -> None:
    """All but `cached`, which reads `ok`."""
    assert set(STATUSES) == {str(status) for status in ENDED_STEP - {StepStatus.CACHED}}


# -- in a workflow --------------------------------------------------------------------------------


def flow(when: str, **params: Any) -> Workflow:
    """Make a workflow whose last step has a condition."""
    return (
        Workflow("flow", params=params)
        .add(Step("fetch", nothing))
        .add(Step("dump", nothing, depends_on=["fetch"], when=when))
    )


def test_what_is_no_condition_is_refused_at_once() -> None:
    """The step says where in its text it goes wrong."""
    with pytest.raises(DefinitionError) as raised:
        flow("fetch.rows >> 0")
    assert raised.value.message == (
        "step 'dump': when 'fetch.rows >> 0', character 13: '>' cannot stand here"
    )
    assert raised.value.hint == "something is missing before it"


def test_the_workflow_tells_all_faults() -> None:
    """Of all steps, each with its own hint."""
    made = flow("fecth.rows > params.m", n=1).add(
        Step("end", nothing, depends_on=["dump"], when="fetch.status == 'good'")
    )
    with pytest.raises(DefinitionError) as raised:
        made.definition()
    told = [
        "step 'dump': when 'fecth.rows > params.m': unknown step 'fecth'",
        "step 'dump': when 'fecth.rows > params.m', character 14: unknown parameter 'm'",
        (
            "step 'end': when \"fetch.status == 'good'\", character 17:"
            " no step ends with the status 'good'"
        ),
    ]
    assert [message for message, _ in raised.value.complaints()] == told
    assert raised.value.message == "workflow 'flow': " + "; ".join(told)


def test_a_definition_holds_tied_conditions() -> None:
    """What the file says is kept as it was written, beside the normal form."""
    when = flow("fetch.rows>params.n", n=1).definition().steps[1].when
    assert isinstance(when, Condition)
    assert (when.written, when.text) == ("fetch.rows>params.n", "fetch.rows > params.n")
    made = Context({"fetch": {"rows": 2}}, {}, {"n": 1})
    assert when(made) is True
    with pytest.raises(ConditionError, match=r"'fetch\.rows' is tied to no step of a workflow"):
        parse("fetch.rows > 0")(made)


def test_many_faults_are_cut_short() -> None:
    """And take no time to guess what was meant."""
    made = Workflow("flow")
    for at in range(200):
        made.add(Step(f"s{at}", nothing, when=f"x{at}.a > 0"))
    with pytest.raises(DefinitionError) as raised:
        made.definition()
    assert raised.value.message.endswith("; and 180 more")
    assert len(raised.value.faults) == 200


def test_fingerprint_is_that_of_the_normal_form() -> None:
    """Spaces and needless parentheses do not make a step another one."""
    base = Step("a", nothing, when="fetch.rows>0 and(params.n == 1)")
    same = replace(base, when="fetch.rows > 0 and params.n == 1")
    other = replace(base, when="fetch.rows > 1 and params.n == 1")
    prints = [fingerprint(step, root=None) for step in (base, same, other)]
    assert prints[0] == prints[1]
    assert prints[0].parts["when"] != prints[2].parts["when"]


# -- what is recorded -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("fetch.rows>5", "fetch.rows > 5 (fetch.rows is 3)"),
        ("false", "false"),
        ("not fetch.ready", "not fetch.ready (fetch.ready is true)"),
        ("fetch.none != null", "fetch.none != null (fetch.none is null)"),
        ("fetch.tags == []", "fetch.tags == [] (fetch.tags is a list of 2)"),
        ("fetch.colours == null", "fetch.colours == null (fetch.colours is a set of 2)"),
        (
            'fetch.name == "x" or bad.status == "ok" or params.day < fetch.day',
            (
                'fetch.name == "x" or bad.status == "ok" or params.day < fetch.day'
                ' (fetch.name is "apple", bad.status is "failed", params.day is 2024-03-01,'
                " fetch.day is 2024-02-29)"
            ),
        ),
        ("fetch.rows == 1 and bad.x == 2", "fetch.rows == 1 and bad.x == 2 (fetch.rows is 3)"),
    ],
)
def test_why_it_is_false(text: str, note: str) -> None:
    """The note gives the condition and what was read for it."""
    assert tied(text).unmet(context()) == f"condition false: {note}"


def test_values_are_masked_and_then_cut() -> None:
    """Half a secret is known by nobody."""
    left = {"fetch": {"text": "x" * 30 + "hunter2hunter2" + "y" * 30, "big": 7**300}}
    told = Context(left, {}, {})

    def mask(text: str) -> str:
        return text.replace("hunter2hunter2", "[secret]")

    condition = tied('fetch.text == "" or fetch.big == 1')
    assert condition.unmet(told, mask) == (
        'condition false: fetch.text == "" or fetch.big == 1 (fetch.text is "'
        + "x" * 30
        + '[secret]y…", fetch.big is a number of many digits)'
    )


def test_a_secret_in_a_condition_is_masked() -> None:
    """Also where it stands in the text itself, which notes, reports and errors tell."""

    def mask(text: str) -> str:
        return text.replace("hunter2", "***")

    told = Context({"fetch": {"text": "no"}}, {}, {})
    condition = tied('fetch.text == "hunter2"')
    unmet = 'condition false: fetch.text == "***" (fetch.text is "no")'
    assert condition.unmet(told, mask) == unmet
    long = tied(f'fetch.text == "{"x" * 178}hunter2" and fetch.none > 1')
    with pytest.raises(ConditionError) as caught:
        long.asked(Context({"fetch": {"text": "x" * 178 + "hunter2"}}, {}, {}), mask)
    assert "hunt" not in caught.value.message


# -- in files -------------------------------------------------------------------------------------

FILE = """\
params: {n: 1}
steps:
  - {name: fetch, command: "true"}
  - name: a
    command: "true"
    when: fetch.rows > params.m
  - name: b
    command: "true"
    depends_on: [fetch]
    when: "fetch.rows > 'x"
  - name: c
    command: "true"
    depends_on: [fetch]
    when: >
      fetch.rows > 1
      and fetch.row >
  - {name: d, command: "true", depends_on: [fetch], when: params.n == 1}
"""


def test_faults_stand_at_their_character(tmp_path: Path) -> None:
    """Or, where the file has the text in another form, at the key."""
    path = tmp_path / "flow.yaml"
    path.write_text(FILE)
    with pytest.raises(DefinitionError) as raised:
        load_file(path)
    assert [str(fault).split("\n")[0] for fault in raised.value.faults] == [
        f"{path}:6:11: step 'a': when: step 'a' does not depend on step 'fetch'",
        f"{path}:6:24: step 'a': when: unknown parameter 'm'",
        f"{path}:10:25: step 'b': when: this quote is not closed",
        (
            f"{path}:14:5: step 'c': when 'fetch.rows > 1 and fetch.row >\\n', character 32:"
            " the condition ends too early"
        ),
    ]


def test_conditions_of_a_broken_graph(tmp_path: Path) -> None:
    """What can be told without the graph is told beside its faults."""
    path = tmp_path / "flow.json"
    path.write_text(
        '{"params": {"n": []}, "steps": [\n'
        '{"name": "a", "command": "true", "depends_on": ["x"], "when": "b.n > params.n"},\n'
        '{"name": "b", "command": "true", "when": "c.n > params.m"}]}'
    )
    with pytest.raises(DefinitionError) as raised:
        load_file(path)
    assert [
        str(fault).split("\n")[0].removeprefix(f"{path}:") for fault in raised.value.faults
    ] == [
        "1:13: parameter 'n' is a list",
        "2:34: step 'a' depends on unknown step 'x'",
        "3:43: step 'b': when: unknown step 'c'",
        "3:49: step 'b': when: unknown parameter 'm'",
    ]


def test_a_file_is_made_of_the_same_words(tmp_path: Path) -> None:
    """The condition is tied as one written in Python."""
    path = tmp_path / "flow.json"
    path.write_text(
        '{"steps": [{"name": "a", "command": "true"},'
        ' {"name": "b", "command": "true", "depends_on": ["a"], "when": "a.status == \\"ok\\""}]}'
    )
    when = load_file(path).steps[1].when
    assert isinstance(when, Condition)
    assert when(Context({}, {"a": "ok"}, {})) is True
