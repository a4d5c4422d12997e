"""A shop's clean data: what the producers of a task's feeds really sent, before anything goes wrong.

In: a task, a seed and a scale. Out: a `CleanWorld`: the feeds' frames in contract types, when each batch landed, and
what time it is. It looks like a shop's day: popular and rare products, prices spread over two orders of magnitude,
more orders at noon than at night, corrections that arrive hours late. A seed changes every value. Tails are cut, so
that no genuine row can be taken for an outlier.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib import import_module
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from mario_dagster.catalog import Table, UnknownName
from mario_dagster.catalog.temporal import CATALOG, CATEGORIES, SOURCE_ORDERS
from mario_dagster.randomness import stream

from .frames import ARROW, from_arrow

BATCHES = 12
WINDOW = 45 * 60
PRODUCTS = 18
MAX_QUANTITY = 12
LATE_FROM = 3  # batches before this one are too early to hold corrections of an earlier hour
DAY, HOUR = 86_400, 3_600
EPOCH_DAY = datetime(2024, 1, 1, tzinfo=UTC)
DAYS = 900

STYLES = (
    "Alder", "Amber", "Anjou", "Aspen", "Atlas", "Birch", "Blüte", "Brisa", "Café", "Cedar", "Cobalt", "Copper",
    "Coral", "Crème", "Delta", "Dune", "Ebène", "Elm", "Ember", "Façade", "Fern", "Flint", "Frost", "Garçon", "Gløgg",
    "Granite", "Harbor", "Hazel", "Indigo", "Jalapeño", "Juniper", "Lämpö", "Larch", "Linen", "Lumière", "Maple",
    "Marble", "Mesa", "Moss", "Nimbus", "Nordström", "Oak", "Olive", "Onyx", "Opal", "Piñata", "Plume", "Prairie",
    "Quartz", "Reed", "Rosé", "Sable", "Señora", "Sienna", "Slate", "Smörgås", "Stone", "Tide", "Walnut", "Willow",
)  # fmt: skip
NOUNS: Mapping[str, tuple[str, ...]] = {
    "audio": ("Headphones", "Speaker", "Soundbar", "Microphone", "Turntable", "Earbuds", "Amplifier", "Radio"),
    "garden": ("Planter", "Trowel", "Watering Can", "Hose Reel", "Lantern", "Trellis", "Rake", "Bird Feeder"),
    "home": ("Cushion", "Throw", "Table Lamp", "Wall Clock", "Rug", "Mirror", "Candle", "Basket"),
    "iot": ("Smart Plug", "Door Sensor", "Thermostat", "Hub", "Camera", "Leak Alarm", "Light Strip", "Doorbell"),
    "kitchen": ("Kettle", "Grinder", "Skillet", "Knife Set", "Mug", "Mixing Bowl", "Toaster", "Carafe"),
    "office": ("Desk Mat", "Notebook", "Chair", "Monitor Arm", "Pen Set", "Organizer", "Footrest", "Stapler"),
    "outdoor": ("Tent", "Backpack", "Hammock", "Headlamp", "Cooler", "Flask", "Stove", "Trekking Poles"),
    "toys": ("Puzzle", "Train Set", "Building Blocks", "Kite", "Plush Bear", "Board Game", "Robot Kit", "Marble Run"),
}


@dataclass(frozen=True)
class Batch:
    """One delivery of a batched feed: its rows in contract types, and when it landed (UTC)."""

    name: str
    frame: pd.DataFrame
    landed_at: datetime


@dataclass(frozen=True)
class CleanWorld:
    """What the producers really sent.

    Args:
        batches: deliveries of the task's batched feed, oldest first; none for a task without one.
        feeds: feed -> rows, for each feed that is delivered in one piece.
        now: the incident's clock, some minutes after the last landing (UTC).
    """

    task: str
    batches: tuple[Batch, ...]
    feeds: Mapping[str, pd.DataFrame]
    now: datetime


def clean_world(task: str, seed: int, scale: int = 1, salt: str = "", split: str = "train") -> CleanWorld:
    """The clean data of a task. Splits are worlds apart: the same seed in `eval` gives other data than in `train`.

    Args:
        scale: multiplies the rows, 1 or more.
        salt: secret of a sealed evaluation, "" for none.

    Raises:
        UnknownName: no generator for that task.
        ValueError: a scale below 1.
    """
    if task not in WORLDS:
        raise UnknownName("clean world of task", task, WORLDS)
    if scale < 1:
        raise ValueError(f"scale is {scale}; it multiplies the rows, so it must be 1 or more")
    return WORLDS[task](seed, scale, lambda name: stream(seed, task, split, "clean", name, salt=salt))


Streams = Callable[[str], np.random.Generator]


# --- parts that tasks share -------------------------------------------------------------------------------------------


def spread(rng: np.random.Generator, size: int) -> np.ndarray:
    """Values in (0, 1) in random order, one in each of `size` equal strata: a small table has no freak sample."""
    return (rng.permutation(size) + rng.uniform(0.05, 0.95, size)) / size


def prices(rng: np.random.Generator, size: int) -> np.ndarray:
    """Log-normal list prices in dollars and whole cents, about 2.50 to 330, cut at two standard deviations."""
    median, sigma = rng.uniform(19.0, 42.0), rng.uniform(0.75, 0.95)
    # Normal quantiles of 2.5 % to 97.5 %, through the logistic approximation: no SciPy for one function.
    share = 0.025 + 0.95 * spread(rng, size)
    z = np.log(share / (1 - share)) / 1.702
    return np.round(np.clip(median * np.exp(sigma * z), 2.0, 900.0), 2)


def popularity(rng: np.random.Generator, size: int) -> np.ndarray:
    """Zipf-like shares of `size` products, in random order, adding up to 1."""
    weights = 1.0 / np.arange(1, size + 1) ** rng.uniform(0.7, 0.9)
    return rng.permutation(weights / weights.sum())


def quantities(rng: np.random.Generator, price: np.ndarray, typical: float) -> np.ndarray:
    """Pieces ordered, 1 to 12, geometric: fewer of what is dear."""
    often = np.clip(0.36 + 0.09 * np.log(price / typical), 0.26, 0.62)
    return np.minimum(rng.geometric(often), MAX_QUANTITY).astype(np.int64)


def identifiers(rng: np.random.Generator, size: int, low: int, high: int, step: int = 9) -> np.ndarray:
    """Ascending, distinct whole numbers from a random start, with gaps."""
    return (rng.integers(low, high) + np.cumsum(rng.integers(1, step + 1, size))).astype(np.int64)


def product_names(rng: np.random.Generator, categories: Sequence[str]) -> list[str]:
    """Distinct names that suit their categories; at least a fifth hold a letter beyond ASCII."""
    accented = [style for style in STYLES if not style.isascii()]
    plain = [style for style in STYLES if style.isascii()]
    size = len(categories)
    wanted = rng.permutation(np.arange(size) < max(3, size // 4))
    names: list[str] = []
    taken: set[str] = set()
    for category, foreign in zip(categories, wanted, strict=True):
        pool, nouns = (accented if foreign else plain), NOUNS[category]
        base = f"{pool[rng.integers(len(pool))]} {nouns[rng.integers(len(nouns))]}"
        name, edition = base, 1
        while name in taken:
            edition += 1
            name = f"{base} No. {edition}"
        taken.add(name)
        names.append(name)
    return names


def frame_of(table: Table, columns: Mapping[str, Any]) -> pd.DataFrame:
    """A frame in contract order and types. Moments are given as whole seconds since 1970."""
    arrays = []
    for column in table.columns:
        values, kind = columns[column.name], ARROW[column.type].pyarrow_dtype
        if column.type == "timestamp":
            values = np.asarray(values, dtype=np.int64) * 1_000_000
        arrays.append(pa.array(values).cast(kind))
    return from_arrow(pa.table(arrays, names=list(table.column_names)))


def split_rows(frame: pd.DataFrame, sizes: Sequence[int]) -> list[pd.DataFrame]:
    """The frame's rows in consecutive parts. Slices of one frame: converting each by itself costs ten times that."""
    ends = [int(end) for end in np.cumsum(sizes)]
    return [frame.iloc[end - size : end].reset_index(drop=True) for size, end in zip(sizes, ends, strict=True)]


