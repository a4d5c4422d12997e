"""Nothing is lost: a small version of `mario bench chaos`, which kills far more and plays far more."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from mario_dagster.bench.chaos.disk import disk
from mario_dagster.bench.chaos.ends import End, differences
from mario_dagster.bench.chaos.fleet import Fleet, Line, Nursery
from mario_dagster.bench.chaos.ordeal import Outcome, Scene, ordeal, play, timestamps
from mario_dagster.bench.chaos.restarts import differing
from mario_dagster.bench.chaos.script import Script, scripts
from mario_dagster.bench.chaos.tally import Tally
from mario_dagster.bench.proofs import Case
from mario_dagster.sandbox.home import Home

SEED = 4100
KILLS = 4
# One of each task, and the reference of the last: both begin with the same template at the same time.
PLAYED: tuple[Script, ...] = (*scripts(10, SEED)[::2], scripts(10, SEED)[-1])
CASES = (
    Case("referential", "sentinel_reference_breakage", "train", SEED),
    Case("incremental", "judgement_incremental_upstream_down", "train", SEED),
)


def whole(tally: Tally) -> None:
    if tally.faults:
        pytest.fail("\n".join((str(tally.counts), *tally.provenances)), pytrace=False)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with Nursery() as nursery:
        yield Scene(nursery, tmp_path_factory.mktemp("chaos"), SEED, clients=3, until=time.monotonic() + 600)


@pytest.fixture(scope="module")
def alone(scene: Scene) -> Mapping[str, Outcome]:
    """What comes of the episodes when nobody disturbs them."""
    tally = Tally("left alone")
    found = play(scene, scene.root / "alone", PLAYED, tally)
    whole(tally)
    assert {each.played.done for each in found.values()} == {True}
    return found


@pytest.mark.parametrize("part", ["crashes", "two"])
def test_no_step_is_lost_or_doubled_when_servers_are_killed(
    scene: Scene, alone: Mapping[str, Outcome], part: str
) -> None:
    tally = ordeal(scene, part, PLAYED, alone, KILLS)
    whole(tally)
    assert tally.counts["kills"] > 0 and tally.counts["episodes"] == len(PLAYED)


def test_a_full_disk_changes_nothing(scene: Scene, alone: Mapping[str, Outcome]) -> None:
    tally = disk(scene, PLAYED[2:5:2], alone)
    if tally.skipped:
        pytest.skip(tally.skipped)
    whole(tally)
    assert tally.counts["refused"] > 0


@pytest.mark.parametrize("case", CASES, ids=str)
def test_an_episode_resumed_before_every_action_is_told_the_same(case: Case, tmp_path: Path) -> None:
    steps, found = differing(case, Home(tmp_path))
    assert steps > 5 and not found, found


def test_what_is_played_and_when_servers_are_killed_is_the_seed_s_alone() -> None:
    assert scripts(4, 1) == scripts(4, 1) != scripts(4, 2)
    assert timestamps(9, 2, 1) == timestamps(9, 2, 1) != timestamps(9, 2, 2)


def test_what_differs_is_said() -> None:
    end = End({"/state": b"200 {}"}, ("{}", '{"step": 1}'), {"orders": ("schema", "{'id': 1}", "{'id': 2}")}, {"a": 1})
    assert not differences(end, replace(end))
    turned = replace(end, tables={"orders": ("schema", "{'id': 2}", "{'id': 1}")}, trajectory=end.trajectory[:1])
    assert [each.split(":")[0] for each in differences(end, turned)] == ["trajectory", "tables"]


def test_servers_end_with_the_process_that_they_were_born_of(tmp_path: Path) -> None:
    before = set(psutil.Process().children(recursive=True))
    with Nursery() as nursery:
        fleet = Fleet(nursery, tmp_path, tmp_path / "log")
        fleet.launch(0)
        assert Line(fleet).ask("GET", "/health").ok
        born = set(psutil.Process().children(recursive=True)) - before
        assert len(born) == 2
    assert not psutil.wait_procs(born, timeout=10)[1]
