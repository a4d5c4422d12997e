"""Task 1's pipeline: one snapshot of customers.

In: the task's clean data. Out: `BLUEPRINT`.
"""

from __future__ import annotations

from mario_dagster.tables.spec import Blueprint

from . import data

BLUEPRINT = Blueprint(world=data.world)
