"""Where sandboxes live: `$MARIO_HOME/<id>/`, their vaults beside them, and templates of incidents already lived.

In: an environment variable or a path. Out: folders, listed and pruned; ids, checked.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from mario_dagster.assets.landing import replace_file
from mario_dagster.assets.world import SANDBOX_FILE
from mario_dagster.catalog import UnknownName

from .vault import Vault

HOME_VARIABLE, VAULT_VARIABLE = "MARIO_HOME", "MARIO_VAULT"
DEFAULT_HOME = ".mario"
ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
VAULTS, TEMPLATES = ".vault", ".templates"


class InvalidId(ValueError):
    """A sandbox id that could not be a folder's name."""


class SandboxExists(ValueError):
    """An id that is taken: a sandbox is never overwritten."""


@dataclass(frozen=True)
class SandboxInfo:
    """What a sandbox's folder says of itself; nothing of the vault.

    Args:
        status: `open`, or the reason its episode is over.
        steps: actions taken so far.
    """

    id: str
    task: str
    split: str
    seed: int
    scale: int
    feedback: str
    created_at: str
    status: str = "open"
    steps: int = 0

    def save(self, root: Path) -> None:
        replace_file(root / SANDBOX_FILE, json.dumps(asdict(self), indent=1).encode())

    @classmethod
    def load(cls, root: Path) -> SandboxInfo:
        return cls(**json.loads((root / SANDBOX_FILE).read_text()))


@dataclass(frozen=True)
class Home:
    """The folder that holds sandboxes. Vaults are kept in `$MARIO_VAULT`, else in a folder of their own beside them."""

    root: Path

    @classmethod
    def default(cls) -> Home:
        return cls(Path(os.environ.get(HOME_VARIABLE) or DEFAULT_HOME).resolve())

    def sandbox(self, id: str) -> Path:
        """Folder of a sandbox, there or not. Raises `InvalidId` for what could not be one's name."""
        return self.root / check_id(id)

    def vault(self, id: str) -> Path:
        return vault_folder(self.root) / check_id(id)

    def template(self, key: str) -> Path:
        return self.root / TEMPLATES / key

    def exists(self, id: str) -> bool:
        return (self.sandbox(id) / SANDBOX_FILE).exists()

    def require(self, id: str) -> Path:
        """Folder of a sandbox that is there. Raises `UnknownName` when there is none."""
        folder = self.sandbox(id)
        if not (folder / SANDBOX_FILE).exists():
            raise UnknownName("sandbox", id, [info.id for info in self.sandboxes()][:8])
        return folder

    def sandboxes(self) -> list[SandboxInfo]:
        """Every sandbox, newest first."""
        found = list(self._infos())
        return sorted(found, key=lambda info: (info.created_at, info.id), reverse=True)

    def latest(self) -> SandboxInfo | None:
        """The sandbox made last."""
        return next(iter(self.sandboxes()), None)

    def prune(
        self, *, keep: int | None = None, older_than: timedelta | None = None, templates: bool = False
    ) -> list[str]:
        """Delete sandboxes with their vaults: all but the newest `keep`, and of those only what is older than a span.

        Returns:
            The ids deleted. With neither bound given nothing is deleted but, when asked for, the templates.
        """
        doomed: list[str] = []
        if keep is not None or older_than is not None:
            for place, info in enumerate(self.sandboxes()):
                age = datetime.now(UTC) - datetime.fromisoformat(info.created_at)
                if (keep is None or place >= keep) and (older_than is None or age > older_than):
                    doomed.append(info.id)
        for id in doomed:
            self.remove(id)
        if templates:
            shutil.rmtree(self.root / TEMPLATES, ignore_errors=True)
        return doomed

    def remove(self, id: str) -> None:
        shutil.rmtree(self.sandbox(id), ignore_errors=True)
        shutil.rmtree(self.vault(id), ignore_errors=True)

    def _infos(self) -> Iterator[SandboxInfo]:
        if not self.root.is_dir():
            return
        for folder in self.root.iterdir():
            if ID.fullmatch(folder.name) and (folder / SANDBOX_FILE).exists():
                yield SandboxInfo.load(folder)


def check_id(id: Any) -> str:
    """The id, when it can be a folder's name and nothing else."""
    if not isinstance(id, str) or not ID.fullmatch(id):
        raise InvalidId(
            f"'{str(id)[:80]}' is no id: 1 to 64 letters, digits, '_' and '-', beginning with a letter or digit"
        )
    return id


def vault_folder(root: Path) -> Path:
    named = os.environ.get(VAULT_VARIABLE)
    return Path(named).resolve() if named else root / VAULTS


def vault_of(sandbox: Path) -> Vault | None:
    """The vault of a sandbox folder; None where no incident has struck."""
    vault = Vault(vault_folder(sandbox.parent) / sandbox.name)
    return vault if vault.exists() else None
