"""A deploy is another code version: what it computed is stale until it is computed anew, whatever its inputs become."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from mario_dagster.assets.graph import LakeIOManager, build, key_of
from mario_dagster.core.action import Action
from mario_dagster.core.deploy import Deploy
from mario_dagster.core.registry import task
from mario_dagster.env.episode import Episode
from mario_dagster.incidents.compose import compose
from mario_dagster.incidents.faults.bad_deploy import BadDeploy
from mario_dagster.incidents.faults.renamed_columns import RenamedColumns
from mario_dagster.runtime.instance import freshness
from mario_dagster.sandbox.create_from_incident import stage
from mario_dagster.sandbox.home import Home
from mario_dagster.sandbox.sandbox import Sandbox
from mario_dagster.tables.load import table_name
from mario_dagster.tables.spec import pipeline_spec
from mario_dagster.tables.workspace import Workspace, workspace_at

REFERENTIAL = task("referential")
TOTALS, FRESH = "order_totals", "derived_tables_are_fresh"
CODE = """
import json, sys
from mario_dagster import definitions
from mario_dagster.runtime.instance import freshness, open_instance
from pathlib import Path
instance = open_instance(Path(sys.argv[1]) / "dagster")
graph = definitions.asset_graph()
node = next(graph.get(key) for key in graph.get_all_asset_keys() if key.path[-1] == "order_totals")
print(json.dumps([node.code_version, freshness(instance, graph)(node.key)]))
"""


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    """A column of the orders is renamed, which a repair takes back to the byte; and a deploy scaled the totals."""
    faults = [
        RenamedColumns("orders", {"quantity": ("pieces_ordered",)}),
        BadDeploy(TOTALS, scale={"total_price": (0.8, 0.9)}),
    ]
    with stage(compose("referential", faults, seed=4), home=Home(tmp_path)) as found:
        yield found


def told_by_dagster(sandbox: Sandbox) -> tuple[str, bool]:
    """The code version that a process of this sandbox alone knows, and whether Dagster calls the totals fresh there."""
    named = {"MARIO_SANDBOX": str(sandbox.root), "DAGSTER_HOME": str(sandbox.root / "dagster")}
    run = [sys.executable, "-W", "ignore", "-c", CODE, str(sandbox.root)]
    done = subprocess.run(run, env={**os.environ, **named}, capture_output=True, text=True, check=True)
    version, fresh = json.loads(done.stdout)
    return version, fresh


def test_what_a_release_wrote_that_is_gone_is_stale_until_it_is_computed_anew(sandbox: Sandbox) -> None:
    episode = Episode(sandbox)
    orders = sandbox.workspace.lake.provenance(table_name(REFERENTIAL, TOTALS)).built_from["orders"]
    *repairs, refresh, commit = [Action.from_dict(each) for each in sandbox.truth_store.solution]
    assert refresh.name == "refresh_downstream_assets"
    for move in repairs:
        seen = episode.step(move).observation
    # The inputs are again what the totals were computed from, to the byte.
    lake = sandbox.workspace.lake
    assert lake.provenance(table_name(REFERENTIAL, "orders")).data_version == orders
    assert lake.provenance(table_name(REFERENTIAL, TOTALS)).built_from["orders"] == orders
    assert seen["downstream_stale"] and FRESH in seen["failing_checks"]
    assert {"check": FRESH, "table": TOTALS, "column": "", "reason": "stale", "count": 1} in seen["check_failures"]
    assert sandbox.commit().failed_checks and told_by_dagster(sandbox) == ("r3", False)
    seen = episode.step(refresh).observation
    assert not seen["downstream_stale"] and seen["failing_checks"] == []
    assert told_by_dagster(sandbox) == ("r3", True)
    assert episode.step(commit).observation["done_reason"] == "commit_success"


def test_a_repair_does_not_make_a_table_one_of_the_live_release(sandbox: Sandbox) -> None:
    before = sandbox.workspace.lake.provenance(table_name(REFERENTIAL, TOTALS))
    assert (before.code_version, sandbox.workspace.code_version(TOTALS)) == ("r2", "r3")
    assert sandbox.repair(TOTALS, Action.named("cast_to_float", "total_price")).ok
    assert sandbox.workspace.lake.provenance(table_name(REFERENTIAL, TOTALS)).code_version == "r2"
    assert TOTALS in sandbox.signals().stale_tables
    # Dagster's own rule, over definitions that know the live releases.
    live = {TOTALS: sandbox.workspace.code_version(TOTALS)}
    pipeline = build(REFERENTIAL, pipeline_spec(REFERENTIAL).transforms, live)
    graph = dg.Definitions(assets=pipeline.assets, resources={"lake": LakeIOManager()}).resolve_asset_graph()
    event = sandbox.instance.get_latest_materialization_event(key_of(REFERENTIAL, TOTALS))
    assert event is not None and event.asset_materialization is not None
    assert (event.asset_materialization.tags or {})["dagster/code_version"] == "r2"
    assert not freshness(sandbox.instance, graph)(key_of(REFERENTIAL, TOTALS))


def test_every_deploy_that_changes_a_transform_is_another_release(tmp_path: Path) -> None:
    workspace: Workspace = workspace_at(tmp_path)
    seen = []
    for deploys in ({}, {"a": Deploy(scale={"x": 0.9})}, {"a": Deploy(scale={"x": 0.9})}, {"b": Deploy()}, {}):
        workspace.set_deploys(deploys)
        seen.append((workspace.code_version("a"), workspace.code_version("b")))
    assert seen == [("r1", "r1"), ("r2", "r1"), ("r2", "r1"), ("r3", "r1"), ("r3", "r1")]
    assert workspace.deploy("a") == Deploy()
    workspace.close()
