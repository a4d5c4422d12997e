"""The table store: what is written is what is read, by any process, at any version; and a rollback leaves no trace."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from deltalake import DeltaTable

from mario_dagster.core.errors import Damaged
from mario_dagster.tables import store as lakes
from mario_dagster.tables.content_cache import ContentCache
from mario_dagster.tables.frames import as_type, column_type, content_hash, from_arrow, to_arrow
from mario_dagster.tables.store import Lake, NoTable, Provenance


def frame(*values: int | None) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "id": as_type(pd.Series(values, dtype="Int64"), "int64"),
            "name": as_type(pd.Series([None if v is None else f"n{v}" for v in values], dtype="object"), "string"),
        }
    )


def forget(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read from disk from here on, as a new process would."""
    monkeypatch.setattr(lakes, "CONTENT_CACHE", ContentCache())


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


def test_what_is_written_is_read_with_its_note(lake: Lake) -> None:
    provenance = Provenance(run_id="r1", data_version="v", loaded={"t01": "a"}, plan=({"action": "cast_to_int"},))
    assert lake.write("task/table", frame(1, 2, None), provenance) == 0
    stored = lake.read("task/table")
    pd.testing.assert_frame_equal(stored.frame, frame(1, 2, None))
    assert stored.provenance == provenance and stored.version == 0
    assert lake.children("task") == ("table",)


def test_a_table_that_was_never_written_says_so(lake: Lake) -> None:
    with pytest.raises(NoTable, match="task/nothing"):
        lake.read("task/nothing")
    assert not lake.exists("task/nothing") and lake.version("task/nothing") is None


def test_every_version_is_kept_and_any_delta_reader_can_read_it(lake: Lake) -> None:
    for value in range(12):
        lake.write("t", frame(value), Provenance(run_id=str(value)))
    assert lake.version("t") == 11
    table = DeltaTable(lake.root / "t")
    assert table.version() == 11 and table.to_pyarrow_table()["id"].to_pylist() == [11]
    table.load_as_version(3)
    assert table.to_pyarrow_table()["id"].to_pylist() == [3]


