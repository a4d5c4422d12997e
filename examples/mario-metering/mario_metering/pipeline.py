"""What the metering pipeline is made of: its clean data, the transform of its derived table, how that adds up.

In: a seed's streams and a scale; tables. Out: `PIPELINE`, from which the asset graph and its checks are built.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from mario_dagster.plugin import (
    EPOCH_DAY,
    CleanData,
    PipelineSpec,
    Rollup,
    Streams,
    frame_of,
    from_arrow,
    identifiers,
    require,
    spread,
    to_arrow,
)

from .task import METERS, READINGS, TARIFFS

METER_ROWS, READING_ROWS = 24, 260
# Seconds of a day; days after `EPOCH_DAY` that the first reading may be of.
DAY, DAYS = 86_400, 900
REGIONS = ("AMS", "BER", "CPH", "DUB", "HEL", "LIS", "MAD", "OSL", "ROM", "VIE", "WAW", "ZRH")


def generate(seed: int, scale: int, streams: Streams) -> CleanData:
    """Readings of three weeks or so, in order of time, and the meters they come from."""
    clock, rng = streams("clock"), streams("readings")
    size, first = READING_ROWS * scale, int(EPOCH_DAY.timestamp()) + int(clock.integers(DAYS)) * DAY
    days = int(clock.integers(17, 26))
    meters = _meters(streams("meters"), METER_ROWS * max(1, scale // 10))
    readings = {
        "reading_id": identifiers(rng, size, 300_000, 900_000),
        "meter_id": rng.choice(meters["meter_id"], size),
        "read_at": np.sort(rng.integers(first, first + days * DAY, size)),
        # Between 2 and 40 kWh, most of them small.
        "kwh": np.round(2.0 * np.exp(3.0 * spread(rng, size)), 2),
    }
    now = datetime.fromtimestamp(first + days * DAY, UTC) + timedelta(minutes=int(clock.integers(20, 200)))
    feeds = {"readings": frame_of(READINGS, readings), "meters": frame_of(METERS, meters)}
    return CleanData("metering", (), feeds, now)


def _meters(rng: np.random.Generator, size: int) -> dict[str, np.ndarray | list[str]]:
    return {
        "meter_id": identifiers(rng, size, 4_000, 9_000),
        "site": [f"{REGIONS[rng.integers(len(REGIONS))]}-{rng.integers(10, 100)}" for _ in range(size)],
        "tariff": [TARIFFS[index % len(TARIFFS)] for index in rng.permutation(size)],
    }


def daily_usage(readings: pd.DataFrame, meters: pd.DataFrame) -> pd.DataFrame:
    """Readings and kWh by UTC day, over readings of registered meters; one row a day that has any, ascending.

    Raises:
        TransformError: a column is missing or in another type than its contract's.
    """
    require(readings, READINGS, "meter_id", "read_at", "kwh")
    require(meters, METERS, "meter_id")
    rows = to_arrow(readings)
    known = pc.is_in(rows["meter_id"], value_set=to_arrow(meters)["meter_id"].combine_chunks())
    rows = rows.filter(pc.and_(known, rows["read_at"].is_valid()))
    # Summed in whole hundredths: the same whatever the row order.
    parts = pc.cast(pc.round(pc.multiply(rows["kwh"], 100)), pa.int64())
    days = pc.cast(pc.floor_temporal(rows["read_at"], unit="day"), pa.date32())
    sums = pa.table({"usage_date": days, "parts": parts}).group_by("usage_date")
    daily = sums.aggregate([([], "count_all"), ("parts", "sum")]).sort_by("usage_date")
    kwh = pc.divide(pc.cast(daily["parts_sum"].fill_null(0), pa.float64()), 100)
    return from_arrow(pa.table({"usage_date": daily["usage_date"], "reading_count": daily["count_all"], "kwh": kwh}))


PIPELINE = PipelineSpec(
    generate=generate,
    transforms={"daily_usage": daily_usage},
    sums={
        "daily_usage": Rollup("reading_count", "kwh", amount="kwh", moment="read_at", every="D", via="meter_id"),
    },
)
