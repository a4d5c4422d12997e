"""The marks and spellings a feed may use: what every fault may write and every repair must understand.

In: nothing. Out: constants. A contract lists them, so that a repair is never a guess: each spelling of a moment is
unambiguous by its marks, and each mark around a number says what it does to the value.
"""

from __future__ import annotations

from collections.abc import Mapping

CURRENCY_MARKS = ("US$", "$", "€", "£", "₹", "USD", "INR", "EUR", "GBP")
CENT_WORDS = ("cents", "cent", "minor units", "minor", "¢")
UNIT_WORDS = ("units", "unit", "pcs", "pieces", "items", "item", "ea", "years", "yrs", "x")
SENTINELS = (
    "",
    "missing",
    "unknown",
    "n/a",
    "na",
    "null",
    "none",
    "nan",
    "nil",
    "tbd",
    "-",
    "--",
    "?",
    "#n/a",
    "not available",
)
# Numbers that mean "no value" or "a test": no contract's plausible range contains them.
NUMERIC_SENTINELS = (999999, -1, 9999)

# Spellings of a moment. Each is unambiguous by its marks: slashes and dots are day first, dashes with the year last are
# month first, a year first is ISO; without an offset a time is UTC. `strftime` patterns; the first is the canonical
# one.
TIMESTAMP_FORMATS: Mapping[str, str] = {
    "iso_utc": "%Y-%m-%dT%H:%M:%SZ",
    "iso_space": "%Y-%m-%d %H:%M:%S",
    "iso_offset": "%Y-%m-%dT%H:%M:%S%z",
    "slash_day_first": "%d/%m/%Y %H:%M:%S",
    "dash_month_first": "%m-%d-%Y %H:%M:%S",
    "dot_day_first": "%d.%m.%Y %H:%M:%S",
    "compact_utc": "%Y%m%dT%H%M%SZ",
    "month_name": "%d %b %Y %H:%M:%S",
    "epoch_seconds": "@%s",
}
DATE_FORMATS: Mapping[str, str] = {
    "iso": "%Y-%m-%d",
    "slash_day_first": "%d/%m/%Y",
    "dash_month_first": "%m-%d-%Y",
    "dot_day_first": "%d.%m.%Y",
    "compact": "%Y%m%d",
    "month_name": "%d %b %Y",
    # A date as the midnight that it begins with, where it was written: the calendar date counts, not the moment.
    "iso_offset": "%Y-%m-%dT%H:%M:%S%z",
    "compact_utc": "%Y%m%dT%H%M%SZ",
}
