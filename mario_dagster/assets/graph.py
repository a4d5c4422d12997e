"""A task as a Dagster asset graph: landed → tables → derived, with checks, gates, pool and schedule.

In: a `Task` of the catalogue and its transforms. Out: assets, asset checks, jobs and a schedule. Every task is built by
the one `build()`; a task's own file names its transforms and nothing else.

Two kinds of asset check stand on each table. The *facts* (`order_ids_are_unique`) run with every materialization and
only tell. The *gates* (`source_orders_is_fit_to_publish`, the cross-table facts, the audit) are blocking: in a
scheduled run they stop what is downstream, in the commit job they stop publishing.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import dagster as dg

from mario_dagster.checks.context import context_now, report_of, require_workers
from mario_dagster.checks.facts import Check, checks_for
from mario_dagster.checks.outcome import CheckContext
from mario_dagster.core.action import ACTIONS, REPAIRS, Action
from mario_dagster.core.task import Table, Task
from mario_dagster.tables.landing import LandingError
from mario_dagster.tables.load import SNAPSHOT, Write, derived, landed, loaded, repaired
from mario_dagster.tables.repairs import repair_of
from mario_dagster.tables.spec import Transform, pipeline_spec
from mario_dagster.tables.workspace import Workspace, lake_name, workspace_of

from .lineage import column_lineage
from .metadata import check_result, contract_metadata, fit_name, fit_result, stored_metadata

OWNERS = ["team:data-platform"]
# Where Dagster keeps the code version that a materialization was computed by.
CODE_VERSION = "dagster/code_version"
# What a launchpad completes and checks an action against.
REPAIR = dg.Enum(
    "Repair", [dg.EnumValue(spec.name, description=spec.summary) for spec in ACTIONS if spec.id in REPAIRS]
)


@dataclass(frozen=True)
class Pipeline:
    """One task's part of the code location."""

    task: Task
    transforms: Mapping[str, Transform]
    assets: tuple[dg.AssetsDefinition, ...]
    checks: tuple[dg.AssetChecksDefinition, ...]
    gates: Mapping[str, tuple[dg.AssetCheckKey, ...]]
    audits: Mapping[str, dg.AssetCheckKey]


class LakeIOManager(dg.IOManager):
    """Stores `Write`s in the workspace of the instance that runs the asset, and reads tables back as frames."""

    def handle_output(self, context: dg.OutputContext, obj: Write | Mapping[str, Write]) -> None:
        workspace = workspace_of(context.step_context.instance, context.asset_key.path[0])
        parts = [(None, obj)] if isinstance(obj, Write) else list(obj.items())
        for partition, write in parts:
            version = workspace.lake.write(lake_name(context.asset_key, partition), write.frame, write.provenance)
            if partition is None:
                context.add_output_metadata({"delta version": version})

    def load_input(self, context: dg.InputContext) -> Any:
        workspace = workspace_of(context.step_context.instance, context.asset_key.path[0])
        return workspace.lake.read(lake_name(context.asset_key)).frame


def build(task: Task, transforms: Mapping[str, Transform], code_versions: Mapping[str, str] = {}) -> Pipeline:
    """A task's assets and checks.

    Args:
        code_versions: derived table -> live release of its transform, where the definitions are of one sandbox.
    """
    checks = checks_for(task)
    facts = {name: [c for c in checks if c.table == name and c.scope == "table"] for name in task.table_names}
    assets: list[dg.AssetsDefinition] = []
    for table in task.tables:
        if table.derived:
            release = code_versions.get(table.name)
            assets.append(_derived_asset(task, table, transforms[table.name], facts[table.name], release))
        else:
            assets.append(_landed_asset(task, table))
            assets.append(_table_asset(task, table, facts[table.name]))
    gates = tuple(_gate(task, table, checks) for table in task.tables)
    audits = {c.table: dg.AssetCheckKey(key_of(task, c.table), c.name) for c in checks if c.kind == "audit"}
    keys = {
        table.name: tuple(key for key in gate.check_keys if key != audits.get(table.name))
        for table, gate in zip(task.tables, gates, strict=True)
    }
    return Pipeline(task, transforms, tuple(assets), gates, keys, audits)


def open_workspace(instance: dg.DagsterInstance, task: Task) -> Workspace:
    """Where a run may write a task's tables. Those of an episode that is over are what it was graded by.

    Raises:
        dagster.Failure: the episode is over.
    """
    workspace = workspace_of(instance, task.slug)
    if (ended := workspace.ended) is not None:
        raise dg.Failure(f"the episode is over ({ended}): its tables stay as they are", allow_retries=False)
    return workspace


