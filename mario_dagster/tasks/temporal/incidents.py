"""The six profiles of task 5: three to train on, three families held out for evaluation.

In: faults and pools. Out: `PROFILES`. Profiles differ in kind, not only in names: what is lost, doubled, invented,
respelt or reordered, and where. A held-out family combines what no train profile combines, under names and spellings
that none uses.
"""

from __future__ import annotations

from mario_dagster.core.task import Profile
from mario_dagster.incidents.faults.bad_deploy import BadDeploy
from mario_dagster.incidents.faults.base import AnyOf
from mario_dagster.incidents.faults.bogus_rows import BogusRows
from mario_dagster.incidents.faults.extended_schema import ExtendedSchema
from mario_dagster.incidents.faults.garbled_text import GarbledText
from mario_dagster.incidents.faults.late_batches import LateBatches
from mario_dagster.incidents.faults.lookalike_column import LookalikeColumn
from mario_dagster.incidents.faults.lost_values import LostValues
from mario_dagster.incidents.faults.rare_category import RareCategory
from mario_dagster.incidents.faults.real_spike import RealSpike
from mario_dagster.incidents.faults.recased_category import RecasedCategory
from mario_dagster.incidents.faults.renamed_columns import RenamedColumns
from mario_dagster.incidents.faults.reordered_columns import ReorderedColumns
from mario_dagster.incidents.faults.retried_load import RetriedLoad
from mario_dagster.incidents.faults.retyped_column import RetypedColumn
from mario_dagster.incidents.faults.slow_batch import SlowBatch
from mario_dagster.incidents.faults.spelled_moments import SpelledMoments
from mario_dagster.incidents.faults.spelled_numbers import SpelledNumbers
from mario_dagster.incidents.faults.trailer_lines import TrailerLines
from mario_dagster.incidents.faults.uneven_batches import UnevenBatches
from mario_dagster.incidents.judgement import false_alarm, real_spike, upstream_down
from mario_dagster.incidents.vocabularies import HELD_OUT, LIKE_NAMES, TRAIN, TRAIN_NAMES, names, train_names

TASK = "temporal"
ORDERS, CATALOG, ROLLUP = "source_orders", "catalog", "hourly_rollup"
SHORTFALL = {"gross_revenue": (0.82, 0.88)}
# Held-out producers send these beside what the contract wants; only what they come to tells them from it.
LIKE_QUANTITY = LookalikeColumn(ORDERS, "quantity", LIKE_NAMES["quantity"], factor=(0.3, 0.8))
LIKE_REVENUE = LookalikeColumn(ORDERS, "gross_revenue", LIKE_NAMES["gross_revenue"])
LIKE_PRODUCT = LookalikeColumn(ORDERS, "product_id", LIKE_NAMES["product_id"], "foreign")
LIKE_PRICE = LookalikeColumn(CATALOG, "unit_price", LIKE_NAMES["unit_price"])

ROLLUP_BACKFILL = Profile(
    name="temporal_rollup_backfill_incident",
    task=TASK,
    splits=("train",),
    summary="Retried loads doubled orders, amounts came with currency marks, and the rollup was written short.",
    patterns=("retried loads", "currency marks", "lost quantities", "retyped numbers", "short rollup", "rollup names"),
    faults=(
        SpelledNumbers(ORDERS, "gross_revenue", TRAIN.currency, least=1, most=3),
        LostValues(ORDERS, "quantity", TRAIN.sentinels, share=(0.03, 0.06)),
        RetriedLoad(ORDERS, batches=(2, 5)),
        AnyOf(
            (
                RetypedColumn(ORDERS, "product_id"),
                RetypedColumn(ORDERS, "order_id"),
                SpelledMoments(ORDERS, "event_ts", TRAIN.timestamps, least=1, most=2),
                ReorderedColumns(ORDERS),
            ),
            least=1,
            most=2,
        ),
        AnyOf(
            (
                RetriedLoad(CATALOG, share=(0.1, 0.3)),
                SpelledNumbers(CATALOG, "unit_price", TRAIN.currency, least=1, most=2),
                RetypedColumn(CATALOG, "product_id"),
                RecasedCategory(CATALOG, "category"),
            ),
            least=1,
            most=2,
        ),
        BadDeploy(
            ROLLUP,
            aliases={"order_count": TRAIN_NAMES["order_count"], "gross_revenue": TRAIN_NAMES["rollup_revenue"]},
            least=1,
            most=2,
            texts={"hour_bucket": ("slash_day_first", "iso_space")},
            scale=SHORTFALL,
        ),
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
            train_names("product_id", "quantity", "event_ts", "gross_revenue"),
            least=2,
            most=3,
            always=("event_ts",),
        ),
        SpelledNumbers(ORDERS, "quantity", TRAIN.units, least=1, most=3),
        SpelledMoments(ORDERS, "event_ts", (*TRAIN.timestamps, "iso_utc"), least=2, most=3),
        LostValues(ORDERS, "quantity", TRAIN.sentinels, share=(0.02, 0.05)),
        RenamedColumns(
            CATALOG,
            train_names("category", "product_name"),
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
        AnyOf(
            (
                RetriedLoad(CATALOG, share=(0.08, 0.25)),
                ReorderedColumns(CATALOG),
                RecasedCategory(CATALOG, "category"),
                GarbledText(CATALOG, "product_name"),
                RetypedColumn(CATALOG, "unit_price", ("string",)),
            ),
            least=1,
            most=2,
        ),
        BadDeploy(ROLLUP, aliases=train_names("hour_bucket"), least=1, most=1, scale=SHORTFALL),
        LateBatches(healthy=(3, 4)),
    ),
)

