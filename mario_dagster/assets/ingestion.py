"""Task 1's pipeline: one snapshot of customers.

In: the task's clean data. Out: `BLUEPRINT`.
"""

from __future__ import annotations

from . import shop_ingestion
from .blueprint import Blueprint

BLUEPRINT = Blueprint(world=shop_ingestion.world)
