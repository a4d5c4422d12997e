"""How fast and how large: `mario bench speed`. Medians of one run; ratios carry over to other machines, times do not.

In: nothing but this machine. Out: what was measured, beside its target. The stock row does the same repair with
`DagsterInstance.local_temp()` storages, in the same process, in turn with ours. Memory takes psutil: the `dev` extra.
"""

from __future__ import annotations

import gc
import os
import shutil
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg

from mario_dagster import definitions
from mario_dagster.checks.audit import preload
from mario_dagster.core.action import READS, REPAIRS, Action, ActionId
from mario_dagster.core.registry import tasks
from mario_dagster.env.episode import Episode
from mario_dagster.env.options import reset_options
from mario_dagster.policies.heuristic import HeuristicPolicy
from mario_dagster.sandbox.home import Home
from mario_dagster.tables.content_cache import CONTENT_CACHE, budget

from .watched import UIS, loss, post

ROUNDS = 15


@dataclass(frozen=True)
class Row:
    """One measurement.

    Args:
        target: the most it may be, in `unit`; for a ratio the least.
    """

    what: str
    value: float
    unit: str
    target: float | None = None

    @property
    def met(self) -> bool | None:
        if self.target is None:
            return None
        return self.value >= self.target if self.unit == "x" else self.value <= self.target


@dataclass(frozen=True)
class Bench:
    """A home to measure in, by a process that has loaded everything.

    Args:
        large: scale of the large tables.
    """

    root: Path
    home: Home
    large: int

    @classmethod
    def warm(cls, root: Path, large: int) -> Bench:
        """One in a folder, with everything loaded."""
        bench = cls(root, Home(root / "home"), large)
        preload()
        bench.start(1).close()
        return bench

    def start(self, seed: int, task: str = "temporal", scale: int = 1) -> Episode:
        """An episode that has been reset and has answered; the caller closes it."""
        episode = Episode.start(reset_options({"task": task, "seed": seed, "scale": scale}), home=self.home)
        episode.reply()
        return episode


def milliseconds(act: Callable[[], Any]) -> float:
    begun = time.perf_counter()
    act()
    return (time.perf_counter() - begun) * 1000


def median(act: Callable[[], Any], rounds: int = ROUNDS) -> float:
    return statistics.median(milliseconds(act) for _ in range(rounds))


# --- resets -----------------------------------------------------------------------------------------------------------


def resets(bench: Bench) -> Iterator[Row]:
    firsts = [milliseconds(lambda seed=seed: bench.start(seed).close()) for seed in range(100, 105)]  # type: ignore[misc]
    yield Row("reset, an incident lived for the first time", statistics.median(firsts), "ms", 400)
    yield Row("reset, an incident lived before", median(lambda: bench.start(100).close()), "ms", 25)


# --- steps ------------------------------------------------------------------------------------------------------------


def steps(bench: Bench) -> Iterator[Row]:
    """A mutating step, the Dagster run in it, and the same run on stock storage."""
    episode = bench.start(101)
    swap = _swap(episode)
    # Not counted: what a first step loads. Two swaps leave the table as it was.
    _played(episode, swap, 2)
    step, stock_run = _steps_beside_stock(episode, swap, _stock(episode, bench.root / "stock"))
    run = statistics.median(milliseconds(_only_run(episode.sandbox, swap[n % 2])) for n in range(ROUNDS + 1))
    yield Row("mutating step: run, checks, signals, observation", step, "ms", 60)
    yield Row("  of which the Dagster run", run, "ms")
    yield Row("  the same run on stock storage", stock_run, "ms")
    yield Row("  run: stock / ours", stock_run / run, "x", 6)
    yield Row("  whole step: stock / ours", (stock_run + step - run) / step, "x", 6)
    yield Row("late in an episode / early", statistics.median(_played(episode, swap, 10)) / step, "ratio")
    episode.close()


def reading_step(bench: Bench) -> Iterator[Row]:
    reader = bench.start(102)
    yield Row("reading step", median(lambda: reader.step(Action(ActionId.SAMPLE_DATA)), 9), "ms", 2)
    reader.close()


