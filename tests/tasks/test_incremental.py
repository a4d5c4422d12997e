"""Task 4 in pure pandas: the data are a shop's, every incident is undone exactly by its solution and by no less.

The player here does to frames what the sandbox does to stored tables, with the same functions and no Dagster; the
grader and the checks judge what is left. The same incidents on real Dagster are in `test_incident_proofs.py`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache

import numpy as np
import pandas as pd
import pytest

from mario_dagster.checks.audit import audit
from mario_dagster.checks.contract import contract_report
from mario_dagster.checks.facts import checks_for
from mario_dagster.checks.outcome import CheckContext
from mario_dagster.core import registry
from mario_dagster.core.action import Action
from mario_dagster.core.deploy import Deploy
from mario_dagster.core.task import SPLITS, Split, required_workers
from mario_dagster.incidents.compile import Incident, compile_incident
from mario_dagster.incidents.profiles import draw, profiles
from mario_dagster.scoring.compare import PipelineState, Truth
from mario_dagster.scoring.score import grade
from mario_dagster.tables.clean_data import CleanData
from mario_dagster.tables.frames import column_type, content_hash
from mario_dagster.tables.load import deployed, stack
from mario_dagster.tables.repairs import REPAIR_NAMES, InvalidRepair, apply, reapply
from mario_dagster.tables.spec import clean_data_of
from mario_dagster.tables.transforms import TransformError
from mario_dagster.tasks.incremental.transforms import daily_summary

TASK = registry.task("incremental")
SUMMARY = TASK.table("daily_summary")
CASES = [(each.name, split) for each in profiles("incremental") for split in each.splits]
SUCCESS = 0.999


@cache
def compiled(name: str, split: Split, seed: int) -> Incident:
    return compile_incident("incremental", name, split=split, seed=seed)


def tables_of(workspace: CleanData) -> dict[str, pd.DataFrame]:
    orders, products = stack([batch.frame for batch in workspace.batches]), workspace.feeds["products"]
    return {"orders": orders, "products": products, "daily_summary": daily_summary(orders, products)}


@dataclass
class Player:
    """Plays steps on frames, as the sandbox does on stored tables."""

    incident: Incident
    tables: dict[str, pd.DataFrame] = field(init=False)
    plans: dict[str, list[Action]] = field(init=False)
    pending: list[str] = field(init=False)
    workers: int = field(init=False)
    truth: dict[str, pd.DataFrame] = field(init=False)
    shown: int = 0
    active: str = "orders"
    fresh: bool = False
    committed: bool = False

    def __post_init__(self) -> None:
        self.truth = tables_of(self.incident.clean)
        live = self.incident.deploys["daily_summary"]
        assert live.scale
        self.tables = {
            "orders": stack([self.incident.landing[f"orders/{name}"] for name in self.incident.healthy_batches]),
            "products": self.incident.landing["products/c01"],
            "daily_summary": deployed(self.truth["daily_summary"], live),
        }
        self.plans = {name: [] for name in self.tables}
        self.pending, self.workers = list(self.incident.pending), self.incident.workers

    def play(self, steps: Iterable[Action]) -> Player:
        for step in steps:
            if step.name in REPAIR_NAMES:
                self.repair(Action.named(step.name, step.target_column, step.new_name, step.column_order))
            else:
                getattr(self, step.name)(step)
        return self

    def repair(self, repair: Action) -> None:
        try:
            self.tables[self.active] = apply(repair, self.tables[self.active], TASK.table(self.active))
        except InvalidRepair:
            return
        self.fresh = self.fresh and self.active == "daily_summary"
        if repair.row_wise:
            self.plans[self.active].append(repair)

    def required(self) -> int:
        rows = sum(self.incident.declared[f"orders/{name}"] for name in self.pending)
        return required_workers(len(self.pending), rows, self.incident.required_floor)

    def inspect_schema(self, step: Action) -> None:
        self.active = str(step.target_column)

    def scale_recovery_workers_up(self, step: Action) -> None:
        self.workers = min(3, self.workers + 1)

    def scale_recovery_workers_down(self, step: Action) -> None:
        self.workers = max(1, self.workers - 1)

    def replay_priority_batch(self, step: Action) -> None:
        if self.pending and self.workers >= self.required():
            landed = self.incident.landing[f"orders/{self.pending.pop(0)}"]
            loaded = reapply(self.plans["orders"], landed, TASK.main_table)
            self.tables["orders"] = stack([self.tables["orders"], loaded])
            self.fresh = False

    def refresh_downstream_assets(self, step: Action) -> None:
        try:
            right = daily_summary(self.tables["orders"], self.tables["products"])
        except TransformError:
            return
        live = self.incident.deploys["daily_summary"]
        written = deployed(right, Deploy(live.rename, live.texts))
        self.tables["daily_summary"] = reapply(self.plans["daily_summary"], written, SUMMARY)
        self.fresh, self.shown = True, len(self.incident.clean.batches) - len(self.pending)

    def commit_changes(self, step: Action) -> None:
        self.committed = True

    @property
    def check_context(self) -> CheckContext:
        names = [batch.name for batch in self.incident.clean.batches if batch.name not in self.pending]
        landed = {name: self.incident.declared[f"orders/{name}"] for name in names}
        stale = frozenset() if self.fresh else frozenset({"daily_summary"})
        declared = {"products": self.incident.declared["products/c01"]}
        return CheckContext(TASK, self.tables, landed, tuple(self.pending), stale, declared)

    def failing(self) -> list[str]:
        return [c.name for c in checks_for(TASK) if c.kind != "audit" and not c.evaluate(self.check_context).passed]

    def score(self) -> float:
        cells = self.incident.damage_manifest.cells
        gone = cells[cells["lost"].astype(bool)]
        lost = {
            table: frozenset(zip(rows["key"], rows["column"], strict=True))
            for table, rows in ((name, gone[gone["table"] == name]) for name in TASK.table_names)
        }
        batches = self.incident.clean.batches
        hidden = batches[self.shown :]
        lag = (self.incident.clean.now - hidden[0].landed_at).total_seconds() / 60 if hidden else 0.0
        state = PipelineState(
            loaded=len(batches) - len(self.pending),
            pending=len(self.pending),
            lag_minutes=lag,
            stale=not self.fresh,
            workers=self.workers,
            required_workers=self.required(),
            late=self.incident.pending,
        )
        return grade(TASK, self.tables, Truth(self.truth, lost), state).score

    def recovered(self) -> bool:
        return self.committed and not self.failing() and self.score() >= SUCCESS


# --- the proof --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "split"), CASES)
def test_gold_undoes_every_incident_exactly_and_leaves_room_to_look(name: str, split: Split) -> None:
    for seed in range(4):
        incident = compiled(name, split, seed)
        start = Player(incident)
        assert start.failing() and start.score() < 0.5
        assert 1 <= len(incident.pending) == 13 - len(incident.healthy_batches)
        assert len(incident.solution) <= TASK.max_steps - 2, (seed, len(incident.solution))
        played = start.play(incident.solution)
        assert played.recovered(), (seed, played.failing(), played.score())


@pytest.mark.parametrize("name", [each.name for each in profiles("incremental")])
def test_leaving_any_gold_step_out_does_not_recover(name: str) -> None:
    seen: set[tuple[str, str | None, str | None]] = set()
    for seed in (3, 8):
        incident = compiled(name, "eval", seed)
        for index, step in enumerate(incident.solution):
            # A replay is as good as another, and a step that an earlier seed has tried is not tried again.
            kind = (step.name, step.table, step.new_name or step.target_column)
            if kind not in seen:
                rest = (*incident.solution[:index], *incident.solution[index + 1 :])
                assert not Player(incident).play(rest).recovered(), (seed, step)
            seen.add(kind)


@pytest.mark.parametrize("name", [each.name for each in profiles("incremental")])
def test_a_drift_is_in_every_batch_alike_and_the_seed_moves_it(name: str) -> None:
    plans, shapes = set(), set()
    for seed in range(10):
        incident = compiled(name, "eval", seed)
        schemas = {
            tuple((column, column_type(frame[column])) for column in frame.columns)
            for key, frame in incident.landing.items()
            if key.startswith("orders/")
        }
        assert len(schemas) == 1
        plans.add(incident.solution)
        shapes.add(tuple(len(frame) for frame in incident.landing.values()))
    assert len(plans) >= 5 and len(shapes) == 10


def test_every_profile_of_a_split_is_drawn_by_a_small_seed() -> None:
    for split in SPLITS:
        drawn = {draw("incremental", split, seed).name for seed in range(50)}
        assert drawn == {each.name for each in profiles("incremental", split)}


def test_held_out_incidents_have_two_batches_loaded_and_need_every_worker_to_the_end() -> None:
    for name, split in CASES:
        incident = compiled(name, split, 0)
        assert incident.held_out is name.startswith("heldout_")
        assert len(incident.healthy_batches) == (2 if incident.held_out else 3)
        assert incident.required_floor == (3 if incident.held_out else 2)


# --- clean data and checks --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [1, 10])
def test_clean_data_meet_their_contract_and_hold_no_outlier(scale: int) -> None:
    for seed in range(40 if scale == 1 else 4):
        workspace = clean_data_of("incremental", seed, scale)
        tables = tables_of(workspace)
        for name, frame in tables.items():
            report = contract_report(frame, TASK.table(name))
            assert report.passed and not report.outlier_count, (seed, name, report.counts)
        assert int(tables["daily_summary"]["order_count"].sum()) == len(tables["orders"])


def test_the_stream_looks_like_a_shop_s() -> None:
    late = 0
    for seed in range(20):
        workspace = clean_data_of("incremental", seed)
        tables = tables_of(workspace)
        assert [batch.name for batch in workspace.batches] == [f"b{number:02d}" for number in range(1, 14)]
        assert all(12 <= len(batch.frame) <= 22 for batch in workspace.batches)
        landed = [batch.landed_at for batch in workspace.batches]
        assert landed == sorted(landed) and 4 <= (workspace.now - landed[-1]).total_seconds() / 60 <= 31
        assert len(tables["daily_summary"]) >= 3
        orders, prices = tables["orders"], workspace.feeds["products"].set_index("product_id")["unit_price"]
        assert orders["order_id"].is_monotonic_increasing and orders["quantity"].between(1, 12).all()
        quartiles = orders["quantity"].quantile([0.25, 0.75]).tolist()
        assert quartiles[1] - quartiles[0] >= 1  # so that a median is always a plausible fill
        amounts = (orders["product_id"].map(prices) * orders["quantity"]).astype(float)
        assert np.allclose(amounts, orders["revenue"].astype(float), atol=0.005)
        for batch in workspace.batches:
            assert (batch.frame["event_ts"] < batch.landed_at).all()
        before = [batch.frame["event_ts"].max() for batch in workspace.batches[:-1]]
        late += sum(
            bool((batch.frame["event_ts"] < earlier).any())
            for batch, earlier in zip(workspace.batches[1:], before, strict=True)
        )
    assert late >= 20 * 9


def test_genuine_orders_far_from_the_mean_stay() -> None:
    """Deviations that a normal rule would throw out are there, and no repair or check takes them for outliers."""
    far = 0
    for seed in range(20):
        orders = tables_of(clean_data_of("incremental", seed))["orders"]
        revenue = orders["revenue"].astype(float)
        far += int(((revenue - revenue.mean()).abs() > 3 * revenue.std()).sum())
        for column in ("quantity", "revenue"):
            kept = apply(Action.named("drop_outliers", column), orders, TASK.main_table)
            assert content_hash(kept) == content_hash(orders)
    assert far >= 20


def test_splits_and_seeds_are_worlds_apart() -> None:
    worlds = [clean_data_of("incremental", 5, split=split) for split in SPLITS]
    worlds.append(clean_data_of("incremental", 6))
    assert len({content_hash(workspace.feeds["products"]) for workspace in worlds}) == 3
    assert len({workspace.now for workspace in worlds}) == 3
    again = clean_data_of("incremental", 5)
    assert content_hash(again.batches[4].frame) == content_hash(worlds[0].batches[4].frame)


def played_to_the_end() -> Player:
    incident = compiled("late_batch_resource_incident", "train", 1)
    return Player(incident).play(incident.solution)


def test_the_audit_sums_days_up() -> None:
    player = played_to_the_end()
    for table in TASK.tables:
        assert audit(player.check_context, table).passed
    short = player.tables["daily_summary"].assign(total_revenue=lambda frame: frame["total_revenue"] * 0.9)
    player.tables["daily_summary"] = short
    assert not audit(player.check_context, SUMMARY).passed
    player.tables["daily_summary"] = short.iloc[1:]
    assert {"event_date", "order_count"} <= {case["column"] for case in audit(player.check_context, SUMMARY).failures}


def test_deleting_orders_is_no_repair() -> None:
    player = played_to_the_end()
    kept = player.tables["orders"].iloc[:-4].reset_index(drop=True)
    player.tables["orders"] = kept
    player.tables["daily_summary"] = daily_summary(kept, player.tables["products"])
    assert player.failing() == ["no_landed_row_is_lost"] and player.score() < SUCCESS
    player.tables["orders"] = kept.iloc[:0]
    player.tables["daily_summary"] = daily_summary(kept.iloc[:0], player.tables["products"])
    assert player.failing() and player.score() < TASK.threshold


# --- the score --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "part", "value"),
    [
        (PipelineState(13, 0, 0.0, False, 2, 2), "resources", 1.0),
        (PipelineState(13, 0, 0.0, False, 3, 2), "resources", 0.85),
        (PipelineState(3, 10, 0.0, False, 1, 3), "resources", 0.2),
        (PipelineState(13, 0, 90.0, False, 2, 2), "freshness", 0.5),
        (PipelineState(13, 0, 90.0, True, 2, 2), "freshness", 0.25),
        (PipelineState(3, 10, 4000.0, True, 1, 3), "freshness", 0.0),
        (PipelineState(13, 0, 0.0, False, 2, 2), "backlog", 1.0),
        (PipelineState(9, 4, 0.0, False, 2, 2), "backlog", 7 / 13),
    ],
)
def test_the_parts_of_the_score(state: PipelineState, part: str, value: float) -> None:
    truth = tables_of(clean_data_of("incremental", 2))
    graded = grade(TASK, truth, Truth(truth), state)
    assert graded.parts[part] == pytest.approx(value)
    assert graded.parts["data_quality"] == graded.parts["summary_consistency"] == 1.0
    assert set(graded.parts) == set(TASK.objective_weights)
