"""The six profiles of task 5: three to train on, three families held out for evaluation.

In: faults and pools. Out: `PROFILES`. Profiles differ in kind, not only in names: what is lost, doubled, invented,
respelt or reordered, and where. A held-out family combines what no train profile combines, under names and spellings
that none uses.
"""

from __future__ import annotations

from mario_dagster.catalog import Profile
from mario_dagster.incidents.faults import (
    AnyOf,
    BadDeploy,
    BogusRows,
    ExtendedSchema,
    GarbledText,
    LateBatches,
    LostValues,
    RecasedCategory,
    RenamedColumns,
    ReorderedColumns,
    RetriedLoad,
    RetypedColumn,
    SpelledMoments,
    SpelledNumbers,
    TrailerLines,
)
from mario_dagster.incidents.pools import HELD_OUT, TRAIN

TASK = "temporal"
ORDERS, CATALOG, ROLLUP = "source_orders", "catalog", "hourly_rollup"
SHORTFALL = {"gross_revenue": (0.82, 0.88)}

ROLLUP_BACKFILL = Profile(
    name="temporal_rollup_backfill_incident",
    task=TASK,
    splits=("train",),
    summary="Retried loads doubled orders, amounts came with currency marks, and the rollup was written short.",
    patterns=("retried loads", "currency marks", "lost quantities", "short rollup"),
    faults=(
        SpelledNumbers(ORDERS, "gross_revenue", TRAIN.currency, least=1, most=3),
        LostValues(ORDERS, "quantity", TRAIN.sentinels, share=(0.03, 0.06)),
        RetriedLoad(ORDERS, batches=(2, 5)),
        AnyOf(
            (
                RetriedLoad(CATALOG, share=(0.1, 0.3)),
                SpelledNumbers(CATALOG, "unit_price", TRAIN.currency, least=1, most=2),
            ),
            least=1,
            most=2,
        ),
        BadDeploy(ROLLUP, texts={"hour_bucket": ("slash_day_first", "iso_space")}, scale=SHORTFALL),
        LateBatches(healthy=(3, 4)),
    ),
)

SCHEMA_EVOLUTION = Profile(
    name="schema_evolution_backfill_recovery",
    task=TASK,
    splits=("train", "eval"),
    summary="The producer renamed columns, writes units into quantities, mixes spellings of time, and garbles names.",
    patterns=("renamed columns", "units", "mixed time spellings", "mojibake", "category case"),
    faults=(
        RenamedColumns(
            ORDERS,
            {
                "product_id": ("product_ref", "item_id"),
                "quantity": ("qty", "order_qty"),
                "event_ts": ("observed_at", "event_time", "occurred_at"),
                "gross_revenue": ("revenue", "gross_amount"),
            },
            least=2,
            most=3,
            always=("event_ts",),
        ),
        SpelledNumbers(ORDERS, "quantity", TRAIN.units, least=1, most=3),
        SpelledMoments(ORDERS, "event_ts", (*TRAIN.moments, "iso_utc"), least=2, most=3),
        LostValues(ORDERS, "quantity", TRAIN.sentinels, share=(0.02, 0.05)),
        RenamedColumns(
            CATALOG,
            {"category": ("product_segment", "segment"), "product_name": ("title", "display_name")},
            most=2,
            always=("category",),
        ),
        RecasedCategory(CATALOG, "category"),
        GarbledText(CATALOG, "product_name"),
        RetriedLoad(CATALOG, share=(0.08, 0.25)),
        BadDeploy(ROLLUP, scale=SHORTFALL),
        LateBatches(healthy=(3, 4)),
    ),
)

LATE_CORRECTION = Profile(
    name="late_correction_backpressure_incident",
    task=TASK,
    splits=("train", "eval"),
    summary="Late corrections pile up: test orders among them, amounts in cents, local times, columns out of order.",
    patterns=("test orders", "cents", "time-zone offsets", "column order", "rollup window renamed"),
    faults=(
        BogusRows(ORDERS, {"gross_revenue": TRAIN.numbers}, drop="gross_revenue"),
        SpelledNumbers(ORDERS, "gross_revenue", (*TRAIN.cents, TRAIN.currency[0]), least=2, most=3),
        SpelledMoments(ORDERS, "event_ts", TRAIN.offsets, least=2, most=3),
        ReorderedColumns(ORDERS),
        AnyOf(
            (
                LostValues(ORDERS, "quantity", (None,), share=(0.03, 0.06), fill="fill_mean", most=1),
                RetriedLoad(ORDERS, batches=(1, 3)),
            )
        ),
        AnyOf((RetriedLoad(CATALOG, share=(0.08, 0.25)), ReorderedColumns(CATALOG))),
        BadDeploy(ROLLUP, aliases={"hour_bucket": ("window_start", "bucket_start")}, least=1, most=1, scale=SHORTFALL),
        LateBatches(healthy=(3, 4)),
    ),
)

