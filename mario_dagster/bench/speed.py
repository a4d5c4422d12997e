"""How fast and how large: `make bench`. Medians of one run on one machine; ratios carry over, milliseconds do not.

In: nothing but this machine. Out: a table (or `--json`) of what was measured beside its target. The stock row does the
same repair with `DagsterInstance.local_temp()` storages, in the same process, in turn with ours.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mario_dagster.core.action import REPAIRS, Action, ActionId

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


def milliseconds(act: Callable[[], Any]) -> float:
    begun = time.perf_counter()
    act()
    return (time.perf_counter() - begun) * 1000


def median(act: Callable[[], Any], rounds: int = ROUNDS) -> float:
    return statistics.median(milliseconds(act) for _ in range(rounds))


def measure(root: Path, large: int) -> list[Row]:
    """Every measurement that happens inside one process."""
    from mario_dagster.checks.audit import preload
    from mario_dagster.env.episode import Episode
    from mario_dagster.env.options import reset_options
    from mario_dagster.sandbox.home import Home

    home = Home(root)
    preload()
    warm = Episode.start(reset_options({"task": "temporal", "seed": 1}), home=home)
    warm.close()
    rows: list[Row] = []

    def start(seed: int) -> Episode:
        episode = Episode.start(reset_options({"task": "temporal", "seed": seed}), home=home)
        episode.reply()
        return episode

    firsts = [milliseconds(lambda seed=seed: start(seed).close()) for seed in range(100, 105)]  # type: ignore[misc]
    rows.append(Row("reset, an incident lived for the first time", statistics.median(firsts), "ms", 1500))
    rows.append(Row("reset, an incident lived before", median(lambda: start(100).close()), "ms", 60))

    episode = start(101)
    there, back = _swap(episode)
    for move in (there, back):
        episode.step(move)
    stock = _stock(episode, root / "stock")
    ours, stock_runs, runs = [], [], []
    for number in range(ROUNDS):
        move = there if number % 2 == 0 else back
        ours.append(milliseconds(lambda move=move: episode.step(move)))  # type: ignore[misc]
        stock_runs.append(milliseconds(lambda number=number: stock(number)))  # type: ignore[misc]
    if ROUNDS % 2:
        episode.step(back)
    sandbox = episode.sandbox
    for number in range(ROUNDS + 1):
        repair = there if number % 2 == 0 else back
        runs.append(milliseconds(lambda repair=repair: _only_run(sandbox, repair)))  # type: ignore[misc]
    step, run, stock_run = map(statistics.median, (ours, runs, stock_runs))
    rows.append(Row("mutating step: run, checks, signals, observation", step, "ms", 60))
    rows.append(Row("  of which the Dagster run", run, "ms"))
    rows.append(Row("  the same run on stock storage", stock_run, "ms"))
    rows.append(Row("  run: stock / ours", stock_run / run, "x", 6))
    rows.append(Row("  whole step: stock / ours", (stock_run + step - run) / step, "x", 6))
    late = [milliseconds(lambda n=n: episode.step(there if n % 2 == 0 else back)) for n in range(10)]  # type: ignore[misc]
    rows.append(Row("late in an episode / early", statistics.median(late) / step, "ratio"))
    episode.close()

    reader = start(102)
    rows.append(
        Row(
            "reading step",
            median(lambda: reader.step(Action(ActionId.SAMPLE_DATA)), 9),
            "ms",
            5,
        )
    )
    reader.close()
    rows.append(Row("commit with the Great Expectations audit", statistics.median(_commits(start)), "ms", 250))
    rows.append(_memory(start))
    if large:
        rows.append(_large(home, large))
    return rows


def _swap(episode: Any) -> tuple[Any, Any]:
    """A rename, and the rename back: a real repair that can be made as often as one likes."""

    name = str(episode.sandbox.table("source_orders").columns[0])
    return Action.named("rename_column", name, "swapped"), Action.named("rename_column", "swapped", name)


def _only_run(sandbox: Any, repair: Any) -> None:
    with sandbox.instance.database.transaction():
        sandbox.repair("source_orders", repair, {"mario/actor": "bench"})


def _stock(episode: Any, root: Path) -> Callable[[int], None]:
    """The same repair of the same tables on Dagster's own storages, in a copy of the sandbox."""
    import dagster as dg

    from mario_dagster import definitions

    shutil.copytree(episode.sandbox.root, root)
    shutil.rmtree(root / "dagster")
    (root / "dagster").mkdir()
    instance = dg.DagsterInstance.local_temp(str(root / "dagster"), overrides={"telemetry": {"enabled": False}})
    job = definitions.job("temporal_repair_source_orders")
    moves = _swap(episode)

    def run(number: int) -> None:
        config = {"ops": {"temporal__source_orders": {"config": moves[number % 2].to_config()}}}
        quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
        assert job.execute_in_process(run_config={**quiet, **config}, instance=instance).success

    run(0)
    run(1)
    return run


