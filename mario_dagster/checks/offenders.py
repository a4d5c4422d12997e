"""Which rows of a table break its checks, the worst first.

In: a `CheckContext` and a table. Out: row positions with what each breaks. Only what a check says of single rows
counts: for a column that is missing, or a number of rows that is wrong, no row is to blame.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mario_dagster.core.task import Table

from .contract import ContractReport
from .facts import checks_for
from .outcome import CheckContext
from .violation import Mask

_WHOLE = ("missing_column", "wrong_type")


@dataclass(frozen=True)
class Offenders:
    """Rows that break checks.

    Args:
        rows: positions, worst first.
        reasons: the first `limit` of them: position -> (column, reason), in the order of the checks.
    """

    rows: tuple[int, ...]
    reasons: Mapping[int, tuple[tuple[str, str], ...]]


def offenders(check_context: CheckContext, table: Table, column: str | None = None, limit: int = 20) -> Offenders:
    """Rows of a stored table that its checks find something wrong with, in one column or in any.

    A row weighs what its cells at fault do. What is wrong with few cells of a column weighs more than what is wrong
    with many, so that one that landed as text throughout does not hide the rows that differ; equals come as stored.
    """
    size = len(check_context.tables[table.name])
    marks = _marks(check_context, table, column, size)
    by_column: dict[str, np.ndarray] = {}
    for (name, _), mask in marks.items():
        rarity = mask * (1.0 + (size - int(mask.sum())) / size)
        by_column[name] = np.maximum(by_column.get(name, np.zeros(size)), rarity)
    weight = sum(by_column.values(), np.zeros(size))
    order = np.argsort(-weight.round(9), kind="stable")
    rows = tuple(int(row) for row in order[: int((weight > 0).sum())])
    return Offenders(rows, {row: tuple(what for what, mask in marks.items() if mask[row]) for row in rows[:limit]})


def _marks(check_context: CheckContext, table: Table, column: str | None, size: int) -> dict[tuple[str, str], Mask]:
    """(column, reason) -> the rows that it is said of; what two checks both say counts once."""
    marks: dict[tuple[str, str], Mask] = {}
    for check in checks_for(check_context.task):
        if check.table != table.name or check.kind == "audit":
            continue
        for violation in check.find(check_context):
            if violation.marked and column in (None, violation.column):
                marks.setdefault((violation.column, violation.reason), violation.mask(size))
    return marks


def rows_at_fault(report: ContractReport) -> int:
    """Rows of a table that consumers would be wrong to use; where its schema broke, all of them."""
    worst = max((report.rows if each.reason in _WHOLE else each.count for each in report.violations), default=0)
    return int(min(report.rows, worst))
