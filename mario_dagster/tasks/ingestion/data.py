"""Task 1's clean data: a shop's customers.

In: seed, scale and streams. Out: a `CleanData` of one snapshot. Ages lean to the middle, spending spreads over two
orders of magnitude, a few cities are home to many, sign-ups grow more frequent over the years.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np

from mario_dagster.tables.clean_data import (
    DAY,
    DAYS,
    EPOCH_DAY,
    CleanData,
    Streams,
    frame_of,
    identifiers,
    popularity,
    spread,
)

from .task import CUSTOMERS

ROWS = 200
YOUNGEST, OLDEST = 18, 88
# Letters beyond ASCII are Latin-1's: their UTF-8, misread, shows by its first letter.
CITIES = (
    "A Coruña", "Aalborg", "Austin", "Bath", "Belém", "Bergen", "Besançon", "Bogotá", "Boston", "Brasília", "Brno",
    "Bruges", "Cádiz", "Chicago", "Córdoba", "Curitiba", "Denver", "Dresden", "Düsseldorf", "Évora", "Fribourg",
    "Galway", "Genève", "Ghent", "Göteborg", "Graz", "Hobart", "Jaén", "Jyväskylä", "Köln", "León", "Liège", "Lisbon",
    "Linköping", "Málaga", "Malmö", "Medellín", "Montréal", "München", "Nashville", "New York", "Nîmes", "Nürnberg",
    "Odense", "Orléans", "Oulu", "Pécs", "Portland", "Porto", "Québec", "Reykjavík", "Salt Lake City", "San José",
    "São Paulo", "Seattle", "Sète", "Tampere", "Torshavn", "Tromsø", "Tucson", "Utrecht", "Västerås", "Weimar",
    "Zürich",
)  # fmt: skip


def generate(seed: int, scale: int, streams: Streams) -> CleanData:
    """The customers of a shop on some evening."""
    size, clock = ROWS * scale, streams("clock")
    day = int(EPOCH_DAY.timestamp()) // DAY + int(clock.integers(DAYS))
    rng = streams("customers")
    customers = frame_of(
        CUSTOMERS,
        {
            "customer_id": rng.permutation(identifiers(rng, size, 10_000, 90_000)),
            "age": ages(rng, size),
            "monthly_spend": amounts(rng, size, median=(45.0, 80.0), sigma=(0.70, 0.85)),
            "city": _cities(rng, size),
            "signup_date": _signups(rng, size, day),
        },
    )
    return CleanData("ingestion", (), {"customers": customers}, evening(clock, day))


# --- parts that task 2 shares -----------------------------------------------------------------------------------------


def ages(rng: np.random.Generator, size: int) -> np.ndarray:
    """Whole years, a broad hump about forty, cut at 18 and 88."""
    middle = rng.uniform(36.0, 45.0)
    return np.clip(np.rint(middle + 13.0 * _logistic_z(rng, size)), YOUNGEST, OLDEST).astype(np.int64)


def amounts(rng: np.random.Generator, size: int, median: tuple[float, float], sigma: tuple[float, float]) -> np.ndarray:
    """Log-normal dollars in whole cents, cut at two standard deviations."""
    middle, width = rng.uniform(*median), rng.uniform(*sigma)
    return np.round(np.maximum(middle * np.exp(width * _logistic_z(rng, size)), 0.5), 2)


def evening(clock: np.random.Generator, day: int) -> datetime:
    """Some minutes after the day's snapshot has landed (UTC)."""
    opens = datetime.fromtimestamp(day * DAY, UTC)
    return opens + timedelta(hours=int(clock.integers(17, 24)), minutes=int(clock.integers(60)))


def _logistic_z(rng: np.random.Generator, size: int) -> np.ndarray:
    """Normal quantiles of 2.5 % to 97.5 % in random order, through the logistic approximation."""
    share = 0.025 + 0.95 * spread(rng, size)
    return np.asarray(np.log(share / (1 - share)) / 1.702)


# --- customers --------------------------------------------------------------------------------------------------------


def _cities(rng: np.random.Generator, size: int) -> list[str]:
    """Two dozen of the cities, a few with most of the customers; a third or more of them beyond ASCII."""
    foreign = [city for city in CITIES if not city.isascii()]
    plain = [city for city in CITIES if city.isascii()]
    chosen = [*rng.choice(foreign, 12, replace=False), *rng.choice(plain, 12, replace=False)]
    return [str(chosen[index]) for index in rng.choice(len(chosen), size, p=popularity(rng, len(chosen)))]


def _signups(rng: np.random.Generator, size: int, day: int) -> np.ndarray:
    """Days since 1970, up to the day before `day` and back as far as six years, more of them lately."""
    years = rng.uniform(3.0, 6.0)
    back = 1 + np.floor(years * 365 * spread(rng, size) ** 1.5)
    return np.asarray(day - back, dtype=np.int32)
