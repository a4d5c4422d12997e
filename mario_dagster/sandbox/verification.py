"""A sandbox looked through from end to end: every file that an answer could be made from.

In: a home and an id. Out: what is wrong, in words. Nothing that is cached is trusted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from mario_dagster.core.errors import Damaged, StorageError
from mario_dagster.runtime.database import DATABASE, Database
from mario_dagster.scoring.truth import Vault
from mario_dagster.tables.workspace import World, world_at

from .create import DAGSTER_HOME
from .home import Home, SandboxInfo
from .journal import Journal
from .recovery import require_stored


def damage(home: Home, id: str) -> list[str]:
    """What is wrong with a sandbox and its truth; empty when both are whole.

    Raises:
        UnknownName: there is no sandbox of that id.
    """
    root = home.require(id)
    world, truth = world_at(root), Vault(home.vault(id))
    try:
        return [
            *_said(lambda: _check_records(root, world)),
            *_said(lambda: world.deploy("")),
            *_said(truth.check),
            *world.lake.damage(),
            *world.published.damage(),
            *world.landing.damage(),
            *truth.damage(),
        ]
    finally:
        world.close()


def _check_records(root: Path, world: World) -> None:
    database = Database(str(root / DAGSTER_HOME / DATABASE))
    try:
        database.check()
        lines, told = Journal(root, database).lines(), SandboxInfo.load(root)
    finally:
        database.dispose()
    if len(lines) <= told.steps:
        raise Damaged(f"the episode's database lacks steps: {told.steps} were played, {len(lines) - 1} are in it")
    if lines:
        require_stored(world, lines[-1])


def _said(check: Callable[[], object]) -> Iterator[str]:
    try:
        check()
    except StorageError as error:
        yield str(error)
