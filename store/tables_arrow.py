"""Tables (pandas, polars, pyarrow) as Arrow streams, where those packages are installed.

A table is known by its type among the modules already imported. What was written is read back
and compared before it counts as stored; what Arrow would change is refused.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from io import BytesIO
from typing import Any

from store.storable import NotStorable, type_name

CODECS = ("arrow", "arrow-pandas", "arrow-polars")
_TABLES = {  # codec: module, type
    "arrow": ("pyarrow", "Table"),
    "arrow-pandas": ("pandas", "DataFrame"),
    "arrow-polars": ("polars", "DataFrame"),
}
_PYARROW_MAJOR_MIN = 15  # older ones may unpickle what a stream says
# Arrow does not keep how a pandas index of times is spaced, nor that column labels are a range.
_FREQ = b"kahnban.freq"
_COLUMNS = b"kahnban.columns"
_HINT = "turn its columns into plain types, or write it to a file with ctx.output(path)"

Canonical = Callable[[object], str]


def _codec_of(value: object) -> str | None:
    for codec, (module, name) in _TABLES.items():
        kind = getattr(sys.modules.get(module), name, None)
        if kind is not None and type(value) is kind:
            return codec
    return None


def hint_inside(value: object) -> str:
    """Give what to do with a table, or a part of one, inside another value; "" if it is none."""
    if _codec_of(value) is not None:
        return "store the table under a key of its own: ctx[KEY] = table"
    if type_name(value).split(".")[0] in {module for module, _ in _TABLES.values()}:
        return "turn it into a table (DataFrame) or a list first"
    return ""


def write(value: object, canonical: Canonical) -> tuple[str, bytes] | None:
    """Encode a table as (codec, bytes); None if the value is no table.

    `canonical` gives comparable text for a list of plain values. Raises `NotStorable`.
    """
    codec = _codec_of(value)
    if codec is None:
        return None
    try:
        data = _WRITERS[codec](value)
        same = _SAME[codec](value, read(codec, data), canonical)
    except ImportError:
        hint = f"install pyarrow {_PYARROW_MAJOR_MIN} or newer"
        raise NotStorable(f"{type_name(value)} without a usable pyarrow", hint) from None
    except NotStorable:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise NotStorable(f"{type_name(value)} ({reason})", _HINT) from error
    if not same:
        raise NotStorable(f"{type_name(value)} that Arrow would change", _HINT)
    return codec, data


def read(codec: str, data: bytes) -> Any:
    """Give the table back; raises whatever the package raises for bytes it cannot read."""
    if codec == "arrow-polars":
        import polars as pl

        return pl.read_ipc_stream(BytesIO(data))
    table = _pyarrow().ipc.open_stream(data).read_all()
    return table if codec == "arrow" else _read_pandas(table)


def _pyarrow() -> Any:
    import pyarrow as pa

    if int(pa.__version__.split(".")[0]) < _PYARROW_MAJOR_MIN:
        raise ImportError(name="pyarrow>=15")
    return pa


# -- pyarrow --------------------------------------------------------------------------------------


def _write_pyarrow(table: Any) -> bytes:
    pyarrow = _pyarrow()
    sink = BytesIO()
    with pyarrow.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return sink.getvalue()


def _same_pyarrow(one: Any, other: Any, _: Canonical) -> bool:
    # a table with NaN is not equal to itself by `equals`; its bytes are
    return bool(one.schema.equals(other.schema, check_metadata=True)) and (
        _write_pyarrow(one) == _write_pyarrow(other)
    )


# -- pandas ---------------------------------------------------------------------------------------


def _write_pandas(frame: Any) -> bytes:
    table = _pyarrow().Table.from_pandas(frame)
    extra = {}
    if frame.index.dtype.kind in "mM" and getattr(frame.index, "freq", None):
        extra[_FREQ] = frame.index.freqstr.encode()
    labels = frame.columns
    if type(labels).__name__ == "RangeIndex":
        extra[_COLUMNS] = f"{labels.start} {labels.stop} {labels.step}".encode()
    return _write_pyarrow(table.replace_schema_metadata({**table.schema.metadata, **extra}))


def _read_pandas(table: Any) -> Any:
    import pandas as pd

    frame = table.to_pandas()
    extra = table.schema.metadata or {}
    if _FREQ in extra:
        frame.index.freq = extra[_FREQ].decode()
    if _COLUMNS in extra:
        bounds = map(int, extra[_COLUMNS].split())
        frame.columns = pd.RangeIndex(*bounds, name=frame.columns.name)
    return frame


def _same_pandas(one: Any, other: Any, canonical: Canonical) -> bool:
    from pandas.testing import assert_frame_equal

    try:
        assert_frame_equal(
            one, other, check_exact=True, check_index_type="exact", check_column_type="exact"
        )
    except AssertionError:
        return False
    return canonical(one.attrs) == canonical(other.attrs) and all(
        canonical(list(left)) == canonical(list(right))
        for left, right in zip(_objects(one), _objects(other), strict=True)
    )


def _objects(frame: Any) -> list[Any]:
    """Give the columns, index levels and labels that hold Python objects: `==` is lax on them."""
    columns = [frame.iloc[:, position] for position in range(frame.shape[1])]
    for index in (frame.index, frame.columns):
        columns += [index.get_level_values(level) for level in range(index.nlevels)]
    names = [list(frame.index.names), list(frame.columns.names)]
    return names + [each for each in columns if each.dtype == object]


# -- polars ---------------------------------------------------------------------------------------


def _write_polars(frame: Any) -> bytes:
    sink = BytesIO()
    frame.write_ipc_stream(sink)
    return sink.getvalue()


def _same_polars(one: Any, other: Any, _: Canonical) -> bool:
    return one.schema == other.schema and bool(one.equals(other, null_equal=True))


_WRITERS: dict[str, Callable[[Any], bytes]] = {
    "arrow": _write_pyarrow,
    "arrow-pandas": _write_pandas,
    "arrow-polars": _write_polars,
}
_SAME: dict[str, Callable[[Any, Any, Canonical], bool]] = {
    "arrow": _same_pyarrow,
    "arrow-pandas": _same_pandas,
    "arrow-polars": _same_polars,
}
