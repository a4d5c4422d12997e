"""What faults lay hold of, so that a set of them can be told to fit a task, and one another, before any strikes.

In: a fault's table and columns, and the task. Out: `Claim`s. Two faults that make the same claim cannot both strike;
a claim that the catalogue does not bear out is a `FaultError` that names the fault and what it was meant to strike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from mario_dagster.core.errors import UnknownName
from mario_dagster.core.formats import DATE_FORMATS, TIMESTAMP_FORMATS
from mario_dagster.core.task import Column, Table, Task
from mario_dagster.incidents.damage import FaultError
from mario_dagster.incidents.vocabularies import TRAIN, Vocabulary

# What of a column, or (without a column) of a table, a fault changes that no second fault may.
Aspect = Literal[
    "spelling", "values", "outliers", "references", "names", "order", "extra columns", "retried rows", "overlaps",
    "torn rows", "superseded rows", "total lines", "deployed name", "deployed text", "deployed scale", "late batches",
    "spike", "rarity", "batch shapes", "landing times", "missing files",
]  # fmt: skip
BATCH = "batch_id"


class Named(Protocol):
    """A fault, as far as a refusal has to name it."""

    @property
    def name(self) -> str: ...


@dataclass(frozen=True)
class Conflict:
    """One thing that one fault at most may change."""

    table: str
    column: str | None
    aspect: Aspect

    def __str__(self) -> str:
        return f"the {self.aspect} of {self.table}{f'.{self.column}' if self.column else ''}"


@dataclass(frozen=True)
class Material:
    """What composed faults are made of: the spellings and names that train profiles use, and no others.

    Args:
        aliases: (table, column) -> names it may arrive under.
        losable: (table, column) whose values may be lost: a fill that a grader accepts leaves what is derived right.
    """

    pool: Vocabulary = TRAIN
    aliases: Mapping[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)
    losable: frozenset[tuple[str, str]] = frozenset()

    def names(self, table: Table) -> dict[str, tuple[str, ...]]:
        """Column -> aliases, for the columns that train profiles rename; for all of them where they rename none."""
        pools = {name: self.aliases.get((table.name, name), ()) for name in table.column_names}
        known = {name: pool for name, pool in pools.items() if pool}
        if known:
            return known
        taken, made = set(table.column_names), dict[str, tuple[str, ...]]()
        for name in table.column_names:
            free = tuple(alias for alias in (f"src_{name}", f"{name}_raw") if alias not in taken)
            if name != BATCH and free:
                made[name] = free
                taken.update(free)
        return made


# --- claims -----------------------------------------------------------------------------------------------------------


def fed(fault: Named, task: Task, name: str, batched: bool = False) -> Table:
    """The fed table that a fault strikes. Raises `FaultError` where the task has none of that name."""
    table = _table(fault, task, name)
    if table.derived:
        raise FaultError(f"{fault.name} does not fit {task.slug}.{name}: it damages a feed, and {name} is derived")
    if batched and not table.batched:
        raise FaultError(f"{fault.name} does not fit {task.slug}.{name}: it needs batches, and {name} has none")
    return table


def numbered(fault: Named, table: Table) -> None:
    """Raises `FaultError` where a table's key is no integer, so that a new row cannot be given the next one."""
    key = table.column(table.key)
    if key.type != "int64":
        it = f"it numbers rows of its own, and the key {key.name} is {kind(key)}"
        raise FaultError(f"{fault.name} does not fit {table.name}: {it}")


def derived(fault: Named, task: Task, name: str) -> Table:
    """The derived table that a fault strikes. Raises `FaultError` where the task has none of that name."""
    table = _table(fault, task, name)
    if not table.derived:
        raise FaultError(f"{fault.name} does not fit {task.slug}.{name}: it is a deploy, and {name} comes from a feed")
    return table


def column_of(fault: Named, table: Table, name: str, fits: Callable[[Column], bool], wants: str) -> Column:
    """The column that a fault strikes. Raises `FaultError` where there is none such, or it is of another kind."""
    try:
        column = table.column(name)
    except UnknownName as error:
        raise FaultError(f"{fault.name} does not fit {table.name}: {error}") from None
    if not fits(column):
        held = f"{name} is {kind(column)}"
        raise FaultError(f"{fault.name} does not fit {table.name}.{name}: it needs {wants}, and {held}")
    return column


def writable(fault: Named, column: Column, table: Table, formats: Iterable[str]) -> None:
    """Raises `FaultError` where a column's values cannot be written in one of the spellings."""
    timestamps = {"date": DATE_FORMATS, "timestamp": TIMESTAMP_FORMATS}.get(column.type)
    for each in formats:
        if timestamps is not None:
            fits = each.partition(" ")[0] in timestamps
        else:
            fits = "{" in each and not (column.type == "int64" and "{cents}" in each)
        if not fits:
            raise FaultError(
                f"{fault.name} does not fit {table.name}.{column.name}: '{each}' spells no value of {kind(column)}"
            )


def kind(column: Column) -> str:
    """A column's type in words."""
    return f"a categorical {column.type}" if column.categories else column.type


def _table(fault: Named, task: Task, name: str) -> Table:
    try:
        return task.table(name)
    except UnknownName as error:
        raise FaultError(f"{fault.name} does not fit task '{task.slug}': {error}") from None


# --- what there is to strike ------------------------------------------------------------------------------------------


def fed_tables(task: Task) -> Iterator[Table]:
    return (table for table in task.tables if not table.derived)


def fed_columns(task: Task) -> Iterator[tuple[Table, Column]]:
    """Every column of a feed, but for the batch that a row says it belongs to."""
    return ((table, column) for table in fed_tables(task) for column in table.columns if column.name != BATCH)


def is_amount(table: Table, column: Column) -> bool:
    """A number that measures something, and does not say which row this, or another, is."""
    return column.is_number and column.name != table.key and column.references is None


def is_text(column: Column) -> bool:
    return column.type == "string" and not column.categories
