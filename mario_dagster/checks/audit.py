"""The suite that stands before publishing: Great Expectations over whole tables and over how they add up.

In: `Evidence`. Out: an `Outcome` a table. The contract judges cells; the audit judges sums, counts and edges of tables
against one another and against what the producers declared, in a second tool's words. Great Expectations costs seconds
to import, so it is imported where an audit runs and nowhere else; `preload()` pays that ahead of time.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

import pandas as pd

from mario_dagster.core.task import Table
from mario_dagster.tables.spec import Product, Rollup, Totals, blueprint

from .contract import Breach, cells
from .facts import BATCH, Evidence, Outcome, lacking

# One context, one audit at a time: a context hands one thread's batch to another, and the GIL binds audits anyway.
_LOCK = threading.Lock()
# Sums of cents differ by float noise, never by this much.
CENT = 0.01
# A quantity that was lost and filled no longer multiplies to its order's revenue: a few such rows are no scandal.
MOSTLY = 0.9
# Great Expectations takes no empty set.
NOTHING = [None]
GAP = "gap to price times quantity"


def preload() -> None:
    """Import Great Expectations and build its context, from a background thread."""
    with _LOCK:
        _batch_definition()


def audit(evidence: Evidence, table: Table) -> Outcome:
    """Run a table's suite. About 25 ms once Great Expectations is imported.

    A table that lacks a column, or has it in the wrong type, fails before the suite: there is nothing to add up.
    """
    read = [table, *(evidence.task.table(name) for name in _others(table))]
    unfit = [breach for each in read for breach in lacking(evidence, each, each.column_names, typed=True)]
    if unfit:
        return Outcome.of(unfit)
    with _LOCK:
        frame = _plain(evidence.tables[table.name], table)
        suite = _suite(evidence, table, frame)
        result = _batch_definition().get_batch({"dataframe": frame}).validate(suite, result_format="BASIC")
    return Outcome.of(_breach(table, each) for each in result.results if not each.success)


def _others(table: Table) -> tuple[str, ...]:
    """The tables a suite reads besides its own."""
    referred = (column.references.partition(".")[0] for column in table.columns if column.references)
    return tuple(dict.fromkeys([*referred, *table.upstream]))


@cache
def _batch_definition() -> Any:
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False, metric_calculations=False)
    asset = context.data_sources.add_pandas("mario").add_dataframe_asset("table")
    return asset.add_batch_definition_whole_dataframe("whole")


def _suite(evidence: Evidence, table: Table, frame: pd.DataFrame) -> Any:
    import great_expectations as gx
    import great_expectations.expectations as gxe

    expected = [*_declared(gxe, evidence, table), *_sets(gxe, evidence, table)]
    adds_up = blueprint(evidence.task).sums.get(table.name)
    if isinstance(adds_up, Rollup):
        expected += _rollup(gxe, evidence, table, adds_up)
    elif isinstance(adds_up, Totals):
        expected += _totals(gxe, evidence, table, adds_up.product)
    elif isinstance(adds_up, Product):
        frame[GAP] = _gaps(evidence, table, frame, adds_up)
        ranges = {"quantiles": [MOSTLY], "value_ranges": [[None, CENT]]}
        expected.append(gxe.ExpectColumnQuantileValuesToBeBetween(column=GAP, quantile_ranges=ranges))
    return gx.ExpectationSuite(name=table.name, expectations=expected)


def _declared(gxe: Any, evidence: Evidence, table: Table) -> Iterable[Any]:
    """As many rows as the producers declared, and as many keys."""
    if table.derived:
        return
    rows = sum(evidence.landed.values()) if table.batched else evidence.declared.get(str(table.feed), 0)
    yield gxe.ExpectTableRowCountToEqual(value=rows)
    yield gxe.ExpectColumnUniqueValueCountToBeBetween(column=table.key, min_value=rows, max_value=rows)


def _sets(gxe: Any, evidence: Evidence, table: Table) -> Iterable[Any]:
    """Distinct values: categories of the contract, keys of the table referred to, batches that landed."""
    for column in table.columns:
        if column.categories:
            yield gxe.ExpectColumnDistinctValuesToBeInSet(column=column.name, value_set=list(column.categories))
        if column.references:
            other, _, key = column.references.partition(".")
            known = _known(evidence, other, key) or NOTHING
            yield gxe.ExpectColumnDistinctValuesToBeInSet(column=column.name, value_set=known)
    if table.batched:
        yield gxe.ExpectColumnDistinctValuesToEqualSet(column=BATCH, value_set=sorted(evidence.landed) or NOTHING)


def _rollup(gxe: Any, evidence: Evidence, table: Table, rollup: Rollup) -> Iterable[Any]:
    """Sums and edges of a derived table are those of the rows it is made of."""
    source = evidence.task.table(table.upstream[0])
    rows = _plain(evidence.tables[source.name], source)
    other, _, key = str(source.column(rollup.via).references).partition(".")
    rows = rows[rows[rollup.via].isin(_known(evidence, other, key))]
    moments = rows[rollup.moment].dt.floor(rollup.every)
    if table.column(table.key).type == "date":
        moments = moments.dt.date
    revenue, first, last, keys = float(rows[rollup.amount].sum()), moments.min(), moments.max(), moments.nunique()
    yield gxe.ExpectColumnUniqueValueCountToBeBetween(column=table.key, min_value=keys, max_value=keys)
    yield gxe.ExpectColumnSumToBeBetween(column=rollup.count, min_value=len(rows), max_value=len(rows))
    yield gxe.ExpectColumnSumToBeBetween(column=rollup.total, min_value=revenue - CENT, max_value=revenue + CENT)
    yield gxe.ExpectColumnMinToBeBetween(column=table.key, min_value=first, max_value=first)
    yield gxe.ExpectColumnMaxToBeBetween(column=table.key, min_value=last, max_value=last)


def _totals(gxe: Any, evidence: Evidence, table: Table, product: Product) -> Iterable[Any]:
    """A total for every row that has a price, and together what price times quantity comes to."""
    source = evidence.task.table(table.upstream[0])
    due = _due(evidence, source, _plain(evidence.tables[source.name], source), product).dropna()
    rows, least, most = len(due), float(due.sum()) - CENT, float(due.sum()) + CENT
    yield gxe.ExpectTableRowCountToEqual(value=rows)
    yield gxe.ExpectColumnUniqueValueCountToBeBetween(column=table.key, min_value=rows, max_value=rows)
    yield gxe.ExpectColumnSumToBeBetween(column=product.total, min_value=least, max_value=most)


def _known(evidence: Evidence, table: str, key: str) -> list[Any]:
    """The distinct values of a column of another table."""
    return [value for value in cells(evidence.tables[table], key).unique().to_pylist() if value is not None]


def _gaps(evidence: Evidence, table: Table, frame: pd.DataFrame, product: Product) -> pd.Series:
    """How far each row's total is from its price times quantity; nothing where the price is not known."""
    return (frame[product.total] - _due(evidence, table, frame, product)).abs().round(4)


