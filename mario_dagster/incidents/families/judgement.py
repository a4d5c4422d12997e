"""Two profiles a task that try judgement: an alarm that is false, and a spike that is real. Asked for by name only.

In: decoys and small faults. Out: `PROFILES`. What is right there is to leave alone what only looks wrong: publish a
healthy pipeline untouched; repair the one small thing beside a spike, and not the spike.
"""

from __future__ import annotations

from collections.abc import Mapping

from mario_dagster.catalog import Profile
from mario_dagster.incidents.faults import (
    AnyOf,
    Fault,
    RareCategory,
    RealSpike,
    RecasedCategory,
    ReorderedColumns,
    RetriedLoad,
    RetypedColumn,
    SlowBatch,
    SpelledCells,
    SpelledNumbers,
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


def _false_alarm(task: str, table: str, oddities: tuple[Fault, ...]) -> Profile:
    return Profile(
        name=f"judgement_{task}_false_alarm",
        task=task,
        splits=("train", "eval"),
        summary="A monitor cries out, and nothing is wrong: validate, and publish what is there, untouched.",
        patterns=("false alarm",),
        faults=(AnyOf(oddities),) if oddities else (),
        options={
            "by_name_only": True,
            "alerts": (f"row-count monitor: {table} came in 31 % below its forecast",),
        },
    )


def _real_spike(task: str, spike: RealSpike, faults: tuple[Fault, ...]) -> Profile:
    column = spike.columns[-1]
    return Profile(
        name=f"judgement_{task}_real_spike",
        task=task,
        splits=("train", "eval"),
        summary="Business was good, and one small thing broke beside it: repair that, and leave the spike alone.",
        patterns=("real spike", "one small fault"),
        faults=(spike, AnyOf(faults)),
        options={
            "by_name_only": True,
            "alerts": (f"anomaly monitor: {column} in {spike.table} is several times its usual level for some rows",),
        },
    )


PROFILES: tuple[Profile, ...] = tuple(
    each
    for task, (table, oddities, spike, faults) in _CASES.items()
    for each in (_false_alarm(task, table, oddities), _real_spike(task, spike, faults))
)
