"""Values made by `@record`."""

from __future__ import annotations

from dataclasses import field, replace

import pytest

from engine.records import record


@record
class Place:
    """A record with a default, a field that is not compared, and one that is not shown."""

    name: str
    number: int = 1
    read_from: str = field(default="", compare=False)
    password: str = field(default="", repr=False)


@record
class Other:
    """Of the same fields, as far as they go."""

    name: str
    number: int = 1


@record
class Nothing:
    """A record without fields."""


def test_records_are_compared_by_value() -> None:
    """Equal are records of one class whose compared fields are equal, and so are their hashes."""
    assert Place("a") == Place("a", 1, read_from="b")
    assert Place("a") != Place("a", 2)
    assert Place("a") != Place("a", password="p")
    assert Place("a") != Other("a")  # type: ignore[comparison-overlap]
    assert Nothing() == Nothing()
    assert len({Place("a"), Place("a", read_from="b"), Place("b"), Nothing(), Nothing()}) == 3


def test_a_record_shows_its_fields() -> None:
    """A record reads as the call that makes it, without what is not to be shown."""
    shown = "Place(name='a', number=2, read_from='f')"
    assert repr(Place("a", 2, "f", "secret")) == shown
    assert repr(Nothing()) == "Nothing()"


def test_a_record_has_its_fields_alone() -> None:
    """`replace` gives a changed copy, and what is no field cannot be set."""
    assert replace(Place("a"), number=3) == Place("a", 3)
    with pytest.raises(AttributeError):
        Place("a").nmae = "b"  # type: ignore[attr-defined]
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'name'"):
        Place()  # type: ignore[call-arg]
