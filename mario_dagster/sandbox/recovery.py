"""Tables as the last completed step left them: what a step left that did not come to its end is taken back.

In: a lake and the instance that knows which runs were committed. Out: the lake, brought back; or `Damaged`, where a
version is gone that a step had recorded.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mario_dagster.core.errors import Damaged
from mario_dagster.core.files import TEMPORARY
from mario_dagster.runtime.instance import SandboxInstance
from mario_dagster.tables.store import Lake
from mario_dagster.tables.workspace import Workspace


def take_back(lake: Lake, instance: SandboxInstance, *, tidy: bool) -> list[str]:
    """Take back table versions whose run was never committed; returns the tables concerned.

    Call it inside a transaction: then no other process is in the middle of a step.

    Args:
        tidy: also delete data that no version names, which a write leaves that dies before its commit.
    """
    taken: list[str] = []
    for name in lake.tables():
        while lake.exists(name):
            run_id = lake.provenance(name).run_id
            if not run_id or instance.has_run(run_id):
                break
            lake.rollback(name)
            taken.append(name)
        if tidy or not lake.exists(name):
            lake.tidy(name)
    return taken


def drop_temporaries(folder: Path) -> None:
    """Delete what was being written when its process died: files that never got their names."""
    for file in folder.rglob(".*"):
        if TEMPORARY.fullmatch(file.name) and file.is_file():
            file.unlink(missing_ok=True)


def require_stored(workspace: Workspace, line: Mapping[str, Any]) -> None:
    """See that every table version is there that a line of the journal stands on.

    Raises:
        Damaged: one is not.
    """
    lakes = {lake.root.name: lake for lake in (workspace.lake, workspace.published)}
    for name, version in line.get("stored", {}).items():
        folder, _, table = name.partition("/")
        newest = lakes[folder].version(table)
        if newest is None or newest < version:
            raise Damaged(f"{name} lacks version {version}")


def require_steps(lines: int, played: int) -> None:
    """See that the journal has every step that was answered: line 0, and one for each.

    Raises:
        Damaged: it has fewer.
    """
    if lines <= played:
        raise Damaged(
            f"the episode's database lacks steps: {played} were played, {max(0, lines - 1)} are in it; its write-ahead "
            "log (dagster/event_log.db-wal) may be missing"
        )
