"""Composed incidents, decoys and judgement: any set of faults, what only looks wrong, and what it costs to touch it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest

from mario_dagster.bench.solution_orders import to_the_end
from mario_dagster.checks.contract import contract_report
from mario_dagster.core.action import Action
from mario_dagster.core.errors import UnknownName
from mario_dagster.core.registry import task, tasks
from mario_dagster.core.task import Task
from mario_dagster.env.episode import Episode
from mario_dagster.env.errors import BadRequest
from mario_dagster.env.options import reset_options
from mario_dagster.incidents.compile import Incident, compile_incident
from mario_dagster.incidents.compose import LEVELS, candidates, compose, profile_of, together
from mario_dagster.incidents.damage import FaultError
from mario_dagster.incidents.faults import faults
from mario_dagster.incidents.faults.bad_deploy import BadDeploy
from mario_dagster.incidents.faults.base import AnyOf, Fault
from mario_dagster.incidents.faults.lost_values import LostValues
from mario_dagster.incidents.faults.missing_by_column import MissingByColumn
from mario_dagster.incidents.faults.missing_by_value import MissingByValue
from mario_dagster.incidents.faults.real_spike import RealSpike
from mario_dagster.incidents.faults.renamed_columns import RenamedColumns
from mario_dagster.incidents.faults.retried_load import RetriedLoad
from mario_dagster.incidents.faults.spelled_moments import SpelledMoments
from mario_dagster.incidents.faults.spelled_numbers import SpelledNumbers
from mario_dagster.incidents.hashes import fingerprint, kind_hash
from mario_dagster.incidents.profiles import draw, profile, profiles
from mario_dagster.incidents.vocabularies import HELD_OUT
from mario_dagster.sandbox.create_from_incident import stage
from mario_dagster.sandbox.home import Home
from mario_dagster.tables.clean_data import CleanData
from mario_dagster.tables.frames import content_hash
from mario_dagster.tables.load import stack
from mario_dagster.tables.spec import clean_data_of

SLUGS = [each.slug for each in tasks()]
JUDGEMENTS = [each for each in profiles(by_name_only=True)]
NEVER_DRAWN = {"any_of", "lookalike_column", "unavailable_batches"}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path_factory.mktemp("home"))


def clean_tables(incident: Incident) -> Iterator[tuple[str, pd.DataFrame]]:
    found = task(incident.task)
    if found.batched_table:
        yield found.batched_table.name, stack([batch.frame for batch in incident.clean.batches])
    for table in found.tables:
        if table.feed in incident.clean.feeds:
            yield table.name, incident.clean.feeds[table.feed]


def telling(workspace: CleanData) -> list[str]:
    """What tells clean data apart."""
    batches = [f"{batch.landed_at} {content_hash(batch.frame)}" for batch in workspace.batches]
    return [*batches, *map(content_hash, workspace.feeds.values())]


# --- composing --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("difficulty", LEVELS)
@pytest.mark.parametrize("slug", SLUGS)
def test_a_level_sets_number_interaction_and_noise(slug: str, difficulty: str) -> None:
    level, found, counts = LEVELS[difficulty], task(slug), set()  # type: ignore[index]
    for seed in range(6):
        composed = profile_of(found, f"composed:{difficulty}", seed)
        damaging = [each for each in composed.faults if not each.harmless and each.name != "late_batches"]
        noise = [each for each in composed.faults if each.harmless]
        incident = compile_incident(slug, composed.name, seed=seed)
        assert len(damaging) <= level.faults[1] and level.noise[0] <= len(noise) <= level.noise[1]
        assert 1 < len(incident.solution) < found.max_steps
        together(found, composed.faults)
        counts.add(len(damaging))
    assert max(counts) >= level.faults[0]


def test_levels_get_harder() -> None:
    for found in tasks():
        steps = [
            np.mean([len(compose(found, seed=seed, difficulty=each).solution) for seed in range(6)])  # type: ignore[arg-type]
            for each in LEVELS
        ]
        assert steps == sorted(steps)


@pytest.mark.parametrize("slug", SLUGS)
def test_each_fault_that_fits_a_task_composes_by_its_name(slug: str) -> None:
    for kind in candidates(task(slug)):
        incident = compose(slug, [kind], seed=3)
        assert incident.profile == f"composed:{kind}"
        harmless = faults()[kind].harmless
        assert harmless or incident.solution[:-1] or incident.pending or incident.deploys, kind
        if harmless:
            assert (
                incident.solution[:-1] == ()
                and incident.damage_manifest.cells.empty
                and incident.damage_manifest.rows_added.empty
            )


def test_every_fault_fits_some_task() -> None:
    fitting = {kind for each in tasks() for kind in candidates(each)}
    shipped = {name for name, cls in faults().items() if cls.__module__.startswith("mario_dagster.")}
    assert shipped - fitting == NEVER_DRAWN
    # What a family of one task is held out for is no secret of another's.
    assert {"overlapping_batches", "padded_text"} <= fitting


def test_the_same_composition_is_the_same_incident() -> None:
    one, two = (compose("events", seed=5, difficulty="hard") for _ in range(2))
    assert fingerprint(one) == fingerprint(two) and kind_hash(one) == kind_hash(two) and one.solution == two.solution
    assert fingerprint(one) == fingerprint(compile_incident("events", "composed:hard", seed=5))
    assert fingerprint(one) != fingerprint(compose("events", seed=6, difficulty="hard"))


def test_faults_that_do_not_fit_are_refused_with_both_sides_named() -> None:
    wrong: list[tuple[str, list[Fault], str]] = [
        ("temporal", [SpelledMoments("source_orders", "quantity", ("iso_space",))],
         r"spelled_moments does not fit source_orders\.quantity: it needs a date or timestamp, and quantity is int64"),
        ("temporal", [SpelledNumbers("source_orders", "quantity", ("{cents} cents",))], "spells no value of int64"),
        ("events", [LostValues("transactions", "status", (None,))], "status is a categorical string"),
        ("events", [LostValues("transactions", "transaction_id", (None,))], "needs a number that is neither key"),
        ("temporal", [RetriedLoad("hourly_rollup")], "it damages a feed, and hourly_rollup is derived"),
        ("temporal", [BadDeploy("catalog")], "it is a deploy, and catalog comes from a feed"),
        ("events", [RenamedColumns("transactions", {"colour": ("x",)})], "no column 'colour'"),
        ("events", [RetriedLoad("customers")], "no table 'customers'"),
    ]  # fmt: skip
    for slug, given, said in wrong:
        with pytest.raises(FaultError, match=said):
            compose(slug, given, seed=1)


def test_faults_that_do_not_go_together_are_refused_with_both_named() -> None:
    twice = [
        SpelledNumbers("transactions", "amount", ("{value} USD",)),
        SpelledNumbers("transactions", "amount", ("${amount}",)),
    ]
    with pytest.raises(FaultError, match=r"do not go together: both change the spelling of transactions\.amount"):
        compose("events", twice, seed=1)
    with pytest.raises(FaultError, match="retried_load and retry_pressure do not go together"):
        compose("temporal", [RetriedLoad("source_orders"), faults()["retry_pressure"]("source_orders")], seed=1)
    with pytest.raises(FaultError, match="late_batches does not fit task 'events'"):
        compose("events", ["late_batches"], seed=1)
    many = [
        RenamedColumns("customers", {"city": ("town",), "signup_date": ("since",), "age": ("years",)}, least=3, most=3),
        SpelledMoments("customers", "signup_date", ("compact",)),
        *(SpelledNumbers("customers", column, ("{value} USD",)) for column in ("customer_id", "age", "monthly_spend")),
        *(LostValues("customers", column, (None,)) for column in ("age", "monthly_spend")),
        RetriedLoad("customers"),
    ]
    with pytest.raises(FaultError, match=r"takes 1\d steps, and 'ingestion' allows 10"):
        compose("ingestion", many, seed=1)


def test_unknown_compositions_say_what_there_is() -> None:
    with pytest.raises(UnknownName, match="did you mean 'hard'"):
        compile_incident("events", "composed:hrd", seed=1)
    with pytest.raises(UnknownName, match="no fault 'renamed_colums'; did you mean 'renamed_columns'"):
        compose("events", ["renamed_colums"], seed=1)
    with pytest.raises(UnknownName, match="no profile 'composed:easy'"):
        compile_incident("events", "composed:easy", split="eval", seed=1)
    with pytest.raises(UnknownName, match="no difficulty 'harder'"):
        compose("events", seed=1, difficulty="harder")  # type: ignore[arg-type]


def walk(value: object) -> Iterator[Fault]:
    for each in value if isinstance(value, tuple) else ():
        yield from walk(each.choices) if isinstance(each, AnyOf) else (each,)


@pytest.mark.parametrize("slug", SLUGS)
def test_what_is_drawn_keeps_off_what_is_held_out(slug: str) -> None:
    kinds = {True: set(), False: set()}  # type: ignore[var-annotated]
    names: set[str] = set()
    for each in profiles(slug):
        for fault in walk(each.faults):
            if each.held_out or "train" in each.splits:
                kinds[each.held_out].add((fault.name, getattr(fault, "table", "")))
            if each.held_out:
                names |= {alias for pool in getattr(fault, "aliases", {}).values() for alias in pool}
    secret = {*HELD_OUT.currency, *HELD_OUT.cents, *HELD_OUT.units, *HELD_OUT.timestamps, *HELD_OUT.sentinels}
    for pool in candidates(task(slug)).values():
        for fault in pool:
            assert (fault.name, getattr(fault, "table", "")) not in kinds[True] - kinds[False]
            written = {alias for aliases in getattr(fault, "aliases", {}).values() for alias in aliases}
            assert not written & names
            assert not {*getattr(fault, "spellings", ()), *getattr(fault, "words", ())} & secret


# --- new faults -------------------------------------------------------------------------------------------------------


def test_values_go_missing_by_another_column_or_by_themselves() -> None:
    for fault, cause in (
        (MissingByColumn("customers", "age", (None,), (0.1, 0.1), cause="monthly_spend"), "monthly_spend"),
        (MissingByValue("customers", "age", (None,), (0.1, 0.1)), "age"),
    ):
        incident = compose("ingestion", [fault], seed=2)
        clean = incident.clean.feeds["customers"]
        lost = incident.damage_manifest.cells.query("lost")["key"].astype(int)
        ranks = clean[cause].astype(float).rank(pct=True)[clean["customer_id"].isin(lost)]
        assert len(lost) == 7 and (ranks.max() <= 0.35 or ranks.min() >= 0.65)


def test_of_a_row_and_what_it_corrects_the_correction_comes_first() -> None:
    incident = compose("events", ["superseded_rows"], seed=4)
    landed = incident.landing["transactions/c01"]
    old = landed[landed["transaction_id"].duplicated()]
    assert len(old) >= 2 and set(incident.damage_manifest.rows_added["kind"]) == {"superseded"}
    first = landed[~landed["transaction_id"].duplicated()].reset_index(drop=True)
    pd.testing.assert_frame_equal(first, incident.clean.feeds["transactions"])
    both = old.merge(first, on="transaction_id")
    assert ((both["amount_x"] != both["amount_y"]) | (both["age_x"] != both["age_y"])).all()


def test_a_storm_of_retries_takes_every_worker_for_good() -> None:
    incident = compose("temporal", ["retry_pressure", "late_batches"], seed=1)
    assert incident.required_floor == 3
    assert "scale_recovery_workers_down" not in {step.name for step in incident.solution}


# --- decoys -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("slug", SLUGS)
def test_a_decoy_changes_clean_data_within_its_contract(slug: str) -> None:
    found: Task = task(slug)
    for kind, cls in faults().items():
        if not cls.harmless or kind == "extended_schema" or kind not in candidates(found):
            continue
        for seed in range(5):
            incident = compose(slug, [kind], seed=seed)
            plain = clean_data_of(slug, seed)
            assert telling(incident.clean) != telling(plain), (kind, seed)
            for name, frame in clean_tables(incident):
                report = contract_report(frame, found.table(name))
                assert not report.violations and not report.outliers, (kind, seed, report)
            assert sum(map(len, (batch.frame for batch in incident.clean.batches))) == sum(
                len(batch.frame) for batch in plain.batches
            )
            landed = [batch.landed_at for batch in incident.clean.batches]
            assert landed == sorted(landed) and len(set(landed)) == len(landed)


def test_a_spike_keeps_totals_and_counts_in_step() -> None:
    incident = compose("temporal", [RealSpike("source_orders", ("quantity", "gross_revenue"))], seed=7)
    orders = stack([batch.frame for batch in incident.clean.batches])
    plain = stack([batch.frame for batch in clean_data_of("temporal", 7).batches])
    prices = incident.clean.feeds["catalog"].set_index("product_id")["unit_price"]
    grown = (orders["quantity"] != plain["quantity"]).to_numpy(dtype=bool)
    assert 3 <= grown.sum() < len(orders) / 5
    due = orders["quantity"] * orders["product_id"].map(prices)
    assert ((orders["gross_revenue"] - due).abs() < 0.006).all()


# --- on real Dagster --------------------------------------------------------------------------------------------------


def begin(home: Home, slug: str, name: str, seed: int = 0) -> Episode:
    return Episode.start(reset_options({"task": slug, "profile": name, "seed": seed}), home=home)


def finish(episode: Episode, moves: list[Action] | None = None) -> dict[str, object]:
    for move in (
        moves if moves is not None else [Action.from_dict(each) for each in episode.sandbox.truth_store.solution]
    ):
        episode.step(move)
    episode.close()
    return episode.summary()


@pytest.mark.parametrize("slug", SLUGS)
def test_reset_takes_a_composed_name_and_gold_recovers_it(home: Home, slug: str) -> None:
    episode = begin(home, slug, "composed:medium", seed=21)
    assert episode.reply().observation["scenario_profile"] == "composed:medium"
    assert episode.sandbox.signals().blocking_failures
    told = finish(episode)
    assert told["success"] and told["collateral_cells"] == 0


def test_reset_refuses_a_composition_that_does_not_fit(home: Home) -> None:
    with pytest.raises(BadRequest, match="late_batches does not fit task 'events'"):
        begin(home, "events", "composed:late_batches")
    with pytest.raises(BadRequest, match="did you mean 'medium'"):
        begin(home, "events", "composed:medum")


def test_faults_written_by_hand_are_staged_and_undone(home: Home) -> None:
    given = [
        SpelledNumbers("transactions", "amount", ("${amount}",)),
        LostValues("transactions", "amount", ("tbd",)),
        RetriedLoad("transactions", share=(0.1, 0.1)),
    ]
    incident = compose("events", given, seed=9, difficulty="medium")
    with stage(incident, home=home) as sandbox:
        told = finish(Episode(sandbox))
    assert told["success"]


@pytest.mark.parametrize("judged", JUDGEMENTS, ids=lambda each: each.name)
def test_right_judgement_succeeds_and_costs_nothing(home: Home, judged: object) -> None:
    name, slug = judged.name, judged.task  # type: ignore[attr-defined]
    episode = begin(home, slug, name, seed=1)
    signals = episode.sandbox.signals()
    false_alarm, waits = name.endswith("false_alarm"), name.endswith("upstream_down")
    assert any("monitor" in error for error in signals.recent_errors) is not waits
    assert signals.commit_ready is false_alarm
    assert (len(episode.sandbox.truth_store.solution) == 1) is false_alarm
    before = {table: content_hash(episode.sandbox.table(table)) for table in episode.task.table_names}
    solution = [Action.from_dict(each) for each in episode.sandbox.truth_store.solution]
    assert (solution[-1].name != "commit_changes") is waits
    told = finish(episode, list(to_the_end(episode.task, solution)))
    assert told["success"] and told["collateral_cells"] == 0
    assert told["done_reason"] == ("held_back" if waits else "commit_success")
    if false_alarm:
        after = {table: content_hash(episode.sandbox.workspace.lake.read(f"{slug}/{table}").frame) for table in before}
        assert after == before


def test_meddling_with_a_healthy_pipeline_is_counted(home: Home) -> None:
    episode = begin(home, "events", "judgement_events_false_alarm")
    rows = len(episode.sandbox.table("transactions"))
    moves = [
        Action(9, target_column="amount"),
        Action(6, target_column="age"),
        Action(12, "status", "state"),
        Action(15),
    ]
    told = finish(episode, moves)
    assert not told["success"] and told["collateral_cells"] == rows


def test_no_seed_draws_what_is_asked_for_by_name_only() -> None:
    named = {each.name for each in JUDGEMENTS}
    assert len(named) == 2 * len(SLUGS) + sum(each.batched_table is not None for each in tasks())
    for slug in SLUGS:
        assert not named & {each.name for each in profiles(slug)}
        assert not named & {draw(slug, split, seed).name for split in ("train", "eval") for seed in range(20)}  # type: ignore[arg-type]
    assert profile("composed:hard").patterns and profile("composed:lost_values+late_batches").task == ""
