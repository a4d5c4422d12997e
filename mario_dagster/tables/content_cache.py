"""What was read or computed for the same content is not read or computed again, within one budget for a whole process.

In: a key that names content (a data file, a table's data version), how to compute the value, how many bytes it takes.
Out: the value. Only pure functions of the key's content may be kept here; nothing here is state, and losing it costs
time only. Frames are most of it, and all sandboxes of a process share the budget: however many episodes are open, and
however large, no more is kept than `MARIO_CACHE_MB` megabytes, the newest used of it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager, suppress
from operator import itemgetter
from typing import Any, TypeVar

import pandas as pd
import pyarrow as pa
from cachetools import LRUCache

CACHE_VARIABLE, DEFAULT_MEGABYTES = "MARIO_CACHE_MB", 256
# What a key and its place take, and a value that says nothing of its own size.
ENTRY_BYTES = 4096

Value = TypeVar("Value")


def budget() -> int:
    """Bytes that a process may keep. Raises `ValueError` where `MARIO_CACHE_MB` is no number of megabytes."""
    named = os.environ.get(CACHE_VARIABLE, "").strip()
    if named and not named.isdecimal():
        raise ValueError(f"{CACHE_VARIABLE} is a whole number of megabytes, such as {DEFAULT_MEGABYTES}, not '{named}'")
    return int(named or DEFAULT_MEGABYTES) * 2**20


class ContentCache:
    """The most recently used values, within a number of bytes that is looked up anew each time.

    Raises:
        ValueError: that number is not to be had.
    """

    def __init__(self, capacity: Callable[[], int] = budget):
        self._capacity = capacity
        self._values = _values(capacity())
        self._lock = threading.Lock()

    @property
    def held(self) -> int:
        """Bytes that are kept now."""
        return int(self._values.currsize)

    def get(self, key: Hashable, compute: Callable[[], Value], size: Callable[[Value], int] | None = None) -> Value:
        """The value kept under the key, or else computed and kept.

        Args:
            size: bytes that a value takes beyond its entry; to be given for all that grows with rows or with cases.
        """
        with self._lock, suppress(KeyError):
            return self._values[key][0]  # type: ignore[no-any-return]
        value = compute()
        self._keep(key, value, ENTRY_BYTES + (size(value) if size else 0))
        return value

    def clear(self) -> None:
        """Keep nothing any more."""
        with self._lock:
            self._values.clear()

    @contextmanager
    def set_aside(self, other: ContentCache) -> Iterator[None]:
        """Have whoever asks here be answered from another cache, while the block lasts."""
        own, self._values = self._values, other._values
        try:
            yield
        finally:
            other._values, self._values = self._values, own

    def _keep(self, key: Hashable, value: object, size: int) -> None:
        """Keep a value, at the cost of those that were not used for longest; not one that is larger than all may be."""
        capacity = self._capacity()
        with self._lock:
            if capacity != self._values.maxsize:
                self._values = _values(capacity)
            if key not in self._values and size <= capacity:
                self._values[key] = (value, size)


def _values(capacity: int) -> LRUCache[Hashable, tuple[Any, int]]:
    """Values with their sizes in bytes, as many as the capacity allows."""
    return LRUCache(capacity, getsizeof=itemgetter(1))


def frame_bytes(frame: pd.DataFrame) -> int:
    """What a frame of Arrow types takes: whole buffers, also where it shows only a part of one."""
    arrays = [pa.array(frame.iloc[:, place], from_pandas=True) for place in range(frame.shape[1])]
    return int(pa.table(arrays, [str(place) for place in range(len(arrays))]).get_total_buffer_size())


# Shared by all sandboxes of a process: keys name content, and clones have the same content.
CONTENT_CACHE = ContentCache()