def test_rows_keep_their_order_however_many_chunks_they_came_in(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = [frame(*range(start, start + 40)) for start in range(0, 240, 40)]
    whole = pd.concat(parts, ignore_index=True)
    assert to_arrow(whole)["id"].num_chunks == 6
    lake.write("t", whole, Provenance(data_version=content_hash(whole)))
    forget(monkeypatch)
    assert lake.read("t").frame["id"].tolist() == list(range(240)) == Lake(lake.root).read("t").frame["id"].tolist()


def test_a_write_that_was_taken_back_leaves_no_folder_and_one_that_died_is_no_table(lake: Lake) -> None:
    lake.write("task/new", frame(1), Provenance())
    lake.rollback("task/new")
    assert not (lake.root / "task/new").exists()
    (lake.root / "task/died/_delta_log").mkdir(parents=True)
    (lake.root / "task/died/part-0.parquet").write_bytes(b"half")
    assert lake.children("task") == () and not lake.exists("task/died")
    lake.tidy("task/died")
    assert not (lake.root / "task/died").exists()


def test_tidying_keeps_every_version_and_nothing_else(lake: Lake) -> None:
    for value in range(3):
        lake.write("t", frame(value), Provenance())
    (lake.root / "t/part-half.parquet").write_bytes(b"half")
    (lake.root / "t/_delta_log/00000000000000000003.json#1").write_bytes(b"half")
    lake.tidy("t")
    assert [lake.read_at("t", version)["id"].tolist() for version in range(3)] == [[0], [1], [2]]
    assert (
        len(list((lake.root / "t").glob("*.parquet"))) == 3 and len(list((lake.root / "t/_delta_log").iterdir())) == 3
    )


def test_a_version_that_another_took_back_and_wrote_anew_is_not_built_on(lake: Lake) -> None:
    lake.write("t", frame(1), Provenance())
    other = Lake(lake.root)
    other.write("t", frame(2), Provenance())
    assert lake.read("t").frame["id"].tolist() == [2]
    lake.write("t", frame(3), Provenance())
    for _ in range(2):
        other.rollback("t")
    other.write("t", frame(4), Provenance())
    assert lake.read("t").frame["id"].tolist() == [4]
    lake.write("t", frame(5), Provenance())
    # A Delta reader of somebody else's follows the log's removals, which ours need not.
    assert DeltaTable(lake.root / "t").to_pyarrow_table()["id"].to_pylist() == [5]


@pytest.mark.parametrize("kind", ["*.parquet", "_delta_log/*.json"])
def test_what_is_not_what_was_written_is_never_read(lake: Lake, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, provenance = (
        frame(*range(100)),
        Provenance(run_id="r", data_version=content_hash(frame(*range(100))), loaded={"b": "v"}),
    )
    lake.write("t", whole, provenance)
    file = next((lake.root / "t").glob(kind))
    data = file.read_bytes()
    flips = [data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :] for at in range(0, len(data), len(data) // 80)]
    refused = 0
    for harmed in (*flips, data[: len(data) // 2], b""):
        file.write_bytes(harmed)
        forget(monkeypatch)
        try:
            stored = Lake(lake.root).read("t")
            # A bit that nothing is read from: a statistic, a time stamp.
            assert stored.frame.equals(whole) and stored.provenance == provenance
        except Damaged as error:
            assert str(error).startswith("lake/t") and str(lake.root) not in str(error)
            refused += 1
    assert refused > 20
    file.unlink()
    with pytest.raises((Damaged, NoTable)):
        Lake(lake.root).read("t")


def test_another_process_s_write_is_seen_at_the_next_read(lake: Lake) -> None:
    lake.write("t", frame(1), Provenance())
    assert lake.read("t").frame["id"].tolist() == [1]
    code = (
        "import sys, pathlib, pandas as pd\n"
        "from mario_dagster.tables.store import Lake, Provenance\n"
        "from mario_dagster.tables.frames import as_type\n"
        "f = pd.DataFrame({'id': as_type(pd.Series([7], dtype='Int64'), 'int64')})\n"
        "Lake(pathlib.Path(sys.argv[1])).write('t', f, Provenance(run_id='other'))\n"
    )
    subprocess.run([sys.executable, "-c", code, str(lake.root)], check=True, timeout=60)
    assert lake.read("t").frame["id"].tolist() == [7]
    lake.write("t", frame(8), Provenance())
    assert lake.version("t") == 2


def test_a_foreign_writer_that_appends_is_read_whole(lake: Lake) -> None:
    from deltalake import write_deltalake

    lake.write("t", frame(1), Provenance())
    write_deltalake(str(lake.root / "t"), to_arrow(frame(2)), mode="append")
    assert sorted(lake.read("t").frame["id"].tolist()) == [1, 2]


def test_a_rollback_leaves_the_version_before_and_takes_new_writes(lake: Lake) -> None:
    lake.write("t", frame(1), Provenance(run_id="a"))
    lake.write("t", frame(2), Provenance(run_id="b"))
    lake.rollback("t")
    assert lake.read("t").frame["id"].tolist() == [1] and lake.provenance("t").run_id == "a"
    lake.write("t", frame(3), Provenance(run_id="c"))
    assert lake.read("t").frame["id"].tolist() == [3] and lake.version("t") == 1
    lake.rollback("t")
    lake.rollback("t")
    assert not lake.exists("t")
    assert lake.write("t", frame(4), Provenance()) == 0


def test_a_schema_may_change_from_version_to_version(lake: Lake) -> None:
    lake.write("t", frame(1), Provenance())
    lake.write(
        "t", frame(1).rename(columns={"id": "key"}).assign(key=as_type(pd.Series(["x"]), "string")), Provenance()
    )
    assert list(lake.read("t").frame.columns) == ["key", "name"]
    assert column_type(lake.read("t").frame["key"]) == "string"


def test_a_content_hash_tells_names_types_values_nulls_and_order_apart() -> None:
    base = frame(1, 2, None)
    variants = [
        base,
        base.rename(columns={"id": "key"}),
        base[["name", "id"]],
        base.iloc[::-1],
        base.assign(id=as_type(base["id"], "float64")),
        base.assign(name=as_type(pd.Series(["n1n", "2", None]), "string")),
        base.assign(id=as_type(pd.Series([1, 2, 0]), "int64")),
        base.iloc[:2],
    ]
    assert len({content_hash(each) for each in variants}) == len(variants)
    assert content_hash(base) == content_hash(from_arrow(to_arrow(base)))
    chunked = pa.concat_tables([to_arrow(base.iloc[:1]), to_arrow(base.iloc[1:])])
    assert content_hash(from_arrow(chunked)) == content_hash(base)
