"""Families of incidents: each is drawn, each varies, and what is held out writes and combines what no other does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import fields, is_dataclass

import pytest

from mario_dagster.bench.variety import variety
from mario_dagster.core import formats, registry
from mario_dagster.core.task import SPLITS, Profile, Split, Task
from mario_dagster.incidents.compile import compile_incident
from mario_dagster.incidents.faults.bad_deploy import BadDeploy
from mario_dagster.incidents.faults.base import Fault
from mario_dagster.incidents.faults.lookalike_column import LookalikeColumn
from mario_dagster.incidents.faults.lost_values import LostValues
from mario_dagster.incidents.faults.orphan_rows import OrphanRows
from mario_dagster.incidents.faults.renamed_columns import RenamedColumns
from mario_dagster.incidents.profiles import draw, profiles
from mario_dagster.incidents.vocabularies import HELD_OUT, TRAIN
from mario_dagster.tables.frames import content_hash

TASKS = registry.tasks()
DRAWN = [(each, split) for each in profiles() for split in each.splits]
IDS = [f"{each.name}-{split}" for each, split in DRAWN]
# Of this package: ids up to this one. A package's own task may be as simple as it likes.
OWN = [task for task in TASKS if task.id <= 5]
# Of 870 pairs of seeds: one hundredth, as it is to be, and what chance may add.
MOST_COVERED = 0.02


# --- seeds ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.slug)
def test_every_profile_of_a_split_is_drawn_by_a_small_seed(task: Task, split: Split) -> None:
    assert {draw(task, split, seed).name for seed in range(50)} == {each.name for each in profiles(task, split)}


@pytest.mark.parametrize(("each", "split"), DRAWN, ids=IDS)
def test_no_seed_s_plan_does_for_another_s_and_steps_are_left_to_look(each: Profile, split: Split) -> None:
    """The whole table, over 200 seeds, is that of `python -m mario_dagster.bench.variety`."""
    found = variety(each.name, registry.task(each.task), split, seeds=30)
    assert found.covered <= MOST_COVERED, found
    assert found.spare >= 2, found


@pytest.mark.parametrize(
    ("each", "split"),
    [pytest.param(*drawn, id=id) for drawn, id in zip(DRAWN, IDS, strict=True) if registry.task(drawn[0].task) in OWN],
)
def test_a_seed_changes_the_damage(each: Profile, split: Split) -> None:
    incidents = [compile_incident(each.task, each.name, split=split, seed=seed) for seed in range(10)]
    deliveries = {tuple(content_hash(frame) for frame in one.landing.values()) for one in incidents}
    assert len(deliveries) == len(incidents)
    assert len({one.solution for one in incidents}) >= 3
    if registry.task(each.task).derived_tables:
        assert len({str(sorted(one.deploys.items())) for one in incidents}) >= 8


@pytest.mark.parametrize("task", OWN, ids=lambda task: task.slug)
def test_no_fixed_list_of_moves_solves_a_task(task: Task) -> None:
    """The moves that are needed most often, as many as the budget has steps for, solve few incidents."""
    plans = [
        frozenset(compile_incident(task, each.name, split=each.splits[-1], seed=seed).solution[:-1])
        for each in profiles(task)
        for seed in range(15)
    ]
    wanted = Counter(step for plan in plans for step in plan)
    fixed = {step for step, _ in wanted.most_common(task.max_steps - 1)}
    assert len(wanted) > 2 * task.max_steps
    assert sum(plan <= fixed for plan in plans) < len(plans) / 3
    assert len(set(plans)) > 0.8 * len(plans)


# --- what is held out -------------------------------------------------------------------------------------------------


def walk(value: object) -> Iterator[Fault]:
    """Every fault in a profile, those inside choices too."""
    if isinstance(value, Fault):
        yield value
    if is_dataclass(value) and not isinstance(value, type):
        for each in fields(value):
            yield from walk(getattr(value, each.name))
    elif isinstance(value, tuple | list):
        for each in value:
            yield from walk(each)


def written(families: Iterable[Profile]) -> tuple[set[str], set[str], set[str]]:
    """Names, marks of spellings, and words for nothing that these may write."""
    names: set[str] = set()
    spellings: set[str] = set()
    words: set[str] = set()
    for found in (fault for each in families for fault in walk(each.faults)):
        if isinstance(found, RenamedColumns | BadDeploy):
            names |= {alias for pool in found.aliases.values() for alias in pool}
        if isinstance(found, LookalikeColumn):
            names |= set(found.names)
        if isinstance(found, BadDeploy):
            spellings |= {spelling for pool in found.texts.values() for spelling in pool}
        if isinstance(found, LostValues | OrphanRows):
            words |= {word for word in found.words if word is not None}
        spellings |= set(getattr(found, "spellings", ()))
    # The canonical spelling is no drift.
    return names, {mark(spelling) for spelling in spellings} - {"iso_utc"}, words


def mark(spelling: str) -> str:
    """What tells a spelling apart: the mark around a number, the name of a moment's spelling."""
    for slot in ("{amount}", "{value}", "{cents}"):
        if slot in spelling:
            return spelling.replace(slot, "").strip()
    return spelling.split(" ")[0]


