"""What the cards of the five tasks promise of their families, and of what these may do."""

from __future__ import annotations

import pytest

from mario_dagster.checks.contract import contract_report
from mario_dagster.core import registry
from mario_dagster.core.action import available
from mario_dagster.core.formats import UNIT_WORDS
from mario_dagster.core.task import Profile, Split
from mario_dagster.incidents.compile import Incident, compile_incident
from mario_dagster.incidents.profiles import profiles
from mario_dagster.tables.load import stack
from mario_dagster.tasks.ingestion.incidents import HELD_OUT_YEARS, YEARS

# Task -> profile -> the splits that draw it; those of eval alone that are held out are marked.
FAMILIES: dict[str, dict[str, str]] = {
    "ingestion": {
        "ingestion_null_burst": "train",
        "signup_contract_drift": "train",
        "ingestion_date_contract_drift": "eval",
        "currency_contract_regression": "held out",
    },
    "events": {
        "duplicate_event_retry": "train",
        "dtype_validation_regression": "train",
        "event_contract_breakage": "eval",
        "outlier_currency_regression": "held out",
    },
    "referential": {
        "customer_product_contract_drift": "train",
        "alias_and_encoding_regression": "both",
        "sentinel_reference_breakage": "both",
        "timezone_currency_consistency_incident": "eval",
        "cascading_reference_outage": "eval",
        "heldout_task3_contract_alias_family": "held out",
        "heldout_task3_dependency_rollup_family": "held out",
    },
    "incremental": {
        "late_batch_resource_incident": "both",
        "schema_alias_unit_regression": "both",
        "stale_summary_oncall_recovery": "both",
        "heldout_task4_batch_shape_family": "held out",
        "heldout_task4_worker_pressure_family": "held out",
        "heldout_task4_summary_contract_family": "held out",
        "heldout_task4_freshness_pressure_family": "held out",
    },
    "temporal": {
        "temporal_rollup_backfill_incident": "train",
        "schema_evolution_backfill_recovery": "both",
        "late_correction_backpressure_incident": "both",
        "heldout_temporal_schema_extension_family": "held out",
        "heldout_temporal_rollup_contract_family": "held out",
        "heldout_temporal_correction_replay_family": "held out",
    },
}
DRAWN_IN: dict[str, tuple[tuple[Split, ...], bool]] = {
    "train": (("train",), False),
    "both": (("train", "eval"), False),
    "eval": (("eval",), False),
    "held out": (("eval",), True),
}
# Task -> columns whose values may be lost, and the share of them that may be, two in any case.
MAY_BE_LOST: dict[str, tuple[set[tuple[str, str]], float]] = {
    "ingestion": ({("customers", "age"), ("customers", "monthly_spend")}, 0.08),
    "events": ({("transactions", "age"), ("transactions", "amount"), ("transactions", "status")}, 0.08),
    "referential": ({("orders", "quantity"), ("customers", "age"), ("products", "category")}, 0.13),
    "temporal": ({("source_orders", "quantity"), ("catalog", "category")}, 0.2),
}
# Task -> batches that are loaded when an incident strikes, drawn families first, then held-out ones.
LOADED = {"incremental": ({3}, {2}), "temporal": ({3, 4}, {3})}


def incidents(each: Profile, seeds: int) -> list[Incident]:
    return [compile_incident(each.task, each.name, split=each.splits[-1], seed=seed) for seed in range(seeds)]


def families(*slugs: str) -> list[object]:
    return [pytest.param(each, id=each.name) for slug in slugs for each in profiles(slug)]


@pytest.mark.parametrize("slug", FAMILIES)
def test_families_are_those_of_the_task_cards(slug: str) -> None:
    found = {each.name: (each.splits, each.held_out) for each in profiles(slug)}
    assert found == {name: DRAWN_IN[drawn] for name, drawn in FAMILIES[slug].items()}


@pytest.mark.parametrize("each", families(*MAY_BE_LOST))
def test_only_what_can_be_filled_is_lost_and_little_of_it(each: Profile) -> None:
    columns, share = MAY_BE_LOST[each.task]
    for incident in incidents(each, 10):
        lost = incident.damage_manifest.cells[incident.damage_manifest.cells["lost"].astype(bool)]
        assert set(zip(lost["table"], lost["column"], strict=True)) <= columns
        for (table, _), cells in lost.groupby(["table", "column"]):
            feed = str(registry.task(each.task).table(str(table)).feed)
            rows = sum(count for key, count in incident.declared.items() if key.startswith(f"{feed}/"))
            assert len(cells) <= max(2, round(share * rows))


@pytest.mark.parametrize("each", families("referential", "temporal"))
def test_every_table_of_a_large_task_is_damaged(each: Profile) -> None:
    task = registry.task(each.task)
    for incident in incidents(each, 6):
        for table in task.tables:
            if table.derived:
                assert incident.deploys[table.name].scale
                continue
            landed = [frame for key, frame in incident.landing.items() if key.startswith(f"{table.feed}/")]
            loaded = landed[: len(incident.healthy_batches)] if table.batched else landed
            assert not contract_report(stack(loaded), table).passed, (incident.seed, table.name)


@pytest.mark.parametrize("each", families(*LOADED))
def test_a_family_says_how_much_is_loaded_and_how_many_workers_it_takes(each: Profile) -> None:
    for incident in incidents(each, 6):
        assert incident.held_out is each.held_out and (incident.workers == 1 or each.task != "temporal")
        assert incident.required_floor == (3 if each.held_out else 2)
        assert len(incident.healthy_batches) in LOADED[each.task][each.held_out]


def test_units_of_an_age_are_listed_marks_and_no_pool_shares_one() -> None:
    train, held_out = ({spelling.split()[-1] for spelling in pool} for pool in (YEARS, HELD_OUT_YEARS))
    assert train | held_out <= set(UNIT_WORDS) and not train & held_out


def test_the_small_tasks_answer_to_their_names_and_have_no_batches() -> None:
    assert [registry.task(name).id for name in ("alert_prioritization", "threat_detection")] == [1, 2]
    for slug in ("ingestion", "events"):
        task = registry.task(slug)
        assert task.pool is None and not task.derived_tables and not task.subgoals
        assert available(task) == list(range(16))
    assert not any(one.pending or one.healthy_batches for each in profiles("referential") for one in incidents(each, 2))
