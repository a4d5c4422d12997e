"""The UI of a sandbox, asked over GraphQL as its pages ask."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import httpx

from mario_dagster.runtime.location import MODULE, REPOSITORY

LAUNCH = """
mutation ($p: ExecutionParams!) { launchPipelineExecution(executionParams: $p) {
  __typename ... on LaunchRunSuccess { run { runId status } } ... on UnauthorizedError { message }
  ... on RunConfigValidationInvalid { errors { message } } ... on PythonError { message stack } } }"""
RERUN = """
mutation ($p: ReexecutionParams) { launchPipelineReexecution(reexecutionParams: $p) {
  __typename ... on LaunchRunSuccess { run { runId status parentRunId stepKeysToExecute } }
  ... on PythonError { message stack } } }"""
BACKFILL = """
mutation ($p: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $p) {
  __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message stack } } }"""
BACKFILLS = """
{ partitionBackfillsOrError { ... on PartitionBackfills { results {
  id status error { message } runs { runId status jobName } } } } }"""
CHECKS = """
query ($a: AssetKeyInput!) { assetNodeOrError(assetKey: $a) { ... on AssetNode { assetChecksOrError {
  ... on AssetChecks { checks { name executionForLatestMaterialization {
    status runId evaluation { success description } } } } } } } }"""
SET_SLOTS = "mutation ($pool: String!, $slots: Int!) { setConcurrencyLimit(concurrencyKey: $pool, limit: $slots) }"
RUNS = "{ runsOrError { ... on Runs { results { runId jobName status tags { key value } } } } }"
FAILURE = """
query ($r: ID!) { runOrError(runId: $r) { ... on Run { status
  eventConnection { events { __typename ... on MessageEvent { message } } } } } }"""
Ask = Callable[..., Any]
NONE: Mapping[str, str] = {}


def selection(job: str = "__ASSET_JOB", assets: Sequence[str] = (), checks: Sequence[tuple[str, str]] = ()) -> Any:
    """What a page selects: a job by name, or assets and checks of the job that holds them all."""
    selected: dict[str, Any] = {
        "repositoryName": REPOSITORY,
        "repositoryLocationName": MODULE,
        "pipelineName": job,
    }
    if assets or checks:
        selected["assetSelection"] = [{"path": name.split("/")} for name in assets]
    if checks:
        selected["assetCheckSelection"] = [{"assetKey": {"path": a.split("/")}, "name": c} for a, c in checks]
    return selected


def launch(ask: Ask, tags: Mapping[str, str] = {}, config: Any = None, **selected: Any) -> Any:
    named = [{"key": key, "value": value} for key, value in tags.items()]
    params = {
        "selector": selection(**selected),
        "runConfigData": config or {},
        "mode": "default",
        "executionMetadata": {"tags": named},
    }
    return ask(LAUNCH, p=params)["launchPipelineExecution"]


def launched(ask: Ask, *arguments: Any, **selected: Any) -> tuple[str, str]:
    """Id and status of a run that was launched and, since it ran in process, has ended."""
    answer = launch(ask, *arguments, **selected)
    assert answer["__typename"] == "LaunchRunSuccess", answer
    return answer["run"]["runId"], answer["run"]["status"]


def checks_of(ask: Ask, asset: str) -> dict[str, Any]:
    node = ask(CHECKS, a={"path": asset.split("/")})["assetNodeOrError"]
    return {check["name"]: check["executionForLatestMaterialization"] for check in node["assetChecksOrError"]["checks"]}


def asking(app: Any, prefix: str) -> Ask:
    """Asks one app over GraphQL; the answer's data."""

    def ask(query: str, errors: bool = False, **variables: Any) -> Any:
        async def post() -> httpx.Response:
            transport = httpx.ASGITransport(app=app)
            async with httpx.AsyncClient(transport=transport, base_url="http://ui") as client:
                return await client.post(f"{prefix}/graphql", json={"query": query, "variables": variables})

        reply = asyncio.run(post())
        body = reply.json()
        assert reply.status_code == 200, body
        assert ("errors" in body) is errors, body
        return body["errors"] if errors else body["data"]

    return ask
