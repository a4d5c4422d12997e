"""The twenty actions, and one of them as it is asked for: the same value from the wire to the run.

In: fields as a player, a plan or a Dagster launchpad writes them. Out: an `Action`. What it does is said elsewhere: a
repair in `tables/repairs.py`, the rest in `env/perform.py`. Standard library only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from functools import partial
from typing import Any, Literal

from .errors import UnknownName
from .task import ColumnType, Task

Need = Literal["target_column", "new_name", "column_order"]
Scope = Literal["any", "batches", "derived"]
# What repairs take; and how `sample_data` may choose what it shows.
ARGUMENTS: tuple[Need, ...] = ("target_column", "new_name", "column_order")
SELECTS = ("head", "last_batch", "offenders", "distinct", "equal")
# Of these ways, those that show whole rows and take no column, those that need one, and those that look for a value.
SELECT_ROWS, SELECT_COLUMN, SELECT_VALUE = ("head", "last_batch"), ("distinct", "equal"), ("equal",)


class ActionId(IntEnum):
    """What an action is called on the wire."""

    INSPECT_SCHEMA = 0
    VIEW_ERROR_LOG = 1
    SAMPLE_DATA = 2
    FILL_MEAN = 3
    FILL_MEDIAN = 4
    FILL_FORWARD = 5
    DROP_NULLS = 6
    CAST_TO_INT = 7
    CAST_TO_FLOAT = 8
    CAST_TO_STRING = 9
    REMOVE_DUPLICATES = 10
    DROP_OUTLIERS = 11
    RENAME_COLUMN = 12
    REORDER_COLUMNS = 13
    VALIDATE_SCHEMA = 14
    COMMIT_CHANGES = 15
    SCALE_RECOVERY_WORKERS_UP = 16
    SCALE_RECOVERY_WORKERS_DOWN = 17
    REPLAY_PRIORITY_BATCH = 18
    REFRESH_DOWNSTREAM_ASSETS = 19


@dataclass(frozen=True)
class ActionSpec:
    """One row of the table of actions.

    Args:
        needs: arguments without which it is invalid.
        minutes: what it would take the person on call; modelled, never measured.
        scope: tasks that have it: any, those with batches and a worker pool, those with derived tables.
        mends: reasons of failing checks (`checks.reasons`) that it may be the answer to.
        types: contract types of the columns that it is for; empty for all.
    """

    id: ActionId
    summary: str
    minutes: float
    needs: tuple[Need, ...] = ()
    scope: Scope = "any"
    mends: tuple[str, ...] = ()
    types: tuple[ColumnType, ...] = ()

    @property
    def name(self) -> str:
        return self.id.name.lower()

    def applies_to(self, task: Task) -> bool:
        return {"any": True, "batches": task.pool is not None, "derived": bool(task.derived_tables)}[self.scope]


_COLUMN: tuple[Need, ...] = ("target_column",)
_NUMBERS: tuple[ColumnType, ...] = ("int64", "float64")
_TEXTS: tuple[ColumnType, ...] = ("string", "date", "timestamp")
_A = ActionId
_of_column = partial(ActionSpec, needs=_COLUMN)
_fill = partial(_of_column, mends=("missing_value",))
_cast = partial(_of_column, mends=("wrong_type", "not_a_number"))
ACTIONS: tuple[ActionSpec, ...] = (
    ActionSpec(_A.INSPECT_SCHEMA, "schema of the active table against its contract; target_column=<table> switches", 1),
    ActionSpec(_A.VIEW_ERROR_LOG, "newest failed checks and runs", 1),
    ActionSpec(_A.SAMPLE_DATA, "first five rows of the active table, as JSON; select and value choose others", 1),
    _fill(_A.FILL_MEAN, "fill a numeric column's nulls with its mean", 3, types=_NUMBERS),
    _fill(_A.FILL_MEDIAN, "fill a numeric column's nulls with its median", 3, types=_NUMBERS),
    _fill(_A.FILL_FORWARD, "fill a column's nulls from the row before, then from the row after", 3),
    _fill(_A.DROP_NULLS, "drop the rows whose column is null", 3),
    _cast(
        _A.CAST_TO_INT,
        "read a column as whole numbers: marks off, cents converted, sentinels null",
        4,
        types=("int64",),
    ),
    _cast(
        _A.CAST_TO_FLOAT, "read a column as numbers: marks off, cents converted, sentinels null", 4, types=("float64",)
    ),
    _of_column(
        _A.CAST_TO_STRING,
        "normalise a column: blanks, encoding, categories, spellings of moments",
        4,
        mends=("wrong_type", "not_canonical", "bad_pattern", "bad_category"),
        types=_TEXTS,
    ),
    ActionSpec(_A.REMOVE_DUPLICATES, "keep the first row of each key", 3, mends=("duplicate_key", "repeated_row")),
    _of_column(
        _A.DROP_OUTLIERS,
        "drop the rows whose number is absurdly far from the rest",
        3,
        mends=("outlier", "out_of_range"),
        types=_NUMBERS,
    ),
    ActionSpec(_A.RENAME_COLUMN, "rename a column", 2, ("target_column", "new_name"), mends=("missing_column",)),
    ActionSpec(
        _A.REORDER_COLUMNS,
        "put the columns in the order given, a permutation",
        2,
        ("column_order",),
        mends=("unexpected_order",),
    ),
    ActionSpec(_A.VALIDATE_SCHEMA, "run contract and audit checks of the active table", 5),
    ActionSpec(_A.COMMIT_CHANGES, "audit and publish every table, or none; ends the episode", 6),
    ActionSpec(_A.SCALE_RECOVERY_WORKERS_UP, "one more slot in the recovery pool", 2, scope="batches"),
    ActionSpec(_A.SCALE_RECOVERY_WORKERS_DOWN, "one slot fewer in the recovery pool", 2, scope="batches"),
    ActionSpec(
        _A.REPLAY_PRIORITY_BATCH,
        "load the oldest batch that is not loaded",
        12,
        scope="batches",
        mends=("pending_batch", "no_batch"),
    ),
    ActionSpec(
        _A.REFRESH_DOWNSTREAM_ASSETS,
        "materialise the derived tables",
        8,
        scope="derived",
        mends=("stale", "missing_row", "wrong_value", "unfounded_row", "cannot_recompute"),
    ),
)
ACTION_NAMES: tuple[str, ...] = tuple(spec.name for spec in ACTIONS)
# They look, and change nothing.
READS = frozenset({_A.INSPECT_SCHEMA, _A.VIEW_ERROR_LOG, _A.SAMPLE_DATA})
# They make a table anew, by themselves.
REPAIRS = frozenset(_A(number) for number in range(_A.FILL_MEAN, _A.REORDER_COLUMNS + 1))
# Repairs that look at one row at a time: they are remembered, and made again on rows that come later.
ROW_WISE = frozenset(
    {_A.CAST_TO_INT, _A.CAST_TO_FLOAT, _A.CAST_TO_STRING, _A.RENAME_COLUMN, _A.REORDER_COLUMNS},
)


@dataclass(frozen=True)
class Action:
    """One action as it is asked for.

    Args:
        target_column: the column it works on; for `inspect_schema`, the table to make active.
        new_name: what `rename_column` calls the column.
        column_order: every column of the table, in the order wanted.
        table: the table it is for, where that is said: in a plan or a solution. On the wire it is the active one.
        select: which rows or values `sample_data` shows, one of `SELECTS`; the first rows unless said.
        value: with `select` equal, the cells of `target_column` to look for, as text.
    """

    id: ActionId
    target_column: str | None = None
    new_name: str | None = None
    column_order: tuple[str, ...] | None = None
    table: str | None = None
    select: str | None = None
    value: str | None = None

    def __post_init__(self) -> None:
        # A plain number names an action too, as on the wire.
        object.__setattr__(self, "id", ActionId(self.id))

    @classmethod
    def named(
        cls,
        name: str,
        target_column: str | None = None,
        new_name: str | None = None,
        column_order: tuple[str, ...] | None = None,
        table: str | None = None,
    ) -> Action:
        """An action by its name. Raises `UnknownName` where there is none such."""
        if name not in ACTION_NAMES:
            raise UnknownName("action", name, ACTION_NAMES)
        return cls(ActionId[name.upper()], target_column, new_name, column_order, table)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Action:
        """The action that `to_dict` wrote."""
        look = {"select": fields.get("select"), "value": fields.get("value")}
        return cls(ActionId(fields["action_id"]), *_arguments(fields), **look)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Action:
        """The action that `to_config` wrote."""
        return cls.named(config["action"], *_arguments(config))

    @property
    def name(self) -> str:
        return self.id.name.lower()

    @property
    def spec(self) -> ActionSpec:
        return ACTIONS[self.id]

    @property
    def row_wise(self) -> bool:
        return self.id in ROW_WISE

    def to_dict(self) -> dict[str, Any]:
        """The action as a player sends it: its id, and the arguments that are set."""
        return {"action_id": int(self.id), **self._given()}

    def to_config(self) -> dict[str, Any]:
        """The action as a person writes it in a launchpad: its name, and the arguments that are set."""
        return {"action": self.name, **self._given()}

    def __str__(self) -> str:
        """As a person would write it: `rename_column(observed_at → event_ts)`."""
        named = [name for name in (self.select, self.target_column, self.new_name, self.value) if name]
        if self.column_order:
            named.append(", ".join(self.column_order))
        return f"{self.name}({' → '.join(named)})" if named else self.name

    def _given(self) -> dict[str, Any]:
        order = None if self.column_order is None else list(self.column_order)
        fields = {
            "target_column": self.target_column,
            "new_name": self.new_name,
            "column_order": order,
            "select": self.select,
            "value": self.value,
        }
        return {name: value for name, value in fields.items() if value is not None}


def available(task: Task) -> list[int]:
    """Ids of the actions that the task has."""
    return [int(spec.id) for spec in ACTIONS if spec.applies_to(task)]


def _arguments(fields: Mapping[str, Any]) -> tuple[str | None, str | None, tuple[str, ...] | None]:
    order = fields.get("column_order")
    return fields.get("target_column"), fields.get("new_name"), None if order is None else tuple(order)
