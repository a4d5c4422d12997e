"""The seven profiles of task 4: three to train on, four families held out for evaluation.

In: faults and pools. Out: `PROFILES`. Ten or eleven replays, two steps or so for workers, a refresh and the commit
leave about thirteen steps for everything else, so a profile calls for ten repairs at the most. A held-out family
combines what no train profile combines, under names and spellings that none uses.
"""

from __future__ import annotations

from mario_dagster.core.task import Profile
from mario_dagster.incidents.faults.bad_deploy import BadDeploy
from mario_dagster.incidents.faults.base import AnyOf
from mario_dagster.incidents.faults.bogus_rows import BogusRows
from mario_dagster.incidents.faults.garbled_text import GarbledText
from mario_dagster.incidents.faults.late_batches import LateBatches
from mario_dagster.incidents.faults.lookalike_column import LookalikeColumn
from mario_dagster.incidents.faults.lost_values import LostValues
from mario_dagster.incidents.faults.overlapping_batches import OverlappingBatches
from mario_dagster.incidents.faults.padded_text import PaddedText
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
from mario_dagster.incidents.vocabularies import HELD_OUT, LIKE_NAMES, TRAIN, names, train_names

TASK = "incremental"
ORDERS, PRODUCTS, SUMMARY = "orders", "products", "daily_summary"
SHORTFALL = {"total_revenue": (0.84, 0.93)}
# Held-out producers send these beside what the contract wants; only what they come to tells them from it.
LIKE_QUANTITY = LookalikeColumn(ORDERS, "quantity", LIKE_NAMES["quantity"], factor=(0.3, 0.8))
LIKE_REVENUE = LookalikeColumn(ORDERS, "revenue", LIKE_NAMES["revenue"])
LIKE_PRODUCT = LookalikeColumn(ORDERS, "product_id", LIKE_NAMES["product_id"], "foreign")
LIKE_PRICE = LookalikeColumn(PRODUCTS, "unit_price", LIKE_NAMES["unit_price"])

LATE_BATCH = Profile(
    name="late_batch_resource_incident",
    task=TASK,
    splits=("train", "eval"),
    summary="Batches pile up behind one worker; retried loads doubled orders, numbers carry marks, some are lost.",
    patterns=("retried loads", "currency marks", "units", "lost quantities", "short summary", "summary names"),
    faults=(
        RetriedLoad(ORDERS, batches=(3, 6)),
        AnyOf(
            (
                SpelledNumbers(ORDERS, "revenue", TRAIN.currency, least=1, most=3),
                SpelledNumbers(ORDERS, "quantity", TRAIN.units, least=1, most=3),
                RetypedColumn(ORDERS, "product_id", ("string",)),
            ),
            least=1,
            most=2,
        ),
        LostValues(ORDERS, "quantity", TRAIN.sentinels, share=(0.02, 0.06)),
        AnyOf(
            (
                RetriedLoad(PRODUCTS, share=(0.1, 0.3)),
                SpelledNumbers(PRODUCTS, "unit_price", TRAIN.currency, least=1, most=2),
                BogusRows(
                    PRODUCTS,
                    {"unit_price": TRAIN.numbers, "product_name": ("Test Product", "Load Test Item")},
                    drop="unit_price",
                    share=(0.1, 0.15),
                ),
                RecasedCategory(PRODUCTS, "category"),
            ),
            least=1,
            most=2,
        ),
        BadDeploy(SUMMARY, aliases=train_names("order_count", "total_revenue"), least=1, most=2, scale=SHORTFALL),
        LateBatches(healthy=(3, 3)),
    ),
)

