"""The commit job: write, audit, publish. All of a task's tables, or none.

In: tables that passed every gate in this run. Out: the published copies, and a release that names their versions. The
release is written last, in one atomic commit: until it is there, consumers see the release before it.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import dagster as dg
import pandas as pd

from mario_dagster.checks.context import context_now
from mario_dagster.checks.facts import checks_for
from mario_dagster.core.task import Task
from mario_dagster.tables.frames import as_type, content_hash
from mario_dagster.tables.load import table_name
from mario_dagster.tables.store import NoTable, Provenance
from mario_dagster.tables.workspace import Workspace

from .graph import OWNERS, key_of, open_workspace

RELEASES = "releases"


@dataclass(frozen=True)
class Release:
    """What consumers see: table -> version in the published lake, and the rows in it."""

    number: int
    versions: Mapping[str, int]
    rows: Mapping[str, int]
    run_id: str


def publish(workspace: Workspace, task: Task, run_id: str) -> Release:
    """Copy every table of a task to where consumers read, then release them together."""
    versions, rows, hashes = [], [], []
    for name in task.table_names:
        stored = workspace.lake.read(table_name(task, name))
        provenance = Provenance(
            run_id=run_id, data_version=stored.provenance.data_version, loaded=stored.provenance.loaded
        )
        versions.append(workspace.published.write(table_name(task, name), stored.frame, provenance))
        rows.append(len(stored.frame))
        hashes.append(stored.provenance.data_version)
    frame = pd.DataFrame(
        {
            "table": as_type(pd.Series(task.table_names), "string"),
            "version": as_type(pd.Series(versions), "int64"),
            "rows": as_type(pd.Series(rows), "int64"),
            "data_version": as_type(pd.Series(hashes), "string"),
        }
    )
    name = table_name(task, RELEASES)
    workspace.published.write(name, frame, Provenance(run_id=run_id, data_version=content_hash(frame)))
    release = newest_release(workspace, task)
    assert release is not None
    return release


def refusals(workspace: Workspace, instance: dg.DagsterInstance, task: Task) -> list[str]:
    """Blocking checks that the tables fail now, audits included; while there are any, nothing is published."""
    looked_at = context_now(workspace, instance, task)
    return [check.name for check in checks_for(task) if check.blocking and not check.evaluate(looked_at).passed]


def newest_release(workspace: Workspace, task: Task) -> Release | None:
    """The release that consumers see now; None before the first."""
    try:
        stored = workspace.published.read(table_name(task, RELEASES))
    except NoTable:
        return None
    names = [str(name) for name in stored.frame["table"]]
    return Release(
        number=stored.version,
        versions=dict(zip(names, map(int, stored.frame["version"]), strict=True)),
        rows=dict(zip(names, map(int, stored.frame["rows"]), strict=True)),
        run_id=stored.provenance.run_id,
    )


def published_assets(task: Task) -> dg.AssetsDefinition:
    """One asset a published table, written by one step: they cannot be published apart."""

    @dg.multi_asset(
        name=f"{task.slug}__publish",
        specs=[
            dg.AssetSpec(
                key_of(task, f"published_{name}"),
                deps=[key_of(task, each) for each in task.table_names],
                group_name=task.slug,
                kinds={"deltalake", "published"},
                owners=OWNERS,
                description=f"{name} as consumers read it, released together with the task's other tables.",
            )
            for name in task.table_names
        ],
        can_subset=False,
    )
    def publish_tables(context: dg.AssetExecutionContext) -> object:
        workspace = open_workspace(context.instance, task)
        if refused := refusals(workspace, context.instance, task):
            # Here too, and not in the commit job alone: whoever materializes these assets publishes.
            raise dg.Failure(f"not published: {', '.join(refused)}", allow_retries=False)
        release = publish(workspace, task, context.run.run_id)
        for name in task.table_names:
            yield dg.MaterializeResult(
                asset_key=key_of(task, f"published_{name}"),
                data_version=dg.DataVersion(workspace.published.provenance(table_name(task, name)).data_version),
                metadata={"dagster/row_count": release.rows[name], "release": release.number},
            )

    return publish_tables