def mix(bench: Bench) -> Iterator[Row]:
    """CPU of the mutating steps that the heuristic plays, a task a row: what players do, not one cheap action."""
    for task in tasks():
        taken = []
        for seed in (101, 102):
            episode = bench.start(seed, task.slug)
            policy = HeuristicPolicy()
            policy.begin(seed)
            while not (told := episode.newest().observation)["done"]:
                action = policy.choose(dict(told))
                begun = time.process_time()
                episode.step(action)
                if action.id not in READS and action.id is not ActionId.COMMIT_CHANGES:
                    taken.append((time.process_time() - begun) * 1000)
            episode.close()
        what = f"mutating steps of the heuristic, {task.slug}: CPU, mean of {len(taken)}"
        yield Row(what, statistics.mean(taken), "ms")


def _played(episode: Episode, swap: Sequence[Action], steps: int) -> list[float]:
    """Milliseconds of so many steps, the two of a swap in turn."""
    return [milliseconds(lambda n=n: episode.step(swap[n % 2])) for n in range(steps)]  # type: ignore[misc]


def _steps_beside_stock(episode: Episode, swap: Sequence[Action], stock: Callable[[int], None]) -> tuple[float, float]:
    """Milliseconds of a step, and of the run on stock storage, taken in turn; the table is left as it was."""
    ours, stocks = [], []
    for number in range(ROUNDS):
        ours.append(milliseconds(lambda n=number: episode.step(swap[n % 2])))  # type: ignore[misc]
        stocks.append(milliseconds(lambda n=number: stock(n)))  # type: ignore[misc]
    if ROUNDS % 2:
        episode.step(swap[1])
    return statistics.median(ours), statistics.median(stocks)


def _swap(episode: Episode) -> tuple[Action, Action]:
    """A rename, and the rename back: a real repair that can be made as often as one likes."""
    name = str(episode.sandbox.table("source_orders").columns[0])
    return Action.named("rename_column", name, "swapped"), Action.named("rename_column", "swapped", name)


def _only_run(sandbox: Any, repair: Action) -> Callable[[], None]:
    def run() -> None:
        with sandbox.instance.database.transaction():
            sandbox.repair("source_orders", repair, {"mario/actor": "bench"})

    return run


def _stock(episode: Episode, root: Path) -> Callable[[int], None]:
    """The same repair of the same tables on Dagster's own storages, in a copy of the sandbox."""
    shutil.copytree(episode.sandbox.root, root)
    shutil.rmtree(root / "dagster")
    (root / "dagster").mkdir()
    instance = dg.DagsterInstance.local_temp(str(root / "dagster"), overrides={"telemetry": {"enabled": False}})
    job = definitions.job("temporal_repair_source_orders")
    swap = _swap(episode)

    def run(number: int) -> None:
        config = {"ops": {"temporal__source_orders": {"config": swap[number % 2].to_config()}}}
        quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
        assert job.execute_in_process(run_config={**quiet, **config}, instance=instance).success

    run(0)
    run(1)
    return run


# --- commits and memory -----------------------------------------------------------------------------------------------


def commits(bench: Bench) -> Iterator[Row]:
    """Commits of a repaired pipeline, each in an episode of its own."""
    taken = []
    for seed in (100, 101, 102):
        episode = bench.start(seed)
        *repairs, commit = _solution(episode)
        for repair in repairs:
            episode.step(repair)
        taken.append(milliseconds(lambda e=episode, c=commit: e.step(c)))  # type: ignore[misc]
        episode.close()
    yield Row("commit with the Great Expectations audit", statistics.median(taken), "ms", 130)


def memory(bench: Bench) -> Iterator[Row]:
    yield _memory("memory a sitting session adds", lambda: bench.start(100), 20, 3)


def _solution(episode: Episode) -> list[Action]:
    return [Action.from_dict(fields) for fields in episode.sandbox.truth_store.solution]


def _memory(what: str, start: Callable[[], Episode], sessions: int, target: float) -> Row:
    """What each further open episode adds to this process."""
    import psutil

    process = psutil.Process()
    episodes = [start()]
    gc.collect()
    before = process.memory_info().rss
    episodes += [start() for _ in range(sessions)]
    gc.collect()
    after = process.memory_info().rss
    for episode in episodes:
        episode.close()
    return Row(what, (after - before) / sessions / 2**20, "MiB", target)


# --- large tables -----------------------------------------------------------------------------------------------------