def _due(evidence: Evidence, table: Table, frame: pd.DataFrame, product: Product) -> pd.Series:
    """Each row's price times quantity; nothing where the price is not known."""
    other, _, key = str(table.column(product.via).references).partition(".")
    prices = _plain(evidence.tables[other], evidence.task.table(other)).drop_duplicates(key).set_index(key)
    return frame[product.count] * frame[product.via].map(prices[product.price])


def _plain(frame: pd.DataFrame, table: Table) -> pd.DataFrame:
    """The contract's columns, in the frame's order, in numpy types; Great Expectations knows no others."""
    names = [name for name in frame.columns if name in table.column_names]
    return pd.DataFrame({name: cells(frame, name).to_pandas() for name in names})


def _breach(table: Table, result: Any) -> Breach:
    config = result.expectation_config
    found = result.result or {}
    observed = found.get("partial_unexpected_list") or found.get("observed_value")
    if observed is None:
        observed = "; ".join(str(each.get("exception_message", each)) for each in _exceptions(result.exception_info))
    if isinstance(observed, list):
        observed = ", ".join(map(str, observed[:5]))
    return Breach.whole(config.kwargs.get("column", table.name), config.type, observed)


def _exceptions(info: Any) -> list[Mapping[str, Any]]:
    """One exception, or one a metric: Great Expectations answers either way."""
    return [info] if "raised_exception" in info else [each for each in info.values() if isinstance(each, Mapping)]
