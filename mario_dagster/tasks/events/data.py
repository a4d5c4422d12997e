"""Task 2's clean data: a payment provider's events of some weeks.

In: seed, scale and streams. Out: a `CleanData` of one snapshot. Most payments settle, few are declined or refunded;
they come in order of their numbers, day by day, with more of them at weekends.
"""

from __future__ import annotations

import numpy as np

from mario_dagster.tables.clean_data import DAY, DAYS, EPOCH_DAY, CleanData, Streams, frame_of, identifiers
from mario_dagster.tasks.ingestion.data import ages, amounts, evening

from .task import STATUSES, TRANSACTIONS

ROWS = 300
# In the order of `STATUSES`: what a usual month looks like, give or take.
SHARES = (0.24, 0.07, 0.09, 0.12, 0.08, 0.40)


def generate(seed: int, scale: int, streams: Streams) -> CleanData:
    """The payment events of three to eight weeks."""
    size, clock = ROWS * scale, streams("clock")
    day = int(EPOCH_DAY.timestamp()) // DAY + int(clock.integers(DAYS))
    rng = streams("transactions")
    transactions = frame_of(
        TRANSACTIONS,
        {
            "transaction_id": identifiers(rng, size, 200_000, 900_000),
            "age": ages(rng, size),
            "amount": amounts(rng, size, median=(28.0, 75.0), sigma=(0.85, 1.05)),
            "status": _statuses(rng, size),
            "event_date": _days(rng, size, day),
        },
    )
    return CleanData("events", (), {"transactions": transactions}, evening(clock, day))


def _statuses(rng: np.random.Generator, size: int) -> list[str]:
    shares = np.array(SHARES) * rng.uniform(0.7, 1.3, len(SHARES))
    return [STATUSES[index] for index in rng.choice(len(STATUSES), size, p=shares / shares.sum())]


def _days(rng: np.random.Generator, size: int, day: int) -> np.ndarray:
    """Days since 1970, ascending, up to the day before `day`; a third more on Saturdays and Sundays."""
    span = np.arange(day - int(rng.integers(21, 57)), day)
    weekend = (span + 3) % 7 >= 5  # 1 January 1970 was a Thursday
    weights = np.where(weekend, 1.35, 1.0) * rng.uniform(0.8, 1.2, len(span))
    return np.sort(rng.choice(span, size, p=weights / weights.sum())).astype(np.int32)
