"""Profiles that try judgement: a false alarm, a real spike, an upstream that is still down. Asked for by name only.

In: decoys and small faults. Out: `PROFILES`: the first two for each task, the third for tasks that have batches. What
is right there is to leave alone what only looks wrong, and what nobody here can mend: publish a healthy pipeline
untouched; repair the one small thing beside a spike, and not the spike; load and repair what has come, and publish
nothing while the rest of it is still to come.
"""

from __future__ import annotations

from collections.abc import Mapping

from mario_dagster.catalog import Profile
from mario_dagster.incidents.faults import (
    AnyOf,
    Fault,
    LateBatches,
    RareCategory,
    RealSpike,
    RecasedCategory,
    RenamedColumns,
    ReorderedColumns,
    RetriedLoad,
    RetypedColumn,
    SlowBatch,
    SpelledCells,
    SpelledMoments,
    SpelledNumbers,
    UnavailableBatches,
    UnevenBatches,
)
from mario_dagster.incidents.pools import TRAIN

# Task -> its main table; what oddities a false alarm may have been raised by; the spike; small faults beside it.
_CASES: Mapping[str, tuple[str, tuple[Fault, ...], RealSpike, tuple[Fault, ...]]] = {
    "ingestion": (
        "customers",
        (),
        RealSpike("customers", ("monthly_spend",)),
        (
            RetriedLoad("customers", share=(0.01, 0.04)),
            ReorderedColumns("customers"),
            SpelledCells("customers", "signup_date", TRAIN.dates),
            RetypedColumn("customers", "age"),
        ),
    ),
    "events": (
        "transactions",
        (RareCategory("transactions", "status"),),
        RealSpike("transactions", ("amount",)),
        (
            RetriedLoad("transactions", share=(0.01, 0.04)),
            ReorderedColumns("transactions"),
            RecasedCategory("transactions", "status"),
            RetypedColumn("transactions", "age"),
        ),
    ),
    "referential": (
        "orders",
        (RareCategory("products", "category"),),
        RealSpike("orders", ("quantity",)),
        (
            RetriedLoad("orders", share=(0.01, 0.04)),
            RetypedColumn("customers", "age"),
            RecasedCategory("products", "category"),
            SpelledNumbers("products", "unit_price", TRAIN.currency),
        ),
    ),
    "incremental": (
        "orders",
        (SlowBatch(), UnevenBatches("orders"), RareCategory("products", "category")),
        RealSpike("orders", ("quantity", "revenue")),
        (
            RetriedLoad("orders", batches=(1, 2), share=(0.1, 0.3)),
            RecasedCategory("products", "category"),
            SpelledNumbers("products", "unit_price", TRAIN.currency),
        ),
    ),
    "temporal": (
        "source_orders",
        (SlowBatch(), UnevenBatches("source_orders"), RareCategory("catalog", "category")),
        RealSpike("source_orders", ("quantity", "gross_revenue")),
        (
            RetriedLoad("source_orders", batches=(1, 2), share=(0.1, 0.3)),
            RecasedCategory("catalog", "category"),
            SpelledNumbers("catalog", "unit_price", TRAIN.currency),
        ),
    ),
}


def _judgement(
    task: str, kind: str, summary: str, patterns: tuple[str, ...], faults: tuple[Fault, ...], *alerts: str
) -> Profile:
    return Profile(
        name=f"judgement_{task}_{kind}",
        task=task,
        splits=("train", "eval"),
        summary=summary,
        patterns=patterns,
        faults=faults,
        options={"by_name_only": True, "alerts": alerts},
    )


def _false_alarm(task: str, table: str, oddities: tuple[Fault, ...]) -> Profile:
    summary = "A monitor cries out, and nothing is wrong: validate, and publish what is there, untouched."
    alert = f"row-count monitor: {table} came in 31 % below its forecast"
    return _judgement(task, "false_alarm", summary, ("false alarm",), (AnyOf(oddities),) if oddities else (), alert)


def _real_spike(task: str, spike: RealSpike, faults: tuple[Fault, ...]) -> Profile:
    summary = "Business was good, and one small thing broke beside it: repair that, and leave the spike alone."
    patterns = ("real spike", "one small fault")
    alert = f"anomaly monitor: {spike.columns[-1]} in {spike.table} is several times its usual level for some rows"
    return _judgement(task, "real_spike", summary, patterns, (spike, AnyOf(faults)), alert)


def _upstream_down(task: str, stream: tuple[Fault, ...], listed: tuple[Fault, ...]) -> Profile:
    summary = "The newest batches are announced and do not come: recover all the others, refresh, publish nothing."
    patterns = ("upstream still failing", "late batches", "small faults in the feeds")
    faults = (AnyOf(stream, most=2), AnyOf(listed), LateBatches(healthy=(4, 7)), UnavailableBatches())
    return _judgement(task, "upstream_down", summary, patterns, faults)


# Task -> small faults of its whole stream, so that what is there needs the repair, and of what its orders refer to.
_DOWN: Mapping[str, tuple[tuple[Fault, ...], tuple[Fault, ...]]] = {
    "incremental": (
        (
            SpelledNumbers("orders", "revenue", TRAIN.currency, most=3),
            SpelledNumbers("orders", "quantity", TRAIN.units, most=3),
            SpelledMoments("orders", "event_ts", TRAIN.moments, most=2),
            RenamedColumns("orders", {"product_id": ("product_no", "item_no"), "revenue": ("line_total",)}, most=2),
        ),
        (
            RetriedLoad("products", share=(0.1, 0.3)),
            RecasedCategory("products", "category"),
            SpelledNumbers("products", "unit_price", TRAIN.currency),
        ),
    ),
    "temporal": (
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
}

PROFILES: tuple[Profile, ...] = (
    *(
        each
        for task, (table, oddities, spike, faults) in _CASES.items()
        for each in (_false_alarm(task, table, oddities), _real_spike(task, spike, faults))
    ),
    *(_upstream_down(task, stream, listed) for task, (stream, listed) in _DOWN.items()),
)
