"""Incidents lived once and cloned from then on.

In: a recipe (task, profile, split, seed, scale). Out: a sandbox folder and its truth store, with the first line of its
journal in it, whole or absent. Nothing is shared with the template: what damages one sandbox damages no other. A
template that is not what was written is lived anew.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import secrets
import shutil
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from mario_dagster import definitions
from mario_dagster.core.entry_points import sources
from mario_dagster.core.errors import Damaged, UnknownName
from mario_dagster.core.files import digest_of, file_trouble, read_json, write_json
from mario_dagster.core.registry import task
from mario_dagster.core.task import FEEDBACKS, SPLITS, Split, Task
from mario_dagster.incidents.compile import Incident, compile_incident
from mario_dagster.incidents.profiles import choose
from mario_dagster.inject.redelivery import reference_tables
from mario_dagster.runtime.database import DATABASE, Database
from mario_dagster.scoring.truth import TruthStore

from .create import DAGSTER_HOME, lived, opening
from .home import Home, SandboxExists, SandboxInfo, check_id, partial_name
from .journal import Journal, Line
from .lease import LEASE

SALT_VARIABLE = "MARIO_EVAL_SALT"
TEMPLATE_ID, LOCK = "template", ".lock"
SANDBOX, TRUTH, OPENING, CHECKSUMS = "sandbox", "truth", "opening.json", "checksums.json"
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

    def info(self, id: str, feedback: str | None = None, via: str = "local") -> SandboxInfo:
        """What a sandbox of this recipe says of itself when it is new."""
        return SandboxInfo(
            id=id,
            task=self.task,
            split=self.split,
            seed=self.seed,
            scale=self.scale,
            feedback=feedback or ("truth" if self.split == "train" else "checks"),
            created_at=datetime.now(UTC).isoformat(),
            via=via,
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


def instantiate(home: Home, recipe: Recipe, *, id: str | None, feedback: str | None, via: str) -> SandboxInfo:
    """A new sandbox of a recipe on disk, lived through first where no template of it exists, or it is damaged."""
    if feedback is not None and feedback not in FEEDBACKS:
        raise UnknownName("feedback", feedback, FEEDBACKS)
    id = check_id(id) if id is not None else f"{recipe.task}-{secrets.token_hex(6)}"
    if home.exists(id):
        raise SandboxExists(
            f"sandbox '{id}' exists already: choose another id, or delete it with `mario sandboxes prune`"
        )
    template, info = home.template(recipe.key), recipe.info(id, feedback, via)
    while True:
        if not template.is_dir():
            # One at a time: living an incident through is all CPU, and the next caller likely wants the same one.
            with _BUILDING:
                if not template.is_dir():
                    build(home, recipe, template)
        try:
            from_template(template, home, info)
            return info
        except Damaged:
            with suppress(FileNotFoundError):
                template.rename(template.with_name(partial_name(template.name)))
            home.sweep()


def build(home: Home, recipe: Recipe, template: Path) -> None:
    """Live an incident through, and keep the result with its checksums; another process that was faster wins."""
    found = task(recipe.task)
    incident = compile_incident(
        recipe.task, recipe.profile, split=recipe.split, seed=recipe.seed, scale=recipe.scale, salt=recipe.salt
    )
    partial = template.with_name(partial_name(template.name))
    with home.making():
        try:
            live_and_seal(incident, found, recipe.info(TEMPLATE_ID), partial)
            with_checksums(partial)
            if not template.is_dir():
                os.rename(partial, template)
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def live_and_seal(incident: Incident, found: Task, info: SandboxInfo, folder: Path) -> None:
    """A sandbox in which an incident has struck, its truth store, and what its episode's first line will say."""
    root, truth_store = folder / SANDBOX, TruthStore(folder / TRUTH)
    root.mkdir(parents=True, mode=0o755)
    # Whoever runs an asset knows a sandbox by this file.
    info.save(root)
    with lived(incident, found, root) as (workspace, instance):
        truth_store.seal(incident, reference_tables(incident, found, definitions.pipeline(found).transforms))
        write_json(folder / OPENING, opening(workspace, instance, found, truth_store))


