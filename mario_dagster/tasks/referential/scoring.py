"""Task 3's parts of the score: its tables, and totals that follow from them.

In: all that a score is made of. Out: the task's objectives by name, each 0 to 1.
"""

from __future__ import annotations

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from mario_dagster.scoring.compare import align, count, plausible_cells
from mario_dagster.scoring.objectives import Found, same_rows
from mario_dagster.tables.frames import to_arrow

from .transforms import order_totals


def objectives(found: Found) -> dict[str, float]:
    """Task 3's parts of the score, each 0 to 1.

    Weighted they are quality * (0.30 + 0.70 * share of right totals): three parts share the first term, the last part
    is the whole second one, so that right totals of wrong tables, and wrong totals of right ones, are worth little.
    """
    scores, table = found.scores, found.task.table("order_totals")
    quality = 0.50 * scores["orders"] + 0.30 * scores["customers"] + 0.20 * scores["products"]
    totals = found.once(
        "right totals",
        ("orders", "order_totals"),
        lambda: same_rows(table, found.tables.get(table.name), _due_totals(found)),
    )
    return {
        "orders_quality": scores["orders"],
        "customers_quality": scores["customers"],
        "products_quality": scores["products"],
        "dependency_consistency": quality * totals,
    }


def _due_totals(found: Found) -> pd.DataFrame:
    """The totals that are right: the twin's; where an order's quantity is lost, what a plausible stand-in comes to."""
    truth, orders, twin = found.truth, found.task.table("orders"), found.truth.tables["orders"]
    gone = [key for key, name in truth.lost.get(orders.name, ()) if name == "quantity"]
    pairs = align(orders, to_arrow(found.tables.get(orders.name, pd.DataFrame())), to_arrow(twin)) if gone else None
    if pairs is None or "quantity" not in pairs.held.column_names:
        return truth.tables["order_totals"]
    keys, values = pairs.true.column(orders.key), pairs.held.column("quantity")
    fits = plausible_cells(values, to_arrow(twin).column("quantity"), orders.column("quantity"))
    fits = pc.and_(fits, pc.is_in(pc.cast(keys, pa.string()), value_set=pa.array(gone)))
    if not count(fits):
        return truth.tables["order_totals"]
    filled = pc.index_in(to_arrow(twin).column(orders.key), value_set=keys.filter(fits).combine_chunks())
    quantity = pc.coalesce(values.filter(fits).take(filled), to_arrow(twin).column("quantity"))
    right = twin.assign(quantity=pd.Series(pd.arrays.ArrowExtensionArray(quantity), index=twin.index))
    return order_totals(right, truth.tables["products"])
