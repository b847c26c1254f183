"""Tables as context values, where the user has pandas, polars or pyarrow."""

from __future__ import annotations

import math
import sys
import types
from datetime import date

import pytest

from engine.errors import ValueNotStorable
from store.values import canonical, decode, encode

SECRET = "s3cr3t-token"


def _message(value: object) -> str:
    with pytest.raises(ValueNotStorable) as caught:
        encode("k", value, reject=lambda text: SECRET in text)
    return caught.value.message


def _refused_table(table: object) -> str:
    message = _message(table)
    assert message.startswith("value for 'k' cannot be stored: ")
    return message.removeprefix("value for 'k' cannot be stored: ")


def test_pandas_tables_read_back_the_same() -> None:
    """A DataFrame keeps its columns, dtypes, index, its freq and labels."""
    pytest.importorskip("pyarrow")
    pd = pytest.importorskip("pandas")
    days = pd.date_range("2020-03-28", periods=3, freq="D", tz="Europe/Berlin", name="day")
    plain = pd.DataFrame({"n": [1, 2, 3], "s": ["x", "y", None], "f": [-0.0, math.nan, 1.5]})
    frames = [plain, plain.set_index(["n", "s"]), plain.set_index(days), pd.DataFrame([[1, 2]])]
    for frame in [*frames, pd.DataFrame(), plain.astype({"s": "category"})]:
        encoded = encode("k", frame)
        again = decode(encoded)
        pd.testing.assert_frame_equal(
            again, frame, check_exact=True, check_column_type="exact", check_index_type="exact"
        )
        assert encoded.codec == "arrow-pandas"
        assert canonical(again) == canonical(frame)


def test_pandas_tables_that_would_change_are_refused() -> None:
    """A DataFrame that Arrow gives back otherwise is refused."""
    pytest.importorskip("pyarrow")
    pd = pytest.importorskip("pandas")
    changed = "pandas.DataFrame that Arrow would change"
    assert _refused_table(pd.DataFrame({"x": pd.Series([1, 2], dtype=object)})).endswith(changed)
    assert _refused_table(pd.DataFrame({"x": [[1], [2, 3]]})).endswith(changed)
    assert "Duplicate column names" in _refused_table(pd.DataFrame([[1, 2]], columns=["a", "a"]))
    inside = _refused_table({"t": [pd.DataFrame()]})
    assert inside.endswith("DataFrame at ['t'][0]")


def test_pandas_without_pyarrow_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A DataFrame needs pyarrow, and the refusal says so."""
    pandas = types.ModuleType("pandas")
    pandas.DataFrame = type("DataFrame", (), {"__module__": "pandas"})  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pandas", pandas)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ValueNotStorable) as caught:
        encode("k", pandas.DataFrame())
    assert caught.value.message.endswith("stored: pandas.DataFrame without a usable pyarrow")
    assert caught.value.hint == "install pyarrow 15 or newer"


def test_polars_tables_read_back_the_same() -> None:
    """A polars DataFrame keeps its schema and values; pyarrow is not needed."""
    pl = pytest.importorskip("polars")
    frame = pl.DataFrame({"n": [1, None], "f": [math.nan, -0.0], "d": [date(2020, 1, 1), None]})
    again = decode(encode("k", frame))
    assert type(again) is pl.DataFrame
    assert again.schema == frame.schema
    assert again.equals(frame)


def test_arrow_tables_read_back_the_same() -> None:
    """A pyarrow Table keeps schema, metadata and values."""
    pa = pytest.importorskip("pyarrow")
    table = pa.table({"n": [1, None], "s": ["a", "b"]}).replace_schema_metadata({"a": "b"})
    encoded = encode("k", table)
    assert encoded.codec == "arrow"
    assert decode(encoded).equals(table, check_metadata=True)


def test_secrets_in_tables_are_refused() -> None:
    """A table's texts, column names too, are asked about as well."""
    pa = pytest.importorskip("pyarrow")
    for table in (pa.table({"s": ["a", SECRET]}), pa.table({SECRET: [1]})):
        message = _message(table)
        assert message == "value for 'k' cannot be stored: a registered secret"
