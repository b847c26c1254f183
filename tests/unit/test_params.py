"""Parameters: refused before anything runs, and the same live as read back from the record."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import Any, NoReturn
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import DefinitionError, ParameterError
from engine.model import REQUIRED, Param
from engine.params import as_text, check_param, described, from_json, resolve, to_json

TODAY = date(2011, 11, 14)
PARAMS = {
    "source": Param(str),
    "count": Param(int, 3),
    "ratio": Param(float, 0.5),
    "dry": Param(bool, default=False),
    "day": Param(date, "today"),
    "at": Param(datetime, datetime(2011, 11, 14, 8, tzinfo=UTC)),
    "folder": Param(Path, Path("in")),
}


def one(kind: Any, value: object, **options: Any) -> Any:
    """Resolve a single parameter of this kind."""
    params = {"x": check_param("x", Param(kind, **options))}
    return resolve(params, {"x": value}, today=TODAY, workflow="daily")["x"]


def refused(kind: Any, value: object, **options: Any) -> ParameterError:
    """Give the error that refuses the value."""
    with pytest.raises(ParameterError) as caught:
        one(kind, value, **options)
    return caught.value


def undefined(param: object, name: object = "x") -> DefinitionError:
    """Give the error that refuses the definition."""
    with pytest.raises(DefinitionError) as caught:
        check_param(name, param)
    return caught.value


# -- resolving ------------------------------------------------------------------------------------


def test_defaults_stand_where_nothing_is_given() -> None:
    """Every parameter gets a value, in order of declaration."""
    values = resolve(PARAMS, {"source": "drop"}, today=TODAY, workflow="daily")
    assert list(values.items()) == [
        ("source", "drop"),
        ("count", 3),
        ("ratio", 0.5),
        ("dry", False),
        ("day", TODAY),
        ("at", datetime(2011, 11, 14, 8, tzinfo=UTC)),
        ("folder", Path("in")),
    ]


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        (str, "", ""),
        (str, " 1\0", " 1\0"),
        (int, " -12 ", -12),
        (int, "+7", 7),
        (int, "9" * 400, 10**400 - 1),
        (int, 2**63, 2**63),
        (float, "2.5", 2.5),
        (float, ".5e-3", 0.0005),
        (float, "7", 7.0),
        (float, 7, 7.0),
        (float, -0.0, 0.0),
        (bool, "TRUE", True),
        (bool, "yes", True),
        (bool, "1", True),
        (bool, "on", True),
        (bool, "false", False),
        (bool, "No", False),
        (bool, "0", False),
        (bool, "off", False),
        (bool, True, True),
        (date, "2011-11-14", TODAY),
        (date, "today", TODAY),
        (date, " Yesterday ", date(2011, 11, 13)),
        (date, TODAY, TODAY),
        (datetime, "2011-11-14T08:00Z", datetime(2011, 11, 14, 8, tzinfo=UTC)),
        (datetime, "2011-11-14 08:00", datetime(2011, 11, 14, 8)),
        (Path, "a//b", Path("a/b")),
        (Path, PurePosixPath("/a"), Path("/a")),
    ],
)
def test_text_and_values_become_the_kind(kind: type, value: object, expected: object) -> None:
    """Text is converted by kind; a value of the right type stands as it is."""
    value = one(kind, value)
    assert value == expected
    assert type(value) is type(expected)
    assert str(value) == str(expected)


class Region(enum.StrEnum):
    """A kind of text."""

    EU = "eu"


def test_subclasses_become_plain() -> None:
    """A step sees plain types, live as in a resumed run, where only the text is left."""
    assert type(one(str, Region.EU)) is str
    berlin = datetime(2011, 7, 1, 8, tzinfo=ZoneInfo("Europe/Berlin"))
    at = one(datetime, berlin)
    assert at == berlin
    assert at.tzinfo.utcoffset(None) == timedelta(hours=2)


@pytest.mark.parametrize(
    ("kind", "value", "shown", "form"),
    [
        (str, 3, "3", "text"),
        (str, b"a", "a bytes", "text"),
        (str, "\udc80", "not valid Unicode", "text"),
        (int, "1.0", "'1.0'", "a whole number"),
        (int, "1_000", "'1_000'", "a whole number"),
        (int, "", "''", "a whole number"),
        (int, "x" * 90, "'" + "x" * 80 + "…'", "a whole number"),
        (int, True, "'true'", "a whole number"),
        (int, 2.0, "2.0", "a whole number"),
        (int, "9" * 5000, "'" + "9" * 80 + "…'", "a whole number"),
        (float, "nan", "'nan'", "a finite number"),
        (float, "1e400", "'1e400'", "a finite number"),
        (float, float("inf"), "inf", "a finite number"),
        (float, 10**400, "an int of many digits", "a finite number"),
        (float, False, "'false'", "a finite number"),
        (bool, "maybe", "'maybe'", "true or false (yes, no, on, off, 1, 0)"),
        (bool, 1, "1", "true or false (yes, no, on, off, 1, 0)"),
        (date, "14.11.2011", "'14.11.2011'", "a date (YYYY-MM-DD, today or yesterday)"),
        (
            date,
            datetime(2011, 11, 14, tzinfo=UTC),
            "'2011-11-14T00:00:00+00:00'",
            "a date (YYYY-MM-DD, today or yesterday)",
        ),
        (datetime, TODAY, "'2011-11-14'", "a date and time (ISO 8601)"),
        (datetime, "today", "'today'", "a date and time (ISO 8601)"),
        (Path, "", "''", "a path"),
        (Path, "a\0b", "'a\\x00b'", "a path"),
        (Path, Path("\udc80"), "not valid Unicode", "a path"),
        (int, None, "a NoneType", "a whole number"),
        (int, [1], "a list", "a whole number"),
    ],
)
def test_wrong_values_are_refused(kind: type, value: object, shown: str, form: str) -> None:
    """The refusal names parameter, workflow and value, and shows a form that works."""
    error = refused(kind, value)
    assert error.message == f"parameter 'x' of workflow 'daily' is {shown}, not {form}"
    assert error.hint.startswith(f"give {form}, such as --set x=")
    one(kind, error.hint.partition("--set x=")[2])


def test_a_number_without_a_text_is_refused() -> None:
    """An int of more digits than Python turns into text cannot be recorded."""
    message = "parameter 'x' of workflow 'daily' is an int of many digits, not a whole number"
    assert refused(int, 10**5000).message == message


class Hostile:
    """Raises from whatever it is asked."""

    def _refuse(self, *_: object) -> NoReturn:
        raise ZeroDivisionError

    __repr__ = __str__ = _refuse
    __class__ = property(_refuse)


@pytest.mark.parametrize("kind", [str, int, float, bool, date, datetime, Path])
def test_hostile_values_are_only_refused(kind: type) -> None:
    """A value whose methods raise is a wrong value, nothing more."""
    assert "is a Hostile, not" in refused(kind, Hostile()).message


def test_unknown_names_get_a_suggestion() -> None:
    """A misspelt name is refused with the nearest and all known names."""
    with pytest.raises(ParameterError) as caught:
        resolve(PARAMS, {"cuont": "3"}, today=TODAY, workflow="daily")
    names = "source, count, ratio, dry, day, at, folder"
    assert caught.value.message == "workflow 'daily' has no parameter 'cuont'"
    assert caught.value.hint == f"did you mean 'count'? its parameters are {names}"
    with pytest.raises(ParameterError) as caught:
        resolve(PARAMS, {"zzz": "3"}, today=TODAY, workflow="daily")
    assert caught.value.hint == f"its parameters are {names}"
    with pytest.raises(ParameterError) as caught:
        resolve({}, {1: "3"}, today=TODAY, workflow="daily")  # type: ignore[dict-item]
    assert caught.value.message == "workflow 'daily' has no parameter named by an int"
    assert caught.value.hint == "it takes no parameters"


def test_missing_values_are_named_together() -> None:
    """All missing parameters are named at once, with what to add to the command."""
    params = {"a": Param(str), "b": Param(int), "c": Param(int, 1)}
    with pytest.raises(ParameterError) as caught:
        resolve(params, {}, today=TODAY, workflow="daily")
    assert caught.value.message == "workflow 'daily' needs the parameters 'a', 'b'"
    assert caught.value.hint == "add --set a=VALUE --set b=VALUE"
    with pytest.raises(ParameterError) as caught:
        resolve(params, {"a": ""}, today=TODAY, workflow="daily")
    assert caught.value.message == "workflow 'daily' needs the parameter 'b'"


def test_choices_bound_the_values() -> None:
    """Only a choice passes; choices may be any iterable and given as text."""

    def regions() -> Iterator[str]:
        yield from ("eu", "us")

    assert one(str, "us", choices=regions()) == "us"
    assert one(int, "2", choices={"1", 2}) == 2
    error = refused(str, "asia", choices=regions())
    assert error.message == (
        "parameter 'x' of workflow 'daily' is 'asia', which is none of its choices"
    )
    assert error.hint == "choose one of eu, us"


# -- definition -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("param", "expected"),
    [
        ("eu", Param(str, "eu")),
        (3, Param(int, 3)),
        (2.5, Param(float, 2.5)),
        (True, Param(bool, default=True)),
        (TODAY, Param(date, TODAY)),
        (datetime(2011, 1, 1, tzinfo=UTC), Param(datetime, datetime(2011, 1, 1, tzinfo=UTC))),
        (Path("a"), Param(Path, Path("a"))),
        (date, Param(date)),
        (Param(date, "2011-11-14"), Param(date, TODAY)),
        (Param(date, "Today"), Param(date, "today")),
        (Param(bool, "off"), Param(bool, default=False)),
        (Param(type(Path()), "a"), Param(Path, Path("a"))),
        (Param(str, "today"), Param(str, "today")),
        (Param(int, "2", choices=["1", "2"]), Param(int, 2, (1, 2))),  # type: ignore[arg-type]
    ],
)
def test_definitions_get_one_form(param: object, expected: Param) -> None:
    """Shorthands, text defaults and choices become a checked `Param`."""
    checked = check_param("x", param)
    assert checked == expected
    assert type(checked.default) is type(expected.default)
    assert check_param("x", checked) == checked
    assert (checked.default is REQUIRED) == (expected.default is REQUIRED)


@pytest.mark.parametrize(
    ("param", "message"),
    [
        (Param(list), "parameter 'x': unknown type 'list'"),
        (Param("integer"), "parameter 'x': unknown type 'integer'"),
        (Param("choice"), "parameter 'x': a choice needs choices"),
        (Param("choice", choices=(1,)), "parameter 'x': choices holds 1, not text"),
        ([1], "parameter 'x': a list cannot be a default"),
        (None, "parameter 'x': a NoneType cannot be a default"),
        (list, "parameter 'x': unknown type 'list'"),
        (Param(int, "a"), "parameter 'x': default is 'a', not a whole number"),
        (Param(int, None), "parameter 'x': default is a NoneType, not a whole number"),
        (Param(str, "a", ("b", "c")), "parameter 'x': default 'a' is none of its choices"),
        (Param(int, 1, ("a",)), "parameter 'x': choices holds 'a', not a whole number"),
        (
            Param(date, choices=("today",)),
            "parameter 'x': choices holds 'today', not a date (YYYY-MM-DD, today or yesterday)",
        ),
        (Param(str, "a", "abc"), "parameter 'x': choices is a str"),  # type: ignore[arg-type]
        (Param(str, "a", 3), "parameter 'x': choices is an int"),  # type: ignore[arg-type]
        (Param(str, "a", help=3), "parameter 'x': help is no text"),  # type: ignore[arg-type]
    ],
)
def test_wrong_definitions_are_refused(param: object, message: str) -> None:
    """A definition that cannot work is refused at once, with a hint."""
    error = undefined(param)
    assert error.message == message
    assert error.hint


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("str", "eu", "eu"),
        ("int", "3", 3),
        ("float", "2.5", 2.5),
        ("bool", "on", True),
        ("date", "today", TODAY),
        ("datetime", "2011-11-14", datetime(2011, 11, 14)),
        ("path", "a/b", Path("a/b")),
    ],
)
def test_a_type_may_be_named(name: str, value: str, expected: object) -> None:
    """A definition in a file has the words only; they become the types."""
    checked = check_param("x", Param(name))
    assert checked == Param(type(expected) if name != "path" else Path)
    assert resolve({"x": checked}, {"x": value}, today=TODAY, workflow="w") == {"x": expected}


def test_a_choice_is_text_with_choices() -> None:
    """The word alone would bound nothing, so the choices have to be there."""
    checked = check_param("x", Param("choice", "b", ("a", "b")))
    assert checked == Param(str, "b", ("a", "b"))
    assert undefined(Param("choice", "a")).hint == "give a list of texts as choices"


def test_a_misspelt_type_is_guessed() -> None:
    """Who writes one wrong is told which it may be, and all there are."""
    hint = "choose str, int, float, bool, date, datetime, path or choice"
    assert undefined(Param("dat")).hint == f"did you mean 'date'? {hint}"
    assert undefined(Param("x" * 100)).message.endswith(f"'{'x' * 80}'")


def test_a_parameter_is_described_in_the_words_of_a_definition() -> None:
    """What can be set, and how: for who looks at a workflow from outside."""
    assert described(check_param("x", Param(date, "today", help="the day"))) == {
        "type": "date",
        "required": False,
        "default": "today",
        "choices": [],
        "help": "the day",
    }
    needed = described(check_param("x", Param("choice", choices=("a", "b"))))
    assert needed == {
        "type": "str",
        "required": True,
        "default": None,
        "choices": ["a", "b"],
        "help": "",
    }


# -- from the environment -------------------------------------------------------------------------

SETTINGS = {"ENGINE_PARAM_region": "eu", "ENGINE_PARAM_Region": "us", "ENGINE_PARAM_n": "many"}


def outside(**given: str) -> dict[str, Any]:
    """Resolve two parameters where variables are set."""
    params = {"region": Param(str), "n": Param(int, 3)}
    return resolve(params, given, today=TODAY, workflow="w", setting=SETTINGS.get)


def test_the_environment_comes_between_option_and_default() -> None:
    """A variable, its case kept, takes the default's place, and `--set` its own."""
    assert outside(n="1") == {"region": "eu", "n": 1}
    assert outside(n="1", region="asia") == {"region": "asia", "n": 1}


