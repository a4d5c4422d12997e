"""What a step that did not come to its end left in the tables, and how it is taken back.

In: a lake and the instance that knows which runs were committed. Out: the lake as the last completed step left it.
"""

from __future__ import annotations

from mario_dagster.assets.lake import Lake

from .instance import SandboxInstance


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