SCHEMA_EXTENSION = Profile(
    name="heldout_temporal_schema_extension_family",
    task=TASK,
    splits=("eval",),
    held_out=True,
    summary="A new feed version: most columns renamed, new ones among them, identifiers retyped, departments lost.",
    patterns=("renamed columns", "added columns", "retyped identifiers", "pieces", "lost departments", "column order"),
    faults=(
        RenamedColumns(
            ORDERS,
            {
                "product_id": ("sku_key", "sku_number"),
                "quantity": ("ordered_units", "units_requested"),
                "event_ts": ("source_snapshot_utc", "snapshot_taken_utc"),
                "gross_revenue": ("recognized_revenue_value", "recognised_sales_value"),
            },
            least=3,
            most=4,
            always=("event_ts",),
        ),
        ExtendedSchema(
            ORDERS,
            {
                "ingest_region": ("eu-north", "us-west", "ap-south"),
                "feed_version": ("v7",),
                "sales_channel": ("web", "store", "partner"),
            },
            least=1,
            most=2,
        ),
        RetypedColumn(ORDERS, "product_id", ("float64", "string")),
        SpelledNumbers(ORDERS, "quantity", HELD_OUT.units, least=1, most=2),
        ReorderedColumns(ORDERS),
        RenamedColumns(CATALOG, {"category": ("catalog_family_group", "family_group")}),
        RecasedCategory(CATALOG, "category", share=(0.2, 0.5)),
        LostValues(CATALOG, "category", HELD_OUT.sentinels, share=(0.1, 0.2), fill="fill_forward"),
        BadDeploy(
            ROLLUP,
            aliases={"hour_bucket": ("rollup_bucket_start_utc", "rollup_from_utc")},
            least=1,
            most=1,
            scale=SHORTFALL,
        ),
        LateBatches(healthy=(3, 3)),
    ),
)

ROLLUP_CONTRACT = Profile(
    name="heldout_temporal_rollup_contract_family",
    task=TASK,
    splits=("eval",),
    held_out=True,
    summary="Finance took the contracts over: other currencies, minor units, test products, a rollup under new names.",
    patterns=("renamed columns", "foreign currency", "minor units", "test products", "rollup names and spellings"),
    faults=(
        RenamedColumns(
            ORDERS,
            {
                "product_id": ("inventory_sku_key", "stock_sku_key"),
                "event_ts": ("observed_watermark_at", "watermark_at"),
                "gross_revenue": ("booked_revenue_usd", "booked_amount_usd"),
            },
            least=2,
            most=3,
            always=("gross_revenue",),
        ),
        SpelledNumbers(ORDERS, "gross_revenue", HELD_OUT.currency, least=2, most=3),
        AnyOf(
            (
                SpelledMoments(ORDERS, "event_ts", HELD_OUT.moments, least=1, most=2),
                BogusRows(ORDERS, {"quantity": HELD_OUT.numbers}, drop="quantity"),
            )
        ),
        RenamedColumns(CATALOG, {"unit_price": ("unit_cost_cents", "list_cost_cents")}),
        SpelledNumbers(CATALOG, "unit_price", HELD_OUT.cents, least=1, most=2),
        BogusRows(
            CATALOG,
            {"unit_price": HELD_OUT.numbers, "product_name": ("Sample Item", "Placeholder Product", "Do Not Sell")},
            drop="unit_price",
            share=(0.1, 0.17),
        ),
        BadDeploy(
            ROLLUP,
            aliases={
                "hour_bucket": ("rollup_window_start_utc", "rollup_opens_utc"),
                "gross_revenue": ("net_sales_value", "net_booked_value"),
            },
            least=2,
            most=2,
            texts={
                "hour_bucket": ("dot_day_first", "compact_utc", "month_name"),
                "gross_revenue": ("{cents} minor units", "{cents} minor"),
            },
            scale=SHORTFALL,
        ),
        LateBatches(healthy=(3, 3)),
    ),
)

CORRECTION_REPLAY = Profile(
    name="heldout_temporal_correction_replay_family",
    task=TASK,
    splits=("eval",),
    held_out=True,
    summary="The correction service replays batches: doubled rows, total lines, lost quantities, twice garbled names.",
    patterns=("renamed columns", "replayed rows", "total lines", "lost quantities", "mojibake", "renamed rollup"),
    faults=(
        RenamedColumns(
            ORDERS,
            {
                "product_id": ("item_sku", "replay_item_sku"),
                "event_ts": ("replay_observed_at", "replayed_at"),
                "gross_revenue": ("revenue_usd_value", "replay_usd_value"),
            },
            least=2,
            most=3,
            always=("event_ts",),
        ),
        SpelledMoments(ORDERS, "event_ts", HELD_OUT.moments, least=2, most=4),
        TrailerLines(ORDERS, total="gross_revenue", keep=("batch_id",), batches=(3, 7)),
        LostValues(ORDERS, "quantity", HELD_OUT.sentinels, share=(0.03, 0.06), least=1, most=3),
        RetriedLoad(ORDERS, batches=(3, 5)),
        RenamedColumns(CATALOG, {"category": ("catalog_segment_name", "segment_label")}),
        GarbledText(CATALOG, "product_name", rounds=2),
        AnyOf((ReorderedColumns(CATALOG), RecasedCategory(CATALOG, "category"))),
        BadDeploy(
            ROLLUP,
            aliases={
                "hour_bucket": ("bucket_window_utc_start", "bucket_utc_start"),
                "gross_revenue": ("replayed_revenue_value", "replay_revenue_total"),
            },
            least=1,
            most=2,
            scale=SHORTFALL,
        ),
        LateBatches(healthy=(3, 3)),
    ),
)

PROFILES: tuple[Profile, ...] = (
    ROLLUP_BACKFILL,
    SCHEMA_EVOLUTION,
    LATE_CORRECTION,
    SCHEMA_EXTENSION,
    ROLLUP_CONTRACT,
    CORRECTION_REPLAY,
)
