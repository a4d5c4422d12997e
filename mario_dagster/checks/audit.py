"""The suite that stands before publishing: Great Expectations over whole tables and over how they add up.

In: a `CheckContext`. Out: an `Outcome` a table. The contract judges cells; the audit judges sums, counts and edges of
tables against one another and against what the producers declared, in a second tool's words. Great Expectations costs
seconds to import, so it is imported where an audit runs and nowhere else; `preload()` pays that ahead of time.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

import pandas as pd
import pyarrow
import pyarrow.compute as pc

from mario_dagster.core.task import Column, Table
from mario_dagster.tables.spec import Product, Rollup, Totals, pipeline_spec

from .contract import cells
from .outcome import BATCH, CheckContext, Outcome, lacking
from .violation import Values, Violation

# One context, one audit at a time: a context hands one thread's batch to another, and the GIL binds audits anyway.
_LOCK = threading.Lock()
# Sums of cents differ by float noise, never by this much.
CENT = 0.01
# A quantity that was lost and filled no longer multiplies to its order's revenue: a few such rows are no scandal.
MOSTLY = 0.9
# Great Expectations takes no empty set.
NOTHING = [None]
# Columns that are made for the suite; no contract could call its own so.
GAP, REFERENCES = "gap to price times quantity", "references in "


def preload() -> None:
    """Import Great Expectations and build its context, from a background thread."""
    with _LOCK:
        _batch_definition()


def audit(check_context: CheckContext, table: Table) -> Outcome:
    """Run a table's suite. About 25 ms once Great Expectations is imported, and a tenth of a second for 600,000 rows.

    A table that lacks a column, or has it in the wrong type, fails before the suite: there is nothing to add up.
    """
    read = [table, *(check_context.task.table(name) for name in _others(table))]
    unfit = [violation for each in read for violation in lacking(check_context, each, each.column_names, typed=True)]
    if unfit:
        return Outcome.of(unfit, table.name)
    with _LOCK:
        frame, suite = _suite(check_context, table)
        batch = _batch_definition().get_batch({"dataframe": frame})
        try:
            result = batch.validate(suite, result_format="BASIC")
        finally:
            _let_go(batch)
    return Outcome.of((_breach(table, each) for each in result.results if not each.success), table.name)


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


def _let_go(batch: Any) -> None:
    """The context would hold on to the last frame that it was given."""
    held = batch.datasource.get_execution_engine().batch_manager
    held.reset_batch_cache()
    held.batch_data_cache.clear()


def _suite(check_context: CheckContext, table: Table) -> tuple[pd.DataFrame, Any]:
    """A suite, and the frame that it is held against: the columns that it names, those made for it among them."""
    import great_expectations as gx
    import great_expectations.expectations as gxe

    made: dict[str, pd.Series] = {}
    expected = [*_declared(gxe, check_context, table), *_sets(gxe, check_context, table, made)]
    adds_up = pipeline_spec(check_context.task).sums.get(table.name)
    if isinstance(adds_up, Rollup):
        expected += _rollup(gxe, check_context, table, adds_up)
    elif isinstance(adds_up, Totals):
        expected += _totals(gxe, check_context, table, adds_up.product)
    elif isinstance(adds_up, Product):
        made[GAP] = _gaps(check_context, table, adds_up)
        ranges = {"quantiles": [MOSTLY], "value_ranges": [[None, CENT]]}
        expected.append(gxe.ExpectColumnQuantileValuesToBeBetween(column=GAP, quantile_ranges=ranges))
    named = {getattr(each, "column", table.key) for each in expected} - made.keys()
    frame = _plain(check_context, table, *(name for name in table.column_names if name in named)).assign(**made)
    return frame, gx.ExpectationSuite(name=table.name, expectations=expected)


def _declared(gxe: Any, check_context: CheckContext, table: Table) -> Iterable[Any]:
    """As many rows as the producers declared, and as many keys."""
    if table.derived:
        return
    rows = sum(check_context.landed.values()) if table.batched else check_context.declared.get(str(table.feed), 0)
    yield gxe.ExpectTableRowCountToEqual(value=rows)
    yield gxe.ExpectColumnUniqueValueCountToBeBetween(column=table.key, min_value=rows, max_value=rows)


def _sets(gxe: Any, check_context: CheckContext, table: Table, made: dict[str, pd.Series]) -> Iterable[Any]:
    """Distinct values: categories of the contract, keys of the table referred to, batches that landed.

    A set of keys is as large as its table, and Great Expectations copies and checks a set member by member: it is given
    a column in which all known keys are one of them, and that one as the set.
    """
    for column in table.columns:
        if column.categories:
            yield gxe.ExpectColumnDistinctValuesToBeInSet(column=column.name, value_set=list(column.categories))
        if column.references:
            name = f"{REFERENCES}{column.name}"
            made[name], allowed = _references(check_context, table, column)
            yield gxe.ExpectColumnDistinctValuesToBeInSet(column=name, value_set=allowed)
    if table.batched:
        yield gxe.ExpectColumnDistinctValuesToEqualSet(column=BATCH, value_set=sorted(check_context.landed) or NOTHING)


def _references(check_context: CheckContext, table: Table, column: Column) -> tuple[pd.Series, list[Any]]:
    """A column of references, all known ones made the same; and that one."""
    values = cells(check_context.tables[table.name], column.name)
    known = _known(check_context, table, column.name)
    one = values.filter(known).slice(0, 1).to_pylist()
    return (pc.if_else(known, one[0], values) if one else values).to_pandas(), one or NOTHING


def _rollup(gxe: Any, check_context: CheckContext, table: Table, rollup: Rollup) -> Iterable[Any]:
    """Sums and edges of a derived table are those of the rows it is made of."""
    source = check_context.task.table(table.upstream[0])
    rows = _plain(check_context, source, rollup.moment, rollup.amount)[
        _known(check_context, source, rollup.via).to_numpy()
    ]
    timestamps = pd.Series(rows[rollup.moment].dt.floor(rollup.every).unique())
    if table.column(table.key).type == "date":
        timestamps = timestamps.dt.date
    revenue, first, last, keys = (
        float(rows[rollup.amount].sum()),
        timestamps.min(),
        timestamps.max(),
        timestamps.nunique(),
    )
    yield gxe.ExpectColumnUniqueValueCountToBeBetween(column=table.key, min_value=keys, max_value=keys)
    yield gxe.ExpectColumnSumToBeBetween(column=rollup.count, min_value=len(rows), max_value=len(rows))
    yield gxe.ExpectColumnSumToBeBetween(column=rollup.total, min_value=revenue - CENT, max_value=revenue + CENT)
    yield gxe.ExpectColumnMinToBeBetween(column=table.key, min_value=first, max_value=first)
    yield gxe.ExpectColumnMaxToBeBetween(column=table.key, min_value=last, max_value=last)


def _totals(gxe: Any, check_context: CheckContext, table: Table, product: Product) -> Iterable[Any]:
    """A total for every row that has a price, and together what price times quantity comes to."""
    due = _due(check_context, check_context.task.table(table.upstream[0]), product).dropna()
    rows, least, most = len(due), float(due.sum()) - CENT, float(due.sum()) + CENT
    yield gxe.ExpectTableRowCountToEqual(value=rows)
    yield gxe.ExpectColumnUniqueValueCountToBeBetween(column=table.key, min_value=rows, max_value=rows)
    yield gxe.ExpectColumnSumToBeBetween(column=product.total, min_value=least, max_value=most)


def _known(check_context: CheckContext, table: Table, name: str) -> Values:
    """Which references of a column stand in the table that they refer to."""
    other, _, key = str(table.column(name).references).partition(".")
    values, keys = cells(check_context.tables[table.name], name), cells(check_context.tables[other], key)
    if not values.type.equals(keys.type):
        return pyarrow.chunked_array([pyarrow.nulls(len(values), pyarrow.bool_()).fill_null(False)])
    return pc.and_(values.is_valid(), pc.is_in(values, value_set=pc.unique(keys)))


def _gaps(check_context: CheckContext, table: Table, product: Product) -> pd.Series:
    """How far each row's total is from its price times quantity; nothing where the price is not known."""
    totals = _plain(check_context, table, product.total)[product.total]
    return (totals - _due(check_context, table, product)).abs().round(4)