SCHEMA_ALIAS = Profile(
    name="schema_alias_unit_regression",
    task=TASK,
    splits=("train", "eval"),
    summary="The stream's new version renames columns, counts money in cents and pieces in units, and mixes times.",
    patterns=("renamed columns", "cents", "units", "mixed time spellings", "category case", "mojibake"),
    faults=(
        RenamedColumns(
            ORDERS,
            train_names("product_id", "quantity", "event_ts", "revenue"),
            least=1,
            most=3,
            always=("event_ts",),
        ),
        AnyOf(
            (
                SpelledNumbers(ORDERS, "revenue", TRAIN.cents, least=1, most=2),
                SpelledNumbers(ORDERS, "quantity", TRAIN.units, least=1, most=3),
                SpelledMoments(ORDERS, "event_ts", (*TRAIN.timestamps, "iso_utc"), least=2, most=3),
            ),
            least=2,
            most=3,
        ),
        RenamedColumns(
            PRODUCTS,
            train_names("category", "product_name"),
            most=2,
            always=("category",),
        ),
        AnyOf(
            (
                SpelledNumbers(PRODUCTS, "unit_price", (*TRAIN.cents, TRAIN.currency[0]), least=2, most=3),
                RecasedCategory(PRODUCTS, "category"),
                GarbledText(PRODUCTS, "product_name"),
            ),
            least=1,
            most=2,
        ),
        BadDeploy(SUMMARY, scale=SHORTFALL),
        LateBatches(healthy=(3, 3)),
    ),
)

STALE_SUMMARY = Profile(
    name="stale_summary_oncall_recovery",
    task=TASK,
    splits=("train", "eval"),
    summary="The summary was released under other names and spellings; test orders and local times came with it.",
    patterns=("summary names", "summary spellings", "time-zone offsets", "test orders", "column order"),
    faults=(
        SpelledMoments(ORDERS, "event_ts", TRAIN.offsets, least=2, most=4),
        AnyOf(
            (
                BogusRows(ORDERS, {"revenue": TRAIN.numbers}, drop="revenue"),
                ReorderedColumns(ORDERS),
                LostValues(ORDERS, "quantity", (None,), share=(0.03, 0.06), fill="fill_mean", most=1),
            ),
            least=1,
            most=2,
        ),
        AnyOf((ReorderedColumns(PRODUCTS), RetriedLoad(PRODUCTS, share=(0.08, 0.25)))),
        BadDeploy(
            SUMMARY,
            aliases=train_names("event_date", "total_revenue"),
            least=1,
            most=2,
            scale=SHORTFALL,
        ),
        AnyOf(
            (
                BadDeploy(SUMMARY, texts={"event_date": TRAIN.dates}),
                BadDeploy(SUMMARY, texts={"total_revenue": ("{cents} cents", "{value} USD")}),
            ),
            least=1,
            most=2,
        ),
        # Somebody has been at the pool already, in some incidents.
        AnyOf((LateBatches(healthy=(3, 3)), LateBatches(healthy=(3, 3), workers=2))),
    ),
)

BATCH_SHAPE = Profile(
    name="heldout_task4_batch_shape_family",
    task=TASK,
    splits=("eval",),
    held_out=True,
    summary="Windows instead of batches: files overlap, end with totals and are written in fixed width.",
    patterns=("overlapping files", "total lines", "fixed width", "renamed columns", "lookalike columns", "spellings"),
    faults=(
        RenamedColumns(
            ORDERS,
            {
                "event_ts": names(("load_window", "till_window", "file_window"), ("start", "opened", "entry")),
                "quantity": names(("window", "basket", "till"), ("units", "unit_count")),
                "product_id": names(("basket", "till"), ("line_key", "ware_key")),
            },
            least=2,
            most=3,
            always=("event_ts", "quantity"),
        ),
        AnyOf((LIKE_QUANTITY, LIKE_PRODUCT), least=1, most=2),
        SpelledMoments(ORDERS, "event_ts", HELD_OUT.timestamps, least=1, most=3),
        OverlappingBatches(ORDERS, batches=(3, 8)),
        AnyOf(
            (
                PaddedText(ORDERS, "batch_id"),
                TrailerLines(ORDERS, total="revenue", keep=("batch_id",), batches=(3, 7)),
            ),
            least=1,
            most=2,
        ),
        AnyOf((PaddedText(PRODUCTS, "product_name"), PaddedText(PRODUCTS, "category")), least=1, most=2),
        BadDeploy(
            SUMMARY,
            aliases={"event_date": names(("summary", "window", "till"), ("day", "day_of_window"))},
            least=1,
            most=1,
            texts={"event_date": HELD_OUT.dates},
            scale=SHORTFALL,
        ),
        LateBatches(healthy=(2, 2)),
    ),
)