def from_template(template: Path, home: Home, info: SandboxInfo) -> None:
    """A new sandbox of a template: every file its own, and checked on the way.

    Raises:
        Damaged: the template is not what was written.
        SandboxExists: the id was taken meanwhile.
    """
    sums = read_json(template / CHECKSUMS, CHECKSUMS)
    with _arriving(home, info) as (root, truth_store):
        made: set[str] = set()
        for name, expected in sums.items():
            kind, _, inside = name.partition("/")
            if kind in (SANDBOX, TRUTH):
                _copy_checked(
                    template / name, os.path.join(root if kind == SANDBOX else truth_store, inside), expected, made
                )
        first = first_line(read_json(template / OPENING, OPENING), info)
        _begin(root, info, first)


def clone_folder(sandbox: Path, truth_store: Path, home: Home, info: SandboxInfo) -> None:
    """Copy a sandbox folder and its truth store as they stand under a new id; both are there whole, or neither.

    Raises:
        SandboxExists: the id was taken meanwhile.
    """
    with _arriving(home, info) as (root, sealed):
        shutil.copytree(sandbox, root, dirs_exist_ok=True, copy_function=shutil.copyfile)
        shutil.copytree(truth_store, sealed, dirs_exist_ok=True, copy_function=shutil.copyfile)
        _begin(root, info, None)


def first_line(told: Mapping[str, Any], info: SandboxInfo) -> Line:
    """The first line of an episode's journal, from what its template tells of the incident."""
    return {
        "kind": "reset",
        "episode_id": info.id,
        "task": info.task,
        "seed": info.seed,
        "split": info.split,
        "scale": info.scale,
        "feedback": info.feedback,
        "via": info.via,
        "score": told["scores"][info.feedback],
        **{name: value for name, value in told.items() if name != "scores"},
    }


@contextmanager
def _arriving(home: Home, info: SandboxInfo) -> Iterator[tuple[Path, Path]]:
    """Folders for a sandbox and its truth to be made in; at the end of the block they get their names, both or none."""
    target, sealed = home.sandbox(info.id), home.truth_store(info.id)
    mark = partial_name(info.id)
    root, truth_store = target.with_name(mark), sealed.with_name(mark)
    with home.making():
        try:
            root.mkdir(parents=True)
            truth_store.mkdir(parents=True, mode=0o700)
            yield root, truth_store
            # Of several that want one id, in this process or others, one gets it.
            with (home.root / LOCK).open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                if target.exists():
                    raise SandboxExists(f"sandbox '{info.id}' exists already")
                shutil.rmtree(sealed, ignore_errors=True)
                os.rename(truth_store, sealed)
                os.rename(root, target)
        finally:
            shutil.rmtree(root, ignore_errors=True)
            shutil.rmtree(truth_store, ignore_errors=True)


def _begin(root: Path, info: SandboxInfo, first: Line | None) -> None:
    """Give a copied sandbox its own name, and its journal a first line, or its own name in the one that it has."""
    (root / LEASE).unlink(missing_ok=True)
    database = Database(str(root / DAGSTER_HOME / DATABASE))
    try:
        journal = Journal(root, database)
        with database.transaction():
            if first is not None:
                journal.record(first)
            elif lines := journal.lines():
                journal.amend(0, {**lines[0], "episode_id": info.id})
                journal.mend()
    finally:
        database.dispose()
    info.save(root)


def _copy_checked(source: Path, target: str, expected: str, made: set[str]) -> None:
    name = source.name
    with file_trouble(name):
        data = source.read_bytes()
    if digest_of(data) != expected:
        raise Damaged(f"{name} is not what was written: its checksum differs")
    with file_trouble(name, writing=True):
        folder = os.path.dirname(target)
        if folder not in made:
            os.makedirs(folder, exist_ok=True)
            made.add(folder)
        with open(target, "xb", buffering=0) as file:
            file.write(data)


def with_checksums(folder: Path) -> Path:
    """A folder made by `live_and_seal` as a template, which only its owner may read."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    write_json(folder / CHECKSUMS, {str(path.relative_to(folder)): digest_of(path.read_bytes()) for path in files})
    os.chmod(folder, 0o700)
    return folder
