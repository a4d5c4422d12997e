"""What a process keeps of tables, and of what it made of them, is bounded over all episodes; answers are the same."""

from __future__ import annotations

import gc
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from mario_dagster.core.action import Action
from mario_dagster.core.errors import Damaged
from mario_dagster.env.episode import Episode
from mario_dagster.env.options import reset_options
from mario_dagster.sandbox.home import Home
from mario_dagster.tables.content_cache import (
    CACHE_VARIABLE,
    CONTENT_CACHE,
    ENTRY_BYTES,
    ContentCache,
    budget,
    frame_bytes,
)
from mario_dagster.tables.frames import as_type
from mario_dagster.tables.store import Lake, Provenance

MEGABYTE = 2**20
SCALE, SEEDS = 10, (1, 2)
# Half the orders at that scale: whatever has as many rows is a table of these episodes.
ROWS = 3_000


def memo(capacity: int) -> ContentCache:
    return ContentCache(lambda: capacity)


def keep(held: ContentCache, key: str, size: int) -> list[int]:
    """A value of that size under a key, entry and all; the list says how often it had to be computed."""
    computed: list[int] = []
    held.get(key, lambda: computed.append(1), lambda _: size - ENTRY_BYTES)
    return computed


def test_the_values_that_were_not_used_for_longest_make_room() -> None:
    held = memo(3 * ENTRY_BYTES)
    assert [len(keep(held, key, ENTRY_BYTES)) for key in ("a", "b", "c", "a")] == [1, 1, 1, 0]
    keep(held, "d", ENTRY_BYTES)
    assert held.held == 3 * ENTRY_BYTES
    assert [len(keep(held, key, ENTRY_BYTES)) for key in ("a", "c", "d")] == [0, 0, 0]
    assert keep(held, "b", ENTRY_BYTES)


def test_what_is_larger_than_everything_that_may_be_kept_is_answered_and_not_kept() -> None:
    held = memo(10 * ENTRY_BYTES)
    keep(held, "small", ENTRY_BYTES)
    assert keep(held, "huge", 11 * ENTRY_BYTES) and keep(held, "huge", 11 * ENTRY_BYTES)
    assert held.held == ENTRY_BYTES and not keep(held, "small", ENTRY_BYTES)
    held.clear()
    assert held.held == 0 and keep(held, "small", ENTRY_BYTES)


def test_however_many_values_there_are_no_more_is_kept_than_fits() -> None:
    held = memo(20 * ENTRY_BYTES)
    for number in range(500):
        keep(held, str(number), ENTRY_BYTES * (1 + number % 7))
        assert held.held <= 20 * ENTRY_BYTES
    assert held.held > 13 * ENTRY_BYTES and not keep(held, "499", ENTRY_BYTES)


def test_another_cache_answers_while_one_is_set_aside() -> None:
    held, other = memo(3 * ENTRY_BYTES), memo(3 * ENTRY_BYTES)
    keep(held, "a", ENTRY_BYTES)
    with held.set_aside(other):
        assert keep(held, "a", ENTRY_BYTES) and keep(held, "b", ENTRY_BYTES)
        assert held.held == 2 * ENTRY_BYTES
    assert held.held == ENTRY_BYTES and not keep(held, "a", ENTRY_BYTES)
    assert other.held == 2 * ENTRY_BYTES and not keep(other, "b", ENTRY_BYTES)


def test_a_smaller_budget_is_kept_from_the_next_value_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, "1")
    held = ContentCache()
    for number in range(4):
        keep(held, str(number), MEGABYTE // 4)
    assert held.held == MEGABYTE
    monkeypatch.setenv(CACHE_VARIABLE, "0")
    keep(held, "more", ENTRY_BYTES)
    assert held.held == 0


@pytest.mark.parametrize("said", ["lots", "-1", "1.5", "256 MB"])
def test_a_budget_that_is_no_number_of_megabytes_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, said)
    with pytest.raises(ValueError, match=rf"{CACHE_VARIABLE} is a whole number of megabytes.*not '{said}'"):
        ContentCache()
    monkeypatch.setenv(CACHE_VARIABLE, "")
    assert budget() == 256 * MEGABYTE