def large_repair(bench: Bench) -> Iterator[Row]:
    """One repair of a table of 150 rows times scale."""
    episode = bench.start(100, scale=bench.large)
    solution = _solution(episode)
    refresh = next(n for n, action in enumerate(solution) if action.id is ActionId.REFRESH_DOWNSTREAM_ASSETS)
    for action in solution[:refresh]:
        if action.id in (ActionId.SCALE_RECOVERY_WORKERS_UP, ActionId.REPLAY_PRIORITY_BATCH):
            episode.step(action)
    repair = next(action for action in solution if action.id in REPAIRS)
    rows = len(episode.sandbox.table("source_orders"))
    taken = milliseconds(lambda: episode.sandbox.repair("source_orders", repair, {}))
    episode.close()
    yield Row(f"one repair at scale {bench.large} ({rows:,} rows)", taken, "ms", 1000)


def largest_task(bench: Bench) -> Iterator[Row]:
    """The task with the largest tables, 600 orders times scale: its repairs, its commit, what sessions of it hold."""

    def start() -> Episode:
        return bench.start(1, task="referential", scale=bench.large)

    episode = start()
    solution = _solution(episode)
    size = f"referential at scale {bench.large} ({len(episode.sandbox.table('orders')):,} orders)"
    taken = [(act.id, milliseconds(lambda act=act: episode.step(act))) for act in solution]  # type: ignore[misc]
    episode.close()
    yield Row(f"slowest repair of {size}", max(ms for action, ms in taken if action in REPAIRS), "ms", 1000)
    yield Row("  its commit with the audit", taken[-1][1], "ms", 3000)
    yield _memory("  memory a sitting session of it adds", start, 4, 20)
    yield Row("  kept of tables, by all sessions", CONTENT_CACHE.held / 2**20, "MiB", budget() / 2**20)


# --- start-ups --------------------------------------------------------------------------------------------------------

_MARIO = (sys.executable, "-m", "mario_dagster.cli")


def start_ups(bench: Bench) -> Iterator[Row]:
    """Commands and servers, from the outside."""
    for words in (["--help"], ["tasks"], ["tasks", "--profiles"]):
        run = [*_MARIO, *words]
        taken = median(lambda run=run: subprocess.run(run, check=True, capture_output=True), 5)  # type: ignore[misc]
        yield Row(f"mario {' '.join(words)}", taken, "ms", 400)
    with _server(bench.root / "served") as (server, url, ready):
        yield Row("server ready", ready, "ms", 2_500)
        yield Row("memory of a server that holds an episode of every task", _playing(server.pid, url), "MiB", 400)


def uis(bench: Bench) -> Iterator[Row]:
    """What it costs a player that people watch."""
    with _server(bench.root / "watched") as (_, url, _ready):
        share, opened = loss(url)
    yield Row(f"steps a second with {UIS} UIs open / with none", share, "x", 0.9)
    yield Row("a UI that nobody had open answers a page", opened, "ms", 300)


@contextmanager
def _server(home: Path) -> Iterator[tuple[subprocess.Popen[bytes], str, float]]:
    """A server, its address, and the milliseconds from its start to its first answer.

    Raises:
        RuntimeError: it ended, or took more than a minute.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"
    begun = time.perf_counter()
    server = subprocess.Popen(
        [*_MARIO, "serve", "--host", "127.0.0.1", "--port", url.rpartition(":")[2]],
        env={**os.environ, "MARIO_HOME": str(home)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait(server, url)
        yield server, url, (time.perf_counter() - begun) * 1000
    finally:
        server.terminate()
        server.wait(timeout=30)


def _wait(server: subprocess.Popen[bytes], url: str) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until and server.poll() is None:
        try:
            urllib.request.urlopen(f"{url}/health", timeout=1)
            return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError("the server did not answer: `mario serve` says why")


def _playing(pid: int, url: str) -> float:
    """MiB of a server's memory after an episode of every task was begun, and looked at."""
    import psutil

    for task in tasks():
        post(url, "/reset", {"task": task.slug, "seed": 1, "episode_id": task.slug})
        post(url, "/step", {"action_id": 0, "episode_id": task.slug})
    return float(psutil.Process(pid).memory_info().rss) / 2**20


# In this order: a reset that lives its incident for the first time would find it lived by those that come after.
MEASUREMENTS: tuple[Callable[[Bench], Iterator[Row]], ...] = (
    start_ups,
    resets,
    steps,
    mix,
    reading_step,
    commits,
    memory,
    uis,
)
LARGE: tuple[Callable[[Bench], Iterator[Row]], ...] = (large_repair, largest_task)
