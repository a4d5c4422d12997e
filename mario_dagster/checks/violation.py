"""One fact that a table denies: how often, in which rows, and the first cases, as a player is shown them.

In: a mask over rows and their values, or what a rule says of a table as a whole. Out: frozen values, JSON-able.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, TypeAlias

import numpy as np
import pyarrow

SHOWN_CASES = 20
SHOWN_CHARACTERS = 80
# What a failure case takes in memory, more or less.
CASE_BYTES = 512
WHOLE = "*"

Case: TypeAlias = Mapping[str, Any]
Values: TypeAlias = pyarrow.ChunkedArray
Mask: TypeAlias = np.ndarray[Any, np.dtype[np.bool_]]


@dataclass(frozen=True)
class Violation:
    """One fact that a frame denies: how often, and the first cases.

    Args:
        column: the column it is about, `*` for the table as a whole.
        reason: one of `REASONS`, or an expectation's name.
        count: cells, rows or columns at fault.
        cases: at most `SHOWN_CASES` mappings of `column`, `reason`, `index` (row position or None) and `value`.
        table: the table at fault, where it need not be the one that the check stands on.
        marked: the rows at fault, a bit each; empty where it is not said of single rows.
    """

    column: str
    reason: str
    count: int
    cases: tuple[Case, ...]
    table: str = ""
    marked: bytes = b""

    @classmethod
    def whole(cls, column: str, reason: str, value: object = None, count: int = 1, table: str = "") -> Violation:
        """A violation that no single row is to blame for."""
        return cls(column, reason, count, (case(column, reason, None, value),), table)

    @classmethod
    def rows(cls, column: str, reason: str, mask: Mask, values: Values) -> Violation:
        """A violation by the rows that `mask` marks."""
        at = np.flatnonzero(mask)
        cases = tuple(case(column, reason, int(index), values[int(index)].as_py()) for index in at[:SHOWN_CASES])
        return cls(column, reason, len(at), cases, marked=np.packbits(mask).tobytes())

    def mask(self, size: int) -> Mask:
        """The rows at fault, of a table of that size."""
        return np.unpackbits(np.frombuffer(self.marked, np.uint8), count=size).astype(bool)


def case(column: str, reason: str, index: int | None, value: object) -> Case:
    """A failure case, JSON-able whatever the value is."""
    return {"column": column, "reason": reason, "index": index, "value": _plain(value)}


def _plain(value: object) -> object:
    value = value.item() if isinstance(value, np.generic) else value
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    text = value.isoformat() if isinstance(value, date | datetime) else str(value)
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…"


def tally(violations: Iterable[Violation]) -> dict[str, int]:
    """Failures by reason, reasons in alphabetical order."""
    counts: dict[str, int] = {}
    for violation in violations:
        counts[violation.reason] = counts.get(violation.reason, 0) + violation.count
    return dict(sorted(counts.items()))


def first_cases(violations: Iterable[Violation]) -> tuple[Case, ...]:
    """The first cases: one of every kind before a second of any."""
    ranked = [(rank, each) for violation in violations for rank, each in enumerate(violation.cases)]
    return tuple(each for _, each in sorted(ranked, key=lambda pair: pair[0])[:SHOWN_CASES])