# --- task 5 -----------------------------------------------------------------------------------------------------------


def temporal_day(seed: int, scale: int, streams: Streams) -> CleanWorld:
    """Twelve batches of orders, one each 45 minutes of a day, and the catalogue they are ordered from."""
    catalog = _catalog(streams("catalog"), PRODUCTS * max(1, scale // 10))
    clock = streams("clock")
    day = int(EPOCH_DAY.timestamp()) + int(clock.integers(DAYS)) * DAY
    start = day + int(clock.integers(4, 14)) * HOUR + int(clock.integers(4)) * 900
    sizes = _batch_sizes(streams("sizes"), (start - day) / HOUR, scale)
    events = [_event_times(streams(f"times/{index}"), index, start, size) for index, size in enumerate(sizes)]
    orders = split_rows(_orders(streams("orders"), catalog, sizes, np.concatenate(events)), sizes)
    landed = [start + (index + 1) * WINDOW + int(clock.integers(180, 421)) for index in range(BATCHES)]
    batches = tuple(
        Batch(batch_name(index), frame, _moment(second))
        for index, (frame, second) in enumerate(zip(orders, landed, strict=True))
    )
    now = _moment(landed[-1]) + timedelta(minutes=int(clock.integers(2, 16)))
    return CleanWorld("temporal", batches, {"catalog": frame_of(CATALOG, catalog)}, now)


def batch_name(index: int) -> str:
    return f"t{index + 1:02d}"


def _moment(second: int) -> datetime:
    return datetime.fromtimestamp(second, UTC)


def _catalog(rng: np.random.Generator, size: int) -> dict[str, Any]:
    categories = [CATEGORIES[index % len(CATEGORIES)] for index in rng.permutation(size)]
    return {
        "product_id": identifiers(rng, size, 1_000, 8_000),
        "product_name": product_names(rng, categories),
        "unit_price": prices(rng, size),
        "category": categories,
    }


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


def _orders(
    rng: np.random.Generator, catalog: Mapping[str, Any], sizes: Sequence[int], times: np.ndarray
) -> pd.DataFrame:
    size, count = int(sum(sizes)), len(catalog["product_id"])
    product = rng.choice(count, size, p=popularity(rng, count))
    price = catalog["unit_price"][product]
    quantity = quantities(rng, price, float(np.median(catalog["unit_price"])))
    return frame_of(
        SOURCE_ORDERS,
        {
            "order_id": identifiers(rng, size, 100_000, 900_000),
            "batch_id": np.repeat([batch_name(index) for index in range(len(sizes))], sizes),
            "product_id": catalog["product_id"][product],
            "quantity": quantity,
            "event_ts": times,
            "gross_revenue": np.round(quantity * price, 2),
        },
    )


# --- every task -------------------------------------------------------------------------------------------------------

World = Callable[[int, int, Streams], CleanWorld]


def _world_of(module: str) -> World:
    """The `world` of a module beside this one, imported when it is first asked for: it takes its parts from here."""

    def world(seed: int, scale: int, streams: Streams) -> CleanWorld:
        made: World = import_module(f".{module}", __package__).world
        return made(seed, scale, streams)

    return world


# Task slug -> generator of its clean data.
WORLDS: dict[str, World] = {
    "ingestion": _world_of("shop_ingestion"),
    "events": _world_of("shop_events"),
    "referential": _world_of("shop_referential"),
    "incremental": _world_of("shop_incremental"),
    "temporal": temporal_day,
}
