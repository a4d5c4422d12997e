"""What `sample_data` can be asked for: rows and values of choice, in bounds, in one order, over every way in."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from fastapi.testclient import TestClient

from mario_dagster.checks.offenders import offenders
from mario_dagster.core.action import SELECTS, Action, ActionId
from mario_dagster.env.episode import Episode
from mario_dagster.env.options import reset_options
from mario_dagster.env.plan import plan_of
from mario_dagster.env.sample import SAMPLE_CHARACTERS, SAMPLE_ROWS, SAMPLE_VALUES
from mario_dagster.sandbox.home import Home
from mario_dagster.tables.load import table_name
from tests.checks.temporal_tables import CATALOG, ORDERS, check_context, clean_tables, put

TRAIN = {"task": "temporal", "profile": "temporal_rollup_backfill_incident", "seed": 5}


@pytest.fixture(scope="module")
def episode(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Episode]:
    found = Episode.start(reset_options(TRAIN), home=Home(tmp_path_factory.mktemp("home")))
    yield found
    found.close()


def ask(episode: Episode, select: str | None, column: str | None = None, value: str | None = None) -> str:
    """What one sample shows, in an episode that another look does not end."""
    from mario_dagster.env.perform import perform

    outcome = perform(
        episode.sandbox, Action(ActionId.SAMPLE_DATA, column, select=select, value=value), "source_orders", {}
    )
    return outcome.text


def orders(episode: Episode) -> pd.DataFrame:
    return episode.sandbox.table("source_orders")


def test_unless_asked_it_shows_the_first_five_rows(episode: Episode) -> None:
    rows = json.loads(ask(episode, None))
    assert rows == json.loads(ask(episode, "head")) and len(rows) == 5
    assert ask(episode, None, "nothing of this name") == ask(episode, None)


def test_distinct_counts_every_value_of_a_column_the_frequent_ones_first(episode: Episode) -> None:
    column = str(orders(episode).columns[1])
    told = json.loads(ask(episode, "distinct", column))
    counts = orders(episode)[column].value_counts(dropna=False)
    assert told["distinct"] == len(counts)
    shown = {entry["value"]: entry["count"] for entry in told["values"]}
    assert shown.items() <= {str(value): int(count) for value, count in counts.items()}.items()
    numbers = [entry["count"] for entry in told["values"]]
    assert numbers == sorted(numbers, reverse=True) and 0 < len(numbers) <= SAMPLE_VALUES


def test_equal_shows_the_rows_that_hold_a_value_as_it_is_shown(episode: Episode) -> None:
    for column in map(str, orders(episode).columns):
        first = json.loads(ask(episode, None))[2][column]
        if first is None:
            continue
        told = json.loads(ask(episode, "equal", column, str(first)))
        assert 2 in [row["row"] for row in told["rows"]] or told["matching"] > SAMPLE_ROWS
        assert {row["values"][column] for row in told["rows"]} == {first}
    assert json.loads(ask(episode, "equal", column, "no such value"))["rows"] == []


def test_the_last_batch_is_the_newest_that_is_loaded(episode: Episode) -> None:
    sandbox = episode.sandbox
    loaded = sandbox.workspace.lake.provenance(table_name(sandbox.task, "source_orders")).loaded
    told = json.loads(ask(episode, "last_batch"))
    assert told["batch_id"] == max(loaded)
    assert told["matching"] == int((orders(episode)["batch_id"] == max(loaded)).sum()) > 0
    assert {row["values"]["batch_id"] for row in told["rows"]} == {max(loaded)}


def test_offenders_are_rows_that_break_checks_the_rarest_first() -> None:
    tables = clean_tables()
    put(tables, "source_orders", "quantity", {4: 999, 9: None})
    put(tables, "source_orders", "product_id", {9: 77, 15: 78})
    found = offenders(check_context(tables), ORDERS)
    assert found.rows == (9, 4, 15)
    assert found.reasons[9] == (("quantity", "missing_value"), ("product_id", "unknown_reference"))
    assert ("quantity", "out_of_range") in found.reasons[4]
    assert offenders(check_context(tables), ORDERS, "product_id").rows == (9, 15)
    assert offenders(check_context(tables), CATALOG).rows == ()
    assert offenders(check_context(clean_tables()), ORDERS).rows == ()


def test_a_column_that_is_text_throughout_does_not_hide_the_rows_that_differ(episode: Episode) -> None:
    tables = clean_tables()
    frame = tables["source_orders"]
    tables["source_orders"] = frame.assign(gross_revenue=frame["gross_revenue"].astype("string[pyarrow]"))
    tables["source_orders"] = tables["source_orders"].convert_dtypes(dtype_backend="pyarrow")
    put(tables, "source_orders", "quantity", {20: -4})
    found = offenders(check_context(tables), ORDERS)
    assert found.rows[0] == 20 and len(found.rows) == len(frame)
    told = json.loads(ask(episode, "offenders"))
    assert told["matching"] > 0 and all(row["why"] for row in told["rows"])


@pytest.mark.parametrize("select", SELECTS)
def test_a_sample_is_bounded_and_the_same_each_time(episode: Episode, select: str) -> None:
    column = "batch_id" if select in ("distinct", "equal") else None
    value = "t01" if select == "equal" else None
    first = ask(episode, select, column, value)
    assert first == ask(episode, select, column, value) and not first.startswith("invalid")
    assert len(first) <= SAMPLE_CHARACTERS
    told = json.loads(first)
    rows = told if select == "head" else told.get("rows", [])
    assert len(rows) <= SAMPLE_ROWS


@pytest.mark.parametrize(
    ("select", "column", "value", "says"),
    [
        ("offender", None, None, "did you mean 'offenders'"),
        ("", None, None, "choose one of head"),
        ("distinct", None, None, "select distinct needs target_column; the columns of source_orders are"),
        ("distinct", "batch_idd", None, "did you mean 'batch_id'"),
        ("offenders", "batch_idd", None, "did you mean 'batch_id'"),
        ("equal", "batch_id", None, "needs value"),
        ("distinct", "batch_id", "t01", "takes no value"),
        ("last_batch", "batch_id", None, "takes no target_column"),
        (None, "batch_id", "t01", "value goes with select equal"),
    ],
)
def test_a_wrong_sample_says_what_would_be_right(
    episode: Episode, select: str | None, column: str | None, value: str | None, says: str
) -> None:
    text = ask(episode, select, column, value)
    assert text.startswith("invalid: ") and says in text


def test_only_tables_that_are_loaded_in_batches_have_a_last_one(tmp_path: Path) -> None:
    episode = Episode.start(reset_options({**TRAIN, "episode_id": "other"}), home=Home(tmp_path))
    episode.step(Action(ActionId.INSPECT_SCHEMA, "catalog"))
    seen = episode.step(Action(ActionId.SAMPLE_DATA, select="last_batch")).observation
    assert seen["action_result"].startswith("invalid: catalog is not loaded in batches")
    seen = episode.step(Action(ActionId.REMOVE_DUPLICATES, select="head")).observation
    assert seen["action_result"].startswith("invalid: select and value are sample_data's")
    # Looks are no part of what repaired a pipeline.
    assert plan_of(episode).actions == ()
    episode.close()


def test_a_sample_of_choice_is_the_same_over_http_and_websocket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mario_dagster.server.app import app

    monkeypatch.setenv("MARIO_HOME", str(tmp_path))
    action: dict[str, Any] = {"action_id": 2, "target_column": "batch_id", "select": "distinct"}
    with TestClient(app) as client:
        client.post("/reset", json={**TRAIN, "episode_id": "over-http"}).raise_for_status()
        answer = client.post("/step", json={"episode_id": "over-http", "action": action}).json()
        refused = client.post("/step", json={"episode_id": "over-http", "action": {**action, "how": 1}})
        with client.websocket_connect("/ws") as session:
            session.send_json({"type": "reset", "data": TRAIN})
            session.receive_json()
            session.send_json({"type": "step", "data": action})
            told = session.receive_json()["data"]["observation"]
    assert json.loads(answer["observation"]["action_result"])["select"] == "distinct"
    assert told["action_result"] == answer["observation"]["action_result"]
    assert refused.status_code == 422 and "did you mean" not in refused.json()["detail"]
