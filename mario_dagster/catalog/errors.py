"""What can be wrong with files that were written and are read back: they are damaged, or out of reach for now.

In: nothing. Out: two exceptions that every reader and writer of a sandbox raises, so that whoever answers for an
episode can tell "set it aside" from "try again". Messages name files relative to the episode, never a path of the
machine, since players may see them.
"""

from __future__ import annotations


class StorageError(RuntimeError):
    """What is stored could not be read or written."""


class Damaged(StorageError):
    """A file is missing or is not what was written: it stays so until somebody restores it."""


class Unavailable(StorageError):
    """The disk is full, read-only, not permitted or busy: nothing was changed, and a later try may succeed."""
