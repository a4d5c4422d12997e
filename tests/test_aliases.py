"""Alias hints come from names and values, so that they hold for names that nobody listed."""

from __future__ import annotations

import pandas as pd
import pytest

from mario_dagster.catalog import task
from mario_dagster.incidents.compiler import compile_incident
from mario_dagster.incidents.profiles import profiles
from mario_dagster.sandbox.aliases import alias_hints, name_likeness

TEMPORAL = [(each.name, each.splits[-1]) for each in profiles("temporal")]


@pytest.mark.parametrize(("profile", "split"), TEMPORAL)
def test_hints_name_the_column_that_was_renamed(profile: str, split: str) -> None:
    right = wrong = missed = 0
    for seed in range(12):
        incident = compile_incident("temporal", profile, split=split, seed=seed)  # type: ignore[arg-type]
        columns = incident.ledger.columns
        for table in ("source_orders", "catalog"):
            # A row without a contract column is a column that the contract lacks: no alias of anything.
            renamed = columns[(columns["table"] == table) & columns["column"].astype(bool)]
            truth = {new: old for new, old in zip(renamed["landed_as"], renamed["column"], strict=True) if new != old}
            feed = "orders/t01" if table == "source_orders" else "catalog/c01"
            hints = alias_hints(incident.landing[feed], task("temporal").table(table))
            right += sum(truth.get(new) == old for new, old in hints.items())
            wrong += sum(truth.get(new) != old for new, old in hints.items())
            missed += sum(new not in hints for new in truth)
    assert wrong <= 0.05 * max(1, right + wrong), (right, wrong, missed)
    assert missed <= 0.15 * max(1, right + missed), (right, wrong, missed)


def test_a_table_that_kept_its_names_gets_no_hints() -> None:
    incident = compile_incident("temporal", "temporal_rollup_backfill_incident", seed=1)
    table = task("temporal").table("catalog")
    assert alias_hints(incident.clean.feeds["catalog"], table) == {}
    strangers = pd.DataFrame({"note": pd.Series(["a", "b"], dtype="object")})
    assert set(alias_hints(strangers, table).values()) <= set(table.column_names)


def test_names_are_compared_word_by_word() -> None:
    assert name_likeness("gross_revenue_usd", "gross_revenue") > name_likeness("gadget", "gross_revenue")
