"""Look-alike columns: nothing to repair, wrong to choose, and told from the true ones by what anyone can see."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass

import pandas as pd
import pytest

from mario_dagster.bench.bookkeeping import disagreements
from mario_dagster.core.action import Action
from mario_dagster.core.registry import task, tasks
from mario_dagster.env.perform import perform, schema_text
from mario_dagster.env.sample import sample_text
from mario_dagster.incidents.compile import Incident, compile_incident
from mario_dagster.incidents.compose import candidates, compose
from mario_dagster.incidents.damage import FaultError
from mario_dagster.incidents.faults.lookalike_column import LookalikeColumn
from mario_dagster.incidents.faults.renamed_columns import RenamedColumns
from mario_dagster.incidents.faults.retried_load import RetriedLoad
from mario_dagster.incidents.faults.trailer_lines import TrailerLines
from mario_dagster.incidents.profiles import profiles
from mario_dagster.sandbox.home import Home
from mario_dagster.sandbox.sandbox import Sandbox
from mario_dagster.tables.frames import column_type

SEEDS = 40
# Where no check can tell, the words of the contract do: pieces ordered are not those shipped, a list price is a list's.
WORDED = {("referential", "quantity"), ("referential", "unit_price")}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path_factory.mktemp("home"))


def walk(value: object) -> Iterator[LookalikeColumn]:
    if isinstance(value, LookalikeColumn):
        yield value
    elif is_dataclass(value) and not isinstance(value, type):
        for each in fields(value):
            yield from walk(getattr(value, each.name))
    elif isinstance(value, tuple):
        for each in value:
            yield from walk(each)


@dataclass(frozen=True)
class Pair:
    """An incident in which a look-alike stands beside a renamed column."""

    incident: Incident
    fault: LookalikeColumn
    alias: str
    lookalike: str

    @property
    def landed(self) -> pd.DataFrame:
        feed = task(self.incident.task).table(self.fault.table).feed
        return next(frame for key, frame in self.incident.landing.items() if key.startswith(f"{feed}/"))


def pairs() -> Iterator[Pair]:
    """One pair for each task, column and kinship that some held-out family has."""
    known: set[tuple[str, str, str]] = set()
    for each in profiles():
        for fault in walk(each.faults):
            kind = (each.task, fault.column, fault.kinship)
            if kind in known:
                continue
            known.add(kind)
            found = (pair_of(compile_incident(each.task, each.name, split="eval", seed=s), fault) for s in range(SEEDS))
            yield next(pair for pair in found if pair is not None)


def pair_of(incident: Incident, fault: LookalikeColumn) -> Pair | None:
    columns = incident.damage_manifest.columns
    columns = columns[columns["table"] == fault.table]
    aliases = columns[(columns["column"] == fault.column) & (columns["landed_as"] != fault.column)]["landed_as"]
    extras = columns[columns["column"].isna() & columns["landed_as"].isin(fault.names)]["landed_as"]
    return Pair(incident, fault, aliases.iloc[0], extras.iloc[0]) if len(aliases) and len(extras) else None


PAIRS = list(pairs())


def moves(pair: Pair) -> list[Action]:
    """The solution, but for one column: the look-alike in its place."""
    swap = {pair.alias: pair.lookalike, pair.lookalike: pair.alias}

    def wrong(step: Action) -> Action:
        fields = step.to_dict()
        if step.table != pair.fault.table:
            return Action.from_dict(fields)
        if step.new_name == pair.fault.column:
            fields["target_column"] = pair.lookalike
        if step.column_order:
            fields["column_order"] = [swap.get(name, name) for name in step.column_order]
        return Action.from_dict(fields)

    return [wrong(step) for step in pair.incident.solution]


@pytest.mark.parametrize("pair", PAIRS, ids=lambda each: f"{each.incident.task}-{each.fault.column}")
def test_the_lookalike_in_a_column_s_place_is_found_out_and_never_wins(home: Home, pair: Pair) -> None:
    incident = pair.incident
    with Sandbox.create(
        incident.task, profile=incident.profile, split="eval", seed=incident.seed, home=home
    ) as sandbox:
        active = sandbox.task.main_table.name
        *repairs, commit = moves(pair)
        for move in repairs:
            active = perform(sandbox, move, active, {}).active_table
        audits = [perform(sandbox, Action(14), name, {}).status for name in sandbox.task.table_names]
        told = bool(sandbox.signals().blocking_failures) or "failed" in audits
        published = perform(sandbox, commit, active, {}).status == "done"
        assert not (published and sandbox.grade().score >= sandbox.task.threshold)
        assert told is ((incident.task, pair.fault.column) not in WORDED)
    home.prune(keep=0, templates=True)


@pytest.mark.parametrize("pair", PAIRS, ids=lambda each: f"{each.incident.task}-{each.fault.column}")
def test_a_pair_is_told_of_by_inspection_and_sample(pair: Pair) -> None:
    table = task(pair.incident.task).table(pair.fault.table)
    seen = schema_text(pair.landed, table)
    assert f"{pair.fault.column}: missing, expected {table.column(pair.fault.column).type}: " in seen
    assert table.column(pair.fault.column).description in seen
    rows = json.loads(sample_text(pair.landed))
    like, true = ([row[name] for row in rows] for name in (pair.lookalike, pair.alias))
    assert like != true


@pytest.mark.parametrize("pair", PAIRS, ids=lambda each: f"{each.incident.task}-{each.fault.column}")
def test_a_lookalike_lands_in_the_contract_s_type_and_on_the_books(pair: Pair) -> None:
    found = task(pair.incident.task)
    column = found.table(pair.fault.table).column(pair.fault.column)
    assert column_type(pair.landed[pair.lookalike]) == column.type
    assert list(disagreements(pair.incident, found)) == []
    assert not any(step.target_column == pair.lookalike for step in pair.incident.solution)


def test_every_held_out_family_has_one_and_no_other_family_has() -> None:
    for each in profiles():
        assert bool(list(walk(each.faults))) is each.held_out, each.name
    assert all("lookalike_column" not in candidates(each) for each in tasks())


def test_rows_that_are_sent_again_have_it_again_and_totals_have_none() -> None:
    faults = [
        RenamedColumns("transactions", {"amount": ("sum_paid",)}),
        LookalikeColumn("transactions", "amount", ("local_amount",), factor=(20.0, 90.0)),
        RetriedLoad("transactions", share=(0.1, 0.1)),
        TrailerLines("transactions", total="amount", batches=(1, 1)),
    ]
    landed = compose("events", faults, seed=3).landing["transactions/c01"]
    totals = landed["transaction_id"].isna()
    assert landed["local_amount"].isna().tolist() == totals.tolist() and totals.sum() == 1
    again = landed[~totals].groupby("transaction_id")["local_amount"].nunique()
    assert (again == 1).all() and landed["transaction_id"].duplicated().sum() > 10


def test_it_fits_its_column_or_is_refused() -> None:
    for slug, fault, said in (
        ("events", LookalikeColumn("transactions", "status", ("state",)), "a number to take a part of"),
        ("events", LookalikeColumn("transactions", "age", ("no",), "shared"), "the key"),
        ("events", LookalikeColumn("transactions", "age", ("no",), "foreign"), "a reference"),
        ("events", LookalikeColumn("transactions", "amount", ("age",)), "its contract has a 'age'"),
    ):
        with pytest.raises(FaultError, match=said):
            compose(slug, [fault], seed=1)
