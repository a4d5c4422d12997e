"""What a part of the ordeal counts: how much happened, and what went wrong.

In: events by name, with a note on each that is a fault. Out: counts, and the first notes. Safe to share by threads.
"""

from __future__ import annotations

import threading
from collections import Counter

MOST_NOTES = 40
# What must not happen, and so what is counted as 0 where nothing is wrong.
FAULTS = ("unreadable", "wrong", "lost", "doubled", "differing", "debris", "unfinished")


class Tally:
    """Counts of one part.

    Args:
        name: the part's.
    """

    def __init__(self, name: str):
        self.name = name
        self.skipped = ""
        self.notes: list[str] = []
        self._counts: Counter[str] = Counter(dict.fromkeys(FAULTS, 0))
        self._lock = threading.Lock()

    def add(self, what: str, number: int = 1, note: str = "") -> None:
        """Count something; a note says where and how, for a fault."""
        with self._lock:
            self._counts[what] += number
            if note and len(self.notes) < MOST_NOTES:
                self.notes.append(f"{what}: {note}")

    @property
    def counts(self) -> dict[str, int]:
        with self._lock:
            return dict(self._counts)

    @property
    def faults(self) -> int:
        """How much went wrong; 0 is what is wanted."""
        counts = self.counts
        return sum(counts[name] for name in FAULTS)
