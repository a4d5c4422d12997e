"""`mario bench speed`, `ablation`, `variety`, `diversity`: figures about this package, as tables or JSON.

In: how much is to be measured. Out: a table, with targets where there are some; for `diversity` a status.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from .console import mark, out, print_json, print_table, required, tracked, working

if TYPE_CHECKING:
    from mario_dagster.bench.diversity import Census, Played
    from mario_dagster.bench.speed import Row
    from mario_dagster.core.task import Task


def run_speed(large: int, as_json: bool) -> None:
    """Measure, and show each row beside its target."""
    required("psutil")
    with working("Loading Dagster"):
        from mario_dagster.bench.speed import LARGE, MEASUREMENTS, Bench
    wanted = (*MEASUREMENTS, *(LARGE if large else ()))
    with tempfile.TemporaryDirectory(prefix="mario-") as folder:
        bench = Bench.warm(Path(folder), large)
        measured = (list(measure(bench)) for measure in wanted)
        rows = [row for group in tracked("Measuring", measured, len(wanted), still=True) for row in group]
    if as_json:
        print_json([{**asdict(row), "met": row.met} for row in rows])
        return
    print_table(
        ("what", "measured", "target", ""),
        ((row.what, f"{row.value:,.1f} {row.unit}", _bound(row), mark(row.met, "met", "missed")) for row in rows),
        right=("measured", "target"),
    )


def _bound(row: Row) -> str:
    return "" if row.target is None else f"{'≥' if row.unit == 'x' else '≤'} {row.target:g} {row.unit}"


def run_ablation(rounds: int, seed: int, as_json: bool) -> None:
    """Measure a step with Dagster's own functions in place of ours."""
    with working("Loading Dagster"):
        from mario_dagster.bench import ablation
        from mario_dagster.sandbox.home import Home
    with tempfile.TemporaryDirectory(prefix="mario-") as folder:
        measured = ablation.measure(Home(Path(folder)), rounds, seed)
        rows = ablation.rows(tracked("Playing", measured, len(ablation.TASKS), still=True))
    if as_json:
        print_json([{**asdict(row), "saved": row.saved} for row in rows])
        return
    figures = ("ours", "Dagster's own", "saved")
    print_table(
        ("taken out", "functions restated", *figures, ""),
        (
            (
                row.name,
                row.restates or "",
                *(f"{value:.1f}" for value in (row.ours, row.stock, row.saved)),
                mark(row.worth_it, "worth it", "not worth it"),
            )
            for row in rows
        ),
        right=("functions restated", *figures),
    )
    out().print("CPU ms a mutating step", markup=False)


def run_variety(seeds: int, slugs: Sequence[str] | None, as_json: bool) -> None:
    """Compile the first seeds of every family, and show how they vary."""
    from mario_dagster.bench.variety import families, variety

    wanted = families(chosen_tasks(slugs))
    found = list(tracked("Compiling", (variety(*family, seeds) for family in wanted), len(wanted)))
    if as_json:
        print_json([asdict(family) for family in found])
        return
    figures = ("covered", "plans", "longest", "steps to spare")
    print_table(
        ("profile", "split", *figures),
        (
            (
                family.profile,
                family.split,
                f"{family.covered:.2%}",
                f"{family.plans} of {family.seeds}",
                family.steps,
                family.spare,
            )
            for family in found
        ),
        right=figures,
    )


def run_diversity(
    count: int, sample: int, first_seed: int, slugs: Sequence[str] | None, solution_only: bool, as_json: bool
) -> int:
    """Count composed incidents and play some; status 0 when all that are played hold."""
    from mario_dagster.bench.diversity import census, draws, hash_all, play_all

    chosen = [task.slug for task in chosen_tasks(slugs)]
    asked, played = list(draws(count, only=chosen)), list(draws(sample, first_seed, chosen))
    counted = census(tracked("Compiling", hash_all(asked), len(asked)))
    plays = list(tracked("Proving incidents", play_all(played, solution_only), len(played)))
    failed = sorted((play for play in plays if play.wrong), key=lambda play: str(play.draw))
    if as_json:
        print_json({"census": asdict(counted), "played": len(plays), "failed": [asdict(play) for play in failed]})
    else:
        _print_census(counted, plays, failed)
    return 1 if failed else 0


def _print_census(counted: Census, plays: Sequence[Played], failed: Sequence[Played]) -> None:
    lines = (
        f"{counted.compiled} composed incidents compiled: {counted.distinct} distinct "
        f"(at least {counted.at_least} to be drawn, 95 %), "
        f"{counted.kinds} kinds (at least {counted.estimated_kinds} by Chao's estimate)",
        f"{len(plays)} played: {len(plays) - len(failed)} hold",
        *(f"{play.draw} ({', '.join(play.faults)}): {play.wrong}" for play in failed),
    )
    for line in lines:
        out().print(line, markup=False, soft_wrap=True)


def chosen_tasks(slugs: Sequence[str] | None) -> Sequence[Task]:
    """Those that are named, or all."""
    from mario_dagster.core.registry import task, tasks

    return [task(slug) for slug in slugs] if slugs else tasks()
