"""Faults by themselves: how one registers, which go together, and that what each writes can be read back."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mario_dagster.core import registry
from mario_dagster.core.action import Action
from mario_dagster.core.errors import UnknownName
from mario_dagster.incidents.damage import Damage, Feed
from mario_dagster.incidents.faults import fault, faults
from mario_dagster.incidents.faults.base import Fault, FaultError
from mario_dagster.incidents.faults.renamed_columns import RenamedColumns
from mario_dagster.incidents.faults.spelled_cells import SpelledCells
from mario_dagster.incidents.faults.torn_copies import TornCopies
from mario_dagster.incidents.vocabularies import HELD_OUT, TRAIN
from mario_dagster.tables.clean_data import frame_of
from mario_dagster.tables.frames import column_type, content_hash
from mario_dagster.tables.random_streams import stream
from mario_dagster.tables.repairs import apply
from mario_dagster.tables.spec import clean_data_of

TASK = registry.task("temporal")


def bench(rows: int = 6) -> Damage:
    table = TASK.table("catalog")
    frame = frame_of(
        table,
        {
            "product_id": np.arange(1, rows + 1),
            "product_name": [f"Café {number}" for number in range(rows)],
            "unit_price": np.linspace(0.29, 1234.5, rows).round(2),
            "category": ["audio"] * rows,
        },
    )
    return Damage(TASK, {"catalog": Feed(table, ["c01"], [frame])})


def test_defining_a_fault_registers_it_and_names_are_unique() -> None:
    class SwappedDigits(Fault):
        def inject(self, damage: Damage, rng: np.random.Generator) -> None: ...

    assert fault("swapped_digits") is SwappedDigits
    assert SwappedDigits().name == "swapped_digits"
    assert "renamed_columns" in faults()
    with pytest.raises(FaultError, match="defines a fault 'renamed_columns', which"):
        type("RenamedColumns", (Fault,), {"strike": lambda *_: None, "__module__": "elsewhere"})
    with pytest.raises(UnknownName, match="did you mean 'renamed_columns'"):
        fault("renamed_column")


def test_faults_that_do_not_go_together_say_so() -> None:
    rng, damage = stream(1, "test"), bench()
    spelled = fault("spelled_numbers")("catalog", "unit_price", TRAIN.cents)
    spelled.inject(damage, rng)
    with pytest.raises(FaultError, match=r"cannot respell catalog\.unit_price: spelled_numbers has already"):
        spelled.inject(damage, rng)
    RenamedColumns("catalog", {"unit_price": ("price",)}).inject(damage, rng)
    with pytest.raises(FaultError, match="already has a column 'price'"):
        RenamedColumns("catalog", {"category": ("price",)}).inject(damage, rng)
    with pytest.raises(UnknownName, match="no fed table 'hourly_rollup'"):
        RenamedColumns("hourly_rollup", {"hour_bucket": ("bucket",)}).inject(damage, rng)


@pytest.mark.parametrize("format_name", [*TRAIN.currency, *TRAIN.cents, *HELD_OUT.currency, *HELD_OUT.cents])
def test_every_money_spelling_reads_back_to_the_cent(format_name: str) -> None:
    damage = bench(40)
    clean = damage.feeds["catalog"].frames()["c01"]
    fault("spelled_numbers")("catalog", "unit_price", (format_name,)).inject(damage, stream(1, "test"))
    landed = damage.feeds["catalog"].frames()["c01"]
    assert column_type(landed["unit_price"]) == "string"
    back = apply(Action.named("cast_to_float", "unit_price"), landed, TASK.table("catalog"))
    assert (back["unit_price"] == clean["unit_price"]).all()


@pytest.mark.parametrize("format_name", [*TRAIN.timestamps, *TRAIN.offsets, *HELD_OUT.timestamps, *HELD_OUT.offsets])
def test_every_moment_spelling_reads_back_to_the_second(format_name: str) -> None:
    workspace = clean_data_of("temporal", 3)
    clean = workspace.batches[7].frame
    damage = Damage(TASK, {"source_orders": Feed(TASK.main_table, ["t08"], [clean])})
    fault("spelled_moments")("source_orders", "event_ts", (format_name,)).inject(damage, stream(1, "test"))
    landed = damage.feeds["source_orders"].frames()["t08"]
    assert column_type(landed["event_ts"]) == "string"
    back = apply(Action.named("cast_to_string", "event_ts"), landed, TASK.main_table)
    assert (back["event_ts"] == clean["event_ts"]).all()


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
