"""What a fault is: one defect, one small frozen dataclass; defining it registers it.

In: a `Damage` bench and a random stream. Out: a damaged bench, with the repairs that undo it noted. A fault says in
which stage it strikes; within an incident faults strike in that order, so that they compose whatever order a profile
lists them in.
"""

from __future__ import annotations

import re
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, ClassVar, TypeVar

import numpy as np

from mario_dagster.core.task import Task
from mario_dagster.incidents.damage import CannotStrike, Damage, FaultError, Mark
from mario_dagster.tables.clean_data import CleanData

from .conflicts import Conflict, Material

Value = TypeVar("Value")


class Stage(IntEnum):
    """When a fault strikes: rows are invented before columns are respelt, and a retry copies rows as they then are."""

    ROWS = 0
    VALUES = 1
    CELLS = 2
    SCHEMA = 3
    ORDER = 4
    DELIVERY = 5
    PIPELINE = 6


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


_REGISTRY: dict[str, type[Fault]] = {}


class Fault(ABC):
    """One defect. Subclasses are frozen dataclasses whose fields are pools and ranges that the seed draws from."""

    stage: ClassVar[Stage] = Stage.VALUES
    # It is there to be told from damage: no repair undoes it, and none is called for.
    harmless: ClassVar[bool] = False
    # What a task has to have for `fitting` to offer it, in words; said to an author whose task has nothing of the kind.
    needs: ClassVar[str] = ""

    def __init_subclass__(cls, abstract: bool = False, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if abstract:
            return
        name = _snake(cls.__name__)
        held = _REGISTRY.get(name)
        if held is not None and held.__module__ != cls.__module__:
            raise FaultError(
                f"{cls.__module__} defines a fault '{name}', which {held.__module__} has: give it another name"
            )
        _REGISTRY[name] = cls

    @property
    def name(self) -> str:
        """What the damage manifest calls it: the class name in snake case."""
        return _snake(type(self).__name__)

    def drawn(self, rng: np.random.Generator) -> tuple[Fault, ...]:
        """The faults that strike in its place: itself, unless it is a choice of others."""
        return (self,)

    @classmethod
    def fitting(cls, task: Task, material: Material) -> Iterable[Fault]:
        """Instances for incidents of a task to be composed of; none where composing has no use for it.

        What it offers still has to pass its own `conflicts`: `fits` sorts the ones that do from the reasons why others
        do not.
        """
        return ()

    def conflicts(self, task: Task) -> Iterable[Conflict]:
        """What it lays hold of, which no other fault of the incident may.

        Raises:
            FaultError: it does not fit the task, its table or its column.
        """
        return ()

    def prelude(self, workspace: CleanData, task: Task, rng: np.random.Generator) -> CleanData:
        """The clean data that it strikes: as they are, unless it is an oddity of what producers really sent.

        Raises:
            CannotStrike: the data have no room for the oddity.
        """
        return workspace

    def strike(self, damage: Damage, rng: np.random.Generator) -> None:
        """Do the damage, and see that it was done.

        Raises:
            CannotStrike: the data have nothing that it could change.
            FaultError: another fault got in its way.
        """
        table = getattr(self, "table", "")
        if table in damage.feeds and not damage.feeds[table].size:
            raise CannotStrike(self.name, table, "it has no rows")
        before = Mark.of(damage)
        self.inject(damage, rng)
        if not self.harmless and not before.differs(Mark.of(damage)):
            where = ".".join(filter(None, (table or damage.task.slug, getattr(self, "column", ""))))
            raise CannotStrike(self.name, where, "nothing in it would be changed")

    @abstractmethod
    def inject(self, damage: Damage, rng: np.random.Generator) -> None:
        """Do the damage, and note what undoes it."""


@dataclass(frozen=True)
class Fits:
    """Where one kind of fault fits a task.

    Args:
        faults: instances that may strike.
        refusals: why others may not, in words; the one reason where nothing in the task is to its taste.
    """

    faults: tuple[Fault, ...]
    refusals: tuple[str, ...]


def fits(kind: type[Fault], task: Task, material: Material) -> Fits:
    """What a kind of fault offers for a task, less what does not fit, and why that does not."""
    fitting: list[Fault] = []
    refusals: list[str] = []
    for fault in kind.fitting(task, material):
        try:
            for _ in fault.conflicts(task):
                pass
        except FaultError as error:
            refusals.append(str(error))
        else:
            fitting.append(fault)
    if not fitting and not refusals:
        lacks = f"it needs {kind.needs}, and there is none"
        wanted = lacks if kind.needs else "it is for profiles, and nothing is composed of it"
        refusals.append(f"{_snake(kind.__name__)} does not fit task '{task.slug}': {wanted}")
    return Fits(tuple(fitting), tuple(dict.fromkeys(refusals)))


@dataclass(frozen=True)
class AnyOf(Fault):
    """Some of several faults, as the seed draws.

    Args:
        least, most: how many, both ends included.
    """

    choices: tuple[Fault, ...]
    least: int = 1
    most: int = 1

    def drawn(self, rng: np.random.Generator) -> tuple[Fault, ...]:
        picked = some(rng, self.choices, self.least, self.most)
        return tuple(fault for choice in picked for fault in choice.drawn(rng))

    def inject(self, damage: Damage, rng: np.random.Generator) -> None:
        raise FaultError("a choice of faults is drawn from; it does not strike")


def registered() -> Mapping[str, type[Fault]]:
    """Every fault that has been defined so far, by name; not those of a module that then failed to load."""
    return {name: cls for name, cls in sorted(_REGISTRY.items()) if cls.__module__ in sys.modules}


# --- drawing ----------------------------------------------------------------------------------------------------------


def one(rng: np.random.Generator, pool: Sequence[Value]) -> Value:
    """One member of a pool, each alike."""
    return pool[int(rng.integers(len(pool)))]


def some(rng: np.random.Generator, pool: Sequence[Value], least: int, most: int) -> tuple[Value, ...]:
    """`least` to `most` members of a pool, in the pool's order; all of a pool that is smaller."""
    count = int(rng.integers(min(least, len(pool)), min(most, len(pool)) + 1))
    return tuple(pool[index] for index in sorted(rng.choice(len(pool), count, replace=False)))


def some_rows(rng: np.random.Generator, rows: np.ndarray, share: tuple[float, float], least: int = 1) -> np.ndarray:
    """A share of row indices, ascending; at least `least`, as far as there are so many."""
    count = max(least, round(len(rows) * rng.uniform(*share)))
    return np.sort(rng.choice(rows, min(count, len(rows)), replace=False))


def every_choice(rng: np.random.Generator, size: int, choices: int) -> np.ndarray:
    """One of `choices` for each of `size` rows, each picked at least once where there are rows enough."""
    picked = rng.integers(choices, size=size)
    picked[: min(size, choices)] = np.arange(min(size, choices))
    return rng.permutation(picked)
