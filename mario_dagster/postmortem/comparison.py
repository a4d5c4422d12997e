"""A table beside the reference, counted: rows too few and too many, cells that differ, lost ones and guesses.

In: frames, and the cells whose value is nowhere any more. Out: `Compared`. The score is made of the same comparisons.
"""

from __future__ import annotations

import pandas as pd
import pyarrow.compute as pc

from mario_dagster.core.task import Table
from mario_dagster.scoring.compare import align, count, right_cells
from mario_dagster.scoring.lost import LostCells, among, guessed, keys_of
from mario_dagster.tables.frames import to_arrow

from .model import Compared


def compared(table: Table, frame: pd.DataFrame | None, reference: pd.DataFrame, lost: LostCells) -> Compared:
    """A stored table beside the reference; None is one that was never written."""
    true = to_arrow(reference)
    if frame is None or not len(frame.columns):
        return Compared(table.name, 0, true.num_rows, true.num_rows, 0, 0, len(lost))
    held = to_arrow(frame)
    pairs = align(table, held, true)
    matched = pairs.matched if pairs else 0
    differing = 0
    if pairs is not None:
        for column in table.columns:
            wrong = pc.invert(right_cells(pairs, column))
            if gone := keys_of(lost, column.name):
                wrong = pc.and_(wrong, pc.invert(among(pairs.true.column(table.key), gone)))
            differing += count(wrong)
    return Compared(
        table=table.name,
        rows=held.num_rows,
        reference_rows=true.num_rows,
        missing=true.num_rows - matched,
        surplus=held.num_rows - matched,
        differing=differing,
        lost=len(lost),
        # Of totals nobody could know the count that they are made of: they are computed, not guessed.
        guessed=0 if table.derived else guessed(table, held, lost),
    )
