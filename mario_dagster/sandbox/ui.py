"""The Dagster UI of a sandbox: its own pipeline, live, and repairs by hand where they are allowed.

In: a sandbox's id. Out: an ASGI app on what is on disk; any process can serve it, whoever plays the episode. What a
person launches is kept together as a step is: a process that dies in the middle of it leaves nothing behind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from dagster import DagsterRun
from starlette.types import Receive, Scope, Send

from mario_dagster import definitions
from mario_dagster.assets.incident import PAGE, PAGE_MARKER, incident_key
from mario_dagster.core.errors import Refused, StorageError
from mario_dagster.core.files import OPEN
from mario_dagster.core.registry import task
from mario_dagster.core.run_tags import PHASE, PREFIX
from mario_dagster.engine.acts import require_repairs
from mario_dagster.runtime.instance import SandboxInstance, close_instance, open_instance
from mario_dagster.runtime.queries import disown
from mario_dagster.runtime.served import Launching
from mario_dagster.runtime.storage import require_slots
from mario_dagster.runtime.ui import SandboxUI
from mario_dagster.scoring.truth import TruthStore

from .create import DAGSTER_HOME
from .home import Home, SandboxInfo
from .journal import Journal
from .lease import Leases
from .sandbox import Sandbox

LOOK_ONLY = "Look only: whoever serves this UI did not allow repairs (--allow-repair)."
OVER = "The episode is over ({status}): this is how it ended."
BACKFILL_SECONDS = 10.0


def _nothing(*_: object) -> None:
    """Tells nobody."""


class OpenUI:
    """One sandbox's UI, open: an ASGI app that knows the path it is served under.

    Args:
        prefix: that path, as "/ui/some-id"; "" is the root.
        allow_repair: whether runs can be launched while the episode is under way.
        on_run_finished: told the id of each run that was launched here, once it is committed.

    Raises:
        InvalidId, UnknownName: there is no sandbox of that id.
        Damaged, Unavailable: it cannot be opened.
    """

    def __init__(
        self,
        id: str,
        *,
        home: Home | None = None,
        prefix: str = "",
        allow_repair: bool = False,
        on_run_finished: Callable[[str], None] = _nothing,
    ):
        home = home or Home.default()
        self._root = home.require(id)
        self.info = SandboxInfo.load(self._root)
        self.read_only = _read_only(self.info, allow_repair)
        self._task = task(self.info.task)
        self._sandbox: Sandbox | None = None
        repository = definitions.repository_of(self._task.slug)
        launching = Launching()
        if self.read_only is None:
            self._sandbox = Sandbox(self._root, TruthStore(home.truth_store(id)))
            self._instance: SandboxInstance = self._sandbox.instance
            launching = Launching(self._before_launch, self._before_pool, on_run_finished, self._acting)
        else:
            self._instance = open_instance(self._root / DAGSTER_HOME)
        self._ui = SandboxUI(
            repository,
            self._instance,
            prefix=prefix,
            read_only=self.read_only,
            launching=launching,
            live={PAGE_MARKER: self._page},
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._ui(scope, receive, send)

    @property
    def stale(self) -> bool:
        """Whether the episode has ended since this was opened for repairs, or is gone: open it anew, or not at all."""
        try:
            gone = not self._root.is_dir()
            return gone or (self.read_only is None and SandboxInfo.load(self._root).status != self.info.status)
        except StorageError:
            return True

    def close(self) -> None:
        """Let go of files and connections, once backfills that are under way have come to their end."""
        self._ui.workspace.join_backfills(BACKFILL_SECONDS)
        if self._sandbox is not None:
            self._sandbox.close()
        else:
            close_instance(self._instance)

    def _page(self) -> str:
        """The incident's page as it was told last; empty where nobody has looked at the episode yet."""
        event = self._instance.get_latest_materialization_event(incident_key(self._task))
        told = event.asset_materialization.metadata.get(PAGE) if event and event.asset_materialization else None
        return str(told.value) if told else ""

    # --- what a repair by hand may do ---------------------------------------------------------------------------------

    def _before_launch(self, run: DagsterRun) -> None:
        status = SandboxInfo.load(self._root).status
        if status != OPEN:
            raise Refused(OVER.format(status=status))
        if self._published():
            raise Refused(OVER.format(status="published"))
        # A run that is executed again has the tags of the first, and is still a person's.
        disown(self._instance.database, run.run_id, PREFIX)
        assert self._sandbox is not None
        require_repairs(self._sandbox.pipeline, run)

    def _published(self) -> bool:
        """Whether the tables were published since the incident, though nobody has written that down yet."""
        assert self._sandbox is not None
        release = self._sandbox.release()
        run = None if release is None else self._instance.get_run_by_id(release.run_id)
        return run is not None and PHASE not in run.tags

    def _before_pool(self, pool: str, slots: int) -> None:
        if pool != self._task.pool:
            raise Refused(f"no pool '{pool}' takes part in this pipeline; its own is {self._task.pool or 'none'}")
        require_slots(pool, slots)

    @contextmanager
    def _acting(self) -> Iterator[None]:
        """What a person does, together or not at all, with a lease that tells of whoever dies in the middle."""
        assert self._sandbox is not None
        sandbox = self._sandbox
        leases = Leases(sandbox.root, Journal(sandbox.root, sandbox.instance.database))
        try:
            with sandbox.look():
                leases.take(len(sandbox.steps))
                yield
                leases.settle()
        except BaseException:
            # Table versions that belong to no run any more are taken back.
            with suppress(StorageError), sandbox.look():
                pass
            raise


def _read_only(info: SandboxInfo, allow_repair: bool) -> str | None:
    if info.status != OPEN:
        return OVER.format(status=info.status)
    return None if allow_repair else LOOK_ONLY
