"""Cheats measured: each played on the same incidents as the gold plan, and what it came to.

In: tasks, splits and seeds. Out: `Attempt`s, gold's and every cheat's, as they are done.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import as_completed
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from mario_dagster.catalog import SPLITS, Split, tasks
from mario_dagster.catalog import task as find_task

from .proofs import WORTH_A_PROCESS, scratch_home, workers

GOLD = "gold"
# Returns are sums of rounded rewards.
SLACK = 1e-9


@dataclass(frozen=True)
class Trial:
    """One incident that every cheat has a go at; its seed draws the profile."""

    task: str
    split: Split
    seed: int


@dataclass(frozen=True)
class Attempt:
    """What one player made of one incident.

    Args:
        won: the episode counts as solved, or a trick worked that no score shows.
        total: sum of rewards, those of steps after the end included.
        score: the true one at the end.
        how: why the episode ended, or the trick, or how the cheat itself broke.
        needed: it won, and every act of the gold plan was among its own: the incident happened to need just that.
    """

    player: str
    trial: Trial
    profile: str
    won: bool
    total: float
    score: float
    steps: int
    how: str
    needed: bool = False


def trials(task: str | None, seeds: int, first_seed: int = 0, splits: Sequence[Split] = SPLITS) -> list[Trial]:
    """Every incident to be tried, the longest first. Raises `UnknownName` when there is no such task."""
    asked = tasks() if task is None else (find_task(task),)
    return [
        Trial(each.slug, split, seed)
        for each in sorted(asked, key=lambda one: -one.max_steps)
        for split in splits
        for seed in range(first_seed, first_seed + seeds)
    ]


def attempt_all(wanted: Sequence[Trial], processes: bool = True) -> Iterator[list[Attempt]]:
    """Gold's and each cheat's attempt at each incident, an incident at a time, as they are done."""
    with scratch_home() as root:
        if len(wanted) < WORTH_A_PROCESS or not processes:
            yield from (attempt(trial, root) for trial in wanted)
            return
        with workers() as pool:
            futures = [pool.submit(attempt, trial, root) for trial in wanted]
            yield from (future.result() for future in as_completed(futures))


def attempt(trial: Trial, root: Path) -> list[Attempt]:
    """Gold, then every cheat, each in an episode of its own on one incident."""
    from mario_dagster.sandbox.home import Home

    from . import exploits
    from .game import EXPLOITS, Exploit

    assert exploits
    home = Home(root / f"{os.getpid()}")
    made = [_play(trial, each, home) for each in (Exploit(GOLD, _gold, False, False), *EXPLOITS.values())]
    home.prune(keep=0, templates=True)
    return made


def _gold(game: Any) -> None:
    """What undoes the incident, and waits where it is right to hold back: the honest counterpart of them all."""
    from mario_dagster.env.actions import Move

    from .orders import to_the_end

    gold = [Move.from_dict(step) for step in game.episode.sandbox.vault.gold]
    for move in to_the_end(game.task, gold):
        game.send(move)


def _play(trial: Trial, exploit: Any, home: Any) -> Attempt:
    """One episode, to its end or to where the cheat leaves it."""
    from mario_dagster.env.episode import Episode
    from mario_dagster.env.options import reset_options

    from .game import Game, GameOver

    options = reset_options({"task": trial.task, "split": trial.split, "seed": trial.seed})
    episode = Episode.start(options, home=home)
    try:
        game = Game(episode, home, exploit.kept(episode.task))
        broke = ""
        try:
            exploit.cheat(game)
        except GameOver:
            pass
        except Exception as error:
            broke = f"{type(error).__name__}: {error}"[:300]
        _end(game, exploit)
        return _outcome(trial, exploit.name, game, broke)
    finally:
        episode.close()
        home.remove(episode.id)


def _end(game: Any, exploit: Any) -> None:
    from mario_dagster.env.actions import Move

    from .game import ACTION_IDS

    closing = [*(["refresh_downstream_assets"] if exploit.refreshes else []), "commit_changes"]
    for name in closing if exploit.commits else ():
        move = Move(ACTION_IDS[name])
        if not game.seen["done"] and move.action.applies_to(game.task):
            game.insist(move)


def _outcome(trial: Trial, player: str, game: Any, broke: str) -> Attempt:
    told = game.episode.summary()
    score = game.episode.sandbox.grade().score
    # Rewards that the journal does not hold were paid after the end.
    paid = game.total - game.episode.standing().total_reward
    trick = game.trick or ("was paid after the end" if abs(paid) > SLACK else "")
    how = broke or trick or told["done_reason"] or "left open"
    won = bool(told["success"] or trick)
    needed = won and not trick and _gold_acts(game) <= _done_acts(game)
    return Attempt(player, trial, game.profile, won, round(game.total, 6), score, told["steps"], how, needed)


def _gold_acts(game: Any) -> set[str]:
    """Acts of the gold plan, each with the table it is for."""
    from mario_dagster.env.actions import Move

    active, acts = game.task.main_table.name, set()
    for step in game.episode.sandbox.vault.gold:
        move = Move.from_dict(step)
        if move.action.name == "inspect_schema":
            active = move.target_column or active
        else:
            acts.add(_act(move.to_dict(), active))
    return acts


def _done_acts(game: Any) -> set[str]:
    """Acts that were played and done, each with the table it was for."""
    lines = [line for line in game.episode.sandbox.steps if line.get("status") == "done"]
    return {_act(line["action"], line["table"]) for line in lines}


def _act(fields: Mapping[str, Any], table: str) -> str:
    from mario_dagster.env.actions import REPAIRS

    # A repair is one table's; all other acts are the pipeline's.
    return f"{table if fields['action_id'] in REPAIRS else ''} {sorted(fields.items())}"


# --- what it comes to -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Standing:
    """A player's attempts at one task, added up."""

    player: str
    task: str
    plays: int
    wins: int
    mean_return: float
    mean_score: float


def standings(attempts: Iterable[Attempt]) -> list[Standing]:
    """Per player and task, gold first, then in order of registration."""
    groups: dict[tuple[str, str], list[Attempt]] = {}
    for each in attempts:
        groups.setdefault((each.player, each.trial.task), []).append(each)
    return [
        Standing(
            player,
            task,
            len(group),
            sum(each.won for each in group),
            round(fmean(each.total for each in group), 4),
            round(fmean(each.score for each in group), 4),
        )
        for (player, task), group in groups.items()
    ]


def failures(attempts: Sequence[Attempt]) -> list[str]:
    """What must not be: a cheat that wins, earns what gold earns or breaks, or a gold plan that does not win."""
    found = []
    for each in attempts:
        where = f"{each.trial.task}/{each.profile}/{each.trial.split}/seed {each.trial.seed}"
        if each.won != (each.player == GOLD):
            why = "the incident needs just what it played" if each.needed else each.how
            found.append(f"{each.player} {'wins' if each.won else 'does not win'} at {where}: {why}")
        elif ": " in each.how:
            found.append(f"{each.player} broke at {where}: {each.how}")
    table = standings(attempts)
    gold: Mapping[str, float] = {each.task: each.mean_return for each in table if each.player == GOLD}
    found += [
        f"{each.player} earns {each.mean_return} at {each.task}, gold {gold[each.task]}"
        for each in table
        if each.player != GOLD and each.mean_return >= gold[each.task]
    ]
    return found
