"""Writing values the way feeds spell them: the opposite of what a cast or a normalise undoes.

In: Arrow arrays in contract types and spellings. Out: arrays of text. A number's spelling is a template with `{value}`
(two decimals for an amount, as it is for a whole number), `{amount}` (the same with thousands separators) or `{cents}`;
a moment's is a name in `core/formats.py`, `iso_offset` with its offset after a space (`iso_offset +05:30`). What every
spelling means is said by its marks, so that the exact value can be read back.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mario_dagster.core.formats import DATE_FORMATS, TIMESTAMP_FORMATS
from mario_dagster.core.task import Column

OFFSET_FORMAT = "iso_offset"
CANONICAL = "%Y-%m-%dT%H:%M:%SZ"


def plain(values: pa.Array, column: Column) -> pa.Array:
    """Values as text in canonical form, which a damaged one is compared with: `3`, `12.50`, `2026-03-29T12:00:00Z`."""
    if pa.types.is_string(values.type):
        return values
    if column.is_time:
        return _canonical_moments(values)
    if column.type == "int64":
        return values.cast(pa.int64()).cast(pa.string())
    if column.type == "float64":
        return _numbers(values, "{value}")
    return values.cast(pa.string())


def write_in_format(values: pa.Array, column: Column, format_name: str) -> pa.Array:
    """Values in contract type as text, in one spelling; null stays null."""
    return _moments(values, format_name) if column.is_time else _numbers(values, format_name)


def write_rows_in_formats(values: pa.Array, column: Column, formats: Sequence[str], choice: np.ndarray) -> pa.Array:
    """Each row in the spelling that `choice` (indices into `spellings`) picks for it."""
    texts: pa.Array = pa.nulls(len(values), pa.string())
    for index, format_name in enumerate(formats):
        mask = choice == index
        if mask.any():
            picked = pa.array(mask)
            texts = pc.replace_with_mask(texts, picked, write_in_format(values.filter(picked), column, format_name))
    return texts


def strftime(format_name: str, column: Column) -> str:
    """The `strftime` pattern of a moment's spelling, for a deploy: the same in every process."""
    return (DATE_FORMATS if column.type == "date" else TIMESTAMP_FORMATS)[format_name]


def _numbers(values: pa.Array, template: str) -> pa.Array:
    if pa.types.is_integer(values.type):
        write = template.format
        return pa.array(
            [None if v is None else write(value=v, amount=f"{v:,}") for v in values.to_pylist()], pa.string()
        )
    # Whole cents, so that 0.29 is never written as 28 cents; what is too large to have any is written as it is.
    cents = pc.round(pc.multiply(values, 100.0)).to_pylist()
    return pa.array([None if c is None else _money(c, template) for c in cents], pa.string())


def _money(rounded: float, template: str) -> str:
    if not math.isfinite(rounded):
        return repr(rounded)
    cents = int(rounded)
    sign, (whole, rest) = "-" if cents < 0 else "", divmod(abs(cents), 100)
    return template.format(value=f"{sign}{whole}.{rest:02d}", amount=f"{sign}{whole:,}.{rest:02d}", cents=cents)


def _canonical_moments(values: pa.Array) -> pa.Array:
    if pa.types.is_date(values.type):
        return pc.strftime(values, "%Y-%m-%d")
    return pc.strftime(_seconds(values), CANONICAL)


def _seconds(values: pa.Array) -> pa.Array:
    """UTC moments without a zone, in whole seconds: `strftime` writes fractions of anything finer."""
    return values.cast(pa.timestamp("s", tz="UTC")).cast(pa.timestamp("s"))


def _moments(values: pa.Array, format_name: str) -> pa.Array:
    name, _, offset = format_name.partition(" ")
    if pa.types.is_date(values.type):
        written = pc.strftime(values.cast(pa.timestamp("s")), DATE_FORMATS[name].removesuffix("%z"))
        return pc.binary_join_element_wise(written, offset, "") if name == OFFSET_FORMAT else written
    if name == OFFSET_FORMAT:
        shifted = pc.add(_seconds(values), pa.scalar(_offset_seconds(offset), pa.duration("s")))
        return pc.binary_join_element_wise(pc.strftime(shifted, "%Y-%m-%dT%H:%M:%S"), offset, "")
    if name == "epoch_seconds":
        return pc.binary_join_element_wise("@", _seconds(values).cast(pa.int64()).cast(pa.string()), "")
    return pc.strftime(_seconds(values), TIMESTAMP_FORMATS[name])


def _offset_seconds(offset: str) -> int:
    found = re.fullmatch(r"([+-])(\d{2}):(\d{2})", offset)
    if found is None:
        raise ValueError(f"the spelling '{OFFSET_FORMAT}' needs an offset like +05:30 after it, not '{offset}'")
    sign, hours, minutes = found.groups()
    return (-1 if sign == "-" else 1) * (int(hours) * 60 + int(minutes)) * 60
