"""Tables as the last completed step left them: what a step left that did not come to its end is taken back.

In: a lake and the instance that knows which runs were committed. Out: the lake, brought back; or `Damaged`, where a
version is gone that a step had recorded.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mario_dagster.core.errors import Damaged
from mario_dagster.runtime.instance import SandboxInstance
from mario_dagster.tables.store import Lake
from mario_dagster.tables.workspace import World


def take_back(lake: Lake, instance: SandboxInstance, *, tidy: bool) -> list[str]:
    """Take back table versions whose run was never committed; returns the tables concerned.

    Call it inside a transaction: then no other process is in the middle of a step.

    Args:
        tidy: also delete data that no version names, which a write leaves that dies before its commit.
    """
    taken: list[str] = []
    for name in lake.tables():
        while lake.exists(name):
            run_id = lake.note(name).run_id
            if not run_id or instance.has_run(run_id):
                break
            lake.rollback(name)
            taken.append(name)
        if tidy or not lake.exists(name):
            lake.tidy(name)
    return taken


def require_stored(world: World, line: Mapping[str, Any]) -> None:
    """See that every table version is there that a line of the journal stands on.

    Raises:
        Damaged: one is not.
    """
    lakes = {lake.root.name: lake for lake in (world.lake, world.published)}
    for name, version in line.get("stored", {}).items():
        folder, _, table = name.partition("/")
        if max(lakes[folder].versions(table), default=-1) < version:
            raise Damaged(f"{name} lacks version {version}")
