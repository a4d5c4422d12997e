"""Events that belong to no run: what is known of a pipeline between its runs, in Dagster's own words.

In: an instance and what is to be said. Out: events in it, in the transaction that is open.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from dagster import AssetCheckEvaluation, AssetCheckResult, AssetKey, AssetMaterialization
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluationTargetMaterializationData
from dagster._core.definitions.freshness import FreshnessState, FreshnessStateChange
from dagster._time import get_current_timestamp

from .instance import SandboxInstance
from .queries import Materialized

Freshness = Literal["PASS", "WARN", "FAIL"]


def report_check(instance: SandboxInstance, result: AssetCheckResult, of: Materialized) -> None:
    """Say how a check stands, of the content that a materialization stored."""
    assert result.asset_key is not None and result.check_name is not None
    target = AssetCheckEvaluationTargetMaterializationData(
        storage_id=of.event_id, run_id=of.run_id, timestamp=of.timestamp
    )
    evaluation = AssetCheckEvaluation(
        asset_key=result.asset_key,
        check_name=result.check_name,
        passed=result.passed,
        severity=result.severity,
        description=result.description,
        metadata=result.metadata,
        target_materialization_data=target,
    )
    instance.report_runless_asset_event(evaluation)


def report_freshness(instance: SandboxInstance, asset: AssetKey, before: str | None, now: Freshness) -> None:
    """Say that an asset is as fresh as this, where that is news."""
    if before == now:
        return
    change = FreshnessStateChange(
        key=asset,
        new_state=FreshnessState(now),
        previous_state=FreshnessState(before or "UNKNOWN"),
        state_change_timestamp=get_current_timestamp(),
    )
    instance.report_runless_asset_event(change)


def report_page(instance: SandboxInstance, asset: AssetKey, metadata: Mapping[str, Any]) -> None:
    """Put a new version of a page beside the ones before."""
    instance.report_runless_asset_event(AssetMaterialization(asset, metadata=dict(metadata)))
