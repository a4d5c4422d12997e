"""One task's pipeline where it lives: its files and its Dagster instance, and the one way to run a job on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mario_dagster import definitions
from mario_dagster.core.task import Task
from mario_dagster.runtime.instance import RunResult, SandboxInstance, run_job
from mario_dagster.tables.workspace import Workspace

Tags = Mapping[str, str]


@dataclass(frozen=True)
class Pipeline:
    """A task's pipeline on disk.

    Args:
        workspace: its tables, landing zone and releases.
        instance: the Dagster instance that its runs are recorded in.
    """

    task: Task
    workspace: Workspace
    instance: SandboxInstance

    def run(self, job: str, tags: Tags, config: Mapping[str, Any] | None = None) -> RunResult:
        """Run one of the task's jobs to its end, by its name without the task's (`refresh`, `repair_catalog`)."""
        return run_job(self.instance, definitions.job(f"{self.task.slug}_{job}"), tags=dict(tags), run_config=config)
