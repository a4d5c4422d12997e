"""A step looks once: what it asks of disk, database and checks is asked before and after it, and passed down."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from mario_dagster.core.action import Action, ActionId
from mario_dagster.engine import snapshot
from mario_dagster.env import episode as episode_module
from mario_dagster.env.episode import Episode
from mario_dagster.env.options import reset_options
from mario_dagster.sandbox.home import Home
from mario_dagster.tables import load
from mario_dagster.tables.content_cache import CONTENT_CACHE

REPLAY, RENAME, READ = ActionId.REPLAY_PRIORITY_BATCH, ActionId.RENAME_COLUMN, ActionId.INSPECT_SCHEMA


class Counts:
    """How often a step does what it should do once."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.repairs: Counter[str] = Counter()
        self.facts: Counter[object] = Counter()
        self.folds = 0
        self.fingerprints = 0
        self.listings: Counter[str] = Counter()
        self._monkeypatch = monkeypatch

    def of(self, play: Callable[[], object]) -> Counts:
        with self._monkeypatch.context() as patch:
            self._watch(patch)
            play()
        return self

    def _watch(self, patch: pytest.MonkeyPatch) -> None:
        apply, kept, fold, fingerprint = (
            load.apply,
            CONTENT_CACHE.get,
            episode_module.episode_state,
            snapshot.fingerprint,
        )
        listdir, scandir = os.listdir, os.scandir

        def counted_apply(repair, frame, table):  # type: ignore[no-untyped-def]
            self.repairs[f"{repair.name} {len(frame)}"] += 1
            return apply(repair, frame, table)

        def counted_get(key, compute, *size):  # type: ignore[no-untyped-def]
            def computed() -> object:
                if key[0] == "outcome":
                    self.facts[key] += 1
                return compute()

            return kept(key, computed, *size)

        def counted_fold(lines):  # type: ignore[no-untyped-def]
            self.folds += 1
            return fold(lines)

        def counted_fingerprint(database):  # type: ignore[no-untyped-def]
            self.fingerprints += 1
            return fingerprint(database)

        def counted(listing: Callable[..., object]) -> Callable[..., object]:
            def listed(path: object = ".") -> object:
                self.listings[str(path)] += 1
                return listing(path)

            return listed

        patch.setattr(load, "apply", counted_apply)
        patch.setattr(CONTENT_CACHE, "get", counted_get)
        patch.setattr(episode_module, "episode_state", counted_fold)
        patch.setattr(snapshot, "fingerprint", counted_fingerprint)
        patch.setattr(os, "listdir", counted(listdir))
        patch.setattr(os, "scandir", counted(scandir))


@pytest.fixture
def episode(tmp_path: Path) -> Episode:
    """A pipeline with renamed columns and late batches, looked at once as after any step."""
    CONTENT_CACHE.clear()
    options = reset_options({"task": "temporal", "seed": 3, "split": "train"})
    episode = Episode.start(options, home=Home(tmp_path))
    episode.reply()
    return episode


def first(episode: Episode, wanted: ActionId) -> Action:
    """Plays the solution up to the first of its actions of that kind, and returns it."""
    for entry in episode.sandbox.truth_store.solution:
        action = Action.from_dict(entry)
        if action.id == wanted:
            return action
        episode.step(action)
    raise LookupError(wanted)


@pytest.mark.parametrize("wanted", [RENAME, REPLAY, READ], ids=lambda wanted: wanted.name.lower())
def test_a_step_asks_once(wanted: ActionId, episode: Episode, monkeypatch: pytest.MonkeyPatch) -> None:
    action = Action(READ) if wanted == READ else first(episode, wanted)
    counts = Counts(monkeypatch).of(lambda: episode.step(action))
    last = episode.sandbox.steps[-1]
    assert (last["name"], last["status"]) == (action.name, "done")
    assert sum(counts.repairs.values()) == (1 if wanted == RENAME else 0)
    assert not counts.facts or max(counts.facts.values()) == 1
    assert bool(counts.facts) == (wanted != READ)
    assert counts.folds == 1
    assert counts.fingerprints == (1 if wanted == READ else 2)
    assert max(counts.listings.values()) <= 2, counts.listings.most_common(3)
