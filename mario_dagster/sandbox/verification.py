"""A sandbox looked through from end to end: every file that an answer could be made from.

In: a home and an id. Out: what is wrong, in words. Nothing that is cached is trusted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from mario_dagster.core.errors import Damaged, StorageError
from mario_dagster.core.files import file_trouble
from mario_dagster.runtime.database import DATABASE, Database
from mario_dagster.runtime.instance import DAGSTER_YAML
from mario_dagster.scoring.truth import TruthStore
from mario_dagster.tables.workspace import Workspace, workspace_at

from .create import DAGSTER_HOME
from .home import Home, SandboxInfo
from .journal import Journal
from .recovery import require_steps, require_stored


def damage(home: Home, id: str) -> list[str]:
    """What is wrong with a sandbox and its truth; empty when both are whole.

    Raises:
        UnknownName: there is no sandbox of that id.
    """
    root = home.require(id)
    workspace, truth = workspace_at(root), TruthStore(home.truth_store(id))
    try:
        return [
            *_said(lambda: _check_records(root, workspace)),
            *_said(lambda: workspace.deploy("")),
            *_said(lambda: _check_settings(root)),
            *_said(truth.check),
            *workspace.lake.damage(),
            *workspace.published.damage(),
            *workspace.landing.damage(),
            *_each(truth.damage),
            *_each(lambda: _undelivered(workspace, truth)),
        ]
    finally:
        workspace.close()


def _check_records(root: Path, workspace: Workspace) -> None:
    database = Database(str(root / DAGSTER_HOME / DATABASE))
    try:
        database.check()
        lines, told = Journal(root, database).lines(), SandboxInfo.load(root)
    finally:
        database.dispose()
    require_steps(len(lines), told.steps)
    if lines:
        require_stored(workspace, lines[-1])


def _check_settings(root: Path) -> None:
    name = f"{DAGSTER_HOME}/dagster.yaml"
    with file_trouble(name):
        if (root / name).read_text() != DAGSTER_YAML:
            raise Damaged(f"{name} is not what was written")


def _undelivered(workspace: Workspace, truth: TruthStore) -> Iterator[str]:
    """Landed files that are gone: not those that were announced only."""
    for entry in workspace.landing.manifest().deliveries:
        if entry.batch not in truth.unavailable and not workspace.landing.arrived(entry.feed, entry.batch):
            yield f"landing/{entry.feed}/{entry.batch}.parquet is missing"


def _each(find: Callable[[], Iterator[str]]) -> Iterator[str]:
    """What is found, up to where looking itself fails, which somebody else tells."""
    with suppress(StorageError):
        yield from find()


def _said(check: Callable[[], object]) -> Iterator[str]:
    try:
        check()
    except StorageError as error:
        yield str(error)
