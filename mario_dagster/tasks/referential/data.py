"""Task 3's clean data: a shop's customers, its products, and two months of orders.

In: a seed's streams and a scale. Out: a `CleanData` of three feeds, each delivered in one piece. Some customers order
often and most do not, weekends are busier than weekdays, and no order refers to what is not there.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import numpy as np

from mario_dagster.tables.clean_data import (
    DAYS,
    EPOCH_DAY,
    CleanData,
    Streams,
    frame_of,
    identifiers,
    popularity,
    spread,
)
from mario_dagster.tasks.shop import products, quantities

from .task import CUSTOMERS, ORDERS, PRODUCTS

ORDER_ROWS, CUSTOMER_ROWS, PRODUCT_ROWS = 600, 200, 40
# Gaps between customer numbers shrink as customers grow in number, so that numbers keep to six digits.
MANY_CUSTOMERS = 20_000

# Letters beyond ASCII are those of Latin-1, so that a misread one always shows.
FIRST_NAMES = (
    "Aïcha", "Alma", "Amélie", "Anders", "André", "Anna", "Arturo", "Aylin", "Beatriz", "Björn", "Carla", "Chloé",
    "Clara", "Daniel", "Dario", "Elena", "Elif", "Emil", "Esra", "Fatima", "Félix", "François", "Grace", "Greta",
    "Hugo", "Ida", "Inés", "Ingrid", "Isaac", "Iván", "Jamal", "Jonas", "José", "Jürgen", "Karin", "Kofi", "Laila",
    "Lena", "Léa", "Liam", "Lucía", "Magnus", "Maja", "Marco", "María", "Mei", "Mikael", "Nadia", "Noël", "Nora",
    "Olga", "Omar", "Óscar", "Paula", "Priya", "Rafael", "Renée", "Rosa", "Ruth", "Samir", "Sigrún", "Sofía", "Søren",
    "Tariq", "Tomás", "Uma", "Vera", "Víctor", "Wei", "Yara", "Yuki", "Zoë",
)  # fmt: skip
LAST_NAMES = (
    "Abdi", "Acosta", "Ahmed", "Andersen", "Baptiste", "Becker", "Bergström", "Bianchi", "Castillo", "Chen", "Conti",
    "Dahl", "Diaz", "Dubois", "Eriksen", "Fernández", "Fischer", "Fontaine", "García", "Ghosh", "Gómez", "Haddad",
    "Hansen", "Höfer", "Ibrahim", "Ito", "Jansen", "Jónsdóttir", "Keller", "Khan", "Kim", "Krüger", "Lambert", "Larsen",
    "Lefèvre", "López", "Mancini", "Martínez", "Mendes", "Meyer", "Møller", "Moreau", "Morel", "Müller", "Nakamura",
    "Nguyen", "Nilsen", "Núñez", "Okafor", "Olsen", "Ortega", "Peña", "Pérez", "Petit", "Quist", "Ramos", "Ricci",
    "Rossi", "Sánchez", "Schäfer", "Schmidt", "Silva", "Singh", "Sørensen", "Suárez", "Tanaka", "Torres", "Vargas",
    "Vega", "Weber", "Wójtowicz", "Yilmaz", "Zhou",
)  # fmt: skip
MAIL_HOSTS = ("example.com", "example.net", "example.org", "mail.example", "post.example", "work.example")
_UNDIVIDED = str.maketrans({"ø": "o", "Ø": "O", "ß": "ss", "æ": "ae"})


def generate(seed: int, scale: int, streams: Streams) -> CleanData:
    """Orders of the sixty days or so before an early morning, and whom and what they refer to."""
    customers = _customers(streams("customers"), CUSTOMER_ROWS * scale)
    listed = products(streams("products"), PRODUCT_ROWS * max(1, scale // 10))
    clock = streams("clock")
    today = int(EPOCH_DAY.timestamp()) // 86_400 + int(clock.integers(DAYS))
    dates = _dates(streams("dates"), today, int(clock.integers(45, 76)), ORDER_ROWS * scale)
    orders = _orders(streams("orders"), customers["customer_id"], listed, dates)
    now = EPOCH_DAY + timedelta(days=today - int(EPOCH_DAY.timestamp()) // 86_400, minutes=int(clock.integers(65, 300)))
    feeds = {
        "orders": frame_of(ORDERS, orders),
        "customers": frame_of(CUSTOMERS, customers),
        "products": frame_of(PRODUCTS, listed),
    }
    return CleanData("referential", (), feeds, now)


def _customers(rng: np.random.Generator, size: int) -> dict[str, Any]:
    first, last = rng.integers(len(FIRST_NAMES), size=size), rng.integers(len(LAST_NAMES), size=size)
    return {
        "customer_id": identifiers(rng, size, 10_000, 60_000, step=9 if size <= MANY_CUSTOMERS else 3),
        "name": [f"{FIRST_NAMES[one]} {LAST_NAMES[two]}" for one, two in zip(first, last, strict=True)],
        "email": _emails(rng, first, last),
        # Most are between thirty and fifty; nobody is older than 84.
        "age": np.rint(18 + 66 * _bell(spread(rng, size))).astype(np.int64),
    }


def _bell(share: np.ndarray) -> np.ndarray:
    """Even shares in (0, 1) bent into a hump that leans to the young."""
    return np.asarray(0.5 - np.sin(np.arcsin(1 - 2 * share) / 3)) ** 1.25


def _emails(rng: np.random.Generator, firsts: np.ndarray, lasts: np.ndarray) -> list[str]:
    """Distinct addresses made of the names, given as places in the lists above, in plain letters."""
    hosts = rng.integers(len(MAIL_HOSTS), size=len(firsts))
    dots = rng.integers(3, size=len(firsts))
    plain_firsts, plain_lasts = ([_plain_letters(name) for name in names] for names in (FIRST_NAMES, LAST_NAMES))
    taken: dict[str, int] = {}
    found = []
    for one, two, host, dot in zip(firsts, lasts, hosts, dots, strict=True):
        first, last = plain_firsts[one], plain_lasts[two]
        box = (f"{first}.{last}", f"{first[0]}.{last}", f"{first}{last[0]}")[dot]
        address = f"{box}@{MAIL_HOSTS[host]}"
        taken[address] = taken.get(address, 0) + 1
        found.append(address if taken[address] == 1 else f"{box}{taken[address]}@{MAIL_HOSTS[host]}")
    return found


def _plain_letters(name: str) -> str:
    apart = unicodedata.normalize("NFKD", name.translate(_UNDIVIDED))
    return "".join(letter for letter in apart if not unicodedata.combining(letter)).lower()


def _dates(rng: np.random.Generator, today: int, days: int, size: int) -> np.ndarray:
    """Days since 1970 of orders in order of arrival, on the `days` before today; weekends are busier."""
    calendar = np.arange(today - days, today)
    weekday = (calendar + 3) % 7  # 1 January 1970 was a Thursday
    weights = np.where(weekday >= 5, rng.uniform(1.3, 1.7), 1.0) * rng.uniform(0.8, 1.2, days)
    return np.sort(rng.choice(calendar, size, p=weights / weights.sum())).astype(np.int32)


def _orders(
    rng: np.random.Generator, customer_ids: np.ndarray, products: Mapping[str, Any], dates: np.ndarray
) -> dict[str, Any]:
    size, price = len(dates), products["unit_price"]
    product = rng.choice(len(price), size, p=popularity(rng, len(price)))
    return {
        "order_id": identifiers(rng, size, 100_000, 900_000),
        "customer_id": rng.choice(customer_ids, size, p=popularity(rng, len(customer_ids))),
        "product_id": products["product_id"][product],
        "quantity": quantities(rng, price[product], float(np.median(price))),
        "order_date": dates,
    }
