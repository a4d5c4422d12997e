"""Keeping the books: a damaged bench becomes a `DamageManifest`.

In: a `Damage` after the faults have struck. Out: its manifest. Cells are compared as text in canonical form, damaged
against clean, so that the damage manifest holds what differs and nothing else, whatever the faults believed they did.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from mario_dagster.tables.frames import ARROW

from .damage import Damage, Feed
from .formatting import plain
from .manifest import CELLS, COLUMNS, REPAIRS, ROWS, DamageManifest

_TYPES = {dtype.pyarrow_dtype: name for name, dtype in ARROW.items()}


def damage_manifest_of(damage: Damage) -> DamageManifest:
    """What differs between the clean feeds and the damaged ones, and the repairs noted."""
    feeds = [(table, feed, feed.keys()) for table, feed in damage.feeds.items()]
    return DamageManifest(
        cells=_stack([part for table, feed, keys in feeds for part in _cells(table, feed, keys)], CELLS),
        rows_added=_stack([_rows(table, feed, keys) for table, feed, keys in feeds], ROWS),
        columns=_table([row for table, feed, _ in feeds for row in _columns(table, feed)], COLUMNS),
        repairs=_table(
            [
                (step.table, step.name, step.target_column, step.new_name, fault)
                for step, fault in damage.repairs.items()
            ],
            REPAIRS,
        ),
    )


def _cells(table: str, feed: Feed, keys: list[str | None]) -> Iterable[pd.DataFrame]:
    genuine = np.flatnonzero(feed.genuine)
    for name, writer in feed.writer.items():
        column, rows = feed.column(name), pa.array(genuine)
        clean = plain(feed.clean[name], column).take(pa.array(feed.origin[genuine]))
        damaged = plain(feed.columns[name], column).take(rows)
        differs = pc.fill_null(pc.not_equal(clean, damaged), True).to_numpy(zero_copy_only=False)
        differs &= ~(
            pc.is_null(clean).to_numpy(zero_copy_only=False) & pc.is_null(damaged).to_numpy(zero_copy_only=False)
        )
        at = genuine[differs]
        lost = feed.lost[name][at] if name in feed.lost else np.zeros(len(at), dtype=bool)
        faults = feed.faults[name]
        picked = pa.array(differs)
        yield pd.DataFrame(
            {
                "table": table,
                "key": [keys[row] for row in at],
                "column": name,
                "clean": np.array(clean.filter(picked).to_pylist(), dtype=object),
                "damaged": np.array(damaged.filter(picked).to_pylist(), dtype=object),
                "lost": lost,
                "fault": [faults[index] for index in writer[at]],
            },
            dtype=object,
        )


def _rows(table: str, feed: Feed, keys: list[str | None]) -> pd.DataFrame:
    at = np.flatnonzero(~feed.genuine)
    added = [feed.added[index] for index in feed.kind[at]]
    columns = {
        "table": table,
        "batch": [feed.batches[index] for index in feed.batch[at]],
        "key": np.array([keys[row] for row in at], dtype=object),
        "kind": [each.kind for each in added],
        "fault": [each.fault for each in added],
    }
    return pd.DataFrame(columns, dtype=object)


def _columns(table: str, feed: Feed) -> Iterable[Sequence[Any]]:
    """Columns that do not land as the contract says, with all the faults that had a hand in it."""
    known = [name for name in feed.order if name not in feed.extras]
    for position, name in enumerate(feed.order):
        landed_type = _TYPES[feed.columns[name].type]
        if name in feed.extras:
            yield table, None, name, position, None, landed_type, feed.extras[name]
            continue
        column = feed.column(name)
        moved = known.index(name) != feed.table.column_names.index(name)
        if feed.names[name] != name or landed_type != column.type or moved:
            faults = [*feed.faults.get(name, ()), *(["reordered_columns"] if moved else [])]
            yield table, name, feed.names[name], position, column.type, landed_type, "+".join(dict.fromkeys(faults))


def _stack(parts: Sequence[pd.DataFrame], columns: Sequence[str]) -> pd.DataFrame:
    held = [part for part in parts if len(part)]
    return pd.concat(held, ignore_index=True) if held else _table([], columns)


def _table(rows: Sequence[Sequence[Any]], columns: Sequence[str]) -> pd.DataFrame:
    return pd.DataFrame(list(rows), columns=list(columns), dtype=object)
