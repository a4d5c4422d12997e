"""What shops have in common: products with names and prices, and how many of them people buy.

In: random streams. Out: columns of clean data. It looks like a shop's day: popular and rare products, prices spread
over two orders of magnitude. Tails are cut, so that no genuine row can be taken for an outlier.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from mario_dagster.core.task import Table
from mario_dagster.tables.clean_data import frame_of, identifiers, popularity, split_rows, spread

from .temporal.task import CATEGORIES

MAX_QUANTITY = 12

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


def products(rng: np.random.Generator, size: int) -> dict[str, Any]:
    """A product list, by column: numbers, names that suit their departments, prices, departments."""
    categories = [CATEGORIES[index % len(CATEGORIES)] for index in rng.permutation(size)]
    return {
        "product_id": identifiers(rng, size, 1_000, 8_000),
        "product_name": product_names(rng, categories),
        "unit_price": prices(rng, size),
        "category": categories,
    }


def prices(rng: np.random.Generator, size: int) -> np.ndarray:
    """Log-normal list prices in dollars and whole cents, about 2.50 to 330, cut at two standard deviations."""
    median, sigma = rng.uniform(19.0, 42.0), rng.uniform(0.75, 0.95)
    # Normal quantiles of 2.5 % to 97.5 %, through the logistic approximation: no SciPy for one function.
    share = 0.025 + 0.95 * spread(rng, size)
    z = np.log(share / (1 - share)) / 1.702
    return np.round(np.clip(median * np.exp(sigma * z), 2.0, 900.0), 2)


def quantities(rng: np.random.Generator, price: np.ndarray, typical: float) -> np.ndarray:
    """Pieces ordered, 1 to 12, geometric: fewer of what is dear."""
    often = np.clip(0.36 + 0.09 * np.log(price / typical), 0.26, 0.62)
    return np.minimum(rng.geometric(often), MAX_QUANTITY).astype(np.int64)


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


def ordered(
    rng: np.random.Generator,
    table: Table,
    listed: Mapping[str, Any],
    batch_name: Callable[[int], str],
    times: Sequence[np.ndarray],
) -> list[pd.DataFrame]:
    """A frame of orders for each batch, of products that are listed, at the times given (seconds since 1970).

    Args:
        table: its columns are a key, batch, product, quantity, time and what the order came to, in that order.
        times: of each batch, one an order.
    """
    sizes = [len(each) for each in times]
    size, price = sum(sizes), listed["unit_price"]
    product = rng.choice(len(price), size, p=popularity(rng, len(price)))
    quantity = quantities(rng, price[product], float(np.median(price)))
    columns = (
        identifiers(rng, size, 100_000, 900_000),
        np.repeat([batch_name(index) for index in range(len(sizes))], sizes),
        listed["product_id"][product],
        quantity,
        np.concatenate(times),
        np.round(quantity * price[product], 2),
    )
    return split_rows(frame_of(table, dict(zip(table.column_names, columns, strict=True))), sizes)