WORKER_PRESSURE = Profile(
    name="heldout_task4_worker_pressure_family",
    task=TASK,
    splits=("eval",),
    held_out=True,
    summary="A storm of retries: nearly every file is delivered twice, with load probes among the orders.",
    patterns=(
        "retry storm",
        "load probes",
        "foreign currency",
        "renamed columns",
        "lookalike columns",
        "summary names",
    ),
    faults=(
        RenamedColumns(
            ORDERS,
            {
                "product_id": names(("queue", "worker", "retry"), ("item", "product"), ("key",)),
                "event_ts": names(("queue", "worker", "retry"), ("event", "entry"), ("utc",)),
            },
            least=2,
            most=2,
        ),
        AnyOf((LIKE_PRODUCT, LIKE_PRICE), least=1, most=2),
        RetriedLoad(ORDERS, batches=(8, 12), share=(0.6, 1.0)),
        BogusRows(ORDERS, {"quantity": HELD_OUT.numbers}, drop="quantity", share=(0.02, 0.05)),
        AnyOf(
            (
                SpelledNumbers(ORDERS, "revenue", HELD_OUT.currency, least=2, most=3),
                RetypedColumn(ORDERS, "product_id", ("float64", "string")),
            ),
            least=1,
            most=2,
        ),
        AnyOf(
            (
                RenamedColumns(PRODUCTS, {"unit_price": names(("sticker", "shelf", "tag"), ("price", "dollars"))}),
                ReorderedColumns(PRODUCTS),
                SpelledNumbers(PRODUCTS, "unit_price", HELD_OUT.currency, least=1, most=3),
            ),
            least=1,
            most=2,
        ),
        BadDeploy(
            SUMMARY,
            aliases={
                "event_date": names(("shift", "duty"), ("day", "date")),
                "total_revenue": names(("shift", "duty"), ("takings", "receipts")),
            },
            least=1,
            most=2,
            scale=SHORTFALL,
        ),
        LateBatches(healthy=(2, 2)),
    ),
)

SUMMARY_CONTRACT = Profile(
    name="heldout_task4_summary_contract_family",
    task=TASK,
    splits=("eval",),
    held_out=True,
    summary="A new summary contract all the way down: keys and amounts renamed, minor units, departments lost.",
    patterns=("renamed keys", "renamed columns", "lookalike columns", "minor units", "lost departments", "summary"),
    faults=(
        RenamedColumns(
            ORDERS,
            {
                "batch_id": names(("window",), ("id", "key")),
                "product_id": names(("sku", "sku_line"), ("key", "ref")),
                "event_ts": names(("processing", "processed"), ("ts", "event_ts")),
                "revenue": names(("booked", "entered"), ("revenue", "sales"), ("value", "worth")),
            },
            least=2,
            most=3,
            always=("revenue",),
        ),
        AnyOf((LIKE_REVENUE, LIKE_PRODUCT), least=1, most=2),
        SpelledNumbers(ORDERS, "revenue", HELD_OUT.cents, least=1, most=3),
        RenamedColumns(PRODUCTS, {"category": names(("product", "range"), ("family", "family_name"))}),
        LostValues(PRODUCTS, "category", HELD_OUT.sentinels, share=(0.1, 0.2), fill="fill_forward"),
        BadDeploy(
            SUMMARY,
            aliases={
                "event_date": ("summary_day", "booking_day"),
                "order_count": ("booked_orders", "booking_count"),
                "total_revenue": ("booked_total_value", "booked_day_value"),
            },
            least=1,
            most=2,
            scale=SHORTFALL,
        ),
        AnyOf(
            (
                BadDeploy(SUMMARY, texts={"total_revenue": ("{cents} minor units", "{cents} minor")}),
                BadDeploy(SUMMARY, texts={"order_count": HELD_OUT.units}),
            ),
        ),
        LateBatches(healthy=(2, 2)),
    ),
)

