"""Task 5's clean data: a day of a shop's orders, and the catalogue they are ordered from.

In: a seed's streams and a scale. Out: a `CleanData` of twelve batches and a catalogue. More orders at noon than at
night, and corrections that arrive hours late.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np

from mario_dagster.tables.clean_data import DAY, DAYS, EPOCH_DAY, HOUR, Batch, CleanData, Streams, frame_of
from mario_dagster.tasks.shop import ordered, products

from .task import CATALOG, SOURCE_ORDERS

BATCHES = 12
WINDOW = 45 * 60
PRODUCT_ROWS = 18
LATE_FROM = 3  # batches before this one are too early to hold corrections of an earlier hour


def generate(seed: int, scale: int, streams: Streams) -> CleanData:
    """Twelve batches of orders, one each 45 minutes of a day, and the catalogue they are ordered from."""
    catalog = products(streams("catalog"), PRODUCT_ROWS * max(1, scale // 10))
    clock = streams("clock")
    day = int(EPOCH_DAY.timestamp()) + int(clock.integers(DAYS)) * DAY
    start = day + int(clock.integers(4, 14)) * HOUR + int(clock.integers(4)) * 900
    sizes = _batch_sizes(streams("sizes"), (start - day) / HOUR, scale)
    events = [_event_times(streams(f"times/{index}"), index, start, size) for index, size in enumerate(sizes)]
    orders = ordered(streams("orders"), SOURCE_ORDERS, catalog, batch_name, events)
    landed = [start + (index + 1) * WINDOW + int(clock.integers(180, 421)) for index in range(BATCHES)]
    batches = tuple(
        Batch(batch_name(index), frame, _moment(second))
        for index, (frame, second) in enumerate(zip(orders, landed, strict=True))
    )
    now = _moment(landed[-1]) + timedelta(minutes=int(clock.integers(2, 16)))
    return CleanData("temporal", batches, {"catalog": frame_of(CATALOG, catalog)}, now)


def batch_name(index: int) -> str:
    return f"t{index + 1:02d}"


def _moment(second: int) -> datetime:
    return datetime.fromtimestamp(second, UTC)


def _batch_sizes(rng: np.random.Generator, start_hour: float, scale: int) -> list[int]:
    """9 to 18 rows times scale: most at the day's peak, which is some time between eleven and three."""
    hours = start_hour + np.arange(BATCHES) * WINDOW / HOUR
    wave = np.cos((hours - rng.uniform(11, 15)) / 24 * 2 * np.pi)
    rows = np.clip(12.5 + 4.0 * wave + rng.uniform(-2.5, 2.5, BATCHES), 9, 18)
    return [int(size) for size in np.rint(rows * scale)]


def _event_times(rng: np.random.Generator, index: int, start: int, size: int) -> np.ndarray:
    """Seconds since 1970 of a batch's orders, in order of arrival: its own window, and some from an earlier hour."""
    opens = start + index * WINDOW
    times = np.sort(rng.integers(opens, opens + WINDOW, size))
    if index >= LATE_FROM:
        late = rng.choice(size, max(1, round(size * rng.uniform(0.08, 0.12))), replace=False)
        times[late] = rng.integers(start, opens // HOUR * HOUR, late.size)
    return times
