"""Clean data: what the producers of a task's feeds really sent, before anything goes wrong.

In: a task, a seed and a scale. Out: a `CleanData`: the feeds' frames in contract types, when each batch landed, and
what time it is. Each task's own generator is named by its pipeline spec; what generators share is here, and what shops
share in `shop.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from mario_dagster.core.task import Table

from .frames import ARROW, from_arrow

DAY, HOUR = 86_400, 3_600
# Days that incidents happen on: some of the `DAYS` from here.
EPOCH_DAY = datetime(2024, 1, 1, tzinfo=UTC)
DAYS = 900

# The name of a random stream -> the stream, derived from task, split and seed.
Streams = Callable[[str], np.random.Generator]


@dataclass(frozen=True)
class Batch:
    """One delivery of a batched feed: its rows in contract types, and when it landed (UTC)."""

    name: str
    frame: pd.DataFrame
    landed_at: datetime


@dataclass(frozen=True)
class CleanData:
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


# Seed-derived streams and a scale (1 or more) -> clean data of that seed.
DataGenerator = Callable[[int, int, Streams], CleanData]


# --- parts that generators share --------------------------------------------------------------------------------------


def spread(rng: np.random.Generator, size: int) -> np.ndarray:
    """Values in (0, 1) in random order, one in each of `size` equal strata: a small table has no freak sample."""
    return (rng.permutation(size) + rng.uniform(0.05, 0.95, size)) / size


def identifiers(rng: np.random.Generator, size: int, low: int, high: int, step: int = 9) -> np.ndarray:
    """Ascending, distinct whole numbers from a random start, with gaps."""
    return (rng.integers(low, high) + np.cumsum(rng.integers(1, step + 1, size))).astype(np.int64)


def popularity(rng: np.random.Generator, size: int) -> np.ndarray:
    """Zipf-like shares of `size` products, in random order, adding up to 1."""
    weights = 1.0 / np.arange(1, size + 1) ** rng.uniform(0.7, 0.9)
    return rng.permutation(weights / weights.sum())


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
