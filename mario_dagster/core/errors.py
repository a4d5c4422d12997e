"""What can be wrong, whoever asked: a name that is in no registry, a task that cannot be used, files out of order.

In: what was asked for. Out: exceptions whose message names the thing and the fix. Those of files name them relative to
the episode, never by a path of the machine, since players may see them.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def did_you_mean(name: object, choices: Iterable[str]) -> str:
    """`did you mean 'temporal'?`, where one of the choices is much like the name; else nothing."""
    close = difflib.get_close_matches(str(name)[:80], choices, n=1, cutoff=0.5)
    return f"did you mean '{close[0]}'?" if close else ""


class UnknownName(LookupError):
    """A name that is in no registry; says which ones are, and which one was probably meant."""

    def __init__(self, noun: str, name: object, choices: Iterable[str]):
        self.noun, self.name, self.choices = noun, name, tuple(choices)
        shown = str(name)[:80]
        hint = did_you_mean(shown, self.choices) or f"choose one of: {', '.join(self.choices) or 'none'}"
        super().__init__(f"no {noun} '{shown}'; {hint}")

    def __str__(self) -> str:
        return str(self.args[0])


class BrokenTask(UnknownName):
    """A task that is registered and cannot be used; says what is wrong with it."""

    def __init__(self, slug: str, why: str):
        self.noun, self.name, self.choices = "working task", slug, ()
        LookupError.__init__(self, f"task '{slug}' cannot be used: {why}")


class StorageError(RuntimeError):
    """What is stored could not be read or written."""


class Damaged(StorageError):
    """A file is missing or is not what was written: it stays so until somebody restores it."""


class Unavailable(StorageError):
    """The disk is full, read-only, not permitted or busy: nothing was changed, and a later try may succeed."""


class Refused(RuntimeError):
    """A run that may not be launched as it was asked for; the message says why, to whoever asked."""
