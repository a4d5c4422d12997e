"""A lost value that is filled is a guess: it is counted, it neither earns nor costs, and it is told at the end only."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mario_dagster.core.action import Action, ActionId
from mario_dagster.core.registry import task
from mario_dagster.env.episode import Episode
from mario_dagster.env.options import reset_options
from mario_dagster.sandbox.home import Home
from mario_dagster.scoring.collateral import collateral
from mario_dagster.scoring.compare import PipelineState, Truth, table_parts
from mario_dagster.scoring.score import grade
from mario_dagster.tables.frames import as_type
from mario_dagster.tables.spec import clean_data_of

EVENTS = task("events")
TRANSACTIONS = EVENTS.main_table


def clean() -> pd.DataFrame:
    return clean_data_of("events", 3).feeds["transactions"].copy()


def put(frame: pd.DataFrame, column: str, values: dict[int, Any]) -> pd.DataFrame:
    cells = list(frame[column])
    for row, value in values.items():
        cells[row] = value
    return frame.assign(**{column: as_type(pd.Series(cells), TRANSACTIONS.column(column).type)})


def lost_of(frame: pd.DataFrame, column: str, rows: list[int]) -> frozenset[tuple[str, str]]:
    return frozenset((str(frame[TRANSACTIONS.key].iloc[row]), column) for row in rows)


def test_accuracy_is_the_same_whatever_stands_where_a_value_was_lost() -> None:
    right, rows = clean(), [1, 4, 7]
    lost = lost_of(right, "age", rows)
    accuracies = {
        table_parts(TRANSACTIONS, put(right, "age", dict.fromkeys(rows, value)), right, lost)["accuracy"]
        for value in (None, 18, 44, 97)
    }
    assert accuracies == {1.0}
    # One wrong cell beside the guesses costs as much as without them.
    wrong = put(put(right, "age", {2: 19 if right["age"].iloc[2] != 19 else 20}), "age", dict.fromkeys(rows, 18))
    cells = right.size - len(rows)
    assert table_parts(TRANSACTIONS, wrong, right, lost)["accuracy"] == pytest.approx((cells - 1) / cells)
    # The row of a lost cell may not be left out.
    assert table_parts(TRANSACTIONS, right.drop(index=rows), right, lost)["accuracy"] < 1.0


@pytest.mark.parametrize(
    ("column", "value", "guesses"), [("age", 44, 3), ("age", None, 0), ("status", "n/a", 0), ("status", None, 0)]
)
def test_what_holds_a_value_again_is_counted_and_a_word_for_none_is_not(column: str, value: Any, guesses: int) -> None:
    right, rows = clean(), [1, 4, 7]
    held = put(right, column, dict.fromkeys(rows, value))
    truth = Truth({"transactions": right}, {"transactions": lost_of(right, column, rows)})
    assert grade(EVENTS, {"transactions": held}, truth, PipelineState()).guessed == guesses
    assert grade(EVENTS, {"transactions": held}, Truth({"transactions": right}), PipelineState()).guessed == 0


def test_a_guess_is_no_collateral_damage() -> None:
    right, rows = clean(), [1, 4, 7]
    lost = {"transactions": lost_of(right, "age", rows)}
    held = put(right, "age", dict.fromkeys(rows, 1000))
    tables = [{"transactions": frame} for frame in (right, held, right)]
    assert collateral(EVENTS, *tables, {}, lost) == 0
    assert collateral(EVENTS, *tables, {}) == len(rows)


def test_guesses_are_told_when_the_episode_is_done_and_not_before(tmp_path: Path) -> None:
    options = {"task": "referential", "profile": "sentinel_reference_breakage", "split": "eval", "seed": 0}
    episode = Episode.start(reset_options(options), home=Home(tmp_path))
    *repairs, commit = [Action.from_dict(each) for each in episode.sandbox.truth_store.solution]
    for move in repairs:
        seen = episode.step(move).observation
        told = json.dumps([dict(seen), episode.state(), episode.sandbox.steps[-1]])
        assert "guessed" not in told and episode.summary()["guessed_cells"] is None
    assert commit.id == ActionId.COMMIT_CHANGES
    assert episode.step(commit).done
    damage = episode.sandbox.truth_store.damage_manifest().cells
    told = episode.summary()
    # Cells of rows that a retry wrote twice are lost twice, and filled once.
    lost = damage[damage["lost"].astype(bool)].drop_duplicates(["table", "key", "column"])
    assert told["guessed_cells"] == len(lost) > 0
    assert told["success"] and episode.sandbox.grade().score >= 0.999
    episode.close()