def key_of(task: Task, name: str) -> dg.AssetKey:
    return dg.AssetKey([task.slug, name])


def landed_key(task: Task, table: Table) -> dg.AssetKey:
    return key_of(task, f"landed_{table.feed}")


def partitions_of(task: Task, table: Table) -> dg.DynamicPartitionsDefinition:
    """The batches of a feed, as dynamic partitions."""
    return dg.DynamicPartitionsDefinition(name=f"{task.slug}_{table.feed}_batches")


def repair_config(table: Table) -> Mapping[str, dg.Field]:
    """The op config of a table: without an action it is loaded or computed, with one, that repair is made.

    Not a `dg.Config`: text in one may also be `{"env": NAME}`, and what the environment holds would be told as a
    column's name.
    """
    columns = ", ".join(table.column_names)

    def field(kind: Any, description: str) -> dg.Field:
        return dg.Field(dg.Noneable(kind), is_required=False, default_value=None, description=description)

    return {
        "action": field(REPAIR, f"The repair to make of {table.name}. Without one it is loaded or computed again."),
        "target_column": field(str, f"The column to repair, as it is stored. The contract has: {columns}."),
        "new_name": field(str, f"What rename_column calls it. The contract has: {columns}."),
        "column_order": field([str], "Every stored column, in the order that reorder_columns gives them."),
    }


# --- assets -----------------------------------------------------------------------------------------------------------


def _landed_asset(task: Task, table: Table) -> Any:
    options: dict[str, Any] = {}
    if table.batched:
        options = {
            "partitions_def": partitions_of(task, table),
            "pool": task.pool,
            "backfill_policy": dg.BackfillPolicy.single_run(),
        }
    with warnings.catch_warnings():
        # Dagster says of `backfill_policy` that it is beta; whoever runs a pipeline can do nothing about that.
        warnings.simplefilter("ignore", dg.BetaWarning)
        declared = dg.asset(
            key=landed_key(task, table),
            group_name=task.slug,
            kinds={"deltalake", "bronze"},
            owners=OWNERS,
            io_manager_key="lake",
            description=f"The {table.feed} feed as it landed, file by file, nothing changed.",
            **options,
        )

    @declared
    def landed_asset(context: dg.AssetExecutionContext):  # type: ignore[no-untyped-def]  # an annotation would name the output type
        workspace = open_workspace(context.instance, task)
        batches = _batches(context, table) if table.batched else [SNAPSHOT]
        if table.batched:
            require_workers(context.instance, workspace, task, batches)
        writes = {batch: landed(workspace, table, batch, context.run.run_id) for batch in batches}
        rows = sum(len(write.frame) for write in writes.values())
        columns = ", ".join(map(str, next(iter(writes.values())).frame.columns))
        versions = [write.provenance.data_version for write in writes.values()]
        return dg.MaterializeResult(
            value=writes,
            data_version=dg.DataVersion("-".join(versions)),
            metadata={"dagster/row_count": rows, "columns": columns},
        )

    return landed_asset


def _batches(context: dg.AssetExecutionContext, table: Table) -> list[str]:
    """The batches that a run is to load. Raises `LandingError` where one of them is no partition (any more)."""
    try:
        return list(context.partition_keys)
    except dg.DagsterError:
        wanted = context.run.tags.get("dagster/partition", "what it asks for")
        raise LandingError(f"{wanted} is no partition of {table.feed}: it has to be added again first") from None


def _table_asset(task: Task, table: Table, facts: Sequence[Check]) -> dg.AssetsDefinition:
    mapping = dg.AllPartitionMapping() if table.batched else None

    @dg.asset(
        key=key_of(task, table.name),
        deps=[dg.AssetDep(landed_key(task, table), partition_mapping=mapping)],
        group_name=task.slug,
        kinds={"deltalake", "silver", "pandas"},
        owners=OWNERS,
        description=table.description,
        metadata=contract_metadata(table),
        io_manager_key="lake",
        config_schema=repair_config(table),
        check_specs=_specs(task, facts),
    )
    def table_asset(context: dg.AssetExecutionContext):  # type: ignore[no-untyped-def]  # an annotation would name the output type
        workspace = open_workspace(context.instance, task)
        repair = _requested(context)
        if repair is None:
            write = loaded(workspace, task, table, context.run.run_id)
        else:
            write = repaired(workspace, task, table, repair, context.run.run_id)
        return _materialized(task, table, write, facts, repair)

    return table_asset


