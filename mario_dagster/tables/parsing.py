"""Reading what feeds write: numbers among their marks, moments in their spellings, text that was mangled on its way.

In: columns of text (or of any type). Out: Arrow arrays of what the text says, null where it says nothing. The spellings
are those of `core/formats.py`, each unambiguous by its marks, so nothing here guesses. All of it is vectorised:
repairs, checks and alias hints call it on whole tables.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from mario_dagster.core.formats import CENT_WORDS, CURRENCY_MARKS, SENTINELS, UNIT_WORDS
from mario_dagster.core.task import Column

TIMESTAMP = pa.timestamp("us", tz="UTC")
_DAY_US = 86_400_000_000


# --- Arrow and pandas -------------------------------------------------------------------------------------------------


def to_array(series: pd.Series) -> pa.Array:
    """The series as one Arrow array; NaN becomes null."""
    array = pa.array(series, from_pandas=True)
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


def to_series(array: pa.Array, like: pd.Series) -> pd.Series:
    """The array as a series with the index and name of `like`."""
    return pd.Series(pd.arrays.ArrowExtensionArray(array), index=like.index, name=like.name)


def to_text(array: pa.Array) -> pa.Array:
    """The array as text: moments in canonical ISO, numbers in their shortest exact form."""
    if pa.types.is_timestamp(array.type):
        return iso_timestamps(array.cast(TIMESTAMP))
    return array.cast(pa.string())


def parse_numbers(series: pd.Series) -> pd.Series:
    """The column's values as float64: numbers as they are, text as `read_numbers` reads it, all else null."""
    array = to_array(series)
    if pa.types.is_integer(array.type) or pa.types.is_floating(array.type):
        return to_series(array.cast(pa.float64(), safe=False), series)
    return to_series(read_numbers(array) if _is_text(array.type) else pa.nulls(len(array), pa.float64()), series)


def parse_timestamps(series: pd.Series) -> pd.Series:
    """The column's values as UTC timestamps: moments as they are, text in any listed spelling, all else null."""
    array = to_array(series)
    if pa.types.is_timestamp(array.type) or pa.types.is_date(array.type):
        return to_series(array.cast(TIMESTAMP), series)
    return to_series(
        read_timestamps(array).timestamps() if _is_text(array.type) else pa.nulls(len(array), TIMESTAMP), series
    )


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


# --- sentinels --------------------------------------------------------------------------------------------------------


def is_sentinel(text: pa.Array) -> pa.Array:
    """True where the text is a word for "no value" (`marks.SENTINELS`, any case, blanks around); null stays null."""
    words = pc.utf8_lower(pc.utf8_trim_whitespace(text))
    return pc.if_else(words.is_valid(), pc.is_in(words, value_set=pa.array(SENTINELS)), None)


# --- numbers ----------------------------------------------------------------------------------------------------------


def _any_of(words: Iterable[str]) -> str:
    """A pattern for one of the words in lower case, longest first, inner blanks of any width."""
    ordered = sorted({word.lower() for word in words}, key=lambda word: (-len(word), word))
    return "|".join(re.escape(word).replace(r"\ ", r"\s+") for word in ordered)


_MARK = _any_of((*CURRENCY_MARKS, *CENT_WORDS, *UNIT_WORDS))
CENT_MARK = re.compile(_any_of(CENT_WORDS))
# Lengths are bounded so that no text can overflow a float.
_PLAIN = r"^[+-]?\d{1,30}(?:\.\d{0,30})?(?:[eE][+-]?\d{1,2})?$"
_DIGITS = r"[\d.,]+(?: \d{3})*(?:\.\d+)?"
_AROUND = re.compile(
    rf"\s*(?P<sign>[+-]?)\s*(?P<before>(?:(?:{_MARK})\s*){{0,2}})(?P<inner>[+-]?)\s*"
    rf"#\s*(?P<after>(?:(?:{_MARK})\s*){{0,2}})"
)
# Groups of two digits are the Indian 1,00,000. A comma anywhere else is a decimal comma or a slip: not read.
_AMOUNT = r"^(?:(?:\d{1,3}(?:,\d{2,3})*,\d{3}|\d{1,30})(?:\.\d{0,30})?|\.\d{1,30})$"


