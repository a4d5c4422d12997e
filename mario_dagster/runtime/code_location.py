"""A code location in this process that holds one repository, given as an object.

In: a repository. Out: the workspace that a webserver reads, built once a repository and shared by every sandbox of its
task: snapshots of jobs and the asset graph cost a tenth of a second and megabytes, and say nothing of a sandbox.
"""

from __future__ import annotations

from functools import cache
from types import SimpleNamespace
from typing import Any

import dagster
from dagster import RepositoryDefinition
from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.definitions.reconstruct import ReconstructableRepository
from dagster._core.remote_representation.code_location import InProcessCodeLocation
from dagster._core.remote_representation.external import RemoteRepository
from dagster._core.remote_representation.external_data import RepositorySnap
from dagster._core.remote_representation.handle import RepositoryHandle
from dagster._core.workspace.workspace import (
    CodeLocationEntry,
    CodeLocationLoadStatus,
    CurrentWorkspace,
    DefinitionsSource,
)
from dagster._time import get_current_timestamp

from .location import CODE_LOCATION, MODULE, REPOSITORY


class RepositoryLocation(InProcessCodeLocation):
    """Dagster's location in process, whose constructor would load a module with every task in it."""

    def __init__(self, repository: RepositoryDefinition):
        repository.load_all_definitions()
        # What a run remembers of where its code is: the module, which any process with this package can load.
        pointer = ModuleCodePointer(MODULE, "defs", None)
        self._origin = CODE_LOCATION
        self._repository_code_pointer_dict = {REPOSITORY: pointer}
        self._loaded_repositories: Any = SimpleNamespace(
            definitions_by_name={REPOSITORY: repository},
            reconstructables_by_name={REPOSITORY: ReconstructableRepository(pointer)},
        )
        handle = RepositoryHandle.from_location(repository_name=REPOSITORY, code_location=self)
        snap = RepositorySnap.from_def(repository)
        self._repositories = {REPOSITORY: RemoteRepository(snap, handle, auto_materialize_use_sensors=False)}

    def get_reconstructable_job(self, repository_name: str, name: str) -> Any:
        return InMemoryJob(self._get_repo_def(repository_name).get_job(name))


@cache
def workspace_with(repository: RepositoryDefinition) -> CurrentWorkspace:
    """A workspace with that repository in it and nothing else."""
    entry = CodeLocationEntry(
        origin=CODE_LOCATION,
        code_location=RepositoryLocation(repository),
        load_error=None,
        load_status=CodeLocationLoadStatus.LOADED,
        display_metadata={},
        update_timestamp=get_current_timestamp(),
        # Code does not change while a process serves it.
        version_key=dagster.__version__,
        definitions_source=DefinitionsSource.CODE_SERVER,
    )
    return CurrentWorkspace(code_location_entries={MODULE: entry})
