"""Frames as the lake holds them: Arrow types only, so that a column's type is a fact and not a pandas spelling.

In: frames and contracts. Out: type names, casts, content hashes. Missing is always null, never NaN.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from mario_dagster.core.task import ColumnType, Table

ARROW: Mapping[ColumnType, pd.ArrowDtype] = {
    "int64": pd.ArrowDtype(pa.int64()),
    "float64": pd.ArrowDtype(pa.float64()),
    "string": pd.ArrowDtype(pa.string()),
    "date": pd.ArrowDtype(pa.date32()),
    "timestamp": pd.ArrowDtype(pa.timestamp("us", tz="UTC")),
}
_NAMES: Mapping[pa.DataType, ColumnType] = {dtype.pyarrow_dtype: name for name, dtype in ARROW.items()}


def column_type(series: pd.Series) -> ColumnType | Literal["other"]:
    """The contract's name for a stored column's type; `other` for a type that no contract uses."""
    dtype = series.dtype
    return _NAMES.get(dtype.pyarrow_dtype, "other") if isinstance(dtype, pd.ArrowDtype) else "other"


def as_type(series: pd.Series, kind: ColumnType) -> pd.Series:
    """The series in a contract type; NaN becomes null. Raises what Arrow raises when a value does not fit."""
    array = pa.array(series, from_pandas=True)
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    if not array.type.equals(ARROW[kind].pyarrow_dtype):
        array = array.cast(ARROW[kind].pyarrow_dtype)
    return pd.Series(pd.arrays.ArrowExtensionArray(array), index=series.index, name=series.name)


def canonical(frame: pd.DataFrame, table: Table) -> pd.DataFrame:
    """The frame with the table's columns, in contract order and contract types."""
    return pd.DataFrame({column.name: as_type(frame[column.name], column.type) for column in table.columns})


def empty(table: Table) -> pd.DataFrame:
    """No rows, contract columns and types."""
    return pd.DataFrame({column.name: pd.Series([], dtype=ARROW[column.type]) for column in table.columns})


def to_arrow(frame: pd.DataFrame) -> pa.Table:
    """An Arrow table without pandas metadata, columns in the types of contracts, or as text."""
    columns = {}
    for name in frame.columns:
        series = frame[name]
        if column_type(series) == "other":
            series = as_type(series.map(str, na_action="ignore"), "string")
        columns[str(name)] = pa.array(series, from_pandas=True)
    return pa.table(columns)


def from_arrow(table: pa.Table) -> pd.DataFrame:
    """The frame of an Arrow table, its string types made one."""
    fields = [
        pa.field(field.name, pa.string()) if _is_text(field.type) else pa.field(field.name, field.type)
        for field in table.schema
    ]
    frame: pd.DataFrame = table.cast(pa.schema(fields)).to_pandas(types_mapper=pd.ArrowDtype)
    return frame


def distinct(values: pa.Array | pa.ChunkedArray) -> int:
    """How many different values there are; missing ones do not count."""
    if pa.types.is_integer(values.type) and not values.null_count:
        return len(pd.unique(values.to_numpy()))
    return len(pc.unique(values)) - bool(values.null_count)


def content_hash(frame: pd.DataFrame) -> str:
    """A data version: equal for equal names, types, values and row order, on any machine."""
    digest = hashlib.sha256()
    for name in frame.columns:
        array = pa.array(frame[name], from_pandas=True)
        array = array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array
        digest.update(f"{name}\x00{array.type}\x00{len(array)}\x00".encode())
        # What lies under a null is anybody's guess: nulls are hashed as flags, and values without them.
        digest.update(pc.is_null(array).cast(pa.uint8()).to_numpy(zero_copy_only=False).tobytes())
        values = array.drop_null()
        if pa.types.is_string(array.type):
            digest.update(pc.binary_length(values).to_numpy(zero_copy_only=False).tobytes())
            digest.update(text_bytes(values))
        else:
            digest.update(values.to_numpy(zero_copy_only=False).tobytes())
    return digest.hexdigest()[:16]


def text_bytes(texts: pa.Array) -> memoryview:
    """The UTF-8 of all texts, one after the other; none of them may be null."""
    _, offsets, data = texts.buffers()
    if data is None or not len(texts):
        return memoryview(b"")
    ends = np.frombuffer(offsets, np.int32)[[texts.offset, texts.offset + len(texts)]]
    return memoryview(data)[int(ends[0]) : int(ends[1])]


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_large_string(kind) or pa.types.is_string_view(kind))