def _derived_asset(
    task: Task, table: Table, transform: Transform, facts: Sequence[Check], code_version: str | None
) -> dg.AssetsDefinition:
    @dg.asset(
        key=key_of(task, table.name),
        ins={name: dg.AssetIn(key=key_of(task, name)) for name in table.upstream},
        group_name=task.slug,
        kinds={"deltalake", "gold", "pandas"},
        owners=OWNERS,
        description=table.description,
        metadata={
            **contract_metadata(table),
            "dagster/column_lineage": column_lineage(task, table, pipeline_spec(task).sums.get(table.name)),
        },
        freshness_policy=dg.FreshnessPolicy.time_window(
            fail_window=timedelta(minutes=task.freshness.window),
            warn_window=timedelta(minutes=task.freshness.warns_after),
        ),
        io_manager_key="lake",
        config_schema=repair_config(table),
        check_specs=_specs(task, facts),
        code_version=code_version,
    )
    def derived_asset(context: dg.AssetExecutionContext, **inputs: Any):  # type: ignore[no-untyped-def]  # as above
        workspace = open_workspace(context.instance, task)
        repair = _requested(context)
        if repair is None:
            write = derived(workspace, task, table, transform, inputs, context.run.run_id)
        else:
            write = repaired(workspace, task, table, repair, context.run.run_id)
        return _materialized(task, table, write, facts, repair)

    return derived_asset


def _requested(context: dg.AssetExecutionContext) -> Action | None:
    config = context.op_execution_context.op_config
    return repair_of({k: v for k, v in config.items() if v is not None}) if config["action"] else None


def _materialized(
    task: Task, table: Table, write: Write, facts: Sequence[Check], repair: Action | None
) -> dg.MaterializeResult[Any]:
    report = report_of(task, table.name, write.frame, write.provenance.data_version)
    check_context = CheckContext(
        task=task,
        tables={table.name: write.frame},
        landed={},
        pending=(),
        stale=frozenset(),
        declared={},
        versions={table.name: write.provenance.data_version},
        reports={table.name: (write.frame, report)},
    )
    return dg.MaterializeResult(
        value=write,
        data_version=dg.DataVersion(write.provenance.data_version),
        metadata=stored_metadata(table, write.frame, report, write.rows_before, repair),
        # By which release it was computed is known here, not to the definition: one serves every sandbox.
        tags={CODE_VERSION: write.provenance.code_version} if write.provenance.code_version else {},
        check_results=[
            check_result(task, check, check.evaluate(check_context), check_context.tables) for check in facts
        ],
    )


# --- gates ------------------------------------------------------------------------------------------------------------


def _gate(task: Task, table: Table, checks: Sequence[Check]) -> dg.AssetChecksDefinition:
    """The blocking checks of one table: its facts as one, the cross-table facts, the audit."""
    facts = [c for c in checks if c.table == table.name and c.scope == "table" and c.blocking]
    wider = {c.name: c for c in checks if c.table == table.name and c.scope == "pipeline"}
    fit = fit_name(table)
    key = key_of(task, table.name)
    # What a cross-table fact looks at must be materialized before it is judged, in a run that does both.
    others = [key_of(task, name) for name in _beside(task, table)]
    specs = [
        dg.AssetCheckSpec(
            fit, asset=key, blocking=True, additional_deps=others, description=f"{table.name} meets every fact."
        ),
        *(
            dg.AssetCheckSpec(c.name, asset=key, blocking=c.blocking, additional_deps=others, description=c.description)
            for c in wider.values()
        ),
    ]

    @dg.multi_asset_check(specs=specs, can_subset=True, name=f"{task.slug}__{table.name}_gate")
    def gate(context: dg.AssetCheckExecutionContext) -> Any:
        workspace = workspace_of(context.instance, task.slug)
        check_context = context_now(workspace, context.instance, task)
        for selected in sorted(context.selected_asset_check_keys, key=lambda each: each.name):
            if selected.name == fit:
                yield fit_result(task, table, {fact.name: fact.evaluate(check_context) for fact in facts})
            else:
                check = wider[selected.name]
                outcome = check.evaluate(check_context)
                yield check_result(task, check, outcome, check_context.tables, check_context.content)

    return gate


def _beside(task: Task, table: Table) -> tuple[str, ...]:
    """Tables that a table's cross-table facts read: those its columns refer to, or those it is computed from."""
    referred = {column.references.split(".")[0] for column in table.columns if column.references}
    return tuple(name for name in task.table_names if name in referred or name in table.upstream)


def _specs(task: Task, facts: Sequence[Check]) -> list[dg.AssetCheckSpec]:
    return [dg.AssetCheckSpec(c.name, asset=key_of(task, c.table), description=c.description) for c in facts]
