"""Where sandboxes live: `$MARIO_HOME/<id>/`, their truth stores beside them, and templates of incidents already lived.

In: an environment variable or a path. Out: folders, listed, pruned and swept; ids, checked. One sandbox whose files are
damaged says so in the list, and is in nobody's way.
"""

from __future__ import annotations

import fcntl
import re
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from mario_dagster.core.errors import Damaged, StorageError, UnknownName
from mario_dagster.core.files import OPEN, SANDBOX_FILE, file_trouble, read_json, write_json
from mario_dagster.core.places import home_folder, trouble, truth_folder
from mario_dagster.runtime.database import DATABASE, Database
from mario_dagster.scoring.truth import TruthStore

from .journal import lines_of

ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
TEMPLATES, MAKING = ".templates", ".making"
DAMAGED = "damaged"
# Where a sandbox stands in the order of all, newest first: when it was made, and its id.
Place = tuple[str, str]
_PARTIAL = re.compile(r"\.(?:[A-Za-z0-9_-]+\.[0-9a-f]{8})")


class InvalidId(ValueError):
    """A sandbox id that could not be a folder's name."""


class SandboxExists(ValueError):
    """An id that is taken: a sandbox is never overwritten."""


@dataclass(frozen=True)
class SandboxInfo:
    """What a sandbox's folder says of itself; nothing of the truth store.

    Args:
        status: `open`, or the reason its episode is over.
        steps: actions taken so far.
        via: the way it is played (`ws`, `http`, `local`); a request without an id can only mean an `http` one.
    """

    id: str
    task: str
    split: str
    seed: int
    scale: int
    feedback: str
    created_at: str
    status: str = OPEN
    steps: int = 0
    via: str = "local"

    def save(self, root: Path) -> None:
        with file_trouble(SANDBOX_FILE, writing=True):
            write_json(root / SANDBOX_FILE, asdict(self))

    @classmethod
    def load(cls, root: Path) -> SandboxInfo:
        """What a sandbox's file says; where it is damaged, what its journal says, which the file is a copy of.

        Raises:
            Damaged: both are.
            Unavailable: they are out of reach for now.
        """
        try:
            with file_trouble(SANDBOX_FILE):
                return cls(**read_json(root / SANDBOX_FILE, SANDBOX_FILE))
        except Damaged:
            return _restored(root)

    @property
    def damaged(self) -> bool:
        """Whether the sandbox cannot be opened as it is."""
        return self.status == DAMAGED

    @property
    def place(self) -> Place:
        return self.created_at, self.id


