"""The damage manifest: what an incident changed, cell by cell, row by row, column by column, and which repairs undo it.

In: the compiler's records. Out: frozen frames that the truth store keeps and graders read. Never shown to a player.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields

import pandas as pd

CELLS = ("table", "key", "column", "clean", "damaged", "lost", "fault")
ROWS = ("table", "batch", "key", "kind", "fault")
COLUMNS = ("table", "column", "landed_as", "position", "clean_type", "landed_type", "fault")
REPAIRS = ("table", "action", "target_column", "new_name", "fault")


@dataclass(frozen=True)
class DamageManifest:
    """What an incident changed. Tables and columns go by their contract names, keys and values are text.

    Args:
        cells: values of genuine rows that were respelt or overwritten; `lost` where the value is nowhere any more.
        rows_added: rows that no producer meant to send: `retried` and `torn` copies, `bogus` rows,
            `trailer` lines (no key).
        columns: columns that landed under another name, type or position, or (no `column`) that the contract lacks.
        repairs: what undoes it, by the fault that made it necessary.
    """

    cells: pd.DataFrame
    rows_added: pd.DataFrame
    columns: pd.DataFrame
    repairs: pd.DataFrame

    @property
    def landed_as(self) -> Mapping[str, Mapping[str, str]]:
        """Table -> contract column -> the name that it landed under, for the columns that landed in another way."""
        found: dict[str, dict[str, str]] = {}
        noted = self.columns[self.columns["column"].notna()]
        for table, column, name in zip(noted["table"], noted["column"], noted["landed_as"], strict=True):
            found.setdefault(str(table), {})[str(column)] = str(name)
        return found

    @property
    def lost(self) -> Mapping[str, Mapping[str, list[str]]]:
        """Table -> column -> keys, as text, of the rows whose value there is nowhere any more."""
        found: dict[str, dict[str, list[str]]] = {}
        gone = self.cells[self.cells["lost"].astype(bool)]
        for table, column, key in zip(gone["table"], gone["column"], gone["key"], strict=True):
            found.setdefault(str(table), {}).setdefault(str(column), []).append(str(key))
        return found

    def to_json(self) -> str:
        body = {field.name: _columnar(getattr(self, field.name)) for field in fields(self)}
        return json.dumps(body, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> DamageManifest:
        body = json.loads(text)
        return cls(**{field.name: pd.DataFrame(body[field.name], dtype=object) for field in fields(cls)})


def _columnar(frame: pd.DataFrame) -> dict[str, list[object]]:
    return {name: frame[name].tolist() for name in frame.columns}
