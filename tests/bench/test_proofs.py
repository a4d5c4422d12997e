"""`mario check` proves sound incidents, and sees through unsound ones: each property is broken on purpose once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain

import pandas as pd
import pytest

from mario_dagster.bench import incident_properties
from mario_dagster.bench.bookkeeping import disagreements
from mario_dagster.bench.incident_properties import INCIDENT_PROPERTIES
from mario_dagster.bench.proofs import Case, cases, prove
from mario_dagster.bench.properties import (
    PROPERTIES,
    Scene,
    a_blocking_check_fails,
    an_emptied_table_is_never_published,
    another_order_recovers_it,
    every_gold_repair_is_needed,
    the_solution_recovers_it,
    what_landed_is_the_compiled_damage,
)
from mario_dagster.bench.solution_orders import other_order, sections
from mario_dagster.core.action import Action
from mario_dagster.core.errors import UnknownName
from mario_dagster.core.registry import task as find_task
from mario_dagster.core.registry import tasks
from mario_dagster.core.task import Task
from mario_dagster.incidents.compile import Incident, compile_incident
from mario_dagster.incidents.profiles import profiles
from mario_dagster.sandbox.home import Home
from mario_dagster.sandbox.sandbox import Sandbox

CASE = Case("ingestion", "signup_contract_drift", "train", 2)
LOOK = Action(0)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path_factory.mktemp("proofs"))


@pytest.fixture
def scene(home: Home) -> Iterator[Scene]:
    incident = compile_incident(CASE.task, CASE.profile, split=CASE.split, seed=CASE.seed)
    with Sandbox.create(CASE.task, profile=CASE.profile, split=CASE.split, seed=CASE.seed, home=home) as sandbox:
        yield Scene(sandbox, incident, home)


def test_a_sound_incident_is_proven_and_leaves_nothing_behind(home: Home) -> None:
    proof = prove(CASE, home.root / "scratch")
    assert proof.holds, proof.findings
    states = {name: found.state for name, found in proof.findings.items()}
    assert states.pop("the_right_decision_alone_succeeds") == "not applicable"
    assert set(states.values()) == {"holds"}
    assert len(proof.findings) == len(PROPERTIES) + len(INCIDENT_PROPERTIES) + 1
    assert not any(Home(folder).sandboxes() for folder in (home.root / "scratch").iterdir())


def test_only_the_solution_is_proven_where_no_more_is_asked(home: Home) -> None:
    proof = prove(CASE, home.root / "gold", solution_only=True)
    assert {name: found.state for name, found in proof.findings.items()} == {
        "the_clean_history_is_green": "holds",
        "the_solution_recovers_it": "holds",
    }


def test_a_case_that_cannot_even_be_made_fails() -> None:
    proof = prove(Case("ingestion", "no_such_profile", "train", 2), Home.default().root / "scratch")
    assert not proof.holds and "no_such_profile" in proof.findings["the_clean_history_is_green"].why


def test_every_profile_and_split_is_a_case() -> None:
    named = profiles(by_name_only=True)
    wanted = {(each.task, each.name, split) for each in (*profiles(), *named) for split in each.splits}
    assert {(case.task, case.profile, case.split) for case in cases(None, None, 2)} == wanted
    assert {case.seed for case in cases("events", None, 2, first_seed=5)} == {5, 6}
    assert len(cases(None, named[0].name, 3)) == 3 * len(named[0].splits)
    with pytest.raises(UnknownName):
        cases("events", CASE.profile, 1)


def test_a_plan_that_lacks_a_repair_does_not_recover(scene: Scene) -> None:
    place = next(place for place, move in enumerate(scene.solution) if move.id > 2)
    scene.solution = scene.solution[:place] + scene.solution[place + 1 :]
    assert "score" in the_solution_recovers_it(scene)


def test_a_plan_over_the_budget_is_none(scene: Scene) -> None:
    scene.solution = (*[LOOK] * scene.sandbox.task.max_steps, *scene.solution)
    assert "for a budget of" in the_solution_recovers_it(scene)


def test_a_repair_that_is_not_needed_is_found(scene: Scene) -> None:
    # Where all is repaired, removing duplicates repairs nothing, and a plan of that alone would do without it.
    scene.solution = (Action(10), scene.solution[-1])
    with scene.copy() as take:
        take.play([Action.from_dict(step) for step in scene.sandbox.truth_store.solution[:-1]])
        repaired = Scene(take.sandbox, scene.incident, scene.home)
        repaired.solution = scene.solution
        assert every_gold_repair_is_needed(repaired) == "not needed: remove_duplicates"
        assert a_blocking_check_fails(repaired) == "every blocking check passes"
        assert "is not the sum of what landed" in what_landed_is_the_compiled_damage(repaired)


def test_an_order_that_does_not_do_is_found(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mario_dagster.bench.properties.other_order", lambda task, solution: solution[-1:])
    assert "not published" in another_order_recovers_it(scene)


def test_an_emptied_table_that_is_published_is_found(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mario_dagster.bench.properties._write", lambda sandbox, table, frame: None)
    assert an_emptied_table_is_never_published(scene) == "customers without rows is published"


def without(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.iloc[1:].reset_index(drop=True)


@pytest.mark.parametrize("book", ["cells", "columns", "rows_added"])
def test_a_ledger_with_a_page_torn_out_is_found(book: str) -> None:
    for seed in range(40):
        incident = compile_incident("ingestion", None, split="train", seed=seed)
        assert list(disagreements(incident, tasks()[0])) == []
        page = getattr(incident.damage_manifest, book)
        if len(page):
            torn: Incident = replace(
                incident, damage_manifest=replace(incident.damage_manifest, **{book: without(page)})
            )
            assert list(disagreements(torn, tasks()[0]))
            return
    pytest.fail(f"no incident has {book}")


SINGLE = compile_incident(CASE.task, CASE.profile, split=CASE.split, seed=CASE.seed)
TEMPORAL = compile_incident("temporal", "temporal_rollup_backfill_incident", seed=3)
BATCH, CATALOG = next(key for key in TEMPORAL.landing if key.startswith("orders/")), "catalog/c01"
IDLE = replace(Action.named("drop_outliers", "unit_price"), table="catalog")


def delivered(**frames: pd.DataFrame) -> Incident:
    """The incident with other files than the compiler's: `orders` is one batch of them."""
    keys = {"orders": BATCH, "catalog": CATALOG}
    return replace(TEMPORAL, landing={**TEMPORAL.landing, **{keys[name]: frame for name, frame in frames.items()}})