def test_a_wrong_variable_is_named() -> None:
    """Who did not type a value is told where it comes from, and how to write it there."""
    with pytest.raises(ParameterError) as caught:
        outside()
    told = "parameter 'n' of workflow 'w' (from ENGINE_PARAM_n) is 'many', not a whole number"
    assert caught.value.message == told
    assert caught.value.hint == "give a whole number, such as ENGINE_PARAM_n=3"


@pytest.mark.parametrize("name", ["", "1a", "a-b", "ä", "a b", "a\n", "a" * 101, 3, None])
def test_names_fit_the_environment(name: object) -> None:
    """A name becomes part of `KAHNBAN_PARAM_name`, so it is a plain identifier."""
    odd = "an int" if name == 3 else "a NoneType"
    shown = repr(name[:80]) if isinstance(name, str) else odd
    assert undefined("eu", name).message == f"parameter name {shown} cannot be used"
    assert check_param("_a9" * 33, "eu") == Param(str, "eu")


# -- the record -----------------------------------------------------------------------------------


def test_recorded_forms() -> None:
    """The record is one line of JSON with sorted keys; the text form is what `--set` takes."""
    values = resolve(PARAMS, {"source": "ü"}, today=TODAY, workflow="daily")
    assert to_json(values) == (
        '{"at": "2011-11-14T08:00:00+00:00", "count": 3, "day": "2011-11-14", "dry": false,'
        ' "folder": "in", "ratio": 0.5, "source": "ü"}'
    )
    assert as_text(values) == {
        "source": "ü",
        "count": "3",
        "ratio": "0.5",
        "dry": "false",
        "day": "2011-11-14",
        "at": "2011-11-14T08:00:00+00:00",
        "folder": "in",
    }


