"""Every fault against tables that it never met: it strikes and is accounted for, or says in words why it does not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mario_dagster.core.task import Task
from mario_dagster.incidents.assembly import strike
from mario_dagster.incidents.build_manifest import damage_manifest_of
from mario_dagster.incidents.damage import CannotStrike, Damage, FaultError
from mario_dagster.incidents.faults import faults
from mario_dagster.incidents.faults.base import Fault, fits
from mario_dagster.incidents.faults.conflicts import Material
from mario_dagster.incidents.faults.lookalike_column import LookalikeColumn
from mario_dagster.incidents.faults.unavailable_batches import UnavailableBatches
from mario_dagster.incidents.manifest import DamageManifest
from mario_dagster.incidents.solution import Waiting, plan
from mario_dagster.tables.frames import content_hash
from mario_dagster.tables.landing import DeliveredFile, Delivery, Landing
from mario_dagster.tables.load import stack
from mario_dagster.tables.random_streams import stream
from mario_dagster.tables.repairs import apply

from .odd_schemas import NOON, SCHEMAS, Odd

SHIPPED = {name: kind for name, kind in faults().items() if kind.__module__.startswith("mario_dagster.")}


def material(task: Task) -> Material:
    return Material(losable=frozenset((table.name, c.name) for table in task.tables for c in table.columns[:8]))


def streams(name: str) -> np.random.Generator:
    return stream(5, "odd", name)


def offered(kind: type[Fault], task: Task) -> tuple[list[Fault], list[str]]:
    """What a kind of fault, those for profiles too, may strike of a task; and why the rest may not be struck."""
    found = fits(kind, task, material(task))
    extra: list[Fault] = [UnavailableBatches()] if kind is UnavailableBatches else []
    if kind is LookalikeColumn:
        extra = [
            LookalikeColumn("main", c.name, ("looks_alike",), kinship)  # type: ignore[arg-type]
            for c in task.main_table.columns[:8]
            for kinship in ("part", "shared", "foreign")
        ]
    able, refusals = list(found.faults), list(found.refusals)
    for fault in extra:
        try:
            list(fault.conflicts(task))
            able.append(fault)
        except FaultError as error:
            refusals.append(str(error))
    return able, refusals


def struck(fault: Fault, case: Odd) -> tuple[str, Damage | None]:
    """What a fault says where it cannot strike, else nothing; and the bench on which it did."""
    try:
        clean = fault.prelude(case.clean, case.task, streams("prelude"))
        damage = Damage.of(case.task, clean)
        fault.strike(damage, streams("strike"))
    except CannotStrike as refusal:
        return str(refusal), None
    return "", damage


def landed(damage: Damage) -> dict[str, pd.DataFrame]:
    return damage.feed("main").frames()


@pytest.mark.parametrize("name", sorted(SHIPPED))
@pytest.mark.parametrize("schema", SCHEMAS)
def test_it_strikes_or_says_why_not(schema: str, name: str, tmp_path: Path) -> None:
    case = SCHEMAS[schema]
    able, refusals = offered(SHIPPED[name], case.task)
    assert able or refusals, "neither a place to strike nor a reason"
    # Two hundred columns of a kind say the same: a few of them are looked at, the first and the last among them.
    few = 3 if len(case.task.main_table.columns) > 100 else 8
    for index in sorted({round(part) for part in np.linspace(0, len(able) - 1, few)}) if able else ():
        why, damage = struck(able[index], case)
        if damage is None:
            refusals.append(why)
        else:
            _sound(able[index], case, damage, tmp_path / str(index))
    for text in refusals:
        assert text.startswith((f"{name} does not fit ", f"{name} cannot strike ")) and ": " in text
        assert len(text.partition(": ")[2]) > 10


def _sound(fault: Fault, case: Odd, damage: Damage, folder: Path) -> None:
    """It did something, the same twice, that lands readable, that its manifest accounts for, that its repairs undo."""
    again = struck(fault, case)[1]
    assert again is not None
    files, manifest = landed(damage), damage_manifest_of(damage)
    assert [content_hash(frame) for frame in files.values()] == [content_hash(f) for f in landed(again).values()]
    assert manifest.to_json() == damage_manifest_of(again).to_json()
    zone = Landing(folder)
    zone.deliver(Delivery(NOON, {("main", b): DeliveredFile(frame, len(frame), NOON) for b, frame in files.items()}))
    for batch, frame in files.items():
        read = zone.read("main", batch)
        assert content_hash(read) == content_hash(frame)
    plain, now = stack(list(landed(Damage.of(case.task, case.clean)).values())), stack(list(files.values()))
    _accounted(fault, case, damage, manifest, content_hash(now) == content_hash(plain))
    if type(fault).prelude is Fault.prelude:
        assert len(now) - len(plain) == len(manifest.rows_added)
    if fault.harmless:
        assert not damage.repairs
    else:
        _undone(case.task, damage, manifest, now, plain)


def _accounted(fault: Fault, case: Odd, damage: Damage, manifest: DamageManifest, same: bool) -> None:
    """What differs from the clean data is in the manifest, or is a state of the pipeline, or what producers sent."""
    noted = len(manifest.cells) + len(manifest.rows_added) + len(manifest.columns)
    oddity = type(fault).prelude is not Fault.prelude
    assert bool(noted) == (not same and not oddity)
    if same:
        shapes = [len(frame) for frame in landed(damage).values()] != [len(b.frame) for b in case.clean.batches]
        pipeline = damage.deploys or damage.unavailable or damage.healthy < damage.batches
        assert pipeline or (oddity and (shapes or fault.name == "slow_batch"))
    changed = {name for name, landed_as in damage.feed("main").names.items() if landed_as != name}
    assert changed <= set(manifest.columns["column"])


def _undone(task: Task, damage: Damage, manifest: DamageManifest, now: pd.DataFrame, plain: pd.DataFrame) -> None:
    """Its repairs, in the solution's order, bring the clean rows back; but for values that are lost."""
    table = task.main_table
    for step in plan(task, [r for r in damage.repairs if r.table == "main"], Waiting(), refresh=False)[:-1]:
        now = apply(step, now, table)
    now = now[list(table.column_names)].sort_values(table.key, ignore_index=True)
    plain = plain.sort_values(table.key, ignore_index=True)
    for name, keys in manifest.lost.get("main", {}).items():
        gone = plain[table.key].astype(str).isin(keys)
        now, plain = (frame.assign(**{name: frame[name].mask(gone)}) for frame in (now, plain))
    pd.testing.assert_frame_equal(now, plain)


