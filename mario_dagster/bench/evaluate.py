"""How players do: every policy on every profile, `mario bench evaluate`.

In: policies, tasks, splits, seeds. Out: tables of success, score and return, as Markdown: what a policy reaches on
incidents to train on, on others, and on families held out, with the gap between; and the same by profile. Each episode
is played in a sandbox of its own, through the same `Episode` that the server plays.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean

from .proofs import workers

CONFIDENCE = 0.95
TRAIN, EVAL, HELD_OUT = "train", "eval", "held out"
# What an incident is to a policy: of the kind that it was there to learn from, or not.
GROUNDS = (TRAIN, EVAL, HELD_OUT)
GAP_COLUMNS = ("policy", "task", *GROUNDS, "gap, train to held out")
GAP_HEAD = (
    "",
    "## The gap",
    "",
    "`train` is what a policy may learn from; `eval` draws other data, and profiles that combine what train has anew;",
    "`held out` families have names, spellings and look-alike columns that no train incident has.",
    "",
)
PROFILE_HEAD = (
    "",
    "## By profile",
    "",
    "`guessed` are cells whose value was nowhere any more, and that were filled; they neither earn nor cost.",
    "",
)
PROFILE_COLUMNS = ("policy", "task", "profile", "ground", "success", "score", "return", "steps", "guessed")


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
    from mario_dagster.env.options import reset_options
    from mario_dagster.env.players import play

    with tempfile.TemporaryDirectory() as home:
        os.environ["MARIO_HOME"] = home
        options = {"task": case.task, "profile": case.profile, "split": case.split, "seed": case.seed}
        summary = play(case.policy, reset_options(options))
    return Played(
        case,
        bool(summary["success"]),
        float(summary["score"]),
        float(summary["return"]),
        int(summary["steps"]),
        summary["done_reason"],
        int(summary["guessed_cells"]),
    )


def play_all(wanted: Sequence[Case]) -> Iterator[Played]:
    """The episodes, played by a few processes, in the order asked for."""
    with workers() as pool:
        yield from pool.map(play_case, wanted)


def success_interval(plays: Sequence[Played]) -> tuple[float, float]:
    """Wilson's interval of the share of successes, at 95 %: what so few episodes leave open."""
    from scipy.stats import binomtest

    found = binomtest(sum(play.success for play in plays), len(plays)).proportion_ci(CONFIDENCE, method="wilson")
    return float(found.low), float(found.high)


def success_rate(plays: Sequence[Played]) -> str:
    """The share of successes with its interval: `75%, 30 to 95`."""
    low, high = success_interval(plays)
    return f"{summary(plays)['success']:.0%}, {100 * low:.0f} to {100 * high:.0f}"


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


def markdown(plays: Sequence[Played], seeds: range) -> str:
    """The tables of docs/baselines.md."""
    lines = [*_preamble(_policies(plays), seeds, len(plays)), *GAP_HEAD, *_table(GAP_COLUMNS, gap_rows(plays, "**"))]
    return "\n".join([*lines, *PROFILE_HEAD, *_table(PROFILE_COLUMNS, profile_rows(plays))]) + "\n"


def gap_rows(plays: Sequence[Played], strong: str = "") -> Iterator[tuple[str, ...]]:
    """By policy and task, then by policy, what was reached on which ground, under `GAP_COLUMNS`.

    Args:
        strong: what to put before and after a policy's own line.
    """
    tasks = list(dict.fromkeys(play.case.task for play in plays))
    for policy in _policies(plays):
        mine = [play for play in plays if play.case.policy == policy]
        for task in tasks:
            yield _gap_row(policy, task, [play for play in mine if play.case.task == task])
        yield _gap_row(f"{strong}{policy}{strong}", f"{strong}all{strong}", mine)


def profile_rows(plays: Sequence[Played]) -> Iterator[tuple[str, ...]]:
    """The same by profile, under `PROFILE_COLUMNS`."""
    groups: dict[tuple[str, ...], list[Played]] = {}
    for play in plays:
        case = play.case
        groups.setdefault((case.policy, case.task, case.profile, _ground(case)), []).append(play)
    for group, chosen in groups.items():
        means = summary(chosen)
        figures = (
            f"{means['score']:.3f}",
            f"{means['return']:+.2f}",
            f"{means['steps']:.1f}",
            f"{means['guessed_cells']:.1f}",
        )
        yield *group, success_rate(chosen), *figures


def _policies(plays: Sequence[Played]) -> list[str]:
    return list(dict.fromkeys(play.case.policy for play in plays))


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(row)} |" for row in (columns, ("---",) * len(columns), *rows)]


def _preamble(policies: Sequence[str], seeds: range, episodes: int) -> list[str]:
    chosen = " ".join(f"--policy {policy}" for policy in policies)
    command = f"mario bench evaluate {chosen} --seeds {len(seeds)} --first-seed {seeds.start} --markdown"
    return [
        "# Baselines",
        "",
        f"Made with `{command}`:",
        f"every policy on every profile of every split it is drawn in, {episodes} episodes in all. The score is the",
        "true one at the end, whatever the feedback was, and 0.99 at the most. In brackets: the share of successes and",
        f"its interval by Wilson at {CONFIDENCE:.0%}, which is wide where a profile was played a few times only.",
    ]


def _gap_row(policy: str, task: str, plays: Sequence[Played]) -> tuple[str, ...]:
    by_ground, between = grounds(plays), gap(plays)
    cells = (_share(by_ground[ground]) if ground in by_ground else "" for ground in GROUNDS)
    return policy, task, *cells, "" if between is None else f"{between:+.0%}"


def _share(plays: Sequence[Played]) -> str:
    """Successes of episodes, and the mean score."""
    means, won = summary(plays), sum(play.success for play in plays)
    return f"{won} of {len(plays)} ({success_rate(plays)}), score {means['score']:.2f}"
