"""Nothing of the truth is anywhere in the Dagster UI before the episode is done: GraphQL and pages, walked."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from dagster_graphql.schema import create_schema
from starlette.testclient import TestClient

from mario_dagster.core.action import Action
from mario_dagster.env.episode import Episode
from mario_dagster.env.options import reset_options
from mario_dagster.incidents.faults import faults
from mario_dagster.sandbox.home import Home
from mario_dagster.sandbox.ui import OpenUI
from tests.test_leaks import HELD_OUT
from tests.walk import failing, fields_of, query, roots

SCHEMA = create_schema().graphql_schema
DEPTH, TRIES = 4, 20
DOORS = ("download_debug", "notebook", "logs", "dagit_info", "server_info", "report_asset_check")
EVERYDAY = {"late_batches"}
EVENTS = """query ($r: ID!, $c: String) { logsForRun(runId: $r, afterCursor: $c) { ... on EventConnection {
  cursor hasMore events { __typename ... on MessageEvent { message } %s } } } }"""
METADATA = """metadataEntries { label description
  ... on TextMetadataEntry { text } ... on JsonMetadataEntry { jsonString } ... on MarkdownMetadataEntry { mdStr }
  ... on TableMetadataEntry { table { records } } ... on FloatMetadataEntry { floatValue } }"""
ASSET = "query ($a: AssetKeyInput!) { assetNodeOrError(assetKey: $a) { ... on AssetNode { %s } } }"
PAGES = ("", "/runs", "/assets", "/asset-groups", "/deployment", "/locations", "/overview", "/jobs", "/settings")


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Episode, TestClient]]:
    """A held-out incident under way, some of it repaired, and its UI."""
    hidden = next(each for each in HELD_OUT if each.task == "temporal")
    options = {"task": "temporal", "split": "eval", "profile": hidden.name, "seed": 5, "episode_id": "quiet"}
    episode = Episode.start(reset_options(options), home=Home(tmp_path_factory.mktemp("walked")))
    episode.newest()
    solution = [Action.from_dict(each) for each in episode.sandbox.truth_store.solution]
    for action in (Action(15 - 1), *solution[:5]):
        assert not episode.step(action).done
    ui = OpenUI("quiet", home=episode.sandbox.home, prefix="/ui/quiet", allow_repair=True)
    with TestClient(ui) as client:
        yield episode, client
    ui.close()
    episode.close()


def require_silence(episode: Episode, place: str, text: str) -> None:
    hidden = {episode.sandbox.profile, "heldout", "held_out", "held-out", "twin", ".truth", *faults()} - EVERYDAY
    for word in hidden:
        assert word not in text, (word, place)
    score = f"{episode.sandbox.grade().score:.6f}"
    assert score not in text, place


def asked(client: TestClient, query: str, **variables: Any) -> str:
    return client.post("/ui/quiet/graphql", json={"query": query, "variables": variables}).text


def answered(client: TestClient, made: Callable[[set[str]], str | None], without: set[str], **variables: Any) -> str:
    """The answer to as much of a query as works: made anew without the fields that fail, until none does.

    Args:
        without: fields that are known to fail; those that are found to are added.
    """
    for _ in range(TRIES):
        asks = made(without)
        if asks is None:
            return ""
        text = asked(client, asks, **variables)
        errors = json.loads(text).get("errors")
        if not errors:
            return text
        without |= failing(errors)
    raise AssertionError(f"still not answered: {errors}")


@pytest.mark.filterwarnings("ignore:coroutine:RuntimeWarning")
def test_no_query_tells_what_is_behind_the_incident(played: tuple[Episode, TestClient]) -> None:
    episode, client = played
    told = {name: answered(client, partial(query, SCHEMA, name, DEPTH), set()) for name in roots(SCHEMA)}
    assert len(told) >= 20
    for name in ("runsOrError", "assetsOrError", "repositoriesOrError", "assetNodes", "workspaceOrError"):
        assert len(told[name]) > 10_000, (name, told[name][:300])
    for name, text in told.items():
        require_silence(episode, name, text)


@pytest.mark.filterwarnings("ignore:coroutine:RuntimeWarning")
def test_no_asset_and_no_event_tells_it(played: tuple[Episode, TestClient]) -> None:
    episode, client = played
    definitions = json.loads(asked(client, "{ assetNodes { assetKey { path } } }"))["data"]["assetNodes"]
    assert len(definitions) >= 8
    fails: set[str] = set()

    def of_asset(without: set[str]) -> str:
        return ASSET % fields_of(SCHEMA, "AssetNode", 2, without)

    for node in definitions:
        path = node["assetKey"]["path"]
        text = answered(client, of_asset, fails, a={"path": path})
        assert path[-1] in text
        require_silence(episode, "/".join(path), text)
    evaluated = f"... on AssetCheckEvaluationEvent {{ evaluation {{ description {METADATA} }} }}"
    kinds = f"... on MaterializationEvent {{ {METADATA} }} {evaluated}"
    for run in episode.sandbox.instance.get_runs():
        text = asked(client, EVENTS % kinds, r=run.run_id)
        assert "errors" not in json.loads(text), text[:500]
        require_silence(episode, run.job_name, text)


@pytest.mark.parametrize("path", PAGES)
def test_no_page_tells_it(played: tuple[Episode, TestClient], path: str) -> None:
    episode, client = played
    reply = client.get(f"/ui/quiet{path}/")
    assert reply.status_code == 200
    require_silence(episode, path, reply.text)


@pytest.mark.parametrize(
    "path", ["download_debug", "notebook", "logs", "dagit_info", "server_info", "report_asset_check"]
)
def test_no_other_door_tells_it(played: tuple[Episode, TestClient], path: str) -> None:
    episode, client = played
    run = episode.sandbox.instance.get_runs()[0].run_id
    for where in (f"/ui/quiet/{path}", f"/ui/quiet/{path}/{run}"):
        require_silence(episode, where, client.get(where).content.decode("latin-1"))