def test_every_fault_strikes_some_odd_table_and_is_refused_by_another() -> None:
    for name, kind in SHIPPED.items():
        said = [struck(fault, case)[0] for case in SCHEMAS.values() for fault in offered(kind, case.task)[0][:3]]
        assert name == "any_of" or "" in said, name
        assert any(said) or any(offered(kind, case.task)[1] for case in SCHEMAS.values()), name


@pytest.mark.parametrize("schema", ["empty", "null_numbers"])
def test_an_oddity_without_room_is_left_out_and_damage_without_room_is_refused(schema: str) -> None:
    case = SCHEMAS[schema]
    spike = SHIPPED["real_spike"]("main", ("amount",))  # type: ignore[call-arg]
    clean, _ = strike(case.task, case.clean, [("spike", spike)], streams)
    assert clean is case.clean
    lost = SHIPPED["lost_values"]("main", "amount", (None,), (1.0, 1.0))  # type: ignore[call-arg]
    with pytest.raises(CannotStrike, match=r"lost_values cannot strike main"):
        strike(case.task, case.clean, [("lost", lost)], streams)


@pytest.mark.parametrize(
    ("schema", "name", "said"),
    [
        ("string_key", "bogus_rows", "does not fit main: it numbers rows of its own, and the key code is string"),
        ("key_only", "torn_copies", "torn_copies does not fit odd.main: its copies lack what is beside the key"),
        ("key_only", "renamed_columns", "it renames 2 columns at the least, and 1 have other names"),
        ("no_text", "padded_text", "padded_text does not fit task 'odd': it needs a feed's text column"),
        ("usual", "late_batches", "late_batches does not fit task 'odd': it needs a feed that comes in batches"),
    ],
)  # fmt: skip
def test_a_refusal_names_fault_table_and_need(schema: str, name: str, said: str) -> None:
    assert any(said in why for why in fits(SHIPPED[name], SCHEMAS[schema].task, Material()).refusals)
