"""One pipeline's files on disk, found from the Dagster instance it runs on.

In: a Dagster instance. Out: its lake, landing zone, published tables and deploys. A sandbox keeps its Dagster home in
`<sandbox>/dagster`, so whichever process runs an asset (an agent's step, `dagster-webserver`, `dagster dev`, a script)
finds the same tables, with no configuration in between.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import dagster as dg

from mario_dagster.core.deploy import Deploy
from mario_dagster.core.files import OPEN, SANDBOX_FILE, read_json, write_json

from .landing import Landing
from .store import Lake

DEPLOYS = "deploys.json"
# In a table's record: the number of its transform's release, which one deploy after the other makes higher.
RELEASE, FIRST_RELEASE = "release", 1
SANDBOX_VARIABLE = "MARIO_SANDBOX"


@dataclass(frozen=True)
class Workspace:
    """Where one pipeline's files are. `root` is the sandbox folder."""

    root: Path
    lake: Lake
    landing: Landing
    published: Lake

    @property
    def ended(self) -> str | None:
        """Why the episode that is played here is over; None while it goes on, and where none is played."""
        file = self.root / SANDBOX_FILE
        status = read_json(file, SANDBOX_FILE).get("status", OPEN) if file.exists() else OPEN
        return None if status == OPEN else str(status)

    def deploy(self, table: str) -> Deploy:
        """The live release of a derived table's transform; a harmless one where none is recorded.

        Raises:
            Damaged: a sandbox, which always has a record of its deploys, lacks it.
        """
        recorded = self._deploys().get(table, {})
        return Deploy(**{name: value for name, value in recorded.items() if name != RELEASE})

    def code_version(self, table: str) -> str:
        """Names the live release of a derived table's transform: what Dagster calls the asset's code version.

        Raises:
            Damaged: a sandbox, which always has a record of its deploys, lacks it.
        """
        return f"r{self._deploys().get(table, {}).get(RELEASE, FIRST_RELEASE)}"

    def set_deploys(self, deploys: Mapping[str, Deploy]) -> None:
        """Record the releases that are live from now on; of a table that is not named, the harmless one.

        A transform that becomes another is another release, also where it goes back to what it was.
        """
        before = self._deploys() if (self.root / DEPLOYS).exists() else {}
        body = {}
        for table in sorted({*before, *deploys}):
            deploy = deploys.get(table, Deploy()).to_dict()
            recorded = {**Deploy().to_dict(), RELEASE: FIRST_RELEASE, **before.get(table, {})}
            number = int(recorded.pop(RELEASE))
            body[table] = {**deploy, RELEASE: number + (deploy != recorded)}
        write_json(self.root / DEPLOYS, body)

    @contextmanager
    def steady(self) -> Iterator[None]:
        """What this thread asks of the lakes' folders inside the block is asked once: see `Lake.steady`."""
        with self.lake.steady(), self.published.steady():
            yield

    def _deploys(self) -> Mapping[str, Mapping[str, Any]]:
        file = self.root / DEPLOYS
        if not file.exists() and not (self.root / SANDBOX_FILE).exists():
            return {}
        recorded: Mapping[str, Mapping[str, Any]] = read_json(file, DEPLOYS)
        return recorded

    def close(self) -> None:
        """Forget what was read; whoever else has it open, as the UI of an episode that is played, reads it anew."""
        self.lake.close()
        self.published.close()


# All that somebody holds, so that those who act in one folder always share one object; and the newest few, for runs
# outside a sandbox, of which every asset asks anew.
_WORKSPACES: WeakValueDictionary[Path, Workspace] = WeakValueDictionary()
_NEWEST: deque[Workspace] = deque(maxlen=4)
_LOCK = threading.Lock()


def workspace_at(root: Path) -> Workspace:
    """The workspace in a folder; one object a folder and process, so that everyone shares its caches."""
    root = Path(root).resolve()
    with _LOCK:
        workspace = _WORKSPACES.get(root)
        if workspace is None:
            workspace = Workspace(root, Lake(root / "lake"), Landing(root / "landing"), Lake(root / "published"))
            _WORKSPACES[root] = workspace
            _NEWEST.append(workspace)
        return workspace


def workspace_of(instance: dg.DagsterInstance, task: str) -> Workspace:
    """The workspace that a task's assets live in, on a Dagster instance.

    A sandbox's own Dagster home decides; then `MARIO_SANDBOX`; else (`dagster dev` in a fresh checkout) a workspace
    for each task inside the Dagster home.

    Args:
        task: the task's slug, the first part of its asset keys.
    """
    home = Path(instance.root_directory)
    # Either file tells a sandbox: the first is a copy, and may be gone.
    if (home.parent / SANDBOX_FILE).exists() or (home.parent / DEPLOYS).exists():
        return workspace_at(home.parent)
    named = os.environ.get(SANDBOX_VARIABLE)
    if named:
        if not (Path(named) / SANDBOX_FILE).exists():
            raise FileNotFoundError(f"{SANDBOX_VARIABLE}={named} is no sandbox: it holds no {SANDBOX_FILE}")
        return workspace_at(Path(named))
    return workspace_at(home / "mario" / task)


def lake_name(key: dg.AssetKey, partition: str | None = None) -> str:
    """A table's name in the lake: its asset key, and the partition as a folder of its own."""
    return "/".join((*key.path, partition) if partition else key.path)
