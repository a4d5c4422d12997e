"""All that a package outside imports to add tasks, faults and families of incidents.

A task is a `Task` with `Table`s and `Column`s, and a `PipelineSpec`: its clean data (a `CleanData` a seed, made with
`frame_of`, `identifiers`, `spread`), its transforms (`require`, `to_arrow`, `from_arrow`) and how its numbers add up
(`Product`, `Totals`, `Rollup`). A fault is a frozen `Fault` that says where it strikes (`conflicts`) and does it
(`inject`) on a `Damage`. A family of incidents is a `Profile` of faults: one's own, or built-in ones by name
(`fault("renamed_columns")`). All come in by the entry points `mario_dagster.tasks`, `.faults` and `.profiles`.

What is here keeps its name and meaning from one minor version to the next; what leaves is announced one minor version
ahead, with a warning. Everything else in this package may move in any release.
"""

from mario_dagster.core.task import Card, Column, Freshness, Profile, Table, Task
from mario_dagster.incidents.damage import CannotStrike, Damage, FaultError
from mario_dagster.incidents.faults import fault
from mario_dagster.incidents.faults.base import AnyOf, Fault, Stage, one
from mario_dagster.incidents.faults.conflicts import Conflict, column_of, fed
from mario_dagster.incidents.vocabularies import HELD_OUT, TRAIN
from mario_dagster.scoring.objectives import Scored
from mario_dagster.tables.clean_data import EPOCH_DAY, Batch, CleanData, Streams, frame_of, identifiers, spread
from mario_dagster.tables.frames import from_arrow, to_arrow
from mario_dagster.tables.spec import PipelineSpec, Product, Rollup, Totals
from mario_dagster.tables.transforms import TransformError, require

__all__ = [
    "EPOCH_DAY",
    "HELD_OUT",
    "TRAIN",
    "AnyOf",
    "Batch",
    "CannotStrike",
    "Card",
    "CleanData",
    "Column",
    "Conflict",
    "Damage",
    "Fault",
    "FaultError",
    "Freshness",
    "PipelineSpec",
    "Product",
    "Profile",
    "Rollup",
    "Scored",
    "Stage",
    "Streams",
    "Table",
    "Task",
    "Totals",
    "TransformError",
    "column_of",
    "fault",
    "fed",
    "frame_of",
    "from_arrow",
    "identifiers",
    "one",
    "require",
    "spread",
    "to_arrow",
]
