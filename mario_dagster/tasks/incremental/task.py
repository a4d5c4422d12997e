"""Task 4, `incremental`: a stream of order batches, a product list and a daily summary.

In: nothing. Out: `INCREMENTAL`.
"""

from __future__ import annotations

from mario_dagster.core.task import Card, Column, Freshness, Table, Task
from mario_dagster.tasks.temporal.task import CATEGORIES, READABLE

ORDERS = Table(
    name="orders",
    key="order_id",
    feed="orders",
    batched=True,
    description="One row an order, loaded batch by batch as the shop's tills send them.",
    words={"times": "event_times", "amounts": "amounts"},
    columns=(
        Column("order_id", "int64", "Order number, unique.", minimum=1),
        Column("batch_id", "string", "Batch the order was delivered in.", pattern=r"b\d{2,3}"),
        Column("product_id", "int64", "Product ordered.", minimum=1, references="products.product_id"),
        Column("quantity", "int64", "Pieces ordered.", minimum=1, maximum=60),
        Column("event_ts", "timestamp", "When the order was placed, UTC."),
        Column(
            "revenue",
            "float64",
            "Quantity times unit price, in dollars.",
            minimum=0.01,
            maximum=100_000,
            skewed=True,
        ),
    ),
)
PRODUCTS = Table(
    name="products",
    key="product_id",
    feed="products",
    description="One row a product that the shop sells.",
    words={"amounts": "prices"},
    columns=(
        Column("product_id", "int64", "Product number, unique.", minimum=1),
        Column("product_name", "string", "Name shown in the shop.", pattern=READABLE),
        Column("unit_price", "float64", "List price in dollars.", minimum=0.01, maximum=5_000, skewed=True),
        Column("category", "string", "Department.", categories=CATEGORIES),
    ),
)
DAILY_SUMMARY = Table(
    name="daily_summary",
    key="event_date",
    upstream=("orders", "products"),
    description="Orders and revenue by UTC day of the order's event time, over products that are listed.",
    words={"whole": "summary"},
    columns=(
        Column("event_date", "date", "Day, UTC."),
        Column("order_count", "int64", "Orders placed on the day.", minimum=1),
        Column("total_revenue", "float64", "Revenue of the day in dollars.", minimum=0.01),
    ),
)

INCREMENTAL = Task(
    id=4,
    slug="incremental",
    name="Incremental ETL Incident Recovery",
    difficulty="hard",
    threshold=0.78,
    max_steps=30,
    pool="recovery_workers",
    freshness=Freshness(window=180),
    description=(
        "Most of three days of order batches wait behind a starved worker pool, the stream changed how it writes, and "
        "the daily summary fell behind and came out wrong. Normalise, scale up, load, refresh, publish: in few steps."
    ),
    tables=(ORDERS, PRODUCTS, DAILY_SUMMARY),
    pipeline_spec="mario_dagster.tasks.incremental.pipeline:PIPELINE",
    objectives="mario_dagster.tasks.incremental.scoring:objectives",
    objective_weights={
        "data_quality": 0.45,
        "freshness": 0.20,
        "backlog": 0.15,
        "resources": 0.10,
        "summary_consistency": 0.10,
    },
    subgoals={
        "normalize_orders_stream": "main_table_clean",
        "scale_resources_if_needed": "enough_workers",
        "load_incremental_backlog": "nothing_pending",
        "refresh_daily_summary": "derived_tables_right",
        "commit_recovery": "published",
    },
    aliases=("incremental_etl_recovery",),
    card=Card(
        incident_type="incremental load recovery under a backlog and too few workers",
        objective="Load every batch that has landed, bring the daily summary up to date, then publish.",
        broken_state=(
            "The producer redelivered the stream in another shape, most batches never loaded for want of recovery "
            "workers, and a bad transform deploy wrote the daily summary, which now is old and wrong."
        ),
        incident_summary=(
            "The daily summary is days behind. Most batches wait behind a starved pool, the few that are loaded break "
            "their contract, and the scheduled run fails its checks."
        ),
        diagnosis_signals=(
            "pending_batches, backlog_rows and queue_backlog_age_minutes: how much waits, and for how long",
            "resource_level against required_resource_level: whether a batch can load at all",
            "column_alias_hints and missing_expected_columns: columns renamed upstream",
            "type_violations, format_issues and duplicate_rate: units, mixed times, padded texts, rows sent twice",
            "downstream_stale and freshness_lag_minutes: the summary does not show what has landed",
        ),
        repair_steps=(
            "Rename, cast and normalise the orders first: such repairs are remembered for each batch that loads later.",
            "Scale recovery workers up to what is required and replay the pending batches, oldest first.",
            "Then remove duplicates and rows nobody sent, and fill what was lost.",
            "Repair the products, and the summary's names and spellings.",
            "Refresh the summary, scale workers down to what is required, commit.",
        ),
        recovery_requirements=(
            "every landed batch is loaded, and no landed row is lost",
            "orders and products meet their contracts",
            "daily_summary equals what orders and products add up to",
            "the summary shows the newest landed batch",
            "the pool has no more recovery workers than required_resource_level",
        ),
        unsafe_commit_conditions=(
            "a batch is pending, also if its file never comes: then repair what is there, and publish nothing",
            "the summary is stale or does not reconcile with its source",
            "a table breaks its contract",
            "rows were deleted that the producer delivered",
        ),
        failure_conditions=(
            "a commit that a blocking check stops, or with a score below the threshold",
            "the step budget runs out, unless all that is there is recovered and what is missing cannot be loaded",
            "the score falls below 0.10",
        ),
        threshold_rationale=(
            "0.78 cannot be reached with batches pending or the summary stale; it leaves room for values that are lost "
            "for good."
        ),
        target_policy="normalise once, load everything, derive, publish: half of the steps are replays",
        dense_shaping_notes=("0.9 of each change in score, less a small cost a step",),
        exploit_checks=(
            "deleting rows fails no_landed_row_is_lost",
            "a replay with too few workers fails and loads nothing",
            "surplus workers cost score",
        ),
        latent_variation_axes=(
            "which columns drift and under what names",
            "units, currencies, time and date spellings",
            "how many batches are late, how large they are, and how their files overlap",
            "which rows were delivered twice, invented or lost values",
        ),
    ),
)
