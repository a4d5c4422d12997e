"""Launches from a sandbox's UI: executed in this process, at once.

In: a run that the UI has created. Out: the same run, ended. The request that launched it came through a workspace (see
`served.py`), and that executes it: stock launchers start a process a run, which takes seconds.
"""

from __future__ import annotations

from typing import Any

from dagster import DagsterInvariantViolationError
from dagster._core.launcher import LaunchRunContext, RunLauncher


class SandboxRunLauncher(RunLauncher):
    """Hands a run to the workspace that it was launched from."""

    def launch_run(self, context: LaunchRunContext) -> None:
        process: Any = getattr(context.workspace, "process_context", None)
        if not hasattr(process, "execute"):
            raise DagsterInvariantViolationError("a sandbox's runs are launched from its own UI, or run in process")
        process.execute(context.dagster_run)

    def terminate(self, run_id: str) -> bool:
        """Nothing to end: whoever can see a run sees it ended."""
        return False
