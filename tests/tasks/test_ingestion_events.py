"""Tasks 1 and 2 are proven in pure pandas: clean data are clean, damage inverts, no short list of moves solves all.

Whether a table would be published is asked of the task's real checks, and how good it is of the real grader. On real
Dagster the same incidents are played in `test_incident_proofs.py`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from functools import cache

import numpy as np
import pandas as pd
import pytest

from mario_dagster.checks.contract import amounts, contract_report
from mario_dagster.checks.facts import checks_for
from mario_dagster.checks.outcome import CheckContext
from mario_dagster.core import registry
from mario_dagster.core.action import Action, available
from mario_dagster.core.formats import UNIT_WORDS
from mario_dagster.core.task import SPLITS, Profile, Split
from mario_dagster.incidents.compile import Incident, compile_incident
from mario_dagster.incidents.damage import Damage
from mario_dagster.incidents.faults.spelled_cells import SpelledCells
from mario_dagster.incidents.faults.torn_copies import TornCopies
from mario_dagster.incidents.profiles import draw, profile, profiles
from mario_dagster.scoring.compare import PipelineState, Truth
from mario_dagster.scoring.score import Grade, grade
from mario_dagster.tables.frames import column_type, content_hash
from mario_dagster.tables.random_streams import stream
from mario_dagster.tables.repairs import InvalidRepair, apply
from mario_dagster.tables.spec import clean_data_of
from mario_dagster.tasks.ingestion.incidents import HELD_OUT_YEARS, YEARS

TASKS = [registry.task(slug) for slug in ("ingestion", "events")]
SLUGS = [task.slug for task in TASKS]
NAMES = [each.name for task in TASKS for each in profiles(task)]
SUCCESS, SPARE = 0.999, 2


@cache
def compiled(name: str, seed: int, scale: int = 1) -> Incident:
    chosen = profile(name)
    return compile_incident(chosen.task, name, split=chosen.splits[-1], seed=seed, scale=scale)


def landed(incident: Incident) -> pd.DataFrame:
    return next(iter(incident.landing.values()))


def truth(incident: Incident) -> pd.DataFrame:
    return next(iter(incident.clean.feeds.values()))


def play(incident: Incident, steps: Iterable[Action], strict: bool = False) -> pd.DataFrame:
    """The table after these steps; what cannot be done changes nothing."""
    frame, table = landed(incident), registry.task(incident.task).main_table
    for step in steps:
        if step.name == "commit_changes":
            continue
        try:
            frame = apply(Action.named(step.name, step.target_column, step.new_name, step.column_order), frame, table)
        except InvalidRepair:
            if strict:
                raise
    return frame


def failing(incident: Incident, frame: pd.DataFrame, audited: bool = False) -> list[str]:
    """Blocking checks that the table fails; without the audits, unless they are asked for."""
    task = registry.task(incident.task)
    check_context = CheckContext(
        task=task,
        tables={task.main_table.name: frame},
        landed={},
        pending=(),
        stale=frozenset(),
        declared={str(task.main_table.feed): len(truth(incident))},
    )
    checks = [each for each in checks_for(task) if each.blocking and (audited or each.kind != "audit")]
    return [each.name for each in checks if not each.evaluate(check_context).passed]


def graded(incident: Incident, frame: pd.DataFrame) -> Grade:
    task, cells = registry.task(incident.task), incident.damage_manifest.cells
    gone = cells[cells["lost"].astype(bool)]
    name = task.main_table.name
    lost = {name: frozenset(zip(gone["key"], gone["column"], strict=True))}
    return grade(task, {name: frame}, Truth({name: truth(incident)}, lost), PipelineState())


# --- every incident ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", NAMES)
def test_gold_undoes_an_incident_with_steps_to_spare_and_every_step_is_needed(name: str, seed: int) -> None:
    incident = compiled(name, seed)
    task = registry.task(incident.task)
    assert failing(incident, landed(incident))
    assert graded(incident, landed(incident)).score < task.threshold

    assert len(incident.solution) <= task.max_steps - SPARE and incident.solution[-1].name == "commit_changes"
    repaired = play(incident, incident.solution, strict=True)
    assert graded(incident, repaired).score >= SUCCESS
    assert not failing(incident, repaired, audited=True)

    for left_out in range(len(incident.solution) - 1):
        partly = play(incident, (*incident.solution[:left_out], *incident.solution[left_out + 1 :]))
        assert failing(incident, partly), (name, seed, incident.solution[left_out])


@pytest.mark.parametrize("name", NAMES)
def test_an_incident_starts_below_the_threshold_and_loses_few_values(name: str) -> None:
    for seed in range(15):
        incident = compiled(name, seed)
        task = registry.task(incident.task)
        assert graded(incident, landed(incident)).score < task.threshold
        lost = incident.damage_manifest.cells[incident.damage_manifest.cells["lost"].astype(bool)]
        assert set(lost["column"]) <= {"age", "monthly_spend", "amount", "status"}
        assert all(count <= 0.08 * len(truth(incident)) for count in lost.groupby("column").size())


@pytest.mark.parametrize("name", NAMES)
def test_the_truth_scores_one_and_dropping_rows_is_no_repair(name: str) -> None:
    incident = compiled(name, 1)
    clean = truth(incident)
    assert graded(incident, clean).score == pytest.approx(1.0)
    assert not failing(incident, clean, audited=True)
    assert failing(incident, clean.iloc[1:]) == ["no_landed_row_is_lost"]
    assert graded(incident, clean.iloc[:0]).score == 0.0
    assert "no_landed_row_is_lost" in failing(incident, clean.iloc[:0])


@pytest.mark.parametrize("name", NAMES)
def test_large_incidents_still_invert(name: str) -> None:
    incident = compiled(name, 5, scale=10)
    assert len(truth(incident)) == 10 * len(truth(compiled(name, 5)))
    repaired = play(incident, incident.solution, strict=True)
    assert graded(incident, repaired).score >= SUCCESS and not failing(incident, repaired)


@pytest.mark.parametrize("slug", SLUGS)
def test_no_fixed_list_of_moves_solves_a_task(slug: str) -> None:
    """The repairs that are needed most often, as many as the budget has steps for, solve few incidents."""
    task = registry.task(slug)
    plans = [frozenset(compiled(each.name, seed).solution[:-1]) for each in profiles(slug) for seed in range(15)]
    wanted = Counter(step for plan in plans for step in plan)
    fixed = {step for step, _ in wanted.most_common(task.max_steps - 1)}
    assert len(wanted) > 2 * task.max_steps
    assert sum(plan <= fixed for plan in plans) < len(plans) / 3
    assert len(set(plans)) > 0.8 * len(plans)


# --- profiles ---------------------------------------------------------------------------------------------------------


def test_profiles_are_those_of_the_task_cards() -> None:
    def facts(each: Profile) -> tuple[str, tuple[Split, ...], bool]:
        return each.name, each.splits, each.held_out

    assert [facts(each) for each in profiles("ingestion")] == [
        ("ingestion_null_burst", ("train",), False),
        ("signup_contract_drift", ("train",), False),
        ("ingestion_date_contract_drift", ("eval",), False),
        ("currency_contract_regression", ("eval",), True),
    ]
    assert [facts(each) for each in profiles("events")] == [
        ("duplicate_event_retry", ("train",), False),
        ("dtype_validation_regression", ("train",), False),
        ("event_contract_breakage", ("eval",), False),
        ("outlier_currency_regression", ("eval",), True),
    ]


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("slug", SLUGS)
def test_every_profile_is_drawn_by_a_small_seed(slug: str, split: Split) -> None:
    drawn = {draw(slug, split, seed).name for seed in range(20)}
    assert drawn == {each.name for each in profiles(slug, split)}


def test_units_of_an_age_are_listed_marks_and_no_pool_shares_one() -> None:
    train, held_out = ({format_name.split()[-1] for format_name in pool} for pool in (YEARS, HELD_OUT_YEARS))
    assert train | held_out <= set(UNIT_WORDS) and not train & held_out


def test_tasks_answer_to_their_names_and_have_no_batches() -> None:
    assert [registry.task(name).id for name in ("alert_prioritization", "threat_detection")] == [1, 2]
    for task in TASKS:
        assert task.pool is None and not task.derived_tables and not task.subgoals
        assert available(task) == list(range(16))
        assert sum(task.objective_weights.values()) == pytest.approx(1.0)


# --- clean data -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("slug", SLUGS)
def test_clean_data_meet_their_contract_and_no_repair_harms_them(slug: str) -> None:
    table = registry.task(slug).main_table
    far = 0
    for seed in range(200):
        frame = clean_data_of(slug, seed, split=SPLITS[seed % 2]).feeds[str(table.feed)]
        report = contract_report(frame, table)
        assert report.passed and not report.outlier_count, (seed, report.counts)
        for column in amounts(table) if seed < 20 else ():
            values = frame[column.name].to_numpy(dtype=np.float64)
            far += int((np.abs(values - values.mean()) > 3 * values.std()).sum())
            kept = apply(Action.named("drop_outliers", column.name), frame, table)
            assert content_hash(kept) == content_hash(frame)
        for column in table.columns if seed < 20 else ():
            read = apply(Action.named("cast_to_string", column.name), frame, table) if not column.is_number else frame
            assert content_hash(read) == content_hash(frame)
    # Genuine rows beyond three sigma: a rule that drops those would corrupt.
    assert far > 20


@pytest.mark.parametrize("slug", SLUGS)
def test_a_seed_changes_values_and_splits_are_worlds_apart(slug: str) -> None:
    feed = str(registry.task(slug).main_table.feed)
    one, two, other = (
        clean_data_of(slug, seed, split=split).feeds[feed] for seed, split in ((1, "train"), (2, "train"), (1, "eval"))
    )
    for left, right in ((one, two), (one, other)):
        for name in left.columns:
            bound = {"age": 0.1, "city": 0.2, "status": 0.5}.get(name, 0.05)
            assert (left[name] == right[name]).mean() <= bound, name
    assert content_hash(clean_data_of(slug, 1).feeds[feed]) == content_hash(one)


# --- faults -----------------------------------------------------------------------------------------------------------


def struck(fault: SpelledCells | TornCopies, seed: int = 0) -> tuple[Damage, pd.DataFrame]:
    task = registry.task("events")
    damage = Damage.of(task, clean_data_of("events", seed))
    fault.inject(damage, stream(seed, "test"))
    return damage, next(iter(damage.feed("transactions").frames().values()))


def test_torn_copies_follow_the_rows_that_hold_what_they_lack() -> None:
    table = registry.task("events").main_table
    for seed in range(10):
        damage, frame = struck(TornCopies("transactions", share=(0.02, 0.05)), seed)
        clean = clean_data_of("events", seed).feeds["transactions"]
        torn = frame.iloc[len(clean) :]
        assert len(torn) >= 6 and torn.isna().any(axis=1).all() and torn["age"].notna().all()
        assert torn["transaction_id"].notna().all() and content_hash(frame.iloc[: len(clean)]) == content_hash(clean)
        whole = apply(Action.named("remove_duplicates"), frame, table)
        assert content_hash(whole) == content_hash(clean)
        assert [step.name for step in damage.repairs] == ["remove_duplicates"]


def test_spelled_cells_leave_the_rest_of_a_column_plain() -> None:
    table = registry.task("events").main_table
    clean = clean_data_of("events", 0).feeds["transactions"]
    for column, formats, action in (
        ("amount", ("€{amount}", "{cents}¢"), "cast_to_float"),
        ("age", ("{value} yrs",), "cast_to_int"),
        ("event_date", ("compact", "month_name"), "cast_to_string"),
    ):
        damage, frame = struck(SpelledCells("transactions", column, formats, share=(0.1, 0.1)))
        assert column_type(frame[column]) == "string"
        plain = clean[column].map(lambda value: f"{value:.2f}" if isinstance(value, float) else str(value))
        assert 0.05 < (frame[column] != plain.astype(frame[column].dtype)).mean() < 0.15
        assert [(step.name, step.target_column) for step in damage.repairs] == [(action, column)]
        assert content_hash(apply(Action.named(action, column), frame, table)) == content_hash(clean)