def _commits(start: Callable[[int], Any]) -> list[float]:
    """Commits of a repaired pipeline, each in an episode of its own."""

    taken = []
    for seed in (100, 101, 102):
        episode = start(seed)
        *repairs, commit = [Action.from_dict(each) for each in episode.sandbox.vault.gold]
        for move in repairs:
            episode.step(move)
        taken.append(milliseconds(lambda e=episode, c=commit: e.step(c)))  # type: ignore[misc]
        episode.close()
    return taken


def _memory(start: Callable[[int], Any], sessions: int = 20) -> Row:
    """What each further open episode adds to this process."""
    import psutil

    process = psutil.Process()
    held = [start(100)]
    gc.collect()
    before = process.memory_info().rss
    held += [start(100) for _ in range(sessions)]
    gc.collect()
    after = process.memory_info().rss
    for episode in held:
        episode.close()
    return Row("memory a sitting session adds", (after - before) / sessions / 2**20, "MiB", 3)


def _large(home: Any, scale: int) -> Row:
    """One repair of a table of 150 rows times scale."""
    from mario_dagster.env.episode import Episode
    from mario_dagster.env.options import reset_options

    options = reset_options({"task": "temporal", "seed": 100, "scale": scale})
    episode = Episode.start(options, home=home)
    moves = [Action.from_dict(each) for each in episode.sandbox.vault.gold]
    repairs = [move for move in moves if move.id in REPAIRS]
    for move in moves[: next(i for i, move in enumerate(moves) if move.id is ActionId.REFRESH_DOWNSTREAM_ASSETS)]:
        if move.id in (ActionId.SCALE_RECOVERY_WORKERS_UP, ActionId.REPLAY_PRIORITY_BATCH):
            episode.step(move)
    rows = len(episode.sandbox.table("source_orders"))
    taken = milliseconds(lambda: episode.sandbox.repair("source_orders", repairs[0], {}))
    episode.close()
    return Row(f"one repair at scale {scale} ({rows:,} rows)", taken, "ms", 1000)


def start_ups(root: Path) -> list[Row]:
    """Commands and servers, from the outside."""
    command = [sys.executable, "-m", "mario_dagster.cli"]
    rows = []
    for words in (["--help"], ["tasks"]):
        run = [*command, *words]
        taken = median(lambda run=run: subprocess.run(run, check=True, capture_output=True), 5)  # type: ignore[misc]
        rows.append(Row(f"mario {' '.join(words)}", taken, "ms", 400))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    begun = time.perf_counter()
    server = subprocess.Popen(
        [*command, "serve", "--host", "127.0.0.1", "--port", str(port)],
        env={**os.environ, "MARIO_HOME": str(root / "served")},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while time.perf_counter() - begun < 60 and server.poll() is None:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1)
                break
            except OSError:
                time.sleep(0.05)
        rows.append(Row("server ready", (time.perf_counter() - begun) * 1000, "ms", 10_000))
    finally:
        server.terminate()
        server.wait(timeout=30)
    return rows


def show(rows: list[Row]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("what", "measured", "target", "", title="mario bench (medians of one run)")
    for row in rows:
        bound = "" if row.target is None else f"{'≥' if row.unit == 'x' else '≤'} {row.target:g} {row.unit}"
        mark = {True: "[green]met[/]", False: "[red]missed[/]", None: ""}[row.met]
        table.add_row(row.what, f"{row.value:,.1f} {row.unit}", bound, mark)
    Console().print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--large", type=int, default=1000, help="scale of the large repair; 0 leaves it out")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        rows = [*start_ups(Path(folder)), *measure(Path(folder) / "home", arguments.large)]
    if arguments.json:
        sys.stdout.write(json.dumps([{**asdict(row), "met": row.met} for row in rows], indent=1) + "\n")
    else:
        show(rows)


if __name__ == "__main__":
    main()