def _due(check_context: CheckContext, table: Table, product: Product) -> pd.Series:
    """Each row's price times quantity; nothing where the price is not known."""
    other, _, key = str(table.column(product.via).references).partition(".")
    listed = _plain(check_context, check_context.task.table(other), key, product.price)
    prices = listed.drop_duplicates(key).set_index(key)
    rows = _plain(check_context, table, product.count, product.via)
    return rows[product.count] * rows[product.via].map(prices[product.price])


def _plain(check_context: CheckContext, table: Table, *columns: str) -> pd.DataFrame:
    """Columns of a table in numpy types; Great Expectations knows no others."""
    frame = check_context.tables[table.name]
    return pd.DataFrame({name: cells(frame, name).to_pandas() for name in columns}, index=range(len(frame)))


def _breach(table: Table, result: Any) -> Violation:
    config = result.expectation_config
    named = str(config.kwargs.get("column", table.name))
    column = table.name if named == GAP else named.removeprefix(REFERENCES)
    return Violation.whole(column, config.type, _observed(result, named))


def _observed(result: Any, named: str) -> str:
    """What an expectation found instead of what it expected."""
    expected, found = result.expectation_config.kwargs, result.result or {}
    observed = found.get("partial_unexpected_list") or found.get("observed_value")
    if observed is None:
        return "; ".join(str(each.get("exception_message", each)) for each in _exceptions(result.exception_info))
    if named == GAP:
        return "in more than one row of ten the amount is not count times price"
    if "value_set" in expected:
        allowed = [] if named.startswith(REFERENCES) else expected["value_set"]
        exact = result.expectation_config.type.endswith("equal_set")
        values = [value for value in observed if value not in allowed]
        kind = "unknown" if named.startswith(REFERENCES) else "not allowed"
        lacks = [value for value in allowed if value not in observed] if exact else []
        parts = [f"{kind}: {_listed(values)}"] if values else []
        return "; ".join([*parts, *([f"lacks {_listed(lacks)}"] if lacks else [])]) or str(observed)
    least, most = expected.get("min_value"), expected.get("max_value")
    right = expected.get("value", least)
    if least is not None and least != most:  # a sum, give or take a cent
        return f"{observed:.2f}, not {(least + most) / 2:.2f}"
    return f"{observed}, not {int(right) if isinstance(right, float) and right.is_integer() else right}"


def _listed(values: list[Any]) -> str:
    return ", ".join(repr(value) if isinstance(value, str) else str(value) for value in values[:5])


def _exceptions(info: Any) -> list[Mapping[str, Any]]:
    """One exception, or one a metric: Great Expectations answers either way."""
    return [info] if "raised_exception" in info else [each for each in info.values() if isinstance(each, Mapping)]
