"""Tasks that no author had in mind when faults were written: one odd schema each, with clean data to match.

In: nothing. Out: `SCHEMAS`, name -> a task and its clean data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd

from mario_dagster.core.task import Card, Column, ColumnType, Table, Task
from mario_dagster.tables.clean_data import Batch, CleanData
from mario_dagster.tables.frames import ARROW

NOON = datetime(2026, 3, 29, 12, tzinfo=UTC)
CARD = Card("", "", "", "", (), (), (), (), (), "", "")
ROWS = 30
STATES = ("new", "old", "gone")


@dataclass(frozen=True)
class Odd:
    """A task with one odd thing about it, and what its producers sent."""

    task: Task
    clean: CleanData


def column(name: str, kind: ColumnType, **more: Any) -> Column:
    return Column(name, kind, **more)


def frame(table: Table, columns: Sequence[Sequence[Any]]) -> pd.DataFrame:
    return pd.DataFrame(
        {c.name: pd.Series(list(v), dtype=ARROW[c.type]) for c, v in zip(table.columns, columns, strict=True)}
    )


def odd(columns: Sequence[tuple[Column, Sequence[Any]]], batches: int = 0, derived: bool = False) -> Odd:
    """A task of one feed, whose first column is the key, in so many batches; 0 for one delivery.

    Args:
        derived: a table is computed from it, with one amount and one day.
    """
    main = Table("main", tuple(c for c, _ in columns), columns[0][0].name, feed="main", batched=bool(batches))
    tables = [main]
    if derived:
        sums = (column("day", "date"), column("total", "float64", minimum=0), column("rows", "int64"))
        tables.append(Table("sums", sums, "day", upstream=("main",)))
    rows = frame(main, [values for _, values in columns])
    size = -(-len(rows) // batches) if batches else 0
    parts = tuple(
        Batch(f"b{n:02d}", rows.iloc[n * size : (n + 1) * size].reset_index(drop=True), NOON + timedelta(hours=n))
        for n in range(batches)
    )
    task = Task(
        id=900,
        slug="odd",
        name="Odd",
        difficulty="easy",
        threshold=0.9,
        max_steps=20,
        tables=tuple(tables),
        card=CARD,
        objective_weights={"main": 1.0},
        pipeline_spec="tests.incidents.odd_schemas:none",
        pool="odd" if batches else None,
    )
    feeds = {} if batches else {"main": rows}
    return Odd(task, CleanData("odd", parts, feeds, NOON + timedelta(hours=batches + 1)))


def usual(size: int = ROWS, keys: Sequence[int] | None = None) -> list[tuple[Column, Sequence[Any]]]:
    """A key, an amount, a count, a category, a text, a date and a moment: one of everything."""
    return [
        (column("id", "int64", minimum=None), list(keys or range(100, 100 + 3 * size, 3))[:size]),
        (column("amount", "float64", minimum=0.01, maximum=500, skewed=True), [1.25 + n for n in range(size)]),
        (column("pieces", "int64", minimum=1, maximum=90), [1 + n % 40 for n in range(size)]),
        (
            column("state", "string", categories=("new", "old", "gone")),
            [("new", "old", "gone")[n % 3] for n in range(size)],
        ),
        (column("label", "string"), [f"Café {n}" for n in range(size)]),
        (column("day", "date"), [NOON.date() + timedelta(days=n) for n in range(size)]),
        (column("at", "timestamp"), [NOON + timedelta(minutes=n) for n in range(size)]),
    ]


def without(*kinds: str) -> list[tuple[Column, Sequence[Any]]]:
    return [(c, v) for c, v in usual() if c.name == "id" or c.type not in kinds]


def replaced(name: str, values: Sequence[Any]) -> list[tuple[Column, Sequence[Any]]]:
    return [(c, values if c.name == name else v) for c, v in usual()]


def renamed(names: Mapping[str, str]) -> list[tuple[Column, Sequence[Any]]]:
    def again(c: Column) -> Column:
        return Column(names[c.name], c.type, minimum=c.minimum, maximum=c.maximum, categories=c.categories)

    return [(again(c), v) for c, v in usual()]


OUR_NAMES = ("src_id", "id", "writer", "id_raw", "row_note", "export_host", "src_id_raw")
KEYS, CODES = range(100, 100 + 3 * ROWS, 3), [f"K{n:03d}" for n in range(ROWS)]
ODD_NAMES = ("Bestell Nr.", "größe", "数量", "a,b;c", 'with "quotes"', "ein\tTab", "über alles=groß")
SCHEMAS: Mapping[str, Odd] = {
    "usual": odd(usual(), derived=True),
    "string_key": odd([(column("code", "string"), [f"K{n:03d}" for n in range(ROWS)]), *usual()[1:]]),
    "date_key": odd([(column("on", "date"), [NOON.date() - timedelta(days=n) for n in range(ROWS)]), *usual()[1:]]),
    "one_text_column": odd([(column("code", "string"), [f"K{n:03d}" for n in range(ROWS)])]),
    "key_only": odd(usual()[:1]),
    "key_and_one": odd(usual()[:2]),
    "no_number": odd([(column("code", "string"), [f"K{n}" for n in range(ROWS)]), *without("int64", "float64")[1:]]),
    "no_text": odd(without("string")),
    "no_category": odd([(c, v) for c, v in usual() if not c.categories]),
    "dates_only": odd([(column("on", "date"), [NOON.date() - timedelta(days=n) for n in range(ROWS)]), usual()[5]]),
    "null_numbers": odd(replaced("amount", [None] * ROWS)),
    "null_texts": odd(replaced("label", [None] * ROWS)),
    "null_categories": odd(replaced("state", [None] * ROWS)),
    "null_moments": odd(replaced("at", [None] * ROWS)),
    "empty": odd([(c, []) for c, _ in usual()], derived=True),
    "one_row": odd(usual(1)),
    "two_rows": odd(usual(2)),
    "one_value_each": odd([usual()[0], *((c, [v[0]] * ROWS) for c, v in usual()[1:])]),
    "one_category": odd(replaced("state", ["new"] * ROWS)),
    "one_instant": odd(replaced("at", [NOON] * ROWS)),
    "zeros": odd([*usual()[:2], (column("pieces", "int64", minimum=0, maximum=90), [0] * ROWS)]),
    "wide": odd([usual()[0], *((column(f"c{n:03d}", "float64", maximum=99), [n / 4] * ROWS) for n in range(200))]),
    "odd_names": odd(renamed(dict(zip((c.name for c, _ in usual()), ODD_NAMES, strict=True)))),
    "long_names": odd(renamed({c.name: c.name * (120 // len(c.name)) for c, _ in usual()})),
    "names_of_ours": odd(renamed(dict(zip((c.name for c, _ in usual()), OUR_NAMES, strict=True)))),
    "gaps_in_keys": odd(usual(keys=[7 ** (n % 12) * 10 + n for n in range(ROWS)])),
    "negative_keys": odd(usual(keys=[-3 * n - 1 for n in range(ROWS)])),
    "largest_keys": odd(usual(keys=[2**63 - 1 - n for n in range(ROWS)])),
    "huge_amounts": odd([*usual()[:1], (column("amount", "float64"), [10.0 ** (n * 10) for n in range(ROWS)])]),
    "huge_counts": odd([*usual()[:1], (column("pieces", "int64"), [2**62 + n for n in range(ROWS)])]),
    "references": odd([usual()[0], (column("parent", "int64", references="main.id"), KEYS), *usual()[1:]]),
    "text_references": odd(
        [(column("code", "string"), CODES), (column("parent", "string", references="main.code"), CODES)]
    ),
    "one_batch": odd(usual(), batches=1, derived=True),
    "two_batches": odd(usual(), batches=2),
    "six_batches": odd(usual(), batches=6),
    "empty_batches": odd([(c, []) for c, _ in usual()], batches=6),
    "more_batches_than_rows": odd(usual(3), batches=9),
    "a_row_a_batch": odd(usual(12), batches=12, derived=True),
}  # fmt: skip
