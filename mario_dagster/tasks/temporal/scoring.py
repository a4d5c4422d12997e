"""Task 5's parts of the score: schema, backfill, rollup, closure, freshness, resources, quality.

In: all that a score is made of. Out: the task's objectives by name, each 0 to 1.
"""

from __future__ import annotations

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from mario_dagster.core.task import Table
from mario_dagster.scoring.compare import count, has_type
from mario_dagster.scoring.objectives import Scored, alignment, backfill
from mario_dagster.tables.frames import to_arrow


def objectives(found: Scored) -> dict[str, float]:
    """Task 5's parts of the score, each 0 to 1."""
    state, scores, tables = found.state, found.scores, found.task.tables
    return {
        "schema_alignment": sum(alignment(each, found.tables.get(each.name)) for each in tables) / len(tables),
        "temporal_backfill": backfill(state),
        "rollup_consistency": found.same_rows("hourly_rollup"),
        "temporal_closure": found.once("closure", ("source_orders", "hourly_rollup"), lambda: _closure(found)),
        "freshness": found.task.freshness.left(state.lag_minutes),
        "resources": max(0.65, 1.0 - 0.10 * max(0, state.workers - state.required_workers)),
        "data_quality": 0.45 * scores["source_orders"] + 0.25 * scores["catalog"] + 0.30 * scores["hourly_rollup"],
    }


def _closure(found: Scored) -> float:
    """Mean of: late orders present, watermark reached, hours of late orders present in the rollup."""
    tables, orders, rollup = found.tables, found.task.table("source_orders"), found.task.table("hourly_rollup")
    reference = to_arrow(found.truth.tables[orders.name])
    late = reference.filter(pc.is_in(reference.column("batch_id"), value_set=pa.array(found.state.late, pa.string())))
    hours = pc.unique(pc.floor_temporal(late.column("event_ts"), unit="hour"))
    held = to_arrow(tables.get(orders.name, pd.DataFrame()))
    reached = False
    if has_type(held, orders.column("event_ts")) and held.num_rows:
        newest = pc.max(held.column("event_ts")).as_py()
        reached = newest is not None and newest >= pc.max(reference.column("event_ts")).as_py()
    arrived = _present(late.column(orders.key), held, orders)
    covered = _present(hours, to_arrow(tables.get(rollup.name, pd.DataFrame())), rollup)
    return (arrived + reached + covered) / 3


def _present(keys: pa.ChunkedArray | pa.Array, held: pa.Table, table: Table) -> float:
    """Share of keys that a stored table has."""
    if not len(keys):
        return 1.0
    if not has_type(held, table.column(table.key)):
        return 0.0
    return count(pc.is_in(keys, value_set=held.column(table.key).combine_chunks())) / len(keys)
