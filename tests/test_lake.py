"""The table store: what is written is what is read, by any process, at any version; and a rollback leaves no trace."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from deltalake import DeltaTable

from mario_dagster.assets.frames import as_type, column_type, content_hash, from_arrow, to_arrow
from mario_dagster.assets.lake import Lake, NoTable, Note


def frame(*values: int | None) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "id": as_type(pd.Series(values, dtype="Int64"), "int64"),
            "name": as_type(pd.Series([None if v is None else f"n{v}" for v in values], dtype="object"), "string"),
        }
    )


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


def test_what_is_written_is_read_with_its_note(lake: Lake) -> None:
    note = Note(run_id="r1", data_version="v", loaded={"t01": "a"}, plan=({"action": "cast_to_int"},))
    assert lake.write("task/table", frame(1, 2, None), note) == 0
    stored = lake.read("task/table")
    pd.testing.assert_frame_equal(stored.frame, frame(1, 2, None))
    assert stored.note == note and stored.version == 0
    assert lake.children("task") == ("table",)


def test_a_table_that_was_never_written_says_so(lake: Lake) -> None:
    with pytest.raises(NoTable, match="task/nothing"):
        lake.read("task/nothing")
    assert not lake.exists("task/nothing") and lake.version("task/nothing") is None


def test_every_version_is_kept_and_any_delta_reader_can_read_it(lake: Lake) -> None:
    for value in range(12):
        lake.write("t", frame(value), Note(run_id=str(value)))
    assert lake.version("t") == 11
    table = DeltaTable(lake.root / "t")
    assert table.version() == 11 and table.to_pyarrow_table()["id"].to_pylist() == [11]
    table.load_as_version(3)
    assert table.to_pyarrow_table()["id"].to_pylist() == [3]


def test_another_process_s_write_is_seen_at_the_next_read(lake: Lake) -> None:
    lake.write("t", frame(1), Note())
    assert lake.read("t").frame["id"].tolist() == [1]
    code = (
        "import sys, pathlib, pandas as pd\n"
        "from mario_dagster.assets.lake import Lake, Note\n"
        "from mario_dagster.assets.frames import as_type\n"
        "f = pd.DataFrame({'id': as_type(pd.Series([7], dtype='Int64'), 'int64')})\n"
        "Lake(pathlib.Path(sys.argv[1])).write('t', f, Note(run_id='other'))\n"
    )
    subprocess.run([sys.executable, "-c", code, str(lake.root)], check=True, timeout=60)
    assert lake.read("t").frame["id"].tolist() == [7]
    lake.write("t", frame(8), Note())
    assert lake.version("t") == 2


def test_a_foreign_writer_that_appends_is_read_whole(lake: Lake) -> None:
    from deltalake import write_deltalake

    lake.write("t", frame(1), Note())
    write_deltalake(str(lake.root / "t"), to_arrow(frame(2)), mode="append")
    assert sorted(lake.read("t").frame["id"].tolist()) == [1, 2]


def test_a_rollback_leaves_the_version_before_and_takes_new_writes(lake: Lake) -> None:
    lake.write("t", frame(1), Note(run_id="a"))
    lake.write("t", frame(2), Note(run_id="b"))
    lake.rollback("t")
    assert lake.read("t").frame["id"].tolist() == [1] and lake.note("t").run_id == "a"
    lake.write("t", frame(3), Note(run_id="c"))
    assert lake.read("t").frame["id"].tolist() == [3] and lake.version("t") == 1
    lake.rollback("t")
    lake.rollback("t")
    assert not lake.exists("t")
    assert lake.write("t", frame(4), Note()) == 0


def test_a_schema_may_change_from_version_to_version(lake: Lake) -> None:
    lake.write("t", frame(1), Note())
    lake.write("t", frame(1).rename(columns={"id": "key"}).assign(key=as_type(pd.Series(["x"]), "string")), Note())
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
