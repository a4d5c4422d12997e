"""Every fault of this package and of installed plugins; importing a module of it registers what it defines.

In: the modules beside this file and the entry points `mario_dagster.faults` (each names a module or a fault class).
Out: `faults()` and `fault("renamed_columns")`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from mario_dagster.catalog import UnknownName
from mario_dagster.catalog.plugins import FAULTS, installed

from .bad_deploy import BadDeploy
from .base import AnyOf, Fault, Stage, registered
from .bogus_rows import BogusRows
from .claims import Claim, Material
from .decoy import Decoy
from .extended_schema import ExtendedSchema
from .garbled_text import GarbledText
from .late_batches import LateBatches
from .lookalike_column import LookalikeColumn
from .lost_values import LostValues
from .missing_by_column import MissingByColumn
from .missing_by_value import MissingByValue
from .orphan_rows import OrphanRows
from .overlapping_batches import OverlappingBatches
from .padded_text import PaddedText
from .rare_category import RareCategory
from .real_spike import RealSpike
from .recased_category import RecasedCategory
from .renamed_columns import RenamedColumns
from .reordered_columns import ReorderedColumns
from .retried_load import RetriedLoad
from .retry_pressure import RetryPressure
from .retyped_column import RetypedColumn
from .slow_batch import SlowBatch
from .spelled_cells import SpelledCells
from .spelled_moments import SpelledMoments
from .spelled_numbers import SpelledNumbers
from .superseded_rows import SupersededRows
from .torn_copies import TornCopies
from .trailer_lines import TrailerLines
from .unavailable_batches import UnavailableBatches
from .uneven_batches import UnevenBatches

__all__ = [
    "AnyOf",
    "BadDeploy",
    "BogusRows",
    "Claim",
    "Decoy",
    "ExtendedSchema",
    "Fault",
    "GarbledText",
    "LateBatches",
    "LookalikeColumn",
    "LostValues",
    "Material",
    "MissingByColumn",
    "MissingByValue",
    "OrphanRows",
    "OverlappingBatches",
    "PaddedText",
    "RareCategory",
    "RealSpike",
    "RecasedCategory",
    "RenamedColumns",
    "ReorderedColumns",
    "RetriedLoad",
    "RetryPressure",
    "RetypedColumn",
    "SlowBatch",
    "SpelledCells",
    "SpelledMoments",
    "SpelledNumbers",
    "Stage",
    "SupersededRows",
    "TornCopies",
    "TrailerLines",
    "UnavailableBatches",
    "UnevenBatches",
    "fault",
    "faults",
]


def faults() -> Mapping[str, type[Fault]]:
    """Every fault by name, plugins' included. A plugin that fails to load is left out with a warning."""
    _load_plugins()
    return registered()


def fault(name: str) -> type[Fault]:
    """The fault of that name. Raises `UnknownName` when there is none."""
    known = faults()
    if name not in known:
        raise UnknownName("fault", name, known)
    return known[name]


@cache
def _load_plugins() -> None:
    """Import what plugins name: a fault is registered by being defined, and refused if its name is taken."""
    for _ in installed(FAULTS):
        pass
