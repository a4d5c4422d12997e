"""Column lineage of derived tables is what their transforms do."""

import dagster as dg
import pandas as pd
import pytest

from mario_dagster.assets.lineage import column_lineage
from mario_dagster.core.registry import tasks
from mario_dagster.core.task import Table, Task
from mario_dagster.tables.frames import canonical
from mario_dagster.tables.spec import clean_data_of, pipeline_spec

DERIVED = [(task, table) for task in tasks() for table in task.derived_tables]


def inputs(task: Task, table: Table) -> dict[str, pd.DataFrame]:
    """A clean day's tables upstream."""
    clean, found = clean_data_of(task.slug, 3), {}
    for name in table.upstream:
        source = task.table(name)
        frames = [batch.frame for batch in clean.batches] if source.batched else [clean.feeds[str(source.feed)]]
        found[name] = canonical(pd.concat(frames, ignore_index=True), source)
    return found


@pytest.mark.parametrize(("task", "table"), DERIVED, ids=lambda each: getattr(each, "name", ""))
def test_a_column_is_fed_by_what_changes_it(task: Task, table: Table) -> None:
    """Shuffling an upstream column changes the derived table only where the lineage has it."""
    spec = pipeline_spec(task)
    lineage = column_lineage(task, table, spec.sums.get(table.name)).deps_by_column
    assert lineage.keys() == set(table.column_names)
    transform, given = spec.transforms[table.name], inputs(task, table)
    before = transform(**given)
    fed = {(dep.asset_key.path[-1], dep.column_name) for deps in lineage.values() for dep in deps}
    for name, frame in given.items():
        for column in frame.columns:
            shuffled = frame.assign(**{column: frame[column].sample(frac=1.0, random_state=1).to_numpy()})
            shuffled = canonical(shuffled, task.table(name))
            after = transform(**{**given, name: shuffled})
            if not before.equals(after):
                assert (name, column) in fed, f"{name}.{column} changes {table.name}"


def test_nothing_is_claimed_where_nothing_is_declared() -> None:
    task, table = next(each for each in DERIVED if each[0].slug == "temporal")
    found = column_lineage(task, table, None).deps_by_column
    assert found == {"gross_revenue": [dg.TableColumnDep(dg.AssetKey(["temporal", "source_orders"]), "gross_revenue")]}
