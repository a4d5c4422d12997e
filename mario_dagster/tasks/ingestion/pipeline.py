"""Task 1's pipeline: one snapshot of customers.

In: the task's clean data. Out: `PIPELINE`.
"""

from __future__ import annotations

from mario_dagster.tables.spec import PipelineSpec

from . import data

PIPELINE = PipelineSpec(generate=data.generate)