SCHEMA_EXTENSION = Profile(
    name="heldout_temporal_schema_extension_family",
    task=TASK,
    splits=("eval",),
    held_out=True,
    summary="A new feed version: most columns renamed, look-alikes among the new ones, identifiers retyped.",
    patterns=("renamed columns", "lookalike columns", "retyped identifiers", "pieces", "lost departments", "order"),
    faults=(
        RenamedColumns(
            ORDERS,
            {
                "product_id": names(("sku", "stock"), ("key", "handle", "index")),
                "quantity": names(("ordered", "requested", "wanted"), ("units", "unit_count")),
                "event_ts": names(("source", "producer"), ("snapshot", "capture", "record"), ("utc",)),
                "gross_revenue": names(("recognized", "recognised"), ("revenue_value", "revenue_sum", "sales_value")),
            },
            least=3,
            most=4,
            always=("quantity", "event_ts", "gross_revenue"),
        ),
        AnyOf((LIKE_QUANTITY, LIKE_REVENUE), least=0, most=2),
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
        RenamedColumns(CATALOG, {"category": names(("catalog", "range"), ("family",), ("group", "branch", "line"))}),
        RecasedCategory(CATALOG, "category", share=(0.2, 0.5)),
        LostValues(CATALOG, "category", HELD_OUT.sentinels, share=(0.1, 0.2), fill="fill_forward"),
        BadDeploy(
            ROLLUP,
            aliases={"hour_bucket": names(("rollup", "summed"), ("bucket", "span"), ("start_utc", "from_utc"))},
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
    patterns=(
        "renamed columns",
        "lookalike columns",
        "foreign currency",
        "minor units",
        "test products",
        "rollup names",
    ),
    faults=(
        RenamedColumns(
            ORDERS,
            {
                "product_id": names(("inventory", "stock", "ledger"), ("sku",), ("key", "line")),
                "event_ts": names(("observed", "booked", "noted"), ("watermark", "entry"), ("at",)),
                "gross_revenue": names(("booked", "posted"), ("revenue", "sales", "amount"), ("usd",)),
            },
            least=2,
            most=3,
            always=("gross_revenue",),
        ),
        AnyOf((LIKE_REVENUE, LIKE_PRICE), least=0, most=2),
        SpelledNumbers(ORDERS, "gross_revenue", HELD_OUT.currency, least=2, most=3),
        AnyOf(
            (
                SpelledMoments(ORDERS, "event_ts", HELD_OUT.timestamps, least=1, most=2),
                BogusRows(ORDERS, {"quantity": HELD_OUT.numbers}, drop="quantity"),
            )
        ),
        RenamedColumns(CATALOG, {"unit_price": names(("unit", "list"), ("cost", "charge", "rate"), ("cents",))}),
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
                "hour_bucket": names(("rollup",), ("window", "period"), ("start_utc", "opens_utc")),
                "gross_revenue": names(("net",), ("sales", "booked", "billed"), ("value", "worth")),
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
    patterns=("renamed columns", "lookalike columns", "replayed rows", "total lines", "lost quantities", "mojibake"),
    faults=(
        RenamedColumns(
            ORDERS,
            {
                "product_id": names(("item", "replay_item", "corrected_item"), ("sku", "sku_no")),
                "event_ts": names(("replay", "correction", "original"), ("observed_at", "event_at")),
                "gross_revenue": names(("revenue", "corrected_revenue"), ("usd_value", "usd_sum", "usd_worth")),
            },
            least=3,
            most=3,
        ),
        AnyOf((LIKE_REVENUE, LIKE_PRODUCT), least=0, most=2),
        SpelledMoments(ORDERS, "event_ts", HELD_OUT.timestamps, least=2, most=4),
        TrailerLines(ORDERS, total="gross_revenue", keep=("batch_id",), batches=(3, 7)),
        LostValues(ORDERS, "quantity", HELD_OUT.sentinels, share=(0.03, 0.06), least=1, most=3),
        RetriedLoad(ORDERS, batches=(3, 5)),
        RenamedColumns(
            CATALOG, {"category": names(("catalog", "assortment"), ("segment",), ("name", "label", "word"))}
        ),
        GarbledText(CATALOG, "product_name", rounds=2),
        AnyOf((ReorderedColumns(CATALOG), RecasedCategory(CATALOG, "category"))),
        BadDeploy(
            ROLLUP,
            aliases={
                "hour_bucket": names(("bucket_window", "bucket", "replay_window"), ("utc_start", "utc_from")),
                "gross_revenue": names(("replayed", "corrected"), ("revenue",), ("value", "whole", "turnover")),
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
    # Judgement, asked for by name.
    false_alarm(
        TASK, "source_orders", (SlowBatch(), UnevenBatches("source_orders"), RareCategory("catalog", "category"))
    ),
    real_spike(
        TASK,
        RealSpike("source_orders", ("quantity", "gross_revenue")),
        (
            RetriedLoad("source_orders", batches=(1, 2), share=(0.1, 0.3)),
            RecasedCategory("catalog", "category"),
            SpelledNumbers("catalog", "unit_price", TRAIN.currency),
        ),
    ),
    upstream_down(
        TASK,
        (
            SpelledNumbers("source_orders", "gross_revenue", TRAIN.currency, most=3),
            SpelledNumbers("source_orders", "quantity", TRAIN.units, most=3),
            SpelledMoments("source_orders", "event_ts", TRAIN.offsets, most=3),
            RenamedColumns("source_orders", {"product_id": ("product_ref", "item_id"), "quantity": ("qty",)}, most=2),
        ),
        (
            RetriedLoad("catalog", share=(0.1, 0.3)),
            RecasedCategory("catalog", "category"),
            SpelledNumbers("catalog", "unit_price", TRAIN.currency),
        ),
    ),
)