def read_numbers(text: pa.Array) -> pa.Array:
    """The number each text holds, as float64; null where it holds none.

    Currency marks, unit words, thousands separators and blanks are stripped; an amount in cents is divided by 100 and
    rounded to whole cents. Each text is read once, however often it stands there.
    """
    words = text.dictionary_encode()
    return _read_each(words.dictionary).take(words.indices)


def _read_each(text: pa.Array) -> pa.Array:
    plain = pc.fill_null(pc.match_substring_regex(text, _PLAIN), False)
    values = pc.if_else(plain, text, None).cast(pa.float64())
    rest = pc.and_(pc.fill_null(pc.match_substring_regex(text, r"\d"), False), pc.invert(plain))
    if not pc.any(rest).as_py():
        return values
    return pc.replace_with_mask(values, rest, _read_marked(text.filter(rest)))


def _read_marked(text: pa.Array) -> pa.Array:
    """Numbers with marks around them; what marks mean is worked out once for each way of marking, not for each row."""
    text = _plainer(text)
    marks = pc.replace_substring_regex(text, _DIGITS, "#").dictionary_encode()
    signs, cents = zip(*(_meaning(around) for around in marks.dictionary.to_pylist()), strict=True)
    sign, in_cents = np.array(signs)[marks.indices], np.array(cents)[marks.indices]
    amount = pc.replace_substring_regex(text, "[^0-9.,]+", "")
    good = pc.and_(pc.match_substring_regex(amount, _AMOUNT), pa.array(sign != 0))
    values = pc.if_else(good, pc.replace_substring(amount, ",", ""), None).cast(pa.float64())
    values = pc.if_else(pa.array(in_cents), pc.round(pc.divide(values, 100.0), ndigits=2), values)
    return pc.multiply(values, pa.array(sign))


def _plainer(text: pa.Array) -> pa.Array:
    """The text with plain minus signs and blanks."""
    if pc.all(pc.string_is_ascii(text)).as_py() is not False:
        return text
    return pc.replace_substring_regex(pc.replace_substring(text, "\u2212", "-"), r"\p{Zs}", " ")


def surroundings(text: pa.Array) -> dict[str, int]:
    """What stands around the numbers of a column of text (`$#`, `# cents`), and of how many texts."""
    words = text.drop_null().dictionary_encode()
    marks = pc.replace_substring_regex(_plainer(words.dictionary), _DIGITS, "#").dictionary_encode()
    of_word = np.bincount(words.indices.to_numpy(), minlength=len(words.dictionary))
    counts = np.bincount(marks.indices.to_numpy(), weights=of_word, minlength=len(marks.dictionary))
    return dict(zip(marks.dictionary.to_pylist(), map(int, counts), strict=True))


def _meaning(around: str) -> tuple[float, bool]:
    """What marks such as `-$#` or `# cents` say: the sign (0 for no number at all), and whether it is in cents."""
    found = _AROUND.fullmatch(around.lower())
    if not found or (found["sign"] and found["inner"]):
        return 0.0, False
    in_cents = bool(CENT_MARK.search(found["before"]) or CENT_MARK.search(found["after"]))
    return (-1.0 if "-" in (found["sign"], found["inner"]) else 1.0), in_cents


# --- moments ----------------------------------------------------------------------------------------------------------