@settings(max_examples=100, derandomize=True, deadline=None)
@given(
    st.fixed_dictionaries(
        {
            "source": st.text(),
            "count": st.integers(),
            "ratio": st.floats(allow_nan=False, allow_infinity=False),
            "dry": st.booleans(),
            "day": st.dates(),
            "at": st.datetimes(timezones=st.sampled_from([None, UTC, ZoneInfo("Asia/Tokyo")])),
            "folder": st.text(st.characters(exclude_characters="\0"), min_size=1).map(Path),
        }
    )
)
def test_record_and_text_read_back_equal(given_values: dict[str, Any]) -> None:
    """Values, their record and their texts all stand for the same parameters."""
    values = resolve(PARAMS, given_values, today=TODAY, workflow="daily")
    assert values == given_values
    text = to_json(values)
    again = from_json(PARAMS, text)
    assert again == values
    assert [type(value) for value in again.values()] == [type(each) for each in values.values()]
    assert to_json(again) == text
    retold = resolve(PARAMS, as_text(values), today=TODAY, workflow="daily")
    assert to_json(retold) == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "the recorded parameters cannot be read"),
        ("[]", "the recorded parameters cannot be read"),
        ('{"day": "2011-11-14"}', "the run was made without the parameter 'n'"),
        (
            '{"n": 1, "day": "2011-11-14", "old": 1}',
            "the run was made with the parameter 'old', which is gone",
        ),
        (
            '{"n": "a", "day": "2011-11-14"}',
            "the recorded parameter 'n' is 'a', not a whole number",
        ),
        (
            '{"n": 9, "day": "2011-11-14"}',
            "the recorded parameter 'n' is 9, which is none of its choices",
        ),
        (
            '{"n": 1, "day": "today"}',
            "the recorded parameter 'day' is 'today', not a date (YYYY-MM-DD, today or yesterday)",
        ),
    ],
)
def test_a_record_that_no_longer_fits_is_refused(text: str, message: str) -> None:
    """A run whose parameters the workflow no longer takes cannot be continued with them."""
    params = {"n": Param(int, 1, (1, 2)), "day": Param(date, "today")}
    with pytest.raises(ParameterError) as caught:
        from_json(params, text)
    assert caught.value.message == message
    assert caught.value.hint == "start anew with --fresh"
