"""Incidents lived once and cloned from then on.

In: a recipe (task, profile, split, seed, scale). Out: a sandbox folder and its vault. Tables and landing files never
change in place, so a clone links to the template's files and copies only what is written to: the database and small
JSON.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import secrets
import shutil
import threading
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from mario_dagster import definitions
from mario_dagster.catalog import FEEDBACKS, SPLITS, Split, UnknownName, task
from mario_dagster.catalog.plugins import sources
from mario_dagster.incidents.compiler import compile_incident
from mario_dagster.incidents.profiles import choose

from .creation import live
from .home import Home, SandboxExists, SandboxInfo, check_id
from .strike import twins
from .vault import Vault

SALT_VARIABLE = "MARIO_EVAL_SALT"
TEMPLATE_ID, LOCK = "template", ".lock"
_BUILDING = threading.Lock()


@dataclass(frozen=True)
class Recipe:
    """Everything that decides an incident."""

    task: str
    profile: str
    split: Split
    seed: int
    scale: int
    salt: str

    @classmethod
    def of(cls, task_reference: object, *, profile: str | None, split: str, seed: int, scale: int) -> Recipe:
        """The recipe that these names mean; the seed draws the profile where none is named.

        Raises:
            UnknownName: no such task, split or profile.
            ValueError: seed or scale is out of range.
        """
        found = task(task_reference)
        if split not in SPLITS:
            raise UnknownName("split", split, SPLITS)
        if seed < 0:
            raise ValueError(f"seed must be 0 or more, not {seed}")
        if scale < 1:
            raise ValueError(f"scale must be 1 or more, not {scale}")
        salt = os.environ.get(SALT_VARIABLE, "") if split == "eval" else ""
        name = choose(found, split, seed, profile, salt).name
        return cls(found.slug, name, split, seed, scale, salt)

    def info(self, id: str, feedback: str | None = None) -> SandboxInfo:
        """What a sandbox of this recipe says of itself when it is new."""
        return SandboxInfo(
            id=id,
            task=self.task,
            split=self.split,
            seed=self.seed,
            scale=self.scale,
            feedback=feedback or ("truth" if self.split == "train" else "checks"),
            created_at=datetime.now(UTC).isoformat(),
        )

    @property
    def key(self) -> str:
        """Names the template; changes with the recipe and with the code that lives it."""
        body = json.dumps(asdict(self), sort_keys=True) + code_fingerprint()
        return hashlib.sha256(body.encode()).hexdigest()[:24]


@cache
def code_fingerprint() -> str:
    """Changes with any source file of the package or of a plugin: no template outlives the code that made it."""
    package = Path(__file__).resolve().parent.parent
    own = [path for path in sorted(package.rglob("*.py")) if "env" not in path.relative_to(package).parts[:1]]
    digest = hashlib.sha256()
    for path in (*own, *sources()):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def instantiate(home: Home, recipe: Recipe, *, id: str | None, feedback: str | None) -> SandboxInfo:
    """A new sandbox of a recipe on disk, lived through first where no template of it exists."""
    if feedback is not None and feedback not in FEEDBACKS:
        raise UnknownName("feedback", feedback, FEEDBACKS)
    id = check_id(id) if id is not None else f"{recipe.task}-{secrets.token_hex(6)}"
    if home.exists(id):
        raise SandboxExists(
            f"sandbox '{id}' exists already: choose another id, or delete it with `mario sandboxes prune`"
        )
    template = home.template(recipe.key)
    if not template.is_dir():
        # One at a time: living an incident through is all CPU, and the next caller likely wants the same one.
        with _BUILDING:
            if not template.is_dir():
                build(home, recipe, template)
    info = recipe.info(id, feedback)
    clone_folder(template / "sandbox", template / "vault", home, info)
    return info


def build(home: Home, recipe: Recipe, template: Path) -> None:
    """Live an incident through, and keep the result; another process that was faster wins."""
    found = task(recipe.task)
    incident = compile_incident(
        recipe.task, recipe.profile, split=recipe.split, seed=recipe.seed, scale=recipe.scale, salt=recipe.salt
    )
    partial = template.with_name(f".{template.name}.{secrets.token_hex(4)}")
    try:
        (partial / "sandbox").mkdir(parents=True, mode=0o755)
        # Whoever runs an asset knows a sandbox's world by this file.
        recipe.info(TEMPLATE_ID).save(partial / "sandbox")
        live(incident, found, partial / "sandbox")
        Vault(partial / "vault").seal(incident, twins(incident, found, definitions.pipeline(found).transforms))
        os.chmod(partial, 0o700)
        if not template.is_dir():
            os.rename(partial, template)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def clone_folder(sandbox: Path, vault: Path, home: Home, info: SandboxInfo) -> None:
    """Copy a sandbox folder and its vault under a new id; atomic: both are there whole, or neither.

    Raises:
        SandboxExists: the id was taken meanwhile.
    """
    target, sealed = home.sandbox(info.id), home.vault(info.id)
    mark = f".{info.id}.{secrets.token_hex(4)}"
    open_copy, sealed_copy = target.with_name(mark), sealed.with_name(mark)
    home.root.mkdir(parents=True, exist_ok=True)
    try:
        shutil.copytree(sandbox, open_copy, copy_function=_link_or_copy)
        info.save(open_copy)
        shutil.copytree(vault, sealed_copy, copy_function=_link_or_copy)
        os.chmod(sealed_copy, 0o700)
        # Of several that want one id, in this process or others, one gets it.
        with (home.root / LOCK).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if target.exists():
                raise SandboxExists(f"sandbox '{info.id}' exists already")
            shutil.rmtree(sealed, ignore_errors=True)
            os.rename(sealed_copy, sealed)
            os.rename(open_copy, target)
    finally:
        shutil.rmtree(open_copy, ignore_errors=True)
        shutil.rmtree(sealed_copy, ignore_errors=True)


def _link_or_copy(source: str, target: str) -> str:
    """Link what never changes in place; copy what does."""
    if source.endswith((".db", ".db-wal", ".db-shm", ".jsonl", ".yaml")):
        return str(shutil.copyfile(source, target))
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
    return target
