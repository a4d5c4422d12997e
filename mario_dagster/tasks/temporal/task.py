"""Task 5, `temporal`: a feed of order batches, a product catalogue and an hourly revenue rollup.

In: nothing. Out: `TEMPORAL`.
"""

from __future__ import annotations

from mario_dagster.core.task import Card, Column, Freshness, Table, Task

# Trimmed, and free of the letters that UTF-8 read as Latin-1 leaves behind.
READABLE = "[^\\sÃÂ\ufffd]([^ÃÂ\ufffd]*[^\\sÃÂ\ufffd])?"
CATEGORIES = ("audio", "garden", "home", "iot", "kitchen", "office", "outdoor", "toys")

SOURCE_ORDERS = Table(
    name="source_orders",
    key="order_id",
    feed="orders",
    batched=True,
    description="One row an order, loaded batch by batch from the shop's order feed.",
    words={"rows": "orders", "times": "event_times", "amounts": "amounts"},
    columns=(
        Column("order_id", "int64", "Order number, unique.", minimum=1),
        Column("batch_id", "string", "Batch the order was delivered in.", pattern=r"t\d{2,3}"),
        Column("product_id", "int64", "Product ordered.", minimum=1, references="catalog.product_id"),
        Column("quantity", "int64", "Pieces ordered.", minimum=1, maximum=60),
        Column("event_ts", "timestamp", "When the order was placed, UTC."),
        Column(
            "gross_revenue",
            "float64",
            "Quantity times unit price, in dollars.",
            minimum=0.01,
            maximum=100_000,
            skewed=True,
        ),
    ),
)
CATALOG = Table(
    name="catalog",
    key="product_id",
    feed="catalog",
    description="One row a product that the shop sells.",
    words={"rows": "products", "amounts": "prices"},
    columns=(
        Column("product_id", "int64", "Product number, unique.", minimum=1),
        Column("product_name", "string", "Name shown in the shop.", pattern=READABLE),
        Column("unit_price", "float64", "List price in dollars.", minimum=0.01, maximum=5_000, skewed=True),
        Column("category", "string", "Department.", categories=CATEGORIES),
    ),
)
HOURLY_ROLLUP = Table(
    name="hourly_rollup",
    key="hour_bucket",
    upstream=("source_orders", "catalog"),
    description="Orders and revenue by hour of the order's event time, over products in the catalogue.",
    words={"whole": "rollup"},
    columns=(
        Column("hour_bucket", "timestamp", "Start of the hour, UTC."),
        Column("order_count", "int64", "Orders placed in the hour.", minimum=1),
        Column("gross_revenue", "float64", "Revenue of the hour in dollars.", minimum=0.01),
    ),
)

TEMPORAL = Task(
    id=5,
    slug="temporal",
    name="Temporal Rollup Recovery",
    difficulty="hard",
    threshold=0.82,
    max_steps=35,
    pool="recovery_workers",
    freshness=Freshness(window=240),
    description=(
        "Late order batches pile up behind a starved worker pool while the feed's schema drifts and a bad deploy "
        "leaves the hourly rollup wrong. Reconcile the schema, repair, replay, refresh, then publish."
    ),
    tables=(SOURCE_ORDERS, CATALOG, HOURLY_ROLLUP),
    pipeline_spec="mario_dagster.tasks.temporal.pipeline:PIPELINE",
    objectives="mario_dagster.tasks.temporal.scoring:objectives",
    objective_weights={
        "schema_alignment": 0.20,
        "temporal_backfill": 0.15,
        "rollup_consistency": 0.15,
        "temporal_closure": 0.10,
        "freshness": 0.15,
        "resources": 0.10,
        "data_quality": 0.15,
    },
    subgoals={
        "reconcile_schema_aliases": "schema_reconciled",
        "repair_catalog_and_source_quality": "source_tables_clean",
        "replay_late_batches": "nothing_pending",
        "refresh_temporal_rollup": "derived_tables_right",
        "meet_freshness_sla": "fresh",
        "commit_temporal_pipeline": "published",
    },
    aliases=("temporal_rollup_recovery",),
    card=Card(
        incident_type="temporal rollup recovery with schema evolution and late corrections",
        objective="Bring the hourly rollup back to what the feed really says, then publish it.",
        broken_state=(
            "The producer redelivered the day's orders under a new schema, late batches never loaded for want of "
            "recovery workers, and the rollup was written by a bad transform deploy."
        ),
        incident_summary=(
            "The hourly rollup is wrong and late. Upstream tables drifted from their contract, batches wait behind "
            "a starved pool, and the scheduled run fails its checks."
        ),
        diagnosis_signals=(
            "column_alias_hints and missing_expected_columns: columns renamed upstream",
            "type_violations and format_issues: numbers with units or currency, times in mixed spellings",
            "pending_batches, backlog_rows and resource_level below required_resource_level: batches wait",
            "downstream_stale and freshness_lag_minutes: the rollup does not show what has landed",
            "recent_failure_counters: which checks and runs failed last",
        ),
        repair_steps=(
            "Inspect each table; rename drifted columns and put them in contract order.",
            "Cast numbers, normalise times and names, so that every later batch is repaired as it loads.",
            "Scale recovery workers up and replay the pending batches, oldest first.",
            "Remove duplicates and outlier rows, and fill what was lost.",
            "Refresh the rollup, scale workers down to what is required, validate, commit.",
        ),
        recovery_requirements=(
            "every landed batch is loaded, and no landed row is lost",
            "source_orders and catalog meet their contracts",
            "hourly_rollup equals what source_orders and catalog add up to",
            "the rollup shows the newest landed batch",
            "the pool has no more recovery workers than required_resource_level",
        ),
        unsafe_commit_conditions=(
            "a batch is pending, also if its file never comes: then repair what is there, and publish nothing",
            "the rollup is stale or does not reconcile with its source",
            "a table breaks its contract",
            "rows were deleted that the producer delivered",
        ),
        failure_conditions=(
            "a commit that a blocking check stops, or with a score below the threshold",
            "the step budget runs out, unless all that is there is recovered and what is missing cannot be loaded",
            "the score falls below 0.10",
        ),
        threshold_rationale=(
            "0.82 cannot be reached with batches pending, the rollup stale or the schema unreconciled; it leaves room "
            "for values that are lost for good."
        ),
        target_policy="schema first, then load, then derive, then publish",
        dense_shaping_notes=("0.9 of each change in score, less a small cost a step",),
        exploit_checks=(
            "deleting rows fails no_landed_row_is_lost",
            "refreshing before repairing leaves the rollup unreconciled",
            "surplus workers cost score",
        ),
        latent_variation_axes=(
            "which columns drift and under what names",
            "units, currencies and time spellings",
            "how many batches are late and how large they are",
            "which rows were loaded twice or lost values",
        ),
    ),
)
