"""How players do: every policy on every profile, `python -m mario_dagster.bench.sweep`.

In: policies, tasks, splits, seeds. Out: a table of success, score and return by task and profile, as Markdown or JSON,
and the gap between profiles that were there to train on and those held out. Each episode is played in a sandbox of its
own, through the same `Episode` that the server plays.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import warnings
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean

WORKERS = 2


@dataclass(frozen=True)
class Case:
    """One episode to be played."""

    policy: str
    task: str
    profile: str
    split: str
    held_out: bool
    seed: int


@dataclass(frozen=True)
class Played:
    """One episode as it ended: score is the true, raw one."""

    case: Case
    success: bool
    score: float
    episode_return: float
    steps: int
    done_reason: str


def cases(policies: Sequence[str], tasks: Sequence[str], seeds: Iterable[int]) -> list[Case]:
    """Every policy on every profile of every split it is drawn in."""
    from mario_dagster.incidents.profiles import profiles

    drawn = [each for task in tasks for each in profiles(task) if not each.options.get("by_name_only")]
    return [
        Case(policy, each.task, each.name, split, each.held_out, seed)
        for policy in policies
        for each in drawn
        for split in each.splits
        for seed in seeds
    ]


def play_case(case: Case) -> Played:
    """Play one episode in a throw-away home."""
    import os

    from mario_dagster.env.options import reset_options
    from mario_dagster.env.players import play

    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as home:
        os.environ["MARIO_HOME"] = home
        options = {"task": case.task, "profile": case.profile, "split": case.split, "seed": case.seed}
        told = play(case.policy, reset_options(options))
    return Played(
        case,
        bool(told["success"]),
        float(told["score"]),
        float(told["return"]),
        int(told["steps"]),
        told["done_reason"],
    )


def summary(plays: Sequence[Played]) -> dict[str, float]:
    """Means over episodes."""
    return {
        "episodes": len(plays),
        "success": fmean(each.success for each in plays),
        "score": fmean(each.score for each in plays),
        "return": fmean(each.episode_return for each in plays),
        "steps": fmean(each.steps for each in plays),
    }


def markdown(plays: Sequence[Played], seeds: Sequence[int]) -> str:
    """The tables of docs/baselines.md."""
    lines = [
        "# Baselines",
        "",
        "Made by `python -m mario_dagster.bench.sweep`. Means over seeds "
        f"{', '.join(map(str, seeds))}; score is the true score at the end, whatever the feedback was.",
        "",
        "| policy | task | profile | split | success | score | return | steps |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    groups = dict.fromkeys((c.policy, c.task, c.profile, c.split) for c in (each.case for each in plays))
    for group in groups:
        chosen = [p for p in plays if (p.case.policy, p.case.task, p.case.profile, p.case.split) == group]
        found = summary(chosen)
        lines.append(
            f"| {' | '.join(group)} | {found['success']:.0%} | {found['score']:.3f} | {found['return']:+.2f} "
            f"| {found['steps']:.1f} |"
        )
    lines += ["", "| policy | task | train | held out | gap in success |", "| --- | --- | --- | --- | --- |"]
    for policy, task in dict.fromkeys((each.case.policy, each.case.task) for each in plays):
        mine = [each for each in plays if (each.case.policy, each.case.task) == (policy, task)]
        train = [each for each in mine if each.case.split == "train"]
        held = [each for each in mine if each.case.held_out]
        if not train or not held:
            continue
        one, two = summary(train), summary(held)
        lines.append(
            f"| {policy} | {task} | {one['success']:.0%} at {one['score']:.3f} "
            f"| {two['success']:.0%} at {two['score']:.3f} "
            f"| {one['success'] - two['success']:+.0%} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    from mario_dagster.catalog import task, tasks

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--policies", nargs="+", default=["heuristic", "random"])
    parser.add_argument("--tasks", nargs="+", default=[each.slug for each in tasks()])
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--markdown", type=Path, help="write the tables to this file")
    parser.add_argument("--json", type=Path, help="write every episode to this file")
    arguments = parser.parse_args()
    todo = cases(arguments.policies, [task(name).slug for name in arguments.tasks], arguments.seeds)
    with ProcessPoolExecutor(WORKERS) as pool:
        plays = []
        for place, played in enumerate(pool.map(play_case, todo), 1):
            plays.append(played)
            sys.stderr.write(f"\r{place}/{len(todo)} {played.case.policy} {played.case.profile}".ljust(100))
    sys.stderr.write("\n")
    text = markdown(plays, arguments.seeds)
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(each) for each in plays], indent=1) + "\n")
    if arguments.markdown:
        arguments.markdown.write_text(text)
    else:
        sys.stdout.write(text)


if __name__ == "__main__":
    main()
