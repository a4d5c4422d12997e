"""The recorded cases, how each is played, and what is kept of it."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mario_dagster.core.action import Action
from mario_dagster.env.episode import Episode
from mario_dagster.env.options import reset_options
from mario_dagster.env.players import player
from mario_dagster.incidents.profiles import profiles
from mario_dagster.sandbox.home import Home

RECORD = Path(__file__).with_name("episodes.json")
TASKS = ("ingestion", "events", "referential", "incremental", "temporal")
PLAYERS = ("solution", "heuristic", "random")
PROFILES, SEED = 4, 5
Hashes = dict[str, str]


@dataclass(frozen=True)
class Case:
    """One recorded episode."""

    task: str
    profile: str
    split: str
    player: str

    @property
    def name(self) -> str:
        return f"{self.task}/{self.profile}/{self.split}/{self.player}"


def cases() -> Iterator[Case]:
    """Four families of incidents of each task, both splits among them, as each of three players plays them."""
    for task in TASKS:
        known = [*profiles(task), *profiles(task, by_name_only=True)]
        train = [each for each in known if "train" in each.splits][: PROFILES // 2]
        held_out = [each for each in known if "eval" in each.splits and each not in train][: PROFILES // 2]
        for split, chosen in (("train", train), ("eval", held_out)):
            for each in chosen:
                yield from (Case(task, each.name, split, who) for who in PLAYERS)


def play(case: Case, home: Home) -> Hashes:
    """Play a case to its end, and hash what each field said on the way."""
    told: dict[str, list[Any]] = defaultdict(list)
    options = {"task": case.task, "profile": case.profile, "split": case.split, "seed": SEED}
    episode = Episode.start(reset_options({**options, "episode_id": case.name.replace("/", "-")[:64]}), home=home)
    try:
        moves = _Moves(case.player, episode)
        observation: Mapping[str, Any] = episode.reply().observation
        while True:
            _keep(told, "observation", observation)
            _keep(told, "state", episode.state())
            if observation["done"]:
                break
            observation = episode.step(moves.send(observation)).observation
        _keep(told, "grade", episode.summary())
    finally:
        episode.close()
    return {
        "steps": str(len(told["state.step_count"])),
        **{name: _hash(values) for name, values in sorted(told.items())},
    }


class _Moves:
    """What a player does, told one observation after the other."""

    def __init__(self, who: str, episode: Episode):
        self._solution = [Action.from_dict(each) for each in episode.sandbox.vault.gold] if who == "solution" else None
        self._player = None if who == "solution" else player(who)
        if self._player is not None:
            self._player.begin(SEED)

    def send(self, observation: Mapping[str, Any]) -> Action:
        if self._solution is not None:
            # A solution that holds back has nothing more to do, and waits.
            return self._solution.pop(0) if self._solution else Action(2)
        assert self._player is not None
        return Action.from_dict(self._player.choose(observation).to_dict())


def _keep(told: dict[str, list[Any]], kind: str, fields: Mapping[str, Any]) -> None:
    for name, value in fields.items():
        told[f"{kind}.{name}"].append(value)


def _hash(values: list[Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:10]
