"""Which upstream columns feed which columns of a derived table, as Dagster's column lineage.

In: how a derived table adds up, as its task's pipeline spec declares it for the audit. Out: the lineage. A column of
which nothing is declared is fed by those of the same name; where there is none, nothing is claimed.
"""

from __future__ import annotations

from collections.abc import Mapping

import dagster as dg

from mario_dagster.core.task import Table, Task
from mario_dagster.tables.spec import Product, Rollup, Totals

Sources = Mapping[str, list[tuple[str, str]]]


def column_lineage(task: Task, table: Table, adds_up: Product | Totals | Rollup | None) -> dg.TableColumnLineage:
    """A derived table's column lineage.

    Args:
        adds_up: how its numbers add up; None where that is not declared.
    """
    fed = _declared(task, table, adds_up)
    deps = {column.name: fed.get(column.name) or _namesakes(task, table, column.name) for column in table.columns}
    return dg.TableColumnLineage(
        {
            name: [dg.TableColumnDep(dg.AssetKey([task.slug, source]), column) for source, column in sources]
            for name, sources in deps.items()
            if sources
        }
    )


def _namesakes(task: Task, table: Table, column: str) -> list[tuple[str, str]]:
    return [(name, column) for name in table.upstream if column in task.table(name).column_names]


def _declared(task: Task, table: Table, adds_up: Product | Totals | Rollup | None) -> Sources:
    """Column -> (upstream table, column) that it is computed from."""
    first = task.table(table.upstream[0])
    if isinstance(adds_up, Rollup):
        counted = [(first.name, adds_up.via), _referred(first, adds_up.via)]
        return {
            table.key: [(first.name, adds_up.moment)],
            adds_up.count: counted,
            adds_up.total: [(first.name, adds_up.amount), *counted],
        }
    if isinstance(adds_up, Totals):
        product = adds_up.product
        priced = _referred(first, product.via)
        price = [priced, (priced[0], product.price)]
        return {product.total: [(first.name, product.count), (first.name, product.via), *price]}
    return {}


def _referred(table: Table, column: str) -> tuple[str, str]:
    """The table and column that a column refers to; itself where it refers to none."""
    other, _, key = (table.column(column).references or f"{table.name}.{column}").partition(".")
    return other, key