_ZONE = r"(?P<zone>Z|UTC|GMT|(?P<sign>[+-])(?P<zone_hour>\d\d):?(?P<zone_minute>\d\d))?"
_CLOCK = (
    r"(?:(?:,?\s+|T)(?P<hour>\d\d?):(?P<minute>\d\d)(?::(?P<second>\d\d)(?:\.(?P<fraction>\d{1,9}))?)?"
    rf"(?:\s*{_ZONE})?)?"
)
_LAYOUTS = tuple(
    re.compile(layout, re.ASCII)
    for layout in (
        r"(?P<year>\d{4})(?P<dash>[-/])(?P<month>\d\d?)(?P=dash)(?P<day>\d\d?)" + _CLOCK,
        r"(?P<day>\d\d?)(?P<dash>[/.])(?P<month>\d\d?)(?P=dash)(?P<year>\d{4})" + _CLOCK,
        r"(?P<month>\d\d?)-(?P<day>\d\d?)-(?P<year>\d{4})" + _CLOCK,
        r"(?P<day>\d\d?) (?P<name>[A-Za-z]{3,9}) (?P<year>\d{4})" + _CLOCK,
        rf"(?P<year>\d{{4}})(?P<month>\d\d)(?P<day>\d\d)(?:T(?P<hour>\d\d)(?P<minute>\d\d)(?P<second>\d\d){_ZONE})?",
        r"@(?P<minus>-?)(?P<epoch>\d{1,11})",
    )
)
# English whatever the locale of the machine.
_MONTHS = ("january", "february", "march", "april", "may", "june", "july")
_MONTHS_ON = ("august", "september", "october", "november", "december")
_MONTH_OF = {name[:end]: number for number, name in enumerate(_MONTHS + _MONTHS_ON, 1) for end in (3, len(name))}
_MAX_EPOCH = 253_402_300_799  # the last second of year 9999
_LONGEST = 48


@dataclass(frozen=True)
class Moments:
    """What a column of text says about moments, one entry a row.

    Args:
        local: microseconds since 1970 of the calendar date and clock time as written.
        offset: microseconds that the writer's clock is ahead of UTC; 0 where none is written.
        read: the text is a moment; the other fields mean nothing where it is not.
        timed: a time of day is written, not only a date.
    """

    local: np.ndarray
    offset: np.ndarray
    read: np.ndarray
    timed: np.ndarray

    def take(self, rows: np.ndarray) -> Moments:
        return Moments(self.local[rows], self.offset[rows], self.read[rows], self.timed[rows])

    def timestamps(self) -> pa.Array:
        """The moments in UTC."""
        return pa.array(self.local - self.offset, mask=~self.read).cast(TIMESTAMP)

    def dates(self) -> pa.Array:
        """The calendar dates as written: midnight of 1 March in Delhi is 1 March, not the day before."""
        days = np.floor_divide(self.local, _DAY_US).astype(np.int32)
        return pa.array(days, mask=~self.read).cast(pa.date32())


def read_timestamps(text: pa.Array) -> Moments:
    """The moment that each text spells, in any of `marks.TIME_SPELLINGS` and `marks.DATE_SPELLINGS`.

    The layouts in a column are few: each is understood once, and its digits are then read for all its texts together.
    """
    words = text.dictionary_encode()
    rows = words.indices.fill_null(len(words.dictionary)).to_numpy(zero_copy_only=False)
    return _moments_of(words.dictionary).take(rows)


def _moments_of(text: pa.Array) -> Moments:
    """The moment that each text spells, and after them an entry for no text at all."""
    size = len(text) + 1
    timestamps = Moments(np.zeros(size, np.int64), np.zeros(size, np.int64), np.zeros(size, bool), np.zeros(size, bool))
    trimmed = pc.utf8_trim_whitespace(text)
    maybe = pc.and_(pc.match_substring_regex(trimmed, r"^[@\d]"), pc.less_equal(pc.binary_length(trimmed), _LONGEST))
    rows = np.flatnonzero(pc.fill_null(maybe, False).to_numpy(zero_copy_only=False))
    if not len(rows):
        return timestamps
    starts, data = _bytes(trimmed.take(pa.array(rows)))
    layouts = _layouts(starts, data).dictionary_encode()
    codes = layouts.indices.to_numpy()
    order = np.argsort(codes, kind="stable")
    ends = np.cumsum(np.bincount(codes))
    for code, layout in enumerate(layouts.dictionary.to_pylist()):
        found = next(filter(None, (pattern.fullmatch(layout.decode("latin-1")) for pattern in _LAYOUTS)), None)
        if found is not None:
            group = order[ends[code - 1] if code else 0 : ends[code]]
            digits = data[starts[group][:, None] + np.arange(len(layout))].astype(np.int64) - ord("0")
            at = rows[group]
            timestamps.local[at], timestamps.offset[at], timestamps.read[at] = _read_layout(found, digits)
            timestamps.timed[at] = "epoch" in found.re.groupindex or found["hour"] is not None
    return timestamps


