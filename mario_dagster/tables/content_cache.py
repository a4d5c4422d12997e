"""What was computed for the same content is not computed again.

In: a key that names content (a table's data version, say) and how to compute. Out: the value. Only pure functions of
the key's content may be kept here; nothing here is state, and losing it costs time only.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

Value = TypeVar("Value")


class Memo:
    """The most recently used values, up to a number of them."""

    def __init__(self, capacity: int):
        self._capacity = capacity
        self._values: OrderedDict[Hashable, Any] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, compute: Callable[[], Value]) -> Value:
        """The value kept under the key, or else computed and kept."""
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
                return self._values[key]  # type: ignore[no-any-return]
        value = compute()
        with self._lock:
            self._values[key] = value
            while len(self._values) > self._capacity:
                self._values.popitem(last=False)
        return value


# Shared by all sandboxes of a process: keys name content, and clones have the same content.
MEMO = Memo(512)
