"""The UI of an instance as an app in this process, asked over GraphQL and HTTP as a browser asks it."""

import time
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from starlette.testclient import TestClient

from mario_dagster.core.errors import Damaged, Refused
from mario_dagster.runtime.instance import QUIET, close_instance, create_home, open_instance, run_job
from mario_dagster.runtime.location import MODULE, REPOSITORY
from mario_dagster.runtime.queries import fingerprint
from mario_dagster.runtime.served import Launching
from mario_dagster.runtime.ui import SandboxUI
from tests.graphql import (
    BACKFILL,
    BACKFILLS,
    RERUN,
    SET_SLOTS,
    asking,
    checks_of,
    launch,
    launched,
)

# --- a pipeline of our own --------------------------------------------------------------------------------------------

DAYS = dg.DynamicPartitionsDefinition(name="days")
broken = {"on": False}


with warnings.catch_warnings():
    warnings.simplefilter("ignore", dg.BetaWarning)

    @dg.asset(partitions_def=DAYS, backfill_policy=dg.BackfillPolicy.single_run())
    def landed(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        return dg.MaterializeResult(data_version=dg.DataVersion("-".join(context.partition_keys)))


@dg.asset(partitions_def=DAYS, deps=[landed])
def each_day() -> None: ...


@dg.asset(
    check_specs=[dg.AssetCheckSpec(name, asset="table") for name in ("is_full", "is_clean")],
    config_schema={"bad": dg.Field(bool, default_value=False), "raises": dg.Field(str, default_value="")},
)
def table(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    config = context.op_execution_context.op_config
    if config["raises"] == "damaged":
        raise Damaged("lake/table is not what was written")
    if config["raises"]:
        raise ValueError(config["raises"])
    bad = config["bad"]
    return dg.MaterializeResult(
        check_results=[
            dg.AssetCheckResult(check_name="is_full", passed=True),
            dg.AssetCheckResult(check_name="is_clean", passed=not bad, description="2 rows" if bad else None),
        ]
    )


@dg.asset(deps=[table])
def flaky() -> None:
    if broken["on"]:
        raise RuntimeError("not now")


@dg.asset_check(asset=table)
def looked_at() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=True)


DEFS = dg.Definitions(
    assets=[landed, each_day, table, flaky],
    asset_checks=[looked_at],
    jobs=[
        dg.define_asset_job("repair", dg.AssetSelection.assets(table)),
        dg.define_asset_job("both", dg.AssetSelection.assets(table, flaky) - dg.AssetSelection.checks(looked_at)),
        dg.define_asset_job("daily", dg.AssetSelection.assets(each_day)),
    ],
    executor=dg.in_process_executor,
)
JOB = DEFS.resolve_job_def("repair")
BAD = {"ops": {"table": {"config": {"bad": True}}}}


class Served:
    """An instance with its UI, and what its caller was asked and told."""

    def __init__(self, home: Path, read_only: str | None = None):
        create_home(home)
        self.finished: list[str] = []
        self.instance = open_instance(home)
        self.instance.add_dynamic_partitions("days", ["d1", "d2", "d3"])
        self.ui = SandboxUI(
            DEFS.get_repository_def(),
            self.instance,
            prefix="/ui/x",
            read_only=read_only,
            launching=Launching(self.before, self.pool, self.finished.append),
        )
        self.ask = asking(self.ui, "/ui/x")

    def before(self, run: dg.DagsterRun) -> None:
        if "refuse" in run.tags:
            raise Refused("not in this episode")

    def pool(self, name: str, slots: int) -> None:
        if slots > 3:
            raise Refused(f"{name} takes 3 slots at most")

    def backfilled(self) -> Any:
        self.ui.workspace.join_backfills(30)
        return self.ask(BACKFILLS)["partitionBackfillsOrError"]["results"]


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    served = Served(tmp_path / "home")
    yield served
    close_instance(served.instance)


def test_a_job_with_config_turns_a_check_red_and_green(served: Served) -> None:
    _, status = launched(served.ask, job="repair", config=BAD)
    assert status == "SUCCESS"
    found = checks_of(served.ask, "table")["is_clean"]
    assert found["status"] == "FAILED" and found["evaluation"]["description"] == "2 rows"
    run_id, _ = launched(served.ask, job="repair")
    found = checks_of(served.ask, "table")["is_clean"]
    assert found["status"] == "SUCCEEDED" and found["runId"] == run_id
    assert len(served.finished) == 2


def test_a_failed_run_is_a_failed_run(served: Served) -> None:
    run_id, status = launched(served.ask, job="repair", config={"ops": {"table": {"config": {"raises": "no column"}}}})
    assert status == "FAILURE" and served.finished == [run_id]
    assert served.instance.get_latest_materialization_event(table.key) is None


def test_a_config_that_does_not_fit_makes_no_run(served: Served) -> None:
    answer = launch(served.ask, job="repair", config={"ops": {"table": {"config": {"worse": 1}}}})
    assert answer["__typename"] == "RunConfigValidationInvalid" and "worse" in answer["errors"][0]["message"]
    assert served.instance.get_runs() == []


def test_assets_partitions_and_ranges_are_materialized(served: Served) -> None:
    assert launched(served.ask, assets=["table"])[1] == "SUCCESS"
    assert launched(served.ask, {"dagster/partition": "d2"}, assets=["landed"])[1] == "SUCCESS"
    assert served.instance.get_materialized_partitions(landed.key) == {"d2"}
    ends = {"dagster/asset_partition_range_start": "d1", "dagster/asset_partition_range_end": "d3"}
    assert launched(served.ask, ends, assets=["landed"])[1] == "SUCCESS"
    assert served.instance.get_materialized_partitions(landed.key) == {"d1", "d2", "d3"}


def test_a_check_is_executed_alone(served: Served) -> None:
    launched(served.ask, assets=["table"])
    before = served.instance.get_latest_materialization_event(table.key)
    run_id, status = launched(served.ask, checks=[("table", "looked_at")])
    assert status == "SUCCESS" and checks_of(served.ask, "table")["looked_at"]["runId"] == run_id
    assert served.instance.get_latest_materialization_event(table.key) == before


def test_a_run_goes_on_from_where_it_failed(served: Served) -> None:
    broken["on"] = True
    try:
        run_id, status = launched(served.ask, job="both")
    finally:
        broken["on"] = False
    assert status == "FAILURE"
    again = served.ask(RERUN, p={"parentRunId": run_id, "strategy": "FROM_FAILURE"})["launchPipelineReexecution"]
    assert again["__typename"] == "LaunchRunSuccess", again
    assert again["run"]["status"] == "SUCCESS" and again["run"]["parentRunId"] == run_id
    assert again["run"]["stepKeysToExecute"] == ["flaky"]


def test_a_run_that_has_ended_cannot_be_terminated(served: Served) -> None:
    run_id, _ = launched(served.ask, job="repair")
    end = "mutation ($r: String!) { terminateRun(runId: $r) { __typename ... on TerminateRunFailure { message } } }"
    answer = served.ask(end, r=run_id)["terminateRun"]
    assert answer["__typename"] == "TerminateRunFailure" and "status SUCCESS" in answer["message"]


def test_what_is_refused_is_no_run_and_its_dialog_says_why(served: Served) -> None:
    answer = launch(served.ask, {"refuse": "yes"}, job="repair")
    assert (answer["__typename"], answer["message"]) == ("PythonError", "not in this episode")
    assert served.instance.get_runs() == [] and served.finished == []
    assert served.instance.get_latest_materialization_event(table.key) is None


def test_a_pool_that_is_refused_stays_as_it_was(served: Served) -> None:
    served.ask(SET_SLOTS, pool="workers", slots=2)
    assert served.ask(SET_SLOTS, errors=True, pool="workers", slots=10) == [
        {"message": "workers takes 3 slots at most"}
    ]
    assert served.instance.event_log_storage.get_concurrency_info("workers").slot_count == 2


def test_a_damaged_file_leaves_no_trace_of_the_run(served: Served) -> None:
    answer = launch(served.ask, config={"ops": {"table": {"config": {"raises": "damaged"}}}}, job="repair")
    assert (answer["__typename"], answer["message"]) == ("PythonError", "lake/table is not what was written")
    assert served.instance.get_runs() == [] and served.finished == []


def test_backfills_come_to_their_end(served: Served) -> None:
    keys = ["d1", "d2", "d3"]
    assets = [{"path": ["landed"]}, {"path": ["each_day"]}]
    answer = served.ask(BACKFILL, p={"assetSelection": assets, "partitionNames": keys, "tags": []})
    assert answer["launchPartitionBackfill"]["__typename"] == "LaunchBackfillSuccess", answer
    (backfill,) = served.backfilled()
    assert backfill["status"] == "COMPLETED_SUCCESS", backfill
    assert served.instance.get_materialized_partitions(each_day.key) == set(keys)
    assert sorted(served.finished) == sorted(run["runId"] for run in backfill["runs"])

    repository = {"repositoryName": REPOSITORY, "repositoryLocationName": MODULE}
    selector = {"repositorySelector": repository, "partitionSetName": "daily_partition_set"}
    served.ask(BACKFILL, p={"selector": selector, "partitionNames": keys[:2], "tags": []})
    newest = served.backfilled()[0]
    assert newest["status"] == "COMPLETED_SUCCESS", newest
    assert [run["jobName"] for run in newest["runs"]] == ["daily", "daily"]


def test_no_daemon_is_missed(served: Served) -> None:
    health = """{ instance { daemonHealth { allDaemonStatuses { daemonType required healthy }
      daemonStatus(daemonType: "BACKFILL") { healthy } } } }"""
    found = served.ask(health)["instance"]["daemonHealth"]
    assert found["daemonStatus"]["healthy"]
    assert all(each["healthy"] for each in found["allDaemonStatuses"])


def test_a_look_only_ui_launches_nothing(tmp_path: Path) -> None:
    served = Served(tmp_path / "home", read_only="the episode is over")
    try:
        answer = launch(served.ask, job="repair")
        assert answer["__typename"] == "UnauthorizedError"
        permissions = served.ask("{ permissions { permission value disabledReason } }")["permissions"]
        assert not any(each["value"] for each in permissions)
        assert {each["disabledReason"] for each in permissions} == {"the episode is over"}
        assert served.instance.get_runs() == []
    finally:
        close_instance(served.instance)


HISTORY = (
    "deletePipelineRun(runId: $r)",
    'wipeAssets(assetPartitionRanges: [{assetKey: {path: ["table"]}}])',
    'reportRunlessAssetEvents(eventParams: {eventType: ASSET_MATERIALIZATION, assetKey: {path: ["table"]}})',
    f'addDynamicPartition(repositorySelector: {{repositoryName: "{REPOSITORY}", '
    f'repositoryLocationName: "{MODULE}"}}, partitionsDefName: "days", partitionKey: "d4")',
)


@pytest.mark.parametrize("mutation", HISTORY, ids=lambda mutation: mutation.partition("(")[0])
def test_history_cannot_be_rewritten(served: Served, mutation: str) -> None:
    run_id, _ = launched(served.ask, job="repair")
    before = fingerprint(served.instance.database)
    text = mutation.replace("$r", f'"{run_id}"')
    answer = served.ask(f"mutation {{ it: {text} {{ __typename }} }}")
    assert answer["it"]["__typename"] == "UnauthorizedError"
    assert served.instance.get_run_by_id(run_id) is not None and fingerprint(served.instance.database) == before


@pytest.mark.parametrize("what", ["asset_materialization", "asset_check", "asset_observation"])
def test_nothing_is_reported_that_no_run_did(served: Served, what: str) -> None:
    before = fingerprint(served.instance.database)
    with TestClient(served.ui) as client:
        assert client.post(f"/ui/x/report_{what}/table").status_code == 401
    assert fingerprint(served.instance.database) == before


# --- checks as they are -----------------------------------------------------------------------------------------------


def interleaved(instance: Any, job: dg.JobDefinition) -> None:
    """A run that is planned, overtaken by another, and then executed: as when a process starts slowly."""
    from dagster._core.definitions.job_base import InMemoryJob
    from dagster._core.execution.api import create_execution_plan, execute_run

    config = {**BAD, **QUIET}
    plan = create_execution_plan(InMemoryJob(job), run_config=config)
    run = instance.create_run_for_job(job, execution_plan=plan, run_config=config)
    run_job(instance, job, tags={})
    execute_run(InMemoryJob(job), run, instance)


def test_a_run_in_between_leaves_every_check_evaluated(served: Served) -> None:
    interleaved(served.instance, JOB)
    found = checks_of(served.ask, "table")
    assert found["is_full"]["status"] == "SUCCEEDED"
    assert found["is_clean"]["status"] == "FAILED" and found["is_clean"]["evaluation"]["description"] == "2 rows"
    assert found["looked_at"]["status"] == "SUCCEEDED"


def test_a_run_that_fails_hides_no_check(served: Served) -> None:
    launched(served.ask, job="repair", config=BAD)
    launched(served.ask, job="repair", config={"ops": {"table": {"config": {"raises": "no column"}}}})
    launch(served.ask, {"refuse": "yes"}, job="repair")
    found = checks_of(served.ask, "table")
    assert {name: check["status"] for name, check in found.items()} == {
        "is_full": "SUCCEEDED",
        "is_clean": "FAILED",
        "looked_at": "SUCCEEDED",
    }


# --- live -------------------------------------------------------------------------------------------------------------


def test_a_run_s_page_hears_what_another_instance_writes(served: Served) -> None:
    subscribe = """
    subscription ($r: ID!) { pipelineRunLogs(runId: $r) { ... on PipelineRunLogsSubscriptionSuccess {
      messages { __typename ... on MessageEvent { message } } } } }"""
    run = served.instance.create_run_for_job(JOB)
    elsewhere = open_instance(served.instance.home)
    try:
        with TestClient(served.ui) as client, client.websocket_connect("/ui/x/graphql", ["graphql-ws"]) as socket:
            socket.send_json({"type": "connection_init"})
            assert socket.receive_json()["type"] == "connection_ack"
            payload = {"query": subscribe, "variables": {"r": run.run_id}}
            socket.send_json({"type": "start", "id": "1", "payload": payload})
            planned = socket.receive_json()["payload"]["data"]["pipelineRunLogs"]["messages"]
            assert {each["__typename"] for each in planned} == {
                "AssetMaterializationPlannedEvent",
                "AssetCheckEvaluationPlannedEvent",
            }
            # The observer looks at the folder from a thread of its own, which must have begun.
            for _ in range(50):
                if served.instance.event_log_storage._watchers.get(run.run_id):
                    break
                time.sleep(0.05)
            time.sleep(0.3)
            with elsewhere.database.transaction():
                elsewhere.report_engine_event("somebody acts", run)
            # In a thread: where nothing is heard, this fails and does not wait for ever.
            message = ThreadPoolExecutor(1).submit(socket.receive_json).result(timeout=30)
            heard = message["payload"]["data"]["pipelineRunLogs"]["messages"]
            assert [each["message"] for each in heard] == ["somebody acts"]
    finally:
        close_instance(elsewhere)