def _bytes(text: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """Where each text starts (and, last, where the last ends) in the bytes of all of them."""
    _, offsets, data = text.cast(pa.string()).buffers()
    starts = np.frombuffer(offsets, np.int32)[text.offset : text.offset + len(text) + 1]
    return starts, np.frombuffer(data, np.uint8)


def _layouts(starts: np.ndarray, data: np.ndarray) -> pa.Array:
    """Each text with every digit made a 0, as bytes."""
    zeroed = np.where((data >= ord("0")) & (data <= ord("9")), np.uint8(ord("0")), data)
    buffers = [None, pa.py_buffer(np.ascontiguousarray(starts)), pa.py_buffer(zeroed)]
    return pa.Array.from_buffers(pa.binary(), len(starts) - 1, buffers)


def _read_layout(found: re.Match[str], digits: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Local time, offset and whether there is such a moment, for all rows of one layout; microseconds."""

    def number(part: str) -> np.ndarray:
        start, end = found.span(part) if part in found.re.groupindex else (-1, -1)
        return np.asarray(digits[:, start:end] @ 10 ** np.arange(end - start - 1, -1, -1, dtype=np.int64))

    none = np.zeros(len(digits), np.int64)
    if "epoch" in found.re.groupindex:
        seconds = number("epoch") * (-1 if found["minus"] else 1)
        return seconds * 1_000_000, none, np.abs(seconds) <= _MAX_EPOCH
    named = "name" in found.re.groupindex
    month = none + _MONTH_OF.get(found["name"].lower(), 0) if named else number("month")
    days, real = _days(number("year"), month, number("day"))
    hour, minute, second = number("hour"), number("minute"), number("second")
    zone_hour, zone_minute = number("zone_hour"), number("zone_minute")
    real &= (hour <= 23) & (minute <= 59) & (second <= 59) & (zone_hour <= 23) & (zone_minute <= 59)
    micros = number("fraction") * 1_000_000 // 10 ** len(found.groupdict().get("fraction") or "")
    local = days * _DAY_US + ((hour * 60 + minute) * 60 + second) * 1_000_000 + micros
    return local, (zone_hour * 60 + zone_minute) * (-60_000_000 if found["sign"] == "-" else 60_000_000), real


def _days(year: np.ndarray, month: np.ndarray, day: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Days since 1970, and whether the calendar has such a day."""
    first = ((year - 1970) * 12 + month - 1).astype("datetime64[M]")
    start = first.astype("datetime64[D]").astype(np.int64)
    length = (first + 1).astype("datetime64[D]").astype(np.int64) - start
    return start + day - 1, (year >= 1) & (month >= 1) & (month <= 12) & (day >= 1) & (day <= length)


def iso_timestamps(timestamps: pa.Array) -> pa.Array:
    """UTC timestamps as `2026-03-29T12:00:00Z`, with a fraction of a second where there is one."""
    whole = timestamps.cast(pa.timestamp("s", tz="UTC"), safe=False)
    text = pc.strftime(whole, "%Y-%m-%dT%H:%M:%SZ")
    exact = pc.equal(whole.cast(TIMESTAMP), timestamps)
    if pc.all(exact).as_py() is not False:
        return text
    return pc.if_else(exact, text, pc.strftime(timestamps, "%Y-%m-%dT%H:%M:%SZ"))


# --- text -------------------------------------------------------------------------------------------------------------

# ftfy was tried: it mends what looks unlikely only, and so leaves `Å\xa0` (`Š`) and `æ—¥` (`日`), takes `€ß` for one
# letter of another script, and is ten times as slow for a column. What the fault does, the repair has to undo.
# Which byte a character stands for when UTF-8 was read as Windows-1252, or as Latin-1 where 1252 has no such byte.
_BYTE_OF = {ord(bytes([byte]).decode("cp1252", errors="ignore") or chr(byte)): byte for byte in range(256)}
_BYTE_OF |= {byte: byte for byte in range(256)}
_FOLLOWING = "".join(chr(char) for char, byte in _BYTE_OF.items() if 0x80 <= byte <= 0xBF)
_MANGLED = f"[\u00c2-\u00f4][{_FOLLOWING}]"  # the first two bytes of a UTF-8 character, each read as a character
# Phonetic signs, as which `PRÊT` and a quote would be misread; not the two that 1252 itself has.
_UNLIKELY = re.compile("[\u0250-\u02c5\u02c7-\u02db\u02dd-\u02ff]")
_UNTIDY = r"^[\s\p{Z}]|[\s\p{Z}]$|[\s\p{Z}]{2}|[\t-\r\x1c-\x1f\x{85}\x{a0}\x{1680}\x{2000}-\x{3000}]"


def read_text(text: pa.Array, column: Column | None = None) -> pa.Array:
    """Text with mojibake undone, blanks trimmed and collapsed, and categories in the contract's spelling.

    With a categorical `column`, a word for "no value" becomes null; a value that is no category stays as it is.
    """
    words = text.dictionary_encode()
    tidy = _tidy(words.dictionary)
    if column is not None and column.categories:
        tidy = _categories(tidy, column.categories)
    return tidy.take(words.indices)


def _tidy(words: pa.Array) -> pa.Array:
    while True:
        # Blanks come second, since a no-break space may be half a letter; what they hid is looked at once more.
        legible = _mend(words, _MANGLED, _legible)
        words = _mend(legible, _UNTIDY, lambda found: [" ".join(word.split()) for word in found])
        if words.equals(legible):
            return words


def _mend(words: pa.Array, faulty: str, mend: Callable[[list[str]], list[str]]) -> pa.Array:
    """Mends the words that match a pattern, as often as it takes: text can be mangled twice over."""
    while True:
        found = pc.match_substring_regex(words, faulty)
        before = words.filter(found).to_pylist()
        after = mend(before)
        if after == before:
            return words
        words = pc.replace_with_mask(words, found, pa.array(after, pa.string()))


def _legible(words: list[str]) -> list[str]:
    """Each word without mojibake: all in one go, which is far faster, unless one of them does not read that way."""
    try:
        read = "\0".join(words).encode("cp1252").decode("utf-8")
    except UnicodeError:
        return [demojibake(word) for word in words]
    together = read.split("\0")
    if len(together) != len(words) or _UNLIKELY.search(read):
        return [demojibake(word) for word in words]
    return together


def demojibake(word: str) -> str:
    """`CafÃ©` as `Café`: undoes UTF-8 that was read as Windows-1252 or Latin-1. Any other text is returned as it is."""
    try:
        read = _bytes_of(word).decode("utf-8")
    except UnicodeError:
        return word
    return word if _UNLIKELY.search(read) else read


def _bytes_of(word: str) -> bytes:
    try:
        return word.encode("cp1252")  # covers most, and is much the faster
    except UnicodeError:
        return word.translate(_BYTE_OF).encode("latin-1")


def _categories(words: pa.Array, categories: tuple[str, ...]) -> pa.Array:
    format_name: dict[str, str | None] = dict.fromkeys(SENTINELS)
    format_name |= {category.casefold(): category for category in categories}
    return pa.array([format_name.get(word.casefold(), word) for word in words.to_pylist()], pa.string())
