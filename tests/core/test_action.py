"""The table of actions: twenty of them by place, and which of them a task has."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from mario_dagster.core.action import ACTIONS, available
from mario_dagster.core.registry import tasks


def test_there_are_twenty_actions_by_place() -> None:
    assert [action.id for action in ACTIONS] == list(range(20))
    assert len({action.name for action in ACTIONS}) == 20


@pytest.mark.parametrize("each", tasks(), ids=lambda each: each.slug)
def test_a_task_without_batches_or_derived_tables_lacks_their_actions(each: Any) -> None:
    alone = tuple(replace(column, references=None) for column in each.main_table.columns)
    table = replace(each.main_table, batched=False, columns=alone)
    assert available(replace(each, pool=None, tables=(table,), subgoals={})) == list(range(16))
    assert set(available(each)) <= set(range(20))
