"""Task 2's pipeline: one snapshot of payment events.

In: the task's clean data. Out: `BLUEPRINT`.
"""

from __future__ import annotations

from . import shop_events
from .blueprint import Blueprint

BLUEPRINT = Blueprint(world=shop_events.world)
