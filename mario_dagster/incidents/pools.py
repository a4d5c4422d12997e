"""The spellings that incidents draw from: one pool for train profiles, another, disjoint, for held-out families.

In: nothing. Out: `TRAIN` and `HELD_OUT`. Every mark is one of `catalog.marks`, so a contract lists it and a repair
reads it; which of them a player has met in training is what tells the pools apart.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Pool:
    """Spellings by what they do.

    Args:
        currency, cents: templates of an amount of money.
        units: templates of a whole number.
        moments: spellings of a timestamp; `offsets` those with a time-zone offset.
        dates: spellings of a date.
        sentinels: words for "no value".
        numbers: numbers that a test record carries.
    """

    currency: tuple[str, ...]
    cents: tuple[str, ...]
    units: tuple[str, ...]
    moments: tuple[str, ...]
    offsets: tuple[str, ...]
    dates: tuple[str, ...]
    sentinels: tuple[str, ...]
    numbers: tuple[int, ...]


TRAIN = Pool(
    currency=("${amount}", "{value} USD", "USD {amount}", "₹{amount}", "INR {value}"),
    cents=("{cents} cents", "{cents} cent"),
    units=("{value} units", "{value} pcs", "{value} items"),
    moments=("iso_space", "slash_day_first"),
    offsets=("iso_offset +05:30", "iso_offset +01:00", "iso_offset -04:00", "iso_offset +09:00"),
    dates=("slash_day_first", "dash_month_first"),
    sentinels=("missing", "unknown", "n/a", "", "null"),
    numbers=(999999,),
)
HELD_OUT = Pool(
    currency=("€{amount}", "{value} EUR", "US${amount}", "£{value}", "GBP {amount}"),
    cents=("{cents} minor units", "{cents}¢", "{cents} minor"),
    units=("{value} ea", "{value} pieces", "x{value}"),
    moments=("dot_day_first", "compact_utc", "month_name", "epoch_seconds"),
    offsets=("iso_offset -09:30", "iso_offset +12:45", "iso_offset -02:30"),
    dates=("dot_day_first", "compact", "month_name"),
    sentinels=("tbd", "--", "#n/a", "not available", "nil"),
    numbers=(9999, -1),
)
