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
from mario_dagster.incidents.damage import Damage, FaultError
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
        """Instances that fit a task, for incidents to be composed of; none where composing has no use for it."""
        return ()

    def conflicts(self, task: Task) -> Iterable[Conflict]:
        """What it lays hold of, which no other fault of the incident may.

        Raises:
            FaultError: it does not fit the task, its table or its column.
        """
        return ()

    def prelude(self, workspace: CleanData, task: Task, rng: np.random.Generator) -> CleanData:
        """The clean data that it strikes: as they are, unless it is an oddity of what producers really sent."""
        return workspace

    @abstractmethod
    def inject(self, damage: Damage, rng: np.random.Generator) -> None:
        """Do the damage, and note what undoes it."""


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
    """`least` to `most` members of a pool, in the pool's order."""
    count = int(rng.integers(least, min(most, len(pool)) + 1))
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
