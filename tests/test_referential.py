"""Task 3 is proven in pure pandas: its data are clean, its damage inverts, its checks and score cannot be talked round.

The player here does to frames what the sandbox does to stored tables, with the same functions and no Dagster; whether
it would publish is asked of the task's real checks, and how well it did of the real grader.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mario_dagster.checks.contract import contract_report
from mario_dagster.checks.facts import checks_for
from mario_dagster.checks.outcome import CheckContext
from mario_dagster.core import registry
from mario_dagster.core.action import Action
from mario_dagster.core.deploy import Deploy
from mario_dagster.core.task import SPLITS, Column, Profile
from mario_dagster.incidents.compile import Incident, compile_incident
from mario_dagster.incidents.faults.bad_deploy import BadDeploy
from mario_dagster.incidents.faults.base import AnyOf, Fault
from mario_dagster.incidents.faults.lost_values import LostValues
from mario_dagster.incidents.faults.orphan_rows import OrphanRows
from mario_dagster.incidents.faults.renamed_columns import RenamedColumns
from mario_dagster.incidents.profiles import draw, profiles
from mario_dagster.scoring.compare import PipelineState, Truth
from mario_dagster.scoring.score import Grade, grade
from mario_dagster.tables.clean_data import CleanData
from mario_dagster.tables.frames import content_hash
from mario_dagster.tables.load import deployed
from mario_dagster.tables.repairs import REPAIR_NAMES, InvalidRepair, apply, reapply
from mario_dagster.tables.spec import clean_data_of
from mario_dagster.tables.transforms import TransformError
from mario_dagster.tasks.referential.transforms import order_totals

TASK = registry.task("referential")
FED = tuple(table for table in TASK.tables if not table.derived)
NAMES = {each.name: each for each in profiles(TASK)}
TOTALS = "order_totals"
SUCCESS, SPARE = 0.999, 3


def tables_of(workspace: CleanData) -> dict[str, pd.DataFrame]:
    return {**workspace.feeds, TOTALS: order_totals(workspace.feeds["orders"], workspace.feeds["products"])}


@cache
def compiled(name: str, seed: int, scale: int = 1) -> Incident:
    return compile_incident(TASK, name, split=NAMES[name].splits[-1], seed=seed, scale=scale)


def lost_of(incident: Incident) -> dict[str, frozenset[tuple[str, str]]]:
    cells = incident.damage_manifest.cells
    gone = cells[cells["lost"].astype(bool)]
    return {table: frozenset(zip(group["key"], group["column"], strict=True)) for table, group in gone.groupby("table")}


class Player:
    """Plays steps on the frames of an incident that has just struck."""

    def __init__(self, incident: Incident):
        self.incident = incident
        self.truth = Truth(tables_of(incident.clean), lost_of(incident))
        self.tables = {table.name: incident.landing[f"{table.feed}/c01"] for table in FED}
        self.deploy = incident.deploys[TOTALS]
        self.tables[TOTALS] = deployed(self.truth.tables[TOTALS], self.deploy)
        self.plan: list[Action] = []
        self.active, self.fresh, self.committed = TASK.main_table.name, False, False

    def play(self, steps: Iterable[Action]) -> Player:
        for step in steps:
            if step.name in REPAIR_NAMES:
                self.repair(Action.named(step.name, step.target_column, step.new_name, step.column_order))  # type: ignore[arg-type]
            elif step.name == "inspect_schema":
                self.active = str(step.target_column)
            elif step.name == "refresh_downstream_assets":
                self.refresh()
            else:
                assert step.name == "commit_changes"
                self.committed = True
        return self

    def repair(self, repair: Action) -> None:
        try:
            self.tables[self.active] = apply(repair, self.tables[self.active], TASK.table(self.active))
        except InvalidRepair:
            return
        if self.active != TOTALS:
            self.fresh = False
        elif repair.row_wise:
            self.plan.append(repair)

    def refresh(self) -> None:
        try:
            right = order_totals(self.tables["orders"], self.tables["products"])
        except TransformError:
            return
        live = Deploy(self.deploy.rename, self.deploy.texts)
        self.tables[TOTALS] = reapply(self.plan, deployed(right, live), TASK.table(TOTALS))
        self.fresh = True

    def failing(self) -> set[str]:
        declared = {table.feed: len(self.truth.tables[table.name]) for table in FED if table.feed}
        stale = frozenset() if self.fresh else frozenset({TOTALS})
        check_context = CheckContext(TASK, self.tables, {}, (), stale, declared)
        return {check.name for check in checks_for(TASK) if check.blocking and not check.evaluate(check_context).passed}

    def grade(self) -> Grade:
        return grade(TASK, self.tables, self.truth, PipelineState())

    def recovered(self) -> bool:
        return self.committed and self.grade().score >= SUCCESS and not self.failing()


# --- clean data -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(12))
def test_clean_data_meet_every_fact_and_no_repair_touches_them(seed: int) -> None:
    tables = tables_of(clean_data_of(TASK.slug, seed))
    assert [len(tables[table.name]) for table in FED] == [600, 200, 40]
    for table in TASK.tables:
        frame, report = tables[table.name], contract_report(tables[table.name], table)
        assert report.passed and not report.outlier_count, (table.name, report.counts)
        for column in table.columns:
            # Genuine rows beyond three standard deviations stay, and a name is not taken for a misread one.
            done = [apply(Action.named("cast_to_string", column.name), frame, table)] if not column.is_number else []
            done += [apply(Action.named("drop_outliers", column.name), frame, table)] if column.is_number else []
            for each in done:
                pd.testing.assert_frame_equal(each, frame)
    declared = {str(table.feed): len(tables[table.name]) for table in FED}
    check_context = CheckContext(TASK, tables, {}, (), frozenset(), declared)
    failing = {check.name: check.evaluate(check_context).detail for check in checks_for(TASK)}
    assert not any(failing.values()), failing


def test_a_shop_s_two_months_look_like_them() -> None:
    beyond = 0
    for seed in range(12):
        workspace = clean_data_of(TASK.slug, seed)
        orders, customers, products = (workspace.feeds[table.name] for table in FED)
        assert orders["order_id"].is_monotonic_increasing and orders["order_date"].is_monotonic_increasing
        days = (orders["order_date"].max() - orders["order_date"].min()).days
        assert 35 <= days <= 76 and orders["order_date"].max() < workspace.now.date()
        assert customers["email"].is_unique and sum(not name.isascii() for name in customers["name"]) >= 40
        assert customers["age"].between(18, 84).all() and products["product_name"].is_unique
        quantity = orders["quantity"].astype(float)
        assert quantity.quantile(0.75) - quantity.quantile(0.25) >= 1  # a median is always a plausible fill
        beyond += int((quantity - quantity.mean()).abs().gt(3 * quantity.std()).sum())
        assert 0.2 < orders["customer_id"].nunique() / len(customers) <= 1.0
    assert beyond > 12


def test_a_seed_changes_every_value_and_scale_multiplies_rows() -> None:
    one, two = (clean_data_of(TASK.slug, seed).feeds for seed in (8, 9))
    for table in FED:
        for column in table.columns:
            same = (one[table.name][column.name] == two[table.name][column.name]).mean()
            bound = {"quantity": 0.6, "category": 0.6, "age": 0.1}.get(column.name, 0.05)
            assert same <= bound, (table.name, column.name)
    large = clean_data_of(TASK.slug, 8, scale=20).feeds
    assert [len(large[table.name]) for table in FED] == [12_000, 4_000, 80]
    assert large["customers"]["email"].is_unique


# --- the proof --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_gold_undoes_every_incident_with_steps_to_spare(name: str) -> None:
    for seed in range(6):
        incident = compiled(name, seed)
        assert len(incident.solution) <= TASK.max_steps - SPARE
        player = Player(incident)
        assert player.failing() and player.grade().score < TASK.threshold
        assert not Player(incident).play(incident.solution[-1:]).recovered()
        assert player.play(incident.solution).recovered(), (seed, player.grade(), player.failing())


@pytest.mark.parametrize("name", NAMES)
def test_leaving_any_gold_step_out_does_not_recover(name: str) -> None:
    seen: set[tuple[Any, ...]] = set()
    for seed in (1, 4, 7):
        incident = compiled(name, seed)
        for index, step in enumerate(incident.solution):
            kind = (step.name, step.table, step.new_name or step.target_column)
            if kind not in seen:
                rest = (*incident.solution[:index], *incident.solution[index + 1 :])
                assert not Player(incident).play(rest).recovered(), (seed, step)
            seen.add(kind)


def test_large_incidents_still_invert() -> None:
    incident = compiled("cascading_reference_outage", 2, scale=8)
    assert Player(incident).play(incident.solution).recovered()


@pytest.mark.parametrize("name", NAMES)
def test_the_ledger_is_the_exact_difference_of_landing_and_clean(name: str) -> None:
    for seed in range(3):
        incident = compiled(name, seed)
        damage_manifest = incident.damage_manifest
        for table in FED:
            columns = damage_manifest.columns[
                (damage_manifest.columns["table"] == table.name) & damage_manifest.columns["column"].notna()
            ]
            landed = incident.landing[f"{table.feed}/c01"]
            landed = landed.rename(columns=dict(zip(columns["landed_as"], columns["column"], strict=True)))
            clean = incident.clean.feeds[str(table.feed)]
            rows = damage_manifest.rows_added[damage_manifest.rows_added["table"] == table.name]
            keys, real = [number(key) for key in landed[table.key]], [number(key) for key in clean[table.key]]
            assert Counter(keys) == Counter(real) + Counter(number(key) for key in rows["key"])
            first = {key: row for row, key in reversed(list(enumerate(keys)))}
            found = set()
            for column in table.columns:
                was, now = (texts(frame[column.name], column) for frame in (clean, landed))
                pairs = [(key, was[row], now[first[key]]) for row, key in enumerate(real)]
                found |= {(key, column.name, before, after) for key, before, after in pairs if before != after}
            held = damage_manifest.cells[damage_manifest.cells["table"] == table.name]
            noted = held[["key", "column", "clean", "damaged"]].itertuples(index=False, name=None)
            assert found == {(number(key), *rest) for key, *rest in noted}
            assert len(found) == len(held)


def number(key: Any) -> int | None:
    """A key as its number, whatever it was landed as."""
    return None if pd.isna(key) else int(float(str(key).replace(",", "")))


def texts(series: pd.Series, column: Column) -> list[str | None]:
    """Values in canonical form, by plain Python."""

    def text(value: Any) -> str | None:
        if pd.isna(value) or isinstance(value, str):
            return value if isinstance(value, str) else None
        if column.is_number:
            return f"{value:.2f}" if column.type == "float64" else str(int(value))
        return str(value)

    return [text(value) for value in series.tolist()]


@pytest.mark.parametrize("name", NAMES)
def test_every_fed_table_is_damaged_few_cells_are_lost_and_seeds_differ(name: str) -> None:
    incidents = [compiled(name, seed) for seed in range(10)]
    for incident in incidents:
        for table in FED:
            assert not contract_report(incident.landing[f"{table.feed}/c01"], table).passed, (incident.seed, table.name)
        assert incident.deploys[TOTALS].scale and not incident.pending and not incident.healthy_batches
        lost = incident.damage_manifest.cells[incident.damage_manifest.cells["lost"].astype(bool)]
        may = {("orders", "quantity"), ("customers", "age"), ("products", "category")}
        assert set(zip(lost["table"], lost["column"], strict=True)) <= may
        for (table, _), group in lost.groupby(["table", "column"]):
            assert len(group) <= max(2, 0.13 * len(incident.clean.feeds[str(table)]))
    assert len({content_hash(each.landing["orders/c01"]) for each in incidents}) == len(incidents)
    assert len({str(each.deploys[TOTALS].to_dict()) for each in incidents}) >= 8
    assert len({each.solution for each in incidents}) >= 3


# --- profiles ---------------------------------------------------------------------------------------------------------


def test_profiles_are_those_of_the_task_card_and_small_seeds_draw_each() -> None:
    splits = {name: (each.splits, each.held_out) for name, each in NAMES.items()}
    assert splits == {
        "customer_product_contract_drift": (("train",), False),
        "alias_and_encoding_regression": (("train", "eval"), False),
        "sentinel_reference_breakage": (("train", "eval"), False),
        "timezone_currency_consistency_incident": (("eval",), False),
        "cascading_reference_outage": (("eval",), False),
        "heldout_task3_contract_alias_family": (("eval",), True),
        "heldout_task3_dependency_rollup_family": (("eval",), True),
    }
    for split in SPLITS:
        assert {draw(TASK, split, seed).name for seed in range(40)} == {each.name for each in profiles(TASK, split)}


def faults_of(each: Profile) -> list[Fault]:
    found: list[Fault] = []
    waiting = list(each.faults)
    while waiting:
        fault = waiting.pop()
        waiting += fault.choices if isinstance(fault, AnyOf) else ()
        found += [] if isinstance(fault, AnyOf) else [fault]
    return found


def written(each: Profile) -> set[str]:
    """Every name, spelling and word for nothing that a profile may write."""
    found: set[str] = set()
    for fault in faults_of(each):
        if isinstance(fault, RenamedColumns | BadDeploy):
            found |= {alias for pool in fault.aliases.values() for alias in pool}
        if isinstance(fault, BadDeploy):
            found |= {format_name for pool in fault.texts.values() for format_name in pool}
        if isinstance(fault, LostValues | OrphanRows):
            found |= {word for word in fault.words if word is not None}
        found |= set(getattr(fault, "spellings", ()))
    return found


def test_held_out_families_write_and_combine_what_no_other_profile_does() -> None:
    def pairs(each: Profile) -> set[frozenset[str]]:
        kinds = [f"{fault.name}:{getattr(fault, 'table', '')}" for fault in faults_of(each)]
        return {frozenset((one, two)) for one in kinds for two in kinds}

    train = set().union(*(pairs(each) for each in profiles(TASK, "train")))
    for each in NAMES.values():
        for other in NAMES.values():
            if each.held_out and not other.held_out:
                assert not written(each) & written(other)
        if each.held_out:
            assert pairs(each) - train


# --- what cannot be had for less --------------------------------------------------------------------------------------


def recovered(name: str = "sentinel_reference_breakage", seed: int = 3) -> Player:
    return Player(compiled(name, seed)).play(compiled(name, seed).solution)


@pytest.mark.parametrize("table", ["orders", "customers", "products"])
def test_deleting_rows_is_no_repair(table: str) -> None:
    player = recovered()
    frame = player.tables[table]
    for kept in (frame.iloc[:0], frame.iloc[: len(frame) // 2], frame.iloc[1:]):
        player.tables[table] = kept.reset_index(drop=True)
        player.refresh()
        assert "no_landed_row_is_lost" in player.failing()
        assert player.grade().score < SUCCESS
    player.tables = {name: each.iloc[:0] for name, each in player.tables.items()}
    assert player.grade().score == 0.0


@pytest.mark.parametrize(("table", "column"), [("orders", "customer_id"), ("customers", "customer_id")])
def test_renaming_a_joined_column_does_not_switch_the_reference_off(table: str, column: str) -> None:
    player = recovered()
    player.tables[table] = player.tables[table].rename(columns={column: "hidden"})
    assert "every_customer_exists" in player.failing()


def test_wrong_totals_of_right_tables_are_worth_three_tenths() -> None:
    player = recovered("customer_product_contract_drift")
    totals = player.tables[TOTALS]
    assert player.grade().score == pytest.approx(1.0)
    shuffled = totals.sample(frac=1.0, random_state=4).reset_index(drop=True)
    player.tables[TOTALS] = shuffled
    assert player.grade().score == pytest.approx(1.0)  # by key, whatever the row order
    player.tables[TOTALS] = totals.assign(total_price=totals["total_price"] + 0.01)
    assert player.grade().score == pytest.approx(0.30)
    half = totals.iloc[: len(totals) // 2]
    player.tables[TOTALS] = half
    assert player.grade().score == pytest.approx(0.30 + 0.70 * len(half) / len(totals))
    assert {"totals_match_price_times_quantity"} <= player.failing()


def test_a_lost_quantity_is_a_guess_and_neither_it_nor_its_total_earns_or_costs() -> None:
    player = recovered()
    gone = sorted(int(key) for key, column in player.truth.lost["orders"] if column == "quantity")
    assert gone and player.grade().parts["dependency_consistency"] == pytest.approx(1.0)
    orders, totals = player.tables["orders"], player.tables[TOTALS]
    ages = sum(column == "age" for _, column in player.truth.lost.get("customers", ()))
    assert player.grade().guessed == len(gone) + ages
    for quantity in (1, 55):
        player.tables["orders"] = orders.assign(
            quantity=orders["quantity"].mask(orders["order_id"].isin(gone), quantity)
        )
        player.refresh()
        assert player.grade().score == pytest.approx(1.0)
    # Anybody else's quantity, and anybody else's total, is known.
    known = orders["order_id"] == next(key for key in orders["order_id"] if key not in gone)
    player.tables["orders"] = orders.assign(quantity=orders["quantity"].mask(known, 55))
    player.refresh()
    assert player.grade().score < SUCCESS
    # A total that does not follow from the guess is no matter of truth, and no check lets it pass.
    player.tables["orders"], others = orders, totals["order_id"].isin(gone)
    player.tables[TOTALS] = totals.assign(total_price=totals["total_price"].mask(others, 0.01))
    assert "totals_match_price_times_quantity" in player.failing()


def test_totals_take_the_first_price_of_a_product_and_refuse_what_is_not_a_number() -> None:
    workspace = clean_data_of(TASK.slug, 1)
    orders, products = workspace.feeds["orders"], workspace.feeds["products"]
    right = order_totals(orders, products)
    price = products.set_index("product_id")["unit_price"].astype(float)
    due = (orders["product_id"].map(price).astype(float) * orders["quantity"].astype(float)).round(2)
    assert np.allclose(right["total_price"].astype(float), due, atol=0.005)
    doubled = pd.concat([products, products.assign(unit_price=products["unit_price"] * 2)], ignore_index=True)
    pd.testing.assert_frame_equal(order_totals(orders, doubled), right)
    fewer = order_totals(orders, products.iloc[1:])
    assert set(fewer["order_id"]) == set(orders["order_id"][orders["product_id"] != products["product_id"].iloc[0]])
    texts_ = products.assign(unit_price=products["unit_price"].astype("string[pyarrow]"))
    with pytest.raises(TransformError, match=r"products\.unit_price is"):
        order_totals(orders, texts_)
    with pytest.raises(TransformError, match="orders has no column 'quantity'"):
        order_totals(orders.drop(columns="quantity"), products)
