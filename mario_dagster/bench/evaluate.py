"""How players do: every policy on every profile, `python -m mario_dagster.bench.evaluate`.

In: policies, tasks, splits, seeds. Out: tables of success, score and return, as Markdown or JSON: what a policy reaches
on incidents to train on, on others, and on families held out, with the gap between; and the same by profile. Each
episode is played in a sandbox of its own, through the same `Episode` that the server plays.
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
TRAIN, EVAL, HELD_OUT = "train", "eval", "held out"
# What an incident is to a policy: of the kind that it was there to learn from, or not.
GROUNDS = (TRAIN, EVAL, HELD_OUT)
GAP_HEAD = (
    "",
    "## The gap",
    "",
    "`train` is what a policy may learn from; `eval` draws other data, and profiles that combine what train has anew;",
    "`held out` families have names, spellings and look-alike columns that no train incident has.",
    "",
    f"| policy | task | {' | '.join(GROUNDS)} | gap, train to held out |",
    "| --- | --- | --- | --- | --- | --- |",
)
PROFILE_HEAD = (
    "",
    "## By profile",
    "",
    "`guessed` are cells whose value was nowhere any more, and that were filled; they neither earn nor cost.",
    "",
    "| policy | task | profile | ground | success | score | return | steps | guessed |",
    "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
)


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
    """One episode as it ended.

    Args:
        score: the true one, as it is shown: 0.99 at the most.
        guessed_cells: cells whose value was nowhere any more and that were filled all the same.
    """

    case: Case
    success: bool
    score: float
    episode_return: float
    steps: int
    done_reason: str
    guessed_cells: int = 0


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
        int(told["guessed_cells"]),
    )


def summary(plays: Sequence[Played]) -> dict[str, float]:
    """Means over episodes."""
    return {
        "episodes": len(plays),
        "success": fmean(each.success for each in plays),
        "score": fmean(each.score for each in plays),
        "return": fmean(each.episode_return for each in plays),
        "steps": fmean(each.steps for each in plays),
        "guessed_cells": fmean(each.guessed_cells for each in plays),
    }


def grounds(plays: Sequence[Played]) -> dict[str, list[Played]]:
    """Plays by the ground they were played on; a ground that nobody played on is left out."""
    found: dict[str, list[Played]] = {}
    for ground in GROUNDS:
        for each in plays:
            if ground == _ground(each.case):
                found.setdefault(ground, []).append(each)
    return found


def _ground(case: Case) -> str:
    return HELD_OUT if case.held_out else case.split


def gap(plays: Sequence[Played]) -> float | None:
    """By how much the share of successes in train exceeds that on held-out families; None without both."""
    found = grounds(plays)
    if TRAIN not in found or HELD_OUT not in found:
        return None
    return summary(found[TRAIN])["success"] - summary(found[HELD_OUT])["success"]


def markdown(plays: Sequence[Played], seeds: Sequence[int]) -> str:
    """The tables of docs/baselines.md."""
    policies = list(dict.fromkeys(each.case.policy for each in plays))
    tasks = list(dict.fromkeys(each.case.task for each in plays))
    lines = [*_preamble(policies, seeds, len(plays)), *GAP_HEAD]
    for policy in policies:
        mine = [each for each in plays if each.case.policy == policy]
        lines += [_gap_line(policy, task, [each for each in mine if each.case.task == task]) for task in tasks]
        lines.append(_gap_line(f"**{policy}**", "**all**", mine))
    lines += PROFILE_HEAD
    groups: dict[tuple[str, ...], list[Played]] = {}
    for each in plays:
        case = each.case
        groups.setdefault((case.policy, case.task, case.profile, _ground(case)), []).append(each)
    lines += [_line(group, summary(chosen)) for group, chosen in groups.items()]
    return "\n".join(lines) + "\n"


def _preamble(policies: Sequence[str], seeds: Sequence[int], episodes: int) -> list[str]:
    command = f"--policies {' '.join(policies)} --seeds {' '.join(map(str, seeds))}"
    return [
        "# Baselines",
        "",
        f"Made with `python -m mario_dagster.bench.evaluate {command}`: every policy on every profile of",
        f"every split it is drawn in, {episodes} episodes in all. The score is the true one at the end, whatever the",
        "feedback was, and 0.99 at the most.",
    ]


def _gap_line(policy: str, task: str, plays: Sequence[Played]) -> str:
    found, between = grounds(plays), gap(plays)
    cells = [_share(found[ground]) if ground in found else "" for ground in GROUNDS]
    return f"| {policy} | {task} | {' | '.join(cells)} | {'' if between is None else f'{between:+.0%}'} |"


def _share(plays: Sequence[Played]) -> str:
    """Successes of episodes, and the mean score."""
    found, won = summary(plays), sum(each.success for each in plays)
    return f"{won} of {len(plays)} ({found['success']:.0%}), score {found['score']:.2f}"


def _line(group: Sequence[str], found: dict[str, float]) -> str:
    return (
        f"| {' | '.join(group)} | {found['success']:.0%} | {found['score']:.3f} | {found['return']:+.2f} "
        f"| {found['steps']:.1f} | {found['guessed_cells']:.1f} |"
    )


def main() -> None:
    from mario_dagster.core.registry import task, tasks

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
    for policy in arguments.policies:
        between = gap([each for each in plays if each.case.policy == policy])
        sys.stderr.write(
            f"{policy}: gap in success, train to held out: {'-' if between is None else f'{between:+.0%}'}\n"
        )
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(each) for each in plays], indent=1) + "\n")
    if arguments.markdown:
        arguments.markdown.write_text(text)
    else:
        sys.stdout.write(text)


if __name__ == "__main__":
    main()
