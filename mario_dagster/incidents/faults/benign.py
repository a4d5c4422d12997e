"""What a decoy is: something odd that is true, and must be left as it is.

In: clean data. Out: clean data, within their contract, that look as if something had happened to them. The reference
has the oddity too, so that whoever repairs it is wrong.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from mario_dagster.incidents.damage import Damage

from .base import Fault


class BenignAnomaly(Fault, abstract=True):
    """A harmless oddity: it changes what the producers really sent, strikes nothing and calls for no repair."""

    harmless: ClassVar[bool] = True

    def inject(self, damage: Damage, rng: np.random.Generator) -> None:
        """Nothing: the oddity is in the clean data already."""
