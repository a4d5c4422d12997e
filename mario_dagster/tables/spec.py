"""What a task's pipeline is made of beyond its contracts: clean data, transforms, and how its tables add up.

In: a task of the catalogue, which names its `PipelineSpec` as `module:object`. Out: that value, loaded when it is first
asked for. It is all that a new task has to bring besides its contracts; the graph, the checks, the audit, the jobs and
the incidents are built from it.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mario_dagster.core import registry
from mario_dagster.core.errors import BrokenTask
from mario_dagster.core.task import Task

from .clean_data import CleanData, DataGenerator
from .random_streams import stream

if TYPE_CHECKING:
    import pandas as pd

# Upstream tables, by name as keywords -> the derived table, in contract types.
Transform = Callable[..., "pd.DataFrame"]


@dataclass(frozen=True)
class Product:
    """`total` of a row is its `count` times the `price` of the row that `via` refers to."""

    total: str
    count: str
    via: str
    price: str


@dataclass(frozen=True)
class Totals:
    """A derived table that holds a total for each row of its first upstream table, as `product` says."""

    product: Product


@dataclass(frozen=True)
class Rollup:
    """A derived table whose `count` and `total` add up the rows and `amount`s of its first upstream table.

    Rows count if their `via` is found in the table that it refers to. `moment` floored to `every` is the key.
    """

    count: str
    total: str
    amount: str
    moment: str
    every: str
    via: str


@dataclass(frozen=True)
class PipelineSpec:
    """What a task's pipeline is made of beyond its contracts.

    Args:
        generate: generator of the task's clean data.
        transforms: derived table -> what computes it.
        sums: table -> how its numbers add up, for the audit before publishing; none where there is nothing to say.
    """

    generate: DataGenerator
    transforms: Mapping[str, Transform] = field(default_factory=dict)
    sums: Mapping[str, Product | Totals | Rollup] = field(default_factory=dict)


_LOADED: dict[tuple[str, str], PipelineSpec] = {}


def pipeline_spec(task: Task) -> PipelineSpec:
    """A task's pipeline spec, loaded once.

    Raises:
        BrokenTask: it does not load, or does not fit the task; the message says why.
    """
    key = (task.slug, task.pipeline_spec)
    if key not in _LOADED:
        _LOADED[key] = _fitting(task, _resolved(task))
    return _LOADED[key]


def clean_data_of(task: object, seed: int, scale: int = 1, salt: str = "", split: str = "train") -> CleanData:
    """The clean data of a task. Splits share nothing: the same seed in `eval` gives other data than in `train`.

    Args:
        task: what `registry.task` takes.
        scale: multiplies the rows, 1 or more.
        salt: secret of a sealed evaluation, "" for none.

    Raises:
        UnknownName: no such task, or one whose pipeline spec does not load.
        ValueError: a scale below 1.
    """
    found = registry.task(task)
    if scale < 1:
        raise ValueError(f"scale is {scale}; it multiplies the rows, so it must be 1 or more")
    return pipeline_spec(found).generate(
        seed, scale, lambda name: stream(seed, found.slug, split, "clean", name, salt=salt)
    )


def _resolved(task: Task) -> PipelineSpec:
    try:
        made = pkgutil.resolve_name(task.pipeline_spec)
    except Exception as error:
        why = f"its pipeline spec '{task.pipeline_spec}' does not load: {type(error).__name__}: {error}"
        raise BrokenTask(task.slug, why) from error
    if not isinstance(made, PipelineSpec):
        raise BrokenTask(task.slug, f"'{task.pipeline_spec}' is a {type(made).__name__}, not a PipelineSpec")
    return made


def _fitting(task: Task, made: PipelineSpec) -> PipelineSpec:
    derived = {table.name for table in task.derived_tables}
    if derived != set(made.transforms):
        names = [", ".join(sorted(each)) or "none" for each in (derived, made.transforms)]
        raise BrokenTask(
            task.slug, f"its derived tables are {names[0]}, and its pipeline spec has transforms of {names[1]}"
        )
    if strangers := set(made.sums) - set(task.table_names):
        raise BrokenTask(
            task.slug, f"its pipeline spec says how {', '.join(sorted(strangers))} adds up, and it has no such table"
        )
    return made
