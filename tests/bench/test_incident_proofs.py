"""Every incident is proven on real Dagster: it struck, it fails, doing nothing fails, and the solution undoes it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd
import pytest

from mario_dagster.core.action import Action
from mario_dagster.core.registry import tasks
from mario_dagster.env.perform import perform
from mario_dagster.incidents.compile import compile_incident
from mario_dagster.incidents.damage import UNBATCHED
from mario_dagster.incidents.profiles import profiles
from mario_dagster.sandbox.home import Home
from mario_dagster.sandbox.sandbox import Sandbox
from mario_dagster.tables.frames import content_hash
from mario_dagster.tables.load import SNAPSHOT, landed_name, table_name

# Of each profile; `mario check` proves as many as are asked for.
SEEDS = range(3)
SUCCESS = 0.999
# Two tests play it: what one has lived through is kept for the other.
SHARED_SEED = 1


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path_factory.mktemp("home"))


CASES = [(task.slug, each.name, each.splits[-1], seed) for task in tasks() for each in profiles(task) for seed in SEEDS]


@pytest.fixture
def sandbox(home: Home, request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    task, profile, split, seed = request.param
    made = Sandbox.create(task, profile=profile, split=split, seed=seed, home=home)
    yield made
    made.close()
    home.remove(made.id)
    if seed != SHARED_SEED:
        home.prune(templates=True)


def play(sandbox: Sandbox, moves: tuple[Mapping[str, Any], ...]) -> str:
    """Play public actions one after another; the last one's outcome."""
    active, status = sandbox.task.main_table.name, ""
    for move in moves:
        outcome = perform(sandbox, Action.from_dict(move), active, {"mario/actor": "gold"})
        assert outcome.status != "invalid", (move, outcome.text)
        active, status = outcome.active_table, outcome.status
    return status


@pytest.mark.parametrize("sandbox", CASES, indirect=True, ids=lambda case: f"{case[1]}-{case[3]}")
def test_an_incident_strikes_fails_and_is_undone_by_its_gold_repairs(sandbox: Sandbox) -> None:
    incident = compile_incident(
        sandbox.task,
        sandbox.profile,
        split=sandbox.split,
        seed=sandbox.seed,
        salt="",  # type: ignore[arg-type]
    )
    signals = sandbox.signals()

    # It struck: what is in the lake is what the compiler damaged, and what waits is what it holds back.
    assert signals.pending_batches == incident.pending
    for table in sandbox.task.tables:
        batches = {batch: batch for batch in incident.healthy_batches} if table.batched else {SNAPSHOT: UNBATCHED}
        for held_as, batch in batches.items() if table.feed else ():
            held = sandbox.workspace.lake.read(landed_name(sandbox.task, table, held_as)).frame
            assert content_hash(held) == content_hash(incident.landing[f"{table.feed}/{batch}"])
    assert signals.blocking_failures and not signals.commit_ready
    assert sandbox.grade().score < sandbox.task.threshold

    # Doing nothing, then committing, publishes nothing new and changes no table.
    before = {name: content_hash(sandbox.table(name)) for name in sandbox.task.table_names}
    release = sandbox.release()
    assert not sandbox.commit({}).ok
    assert sandbox.release() == release
    assert {name: content_hash(sandbox.table(name)) for name in sandbox.task.table_names} == before

    # The solution's repairs undo it, within the budget.
    assert len(sandbox.truth_store.solution) <= sandbox.task.max_steps
    assert play(sandbox, sandbox.truth_store.solution) == "done"
    grade = sandbox.grade()
    assert grade.score >= SUCCESS, grade
    published = sandbox.release()
    assert published is not None and release is not None and published.number > release.number


PROFILES = [(task.slug, each.name, each.splits[-1], SHARED_SEED) for task in tasks() for each in profiles(task)]


@pytest.mark.parametrize("sandbox", PROFILES, indirect=True, ids=lambda case: case[1])
def test_the_truth_put_in_place_by_hand_scores_one_and_commits(sandbox: Sandbox) -> None:
    if sandbox.task.pool:
        sandbox.set_workers(3)
        while sandbox.signals().pending_batches:
            assert sandbox.replay({}).ok
        sandbox.set_workers(sandbox.signals().required_resource_level)
    lake = sandbox.workspace.lake
    for table in sandbox.task.tables:
        name = table_name(sandbox.task, table.name)
        reference = sandbox.truth_store.reference(table.name)
        if table.derived:
            sandbox.workspace.set_deploys({})
            lake.write(name, reference, type(lake.provenance(name))())
            assert sandbox.refresh({}).ok
            pd.testing.assert_frame_equal(sandbox.table(table.name), reference)
        else:
            provenance = lake.provenance(name)
            lake.write(
                name,
                reference,
                type(provenance)(
                    run_id=provenance.run_id, loaded=provenance.loaded, data_version=content_hash(reference)
                ),
            )
    assert sandbox.commit({}).ok
    assert sandbox.grade().score == pytest.approx(1.0)


@pytest.mark.parametrize("sandbox", PROFILES, indirect=True, ids=lambda case: case[1])
def test_an_emptied_pipeline_scores_next_to_nothing_and_never_commits(sandbox: Sandbox) -> None:
    play(sandbox, sandbox.truth_store.solution[:-1])
    main = sandbox.task.main_table.name
    name = table_name(sandbox.task, main)
    provenance, empty = sandbox.workspace.lake.provenance(name), sandbox.table(main).iloc[:0]
    sandbox.workspace.lake.write(
        name,
        empty,
        type(provenance)(run_id=provenance.run_id, loaded=provenance.loaded, data_version=content_hash(empty)),
    )
    if sandbox.task.derived_tables:
        sandbox.refresh({})
    assert not sandbox.commit({}).ok
    assert sandbox.grade().tables[main] == 0.0
    assert sandbox.grade().score < sandbox.task.threshold