@dataclass(frozen=True)
class Home:
    """The folder that holds sandboxes. Their truth is in `$MARIO_TRUTH`, else in a folder of its own beside them."""

    root: Path

    @classmethod
    def default(cls) -> Home:
        return cls(home_folder())

    def sandbox(self, id: str) -> Path:
        """Folder of a sandbox, there or not. Raises `InvalidId` for what could not be one's name."""
        return self.root / check_id(id)

    def truth_store(self, id: str) -> Path:
        return truth_folder(self.root) / check_id(id)

    def template(self, key: str) -> Path:
        return self.root / TEMPLATES / key

    def exists(self, id: str) -> bool:
        """Whether there is a sandbox of that id, whole or not. Raises `Unavailable` where the home cannot be read."""
        folder = self.sandbox(id)
        with file_trouble("home"):
            return folder.is_dir()

    def require(self, id: str) -> Path:
        """Folder of a sandbox that is there. Raises `UnknownName` when there is none."""
        folder = self.sandbox(id)
        if not self.exists(id):
            raise UnknownName("sandbox", id, [info.id for info in self.sandboxes()][:8])
        return folder

    def sandboxes(self) -> list[SandboxInfo]:
        """Every sandbox, newest first."""
        return [self._looked_into(info) for info in self._told()]

    def page(
        self, limit: int, after: Place | None = None, wanted: Callable[[SandboxInfo], bool] = lambda info: True
    ) -> tuple[list[SandboxInfo], bool]:
        """So many sandboxes, newest first, and whether there are more; of all others only the short file is read.

        Args:
            after: begin behind this place.
            wanted: which of them, by what their files say.
        """
        told = [info for info in self._told() if wanted(info) and (after is None or info.place < after)]
        return [self._looked_into(info) for info in told[:limit]], len(told) > limit

    def latest(self) -> SandboxInfo | None:
        """The sandbox made last."""
        return next(iter(self.sandboxes()), None)

    def prune(
        self, *, keep: int | None = None, older_than: timedelta | None = None, templates: bool = False
    ) -> list[str]:
        """Delete sandboxes with their truth: all but the newest `keep`, and of those only what is older than a span.

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
        self.sweep()
        return doomed

    def remove(self, id: str) -> None:
        """Delete a sandbox and its truth store; one that is half deleted is no sandbox any more."""
        folder = self.sandbox(id)
        doomed = folder.with_name(partial_name(id))
        try:
            folder.rename(doomed)
        except OSError:
            doomed = folder
        shutil.rmtree(doomed, ignore_errors=True)
        shutil.rmtree(self.truth_store(id), ignore_errors=True)

    @contextmanager
    def making(self) -> Iterator[None]:
        """While something is half made inside the block, nobody sweeps it away."""
        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root / MAKING).open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH)
            yield

    def sweep(self) -> list[str]:
        """Delete what killed processes left half made or half deleted; nothing while anybody is making something.

        Returns:
            Names of the folders deleted.
        """
        if not self.root.is_dir():
            return []
        with (self.root / MAKING).open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return []
            truth_stores = truth_folder(self.root)
            left = [each for place in (self.root, self.root / TEMPLATES, truth_stores) for each in _partial(place)]
            if truth_stores.parent == self.root and truth_stores.is_dir():
                # A truth store comes before its sandbox and goes after it.
                left += [
                    each for each in truth_stores.iterdir() if not (self.root / each.name).exists() and each not in left
                ]
            for folder in left:
                shutil.rmtree(folder, ignore_errors=True)
        return sorted(folder.name for folder in left)

    def check(self, id: str) -> None:
        """A short look at a sandbox's main files: `mario sandboxes check` reads everything.

        Raises:
            Damaged: one is missing, or is not what was written.
            Unavailable: one is out of reach for now.
        """
        root = self.sandbox(id)
        SandboxInfo.load(root)
        _check_database(root / "dagster" / DATABASE)
        TruthStore(self.truth_store(id)).check()

    def diagnosis(self, id: str) -> str | None:
        """What that look finds wrong with a sandbox; None where nothing is."""
        try:
            self.check(id)
        except StorageError as error:
            return str(error)
        return None

    def trouble(self) -> Mapping[str, str]:
        """What is wrong with the home itself: place -> in words. Empty when sandboxes can be made and played."""
        return trouble(self.root)

    def _told(self) -> list[SandboxInfo]:
        """What every sandbox's own file says, newest first."""
        with file_trouble("home"):
            return sorted(self._infos(), key=lambda info: info.place, reverse=True)

    def _infos(self) -> Iterator[SandboxInfo]:
        if not self.root.is_dir():
            return
        for folder in self.root.iterdir():
            if not ID.fullmatch(folder.name) or not folder.is_dir():
                continue
            with suppress(FileNotFoundError):  # deleted meanwhile
                yield _info(folder)

    def _looked_into(self, info: SandboxInfo) -> SandboxInfo:
        return info if self.diagnosis(info.id) is None else replace(info, status=DAMAGED)


def _info(folder: Path) -> SandboxInfo:
    try:
        return SandboxInfo.load(folder)
    except StorageError:
        made = datetime.fromtimestamp(folder.stat().st_mtime, UTC).isoformat()
        return SandboxInfo(folder.name, "", "", 0, 0, "", made, DAMAGED)


def mended_info(root: Path, lines: Sequence[Mapping[str, Any]], info: SandboxInfo) -> SandboxInfo:
    """A sandbox's file brought to what its journal says."""
    told = replace(info, steps=len(lines) - 1, status=lines[-1].get("done_reason") or OPEN)
    if told != info:
        with suppress(StorageError):
            told.save(root)
    return told


def partial_name(id: str) -> str:
    """What a folder is called while it is half made or half deleted."""
    return f".{id}.{secrets.token_hex(4)}"


def _partial(folder: Path) -> list[Path]:
    return [each for each in folder.iterdir() if _PARTIAL.fullmatch(each.name)] if folder.is_dir() else []


def _restored(root: Path) -> SandboxInfo:
    """A sandbox's file written anew from its journal."""
    _check_database(root / "dagster" / DATABASE)
    lines = lines_of(root)
    if not lines:
        raise Damaged(f"{SANDBOX_FILE} is missing or not what was written, and nothing was played that would tell")
    first = lines[0]
    made = datetime.fromtimestamp(root.stat().st_mtime, UTC).isoformat()
    fields = {name: first[name] for name in ("task", "split", "seed", "scale", "feedback", "via")}
    info = SandboxInfo(id=root.name, created_at=made, **fields)
    return mended_info(root, lines, replace(info, steps=-1))


def _check_database(path: Path) -> None:
    """That a file is a SQLite database as long as its first page says."""
    database = Database(str(path))
    try:
        database.glance()
    finally:
        database.dispose()


def check_id(id: Any) -> str:
    """The id, when it can be a folder's name and nothing else."""
    if not isinstance(id, str) or not ID.fullmatch(id):
        raise InvalidId(
            f"'{str(id)[:80]}' is no id: 1 to 64 letters, digits, '_' and '-', beginning with a letter or digit"
        )
    return id
