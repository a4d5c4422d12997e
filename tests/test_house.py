"""The house: what may touch Dagster's private parts, and that no two files import each other."""

from __future__ import annotations

import re
from pathlib import Path

import grimp
import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "mario_dagster"
OUTSIDE = [file for file in sorted(PACKAGE.rglob("*.py")) if file.relative_to(PACKAGE).parts[0] != "runtime"]
PRIVATE = re.compile(r"^\s*(?:from|import) (?:dagster\._|dagster_shared|dagster\.\w+\._)", re.MULTILINE)
# Tables of Dagster's schema, as a statement names them.
TABLES = (
    "event_logs|runs|run_tags|kvs|asset_keys|asset_check_executions|concurrency_limits|concurrency_slots|pending_steps"
)
STATEMENT = re.compile(rf"\b(?:FROM|INTO|UPDATE|JOIN) (?:{TABLES})\b")


@pytest.mark.parametrize("file", OUTSIDE, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_only_the_runtime_knows_dagster_s_private_parts_and_tables(file: Path) -> None:
    text = file.read_text()
    assert not PRIVATE.search(text) and not STATEMENT.search(text)


def test_no_two_files_import_each_other() -> None:
    graph = grimp.build_graph(PACKAGE.name)
    imports = {module: set(graph.find_modules_directly_imported_by(module)) for module in graph.modules}
    # Whoever imports nobody that is left can go; in a circle nobody ever can.
    left = set(imports)
    while going := {module for module in left if not imports[module] & left}:
        left -= going
    assert not left
