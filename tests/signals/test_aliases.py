"""Alias hints come from names and values, so that they hold for names that nobody listed; in doubt there is none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pandas as pd
import pytest

from mario_dagster.core.registry import task
from mario_dagster.core.task import Table
from mario_dagster.incidents.compile import Incident, compile_incident
from mario_dagster.incidents.profiles import profiles
from mario_dagster.signals.alias_hints import alias_hints, name_likeness

SEEDS = range(12)
DOUBTED = 0.2
RENAMING = [each for each in profiles() if "renamed columns" in each.patterns]


def feeds(incident: Incident) -> Iterator[tuple[Table, pd.DataFrame, Mapping[str, str]]]:
    """Each fed table with its first delivery, and what its drifted columns really are."""
    columns = incident.damage_manifest.columns
    for table in task(incident.task).tables:
        if table.feed is not None:
            landed = next(frame for key, frame in incident.landing.items() if key.startswith(f"{table.feed}/"))
            # A row without a contract column is a column that the contract lacks: no alias of anything.
            known = columns[(columns["table"] == table.name) & columns["column"].notna()]
            pairs = zip(known["landed_as"], known["column"], strict=True)
            yield table, landed, {new: old for new, old in pairs if new != old}


@pytest.mark.parametrize("profile", RENAMING, ids=lambda each: each.name)
def test_hints_name_the_column_that_was_renamed_and_never_another(profile: object) -> None:
    right = wrong = missed = 0
    for seed in SEEDS:
        incident = compile_incident(profile.task, profile.name, split=profile.splits[-1], seed=seed)  # type: ignore[attr-defined]
        for table, landed, truth in feeds(incident):
            hints = alias_hints(landed, table)
            right += sum(truth.get(new) == old for new, old in hints.items())
            wrong += sum(truth.get(new) != old for new, old in hints.items())
            missed += sum(new not in hints for new in truth)
    assert wrong <= 0.02 * (right + wrong), (right, wrong, missed)
    # A held-out family sends look-alikes: what is in doubt there is for the player to find out.
    assert (missed > DOUBTED * (right + missed)) is profile.held_out, (right, missed)  # type: ignore[attr-defined]


def test_of_two_columns_that_are_as_likely_neither_is_hinted() -> None:
    incident = compile_incident("temporal", "schema_evolution_backfill_recovery", seed=1)
    catalog = task("temporal").table("catalog")
    clean = incident.clean.feeds["catalog"]
    drifted = clean.rename(columns={"unit_price": "price_each"})
    assert alias_hints(drifted, catalog) == {"price_each": "unit_price"}
    assert alias_hints(drifted.assign(price_before=drifted["price_each"]), catalog) == {}
    # What no value of the contract's fits is no rival, whatever it is called.
    assert alias_hints(drifted.assign(unit_price_note="as agreed"), catalog) == {"price_each": "unit_price"}


def test_a_table_that_kept_its_names_gets_no_hints() -> None:
    incident = compile_incident("temporal", "temporal_rollup_backfill_incident", seed=1)
    table = task("temporal").table("catalog")
    assert alias_hints(incident.clean.feeds["catalog"], table) == {}
    strangers = pd.DataFrame({"note": pd.Series(["a", "b"], dtype="object")})
    assert set(alias_hints(strangers, table).values()) <= set(table.column_names)


def test_names_are_compared_word_by_word() -> None:
    assert name_likeness("gross_revenue_usd", "gross_revenue") > name_likeness("gadget", "gross_revenue")