def test_a_frame_takes_the_whole_buffers_that_it_shows_a_part_of() -> None:
    whole = pd.DataFrame({"n": as_type(pd.Series(range(100_000)), "int64")})
    assert 800_000 <= frame_bytes(whole) < 900_000
    assert frame_bytes(whole.iloc[:10]) == frame_bytes(whole)


def test_a_table_larger_than_the_budget_is_read_from_disk_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, "1")
    CONTENT_CACHE.clear()
    lake = Lake(tmp_path)
    lake.write("large", pd.DataFrame({"n": as_type(pd.Series(range(200_000)), "int64")}), Provenance())
    assert CONTENT_CACHE.held == 0
    one, other = lake.read("large").frame, lake.read("large").frame
    assert one is not other and one.equals(other) and CONTENT_CACHE.held == 0


# --- episodes ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path_factory.mktemp("budget"))


def began(home: Home, name: str) -> list[Episode]:
    options = [{"task": "referential", "seed": seed, "scale": SCALE, "episode_id": f"{name}-{seed}"} for seed in SEEDS]
    return [Episode.start(reset_options(each), home=home) for each in options]


def played(episodes: list[Episode]) -> Iterator[str]:
    """What the episodes answer, move by move in turn, up to the truth of each."""
    plans = [
        [Action(2), *(Action.from_dict(each) for each in episode.sandbox.truth_store.solution)] for episode in episodes
    ]
    for episode in episodes:
        yield said(episode.reply().observation)
    for place in range(max(map(len, plans))):
        for episode, plan in zip(episodes, plans, strict=True):
            if place < len(plan):
                yield said(episode.step(plan[place]).observation)


def said(observation: Any) -> str:
    return json.dumps({name: value for name, value in observation.items() if name != "episode_id"}, sort_keys=True)


def tables_alive() -> int:
    """Frames, columns and Arrow tables in this process that have as many rows as one of these episodes' tables."""
    gc.collect()
    kinds = (pd.DataFrame, pd.Series, pa.Table, pa.ChunkedArray, pa.Array)
    return sum(isinstance(each, kinds) and len(each) >= ROWS for each in gc.get_objects())


def test_open_episodes_keep_within_one_budget_and_answer_the_same(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    answers: dict[int, list[str]] = {}
    for megabytes in (64, 1, 0):
        monkeypatch.setenv(CACHE_VARIABLE, str(megabytes))
        CONTENT_CACHE.clear()
        episodes, answers[megabytes], most = began(home, f"of-{megabytes}"), [], 0
        for answer in played(episodes):
            answers[megabytes].append(answer)
            most = max(most, CONTENT_CACHE.held)
            assert CONTENT_CACHE.held <= megabytes * MEGABYTE
        # The large budget holds all of them, the small one is full, and none means none.
        assert {64: most > 2 * MEGABYTE, 1: most > MEGABYTE // 2, 0: most == 0}[megabytes]
        for episode in episodes:
            episode.close()
    assert answers[64] == answers[1] == answers[0]
    assert json.loads(answers[0][-1])["done_reason"] == "commit_success"


def test_nothing_but_the_budget_holds_rows_of_an_open_episode(home: Home) -> None:
    CONTENT_CACHE.clear()
    before = tables_alive()
    episodes = began(home, "rows")
    for _ in played(episodes):
        pass
    assert tables_alive() > before
    CONTENT_CACHE.clear()
    assert tables_alive() == before
    for episode in episodes:
        episode.close()


def test_the_ledger_is_beside_the_truth_and_checked(home: Home) -> None:
    (episode, *others) = began(home, "ledger")
    truth_store = episode.sandbox.truth_store
    damage_manifest = truth_store.damage_manifest()
    assert len(damage_manifest.cells) > ROWS and damage_manifest.landed_as == truth_store.landed_as
    cells = {(key, name) for columns in damage_manifest.lost.values() for name, keys in columns.items() for key in keys}
    assert cells == {cell for cells in truth_store.lost.values() for cell in cells}
    truth_store.check()
    file = truth_store.root / "damage.json"
    file.write_bytes(file.read_bytes()[:-2])
    with pytest.raises(Damaged, match=r"truth/damage\.json is not what was written"):
        truth_store.check()
    # A score needs none of it.
    assert episode.sandbox.grade().score > 0
    for each in (episode, *others):
        each.close()
