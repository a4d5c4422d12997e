"""What every transform shares: it says what it needs of its inputs, and refuses what does not have it.

In: repaired tables and a contract. Out: a `TransformError` that names the column, or nothing.
"""

from __future__ import annotations

import pandas as pd

from mario_dagster.core.task import Table

from .frames import column_type


class TransformError(ValueError):
    """An input does not have the columns or types that a transform reads."""


def require(frame: pd.DataFrame, table: Table, *columns: str) -> None:
    """Raise a `TransformError` unless the frame has these columns of the table, in their contract types."""
    for name in columns:
        if name not in frame.columns:
            there = ", ".join(map(str, frame.columns))
            raise TransformError(f"{table.name} has no column '{name}', which has to be there first; it has {there}")
        expected, actual = table.column(name).type, column_type(frame[name])
        if actual != expected:
            raise TransformError(f"{table.name}.{name} is {actual}, not {expected}, which it has to be first")
