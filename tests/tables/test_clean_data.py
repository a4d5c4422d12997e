"""Clean data, of every task: right by every check, different with every seed and split, and not too tidy."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mario_dagster.bench.incident_properties import the_clean_data_are_clean
from mario_dagster.checks.contract import amounts
from mario_dagster.core.errors import UnknownName
from mario_dagster.core.registry import tasks
from mario_dagster.core.task import SPLITS, Split, Task
from mario_dagster.incidents.compile import compile_incident
from mario_dagster.tables.clean_data import CleanData
from mario_dagster.tables.frames import content_hash
from mario_dagster.tables.load import stack
from mario_dagster.tables.spec import clean_data_of

TASKS = [pytest.param(task, id=task.slug) for task in tasks()]
# Ids up to this one are of this package.
OWN = [each for each in TASKS if each.values[0].id <= 5]
# Share of a column's values that two seeds may have in common, place by place: none but by chance, unless they are few.
IN_COMMON = {"batch_id": 1.0, "quantity": 0.6, "city": 0.2, "age": 0.1}
CATEGORIES_IN_COMMON, NONE_IN_COMMON = 0.6, 0.05


def fed_tables(task: Task, clean: CleanData) -> dict[str, pd.DataFrame]:
    return {
        table.name: stack([batch.frame for batch in clean.batches]) if table.batched else clean.feeds[table.feed]
        for table in task.tables
        if table.feed is not None
    }


@pytest.mark.parametrize(("scale", "seeds"), [(1, 30), (10, 4)])
@pytest.mark.parametrize("task", TASKS)
def test_clean_data_pass_every_check_and_no_repair_harms_them(task: Task, scale: int, seeds: int) -> None:
    for seed in range(5, 5 + seeds):
        incident = compile_incident(task, split=SPLITS[seed % 2], seed=seed, scale=scale)
        assert the_clean_data_are_clean(incident) == "", seed


@pytest.mark.parametrize("task", OWN)
def test_genuine_values_lie_far_from_the_mean(task: Task) -> None:
    """So that a rule that drops what lies beyond three standard deviations would do harm."""
    far = 0
    for seed in range(20):
        for name, frame in fed_tables(task, clean_data_of(task, seed)).items():
            for column in amounts(task.table(name)):
                values = frame[column.name].to_numpy(dtype=np.float64)
                far += int((np.abs(values - values.mean()) > 3 * values.std()).sum())
    assert far >= 20


@pytest.mark.parametrize("other", [(9, "train"), (8, "eval")])
@pytest.mark.parametrize("task", TASKS)
def test_a_seed_and_a_split_change_every_value(task: Task, other: tuple[int, Split]) -> None:
    one, two = clean_data_of(task, 8), clean_data_of(task, other[0], split=other[1])
    left, right = fed_tables(task, one), fed_tables(task, two)
    for name in left:
        rows = min(len(left[name]), len(right[name]))
        for column in task.table(name).columns:
            same = (left[name][column.name].iloc[:rows] == right[name][column.name].iloc[:rows]).mean()
            bound = CATEGORIES_IN_COMMON if column.categories else NONE_IN_COMMON
            assert same <= IN_COMMON.get(column.name, bound), (name, column.name)
    assert one.now.date() != two.now.date()
    if one.batches:
        assert [batch.landed_at for batch in one.batches] != [batch.landed_at for batch in two.batches]


@pytest.mark.parametrize("task", TASKS)
def test_the_same_seed_is_the_same_data_and_scale_multiplies_rows(task: Task) -> None:
    small, again, large = (fed_tables(task, clean_data_of(task, 8, scale)) for scale in (1, 1, 20))
    assert {name: content_hash(frame) for name, frame in small.items()} == {
        name: content_hash(frame) for name, frame in again.items()
    }
    main = task.main_table.name
    assert 18 <= len(large[main]) / len(small[main]) <= 22
    assert all(len(large[name]) > len(small[name]) for name in small)


@pytest.mark.parametrize("task", [each for each in TASKS if each.values[0].batched_table])
def test_batches_land_one_after_the_other_before_now(task: Task) -> None:
    for seed in range(20):
        clean = clean_data_of(task, seed)
        landed = [batch.landed_at for batch in clean.batches]
        assert landed == sorted(landed) and len(set(landed)) == len(landed) and landed[-1] < clean.now


def test_clean_data_of_no_task_are_refused() -> None:
    with pytest.raises(UnknownName, match="no task 'nowhere'"):
        clean_data_of("nowhere", 1)