def sent(catalog: pd.DataFrame) -> Incident:
    return replace(TEMPORAL, clean=replace(TEMPORAL.clean, feeds={**TEMPORAL.clean.feeds, "catalog": catalog}))


def all_lost() -> Incident:
    cells = TEMPORAL.damage_manifest.cells
    return replace(TEMPORAL, damage_manifest=replace(TEMPORAL.damage_manifest, cells=cells.assign(lost=True)))


def clean_everywhere() -> Incident:
    return replace(SINGLE, landing=dict.fromkeys(SINGLE.landing, SINGLE.clean.feeds["customers"]))


UNSOUND = {
    "the_manifest_is_the_exact_difference": (delivered(catalog=without(TEMPORAL.landing[CATALOG])), "did not land"),
    "the_books_are_complete": (replace(TEMPORAL, solution=TEMPORAL.solution[:-1]), "does not end in what is right"),
    "a_drift_is_in_every_batch_alike": (delivered(orders=TEMPORAL.landing[BATCH].iloc[:, ::-1]), "in 2 shapes"),
    "few_values_are_lost": (all_lost(), "lost"),
    "the_clean_data_are_clean": (sent(without(TEMPORAL.clean.feeds["catalog"])), "every_product_exists"),
    "the_damage_shows": (clean_everywhere(), "every check passes"),
    "the_repairs_undo_the_damage": (replace(TEMPORAL, solution=TEMPORAL.solution[-1:]), "when it is repaired, scores"),
    "every_repair_is_needed": (
        replace(TEMPORAL, solution=(*TEMPORAL.solution, IDLE)),
        "catalog needs no drop_outliers",
    ),
}


@pytest.mark.parametrize("name", UNSOUND)
def test_an_incident_that_lacks_a_property_is_found(name: str) -> None:
    unsound, said = UNSOUND[name]
    assert INCIDENT_PROPERTIES[name](TEMPORAL) == INCIDENT_PROPERTIES[name](SINGLE) == ""
    assert said in INCIDENT_PROPERTIES[name](unsound)


def test_rows_that_may_be_deleted_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    lenient = [replace(check, blocking=False) for check in incident_properties.checks_for(find_task("temporal"))]
    monkeypatch.setattr(incident_properties, "checks_for", lambda task: lenient)
    assert "rows passes" in incident_properties.deleting_rows_is_no_repair(TEMPORAL)


def test_each_property_of_an_incident_is_broken_once() -> None:
    assert {*UNSOUND, "deleting_rows_is_no_repair"} == set(INCIDENT_PROPERTIES)


@pytest.mark.parametrize("task", tasks(), ids=lambda task: task.slug)
def test_another_order_has_the_same_moves_within_the_budget(task: Task) -> None:
    for each in profiles(task):
        for seed in range(5):
            incident = compile_incident(task, each.name, split=each.splits[0], seed=seed)
            solution = tuple(Action.from_dict(step.to_dict()) for step in incident.solution)
            moves, (main, others, tail) = other_order(task, solution), sections(solution)
            assert [*main, *chain(*others), *tail] == [*solution]
            assert sorted(map(repr, filter(acts, moves))) == sorted(map(repr, filter(acts, solution)))
            assert moves[-1] == solution[-1] and len(moves) <= task.max_steps
            assert moves != solution or len(solution) == task.max_steps


def acts(move: Action) -> bool:
    return move.id != LOOK.id