FRESHNESS_PRESSURE = Profile(
    name="heldout_task4_freshness_pressure_family",
    task=TASK,
    splits=("eval",),
    held_out=True,
    summary="A replay service answers for the stream: its own keys and clock, lost pieces, rows sent twice.",
    patterns=("renamed keys", "lookalike columns", "mixed time spellings", "lost quantities", "rows sent twice"),
    faults=(
        RenamedColumns(
            ORDERS,
            {
                "batch_id": names(("replay_window",), ("id", "key")),
                "event_ts": names(("window", "replay"), ("ts", "event_ts", "close_ts")),
                "revenue": names(("gross",), ("sales", "revenue", "receipts"), ("value", "worth")),
            },
            least=2,
            most=3,
            always=("event_ts", "revenue"),
        ),
        AnyOf((LIKE_REVENUE, LIKE_QUANTITY), least=1, most=2),
        SpelledMoments(ORDERS, "event_ts", HELD_OUT.timestamps, least=2, most=4),
        LostValues(ORDERS, "quantity", HELD_OUT.sentinels, share=(0.03, 0.06), least=1, most=3),
        AnyOf((OverlappingBatches(ORDERS, batches=(4, 8)), RetriedLoad(ORDERS, batches=(2, 5)))),
        AnyOf(
            (
                RenamedColumns(PRODUCTS, {"category": names(("segment",), ("name", "title", "heading"))}),
                GarbledText(PRODUCTS, "product_name", rounds=2),
            ),
            least=1,
            most=2,
        ),
        BadDeploy(
            SUMMARY,
            aliases={
                "event_date": names(("recovery", "recovered"), ("day", "date", "day_utc")),
                "total_revenue": names(("recovered", "replayed_day"), ("receipts", "sales_value")),
            },
            least=1,
            most=2,
            scale=SHORTFALL,
        ),
        LateBatches(healthy=(2, 2)),
    ),
)

PROFILES: tuple[Profile, ...] = (
    LATE_BATCH,
    SCHEMA_ALIAS,
    STALE_SUMMARY,
    BATCH_SHAPE,
    WORKER_PRESSURE,
    SUMMARY_CONTRACT,
    FRESHNESS_PRESSURE,
    # Judgement, asked for by name.
    false_alarm(TASK, "orders", (SlowBatch(), UnevenBatches("orders"), RareCategory("products", "category"))),
    real_spike(
        TASK,
        RealSpike("orders", ("quantity", "revenue")),
        (
            RetriedLoad("orders", batches=(1, 2), share=(0.1, 0.3)),
            RecasedCategory("products", "category"),
            SpelledNumbers("products", "unit_price", TRAIN.currency),
        ),
    ),
    upstream_down(
        TASK,
        (
            SpelledNumbers("orders", "revenue", TRAIN.currency, most=3),
            SpelledNumbers("orders", "quantity", TRAIN.units, most=3),
            SpelledMoments("orders", "event_ts", TRAIN.timestamps, most=2),
            RenamedColumns("orders", {"product_id": ("product_no", "item_no"), "revenue": ("line_total",)}, most=2),
        ),
        (
            RetriedLoad("products", share=(0.1, 0.3)),
            RecasedCategory("products", "category"),
            SpelledNumbers("products", "unit_price", TRAIN.currency),
        ),
    ),
)
