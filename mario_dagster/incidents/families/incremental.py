"""The seven profiles of task 4: three to train on, four families held out for evaluation.

In: faults and pools. Out: `PROFILES`. Ten or eleven replays, two steps or so for workers, a refresh and the commit
leave about thirteen steps for everything else, so a profile calls for ten repairs at the most. A held-out family
combines what no train profile combines, under names and spellings that none uses.
"""

from __future__ import annotations

from mario_dagster.catalog import Profile
from mario_dagster.incidents.faults import (
    AnyOf,
    BadDeploy,
    BogusRows,
    GarbledText,
    LateBatches,
    LostValues,
    OverlappingBatches,
    PaddedText,
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

TASK = "incremental"
ORDERS, PRODUCTS, SUMMARY = "orders", "products", "daily_summary"
SHORTFALL = {"total_revenue": (0.84, 0.93)}

LATE_BATCH = Profile(
    name="late_batch_resource_incident",
    task=TASK,
    splits=("train", "eval"),
    summary="Batches pile up behind one worker; retried loads doubled orders, numbers carry marks, some are lost.",
    patterns=("retried loads", "currency marks", "units", "lost quantities", "short summary"),
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
            ),
            least=1,
            most=2,
        ),
        BadDeploy(SUMMARY, scale=SHORTFALL),
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
            {
                "product_id": ("product_no", "item_no"),
                "quantity": ("qty_ordered", "pieces_sold"),
                "event_ts": ("event_time", "event_moment"),
                "revenue": ("line_total", "order_value"),
            },
            least=1,
            most=3,
            always=("event_ts",),
        ),
        AnyOf(
            (
                SpelledNumbers(ORDERS, "revenue", TRAIN.cents, least=1, most=2),
                SpelledNumbers(ORDERS, "quantity", TRAIN.units, least=1, most=3),
                SpelledMoments(ORDERS, "event_ts", (*TRAIN.moments, "iso_utc"), least=2, most=3),
            ),
            least=2,
            most=3,
        ),
        RenamedColumns(
            PRODUCTS,
            {"category": ("product_segment", "product_group"), "product_name": ("product_title", "item_label")},
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
            aliases={
                "event_date": ("business_date", "order_day"),
                "total_revenue": ("revenue_sum", "day_revenue"),
            },
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
    patterns=("overlapping files", "total lines", "fixed width", "renamed columns", "mixed spellings", "summary days"),
    faults=(
        RenamedColumns(
            ORDERS,
            {
                "event_ts": ("load_window_start", "load_window_opened"),
                "quantity": ("window_units", "units_in_window"),
            },
            least=1,
            most=2,
            always=("event_ts",),
        ),
        SpelledMoments(ORDERS, "event_ts", HELD_OUT.moments, least=1, most=3),
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
            aliases={"event_date": ("summary_day", "day_of_window")},
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
    patterns=("retry storm", "load probes", "foreign currency", "retyped identifiers", "column order", "summary names"),
    faults=(
        RenamedColumns(
            ORDERS,
            {
                "product_id": ("queue_item_key", "worker_item_key"),
                "event_ts": ("queue_entry_utc", "worker_clock_utc"),
            },
            least=1,
            most=2,
            always=("event_ts",),
        ),
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
                RenamedColumns(PRODUCTS, {"unit_price": ("sticker_price", "shelf_price")}),
                ReorderedColumns(PRODUCTS),
                SpelledNumbers(PRODUCTS, "unit_price", HELD_OUT.currency, least=1, most=3),
            ),
            least=1,
            most=2,
        ),
        BadDeploy(
            SUMMARY,
            aliases={"event_date": ("shift_day", "duty_date"), "total_revenue": ("shift_takings", "duty_takings")},
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
    patterns=("renamed keys", "renamed columns", "minor units", "lost departments", "summary contract"),
    faults=(
        RenamedColumns(
            ORDERS,
            {
                "batch_id": ("window_id", "window_key"),
                "product_id": ("sku_key", "sku_ref"),
                "event_ts": ("processing_ts", "processed_ts"),
                "revenue": ("booked_revenue_value", "booked_sales_value"),
            },
            least=2,
            most=3,
        ),
        SpelledNumbers(ORDERS, "revenue", HELD_OUT.cents, least=1, most=3),
        RenamedColumns(PRODUCTS, {"category": ("product_family", "family_name")}),
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
    patterns=("renamed keys", "mixed time spellings", "lost quantities", "rows sent twice", "mojibake"),
    faults=(
        RenamedColumns(
            ORDERS,
            {
                "batch_id": ("replay_window_id", "replay_window_key"),
                "event_ts": ("window_ts", "window_close_ts"),
                "revenue": ("gross_sales_value", "gross_takings_value"),
            },
            least=1,
            most=2,
            always=("event_ts",),
        ),
        SpelledMoments(ORDERS, "event_ts", HELD_OUT.moments, least=2, most=4),
        LostValues(ORDERS, "quantity", HELD_OUT.sentinels, share=(0.03, 0.06), least=1, most=3),
        AnyOf((OverlappingBatches(ORDERS, batches=(4, 8)), RetriedLoad(ORDERS, batches=(2, 5)))),
        AnyOf(
            (
                RenamedColumns(PRODUCTS, {"category": ("segment_name", "segment_title")}),
                GarbledText(PRODUCTS, "product_name", rounds=2),
            ),
            least=1,
            most=2,
        ),
        BadDeploy(
            SUMMARY,
            aliases={"event_date": ("recovery_day", "recovered_day")},
            least=1,
            most=1,
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
)
