"""The one import of a package outside: every name is there, is documented, and is all that the example needs."""

from __future__ import annotations

import ast
from pathlib import Path
from types import FunctionType

import pytest

from mario_dagster import plugin

EXAMPLE = Path(__file__).resolve().parent.parent / "examples" / "mario-metering" / "mario_metering"


@pytest.mark.parametrize("name", plugin.__all__)
def test_every_name_is_there_and_says_what_it_is(name: str) -> None:
    value = getattr(plugin, name)
    if isinstance(value, type | FunctionType):
        assert value.__doc__ and len(value.__doc__) > 20


@pytest.mark.parametrize("file", sorted(EXAMPLE.glob("*.py")), ids=lambda file: file.name)
def test_the_example_imports_nothing_else_of_ours(file: Path) -> None:
    for node in ast.walk(ast.parse(file.read_text())):
        modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        modules += [each.name for each in node.names] if isinstance(node, ast.Import) else []
        ours = [each for each in modules if each.partition(".")[0] == "mario_dagster"]
        assert all(each == "mario_dagster.plugin" for each in ours), ours
