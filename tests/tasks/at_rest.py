"""A task's tables when nothing is wrong with them, for a test to change; the real checks and grader judge them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pandas as pd

from mario_dagster.checks.facts import checks_for
from mario_dagster.checks.outcome import CheckContext
from mario_dagster.core.registry import task as find_task
from mario_dagster.incidents.compile import Incident, compile_incident
from mario_dagster.inject.redelivery import reference
from mario_dagster.scoring.compare import PipelineState, Truth
from mario_dagster.scoring.score import Grade, grade
from mario_dagster.tables.spec import pipeline_spec


class AtRest:
    """The reference tables of an incident in a pipeline that is fresh and has no backlog.

    Args:
        tables: to be changed; `refresh` computes those that are derived.
    """

    def __init__(self, incident: Incident):
        self.task = find_task(incident.task)
        self._transforms = pipeline_spec(self.task).transforms
        self.tables = dict(reference(incident, self.task, self._transforms))
        cells = incident.damage_manifest.cells
        gone = cells[cells["lost"].astype(bool)]
        lost = {
            str(table): frozenset(zip(rows["key"], rows["column"], strict=True))
            for table, rows in gone.groupby("table")
        }
        self.truth = Truth(dict(self.tables), lost)
        batched = {batch.name: len(batch.frame) for batch in incident.clean.batches}
        declared = {name: len(frame) for name, frame in incident.clean.feeds.items()}
        self._context = CheckContext(self.task, {}, batched, (), frozenset(), declared)

    @classmethod
    def of(cls, task: str, profile: str | None = None, seed: int = 1) -> AtRest:
        return cls(compile_incident(task, profile, seed=seed))

    @property
    def context(self) -> CheckContext:
        return replace(self._context, tables=self.tables, reports={})

    def refresh(self) -> None:
        for table in self.task.derived_tables:
            inputs: Mapping[str, pd.DataFrame] = {name: self.tables[name] for name in table.upstream}
            self.tables[table.name] = self._transforms[table.name](**inputs)

    def failing(self) -> set[str]:
        """Checks that fail, the audits too."""
        return {check.name for check in checks_for(self.task) if not check.evaluate(self.context).passed}

    def grade(self, state: PipelineState | None = None) -> Grade:
        return grade(self.task, self.tables, self.truth, state or PipelineState())