def test_held_out_families_write_nothing_that_another_profile_writes() -> None:
    held_out = written(each for each in profiles() if each.held_out)
    others = written(each for each in profiles() if not each.held_out)
    for one, other in zip(held_out, others, strict=True):
        assert one and other and not one & other
    for task in TASKS:
        contract = {name for table in task.tables for name in table.column_names}
        assert not contract & written(profiles(task))[0], task.slug


def test_held_out_families_are_for_eval_and_combine_what_no_train_profile_combines() -> None:
    def pairs(each: Profile) -> set[frozenset[str]]:
        kinds = [f"{found.name}:{getattr(found, 'table', '')}" for found in walk(each.faults)]
        return {frozenset((one, two)) for one in kinds for two in kinds}

    for task in TASKS:
        known = set().union(*(pairs(each) for each in profiles(task, "train")))
        for each in profiles(task):
            if each.held_out:
                assert each.splits == ("eval",) and pairs(each) - known, each.name


def test_no_two_columns_of_a_table_may_get_one_name() -> None:
    assert len({each.name for each in profiles()}) == len(profiles())
    for each in profiles():
        holders: dict[tuple[str, str], set[str]] = {}
        for found in walk(each.faults):
            pools = dict(getattr(found, "aliases", {}))
            if isinstance(found, LookalikeColumn):
                pools[f"like {found.column}"] = found.names
            for column, pool in pools.items():
                for name in pool:
                    holders.setdefault((found.table, name), set()).add(column)  # type: ignore[attr-defined]
        for (table, name), columns in holders.items():
            assert len(columns) == 1, (each.name, table, name, columns)
            assert name not in registry.task(each.task).table(table).column_names, (each.name, table, name)


@pytest.mark.parametrize("part", [each.name for each in fields(TRAIN)])
def test_pools_are_disjoint_and_made_of_listed_marks(part: str) -> None:
    train, held_out = getattr(TRAIN, part), getattr(HELD_OUT, part)
    assert train and held_out and not set(train) & set(held_out)
    known = {
        "currency": formats.CURRENCY_MARKS,
        "cents": formats.CENT_WORDS,
        "units": formats.UNIT_WORDS,
        "timestamps": tuple(formats.TIMESTAMP_FORMATS),
        "offsets": tuple(formats.TIMESTAMP_FORMATS),
        "dates": tuple(formats.DATE_FORMATS),
        "sentinels": formats.SENTINELS,
        "numbers": formats.NUMERIC_SENTINELS,
    }[part]
    for spelling in (*train, *held_out):
        assert (mark(spelling) if isinstance(spelling, str) and part != "sentinels" else spelling) in known
    if part in ("currency", "cents", "units"):
        assert not {mark(each) for each in train} & {mark(each) for each in held_out}
