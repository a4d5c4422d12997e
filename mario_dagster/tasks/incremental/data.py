"""Task 4's clean data: three days and more of a shop's orders, in batches of some hours, and its products.

In: a seed's streams and a scale. Out: a `CleanData` of thirteen batches and a product list. Nights are quiet, some
tills come back late with orders of an earlier batch's hours, even of another day, and no order refers to what is not
there.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np

from mario_dagster.tables.clean_data import DAY, DAYS, EPOCH_DAY, HOUR, Batch, CleanData, Streams, frame_of
from mario_dagster.tasks.shop import ordered, products

from .task import ORDERS, PRODUCTS

BATCHES = 13
PRODUCT_ROWS = 18
LEAST_ROWS, MOST_ROWS = 12, 22
LATE_FROM = 2  # batches before this one are too early to hold orders of an earlier batch's hours
QUARTER = HOUR // 4


def generate(seed: int, scale: int, streams: Streams) -> CleanData:
    """Thirteen batches, one each five and a half to six and a half hours, and the products ordered in them."""
    listed = products(streams("products"), PRODUCT_ROWS * max(1, scale // 10))
    clock = streams("clock")
    window = int(clock.integers(22, 27)) * QUARTER
    start = int(EPOCH_DAY.timestamp()) + int(clock.integers(DAYS)) * DAY + int(clock.integers(4 * 24)) * QUARTER
    opens = start + np.arange(BATCHES) * window
    sizes = _batch_sizes(streams("sizes"), opens + window / 2, scale)
    events = [_event_times(streams(f"times/{index}"), index, opens, window, size) for index, size in enumerate(sizes)]
    orders = ordered(streams("orders"), ORDERS, listed, batch_name, events)
    landed = [int(second) + window + int(clock.integers(240, 1_201)) for second in opens]
    batches = tuple(
        Batch(batch_name(index), frame, datetime.fromtimestamp(second, UTC))
        for index, (frame, second) in enumerate(zip(orders, landed, strict=True))
    )
    now = batches[-1].landed_at + timedelta(minutes=int(clock.integers(4, 31)))
    return CleanData("incremental", batches, {"products": frame_of(PRODUCTS, listed)}, now)


def batch_name(index: int) -> str:
    return f"b{index + 1:02d}"


def _batch_sizes(rng: np.random.Generator, middles: np.ndarray, scale: int) -> list[int]:
    """12 to 22 rows times scale: most around the day's peak, which is some time between one and five."""
    wave = np.cos((middles % DAY / HOUR - rng.uniform(13, 17)) / 24 * 2 * np.pi)
    rows = np.clip(17.0 + 4.0 * wave + rng.uniform(-2.5, 2.5, BATCHES), LEAST_ROWS, MOST_ROWS)
    return [int(size) for size in np.rint(rows * scale)]


def _event_times(rng: np.random.Generator, index: int, opens: np.ndarray, window: int, size: int) -> np.ndarray:
    """Seconds since 1970 of a batch's orders, in order of arrival: its own hours, and some of any batch before."""
    times = np.sort(rng.integers(opens[index], opens[index] + window, size))
    if index >= LATE_FROM:
        late = rng.choice(size, max(1, round(size * rng.uniform(0.06, 0.12))), replace=False)
        times[late] = rng.integers(opens[0], opens[index], late.size)
    return times
