"""Small files that are whole or absent, and say themselves whether they are what was written.

In: values, paths. Out: the same values back, or `Damaged` and `Unavailable`, which name a file as its owner calls it
and never by a path of the machine. A JSON file carries a digest of its body; a file without one, written by hand, is
taken as it is.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .errors import Damaged, Unavailable

DIGEST = "sha256"
# What a file is called until it is whole.
TEMPORARY = re.compile(r"\..+\.\d+\.part")
# The file by which a folder is known to be a sandbox.
SANDBOX_FILE = "sandbox.json"
# In it: the status of an episode that goes on.
OPEN = "open"
# What the machine will not let us do now, and may let us do later; anything else means that a file is not right.
_FOR_NOW = frozenset(
    {
        errno.EACCES,
        errno.EAGAIN,
        errno.EBUSY,
        errno.EDQUOT,
        errno.EFBIG,
        errno.EIO,
        errno.EMFILE,
        errno.ENFILE,
        errno.ENOSPC,
        errno.EPERM,
        errno.EROFS,
        errno.ESTALE,
    }
)
_MEANT_FOR_NOW = ("no space left", "permission denied", "read-only file system", "too many open files", "disk quota")


@contextmanager
def file_trouble(name: str, *, writing: bool = False, passing: type[Exception] = Damaged) -> Iterator[None]:
    """Whatever goes wrong with a file inside the block, as `Damaged` or `Unavailable`.

    Args:
        name: what the file is called, relative to the episode.
        writing: what is no trouble of the disk is the caller's own mistake, and is raised as it is.
        passing: raised as it is.
    """
    try:
        yield
    except (Damaged, Unavailable, passing):
        raise
    except FileNotFoundError as error:
        if writing:
            raise
        raise Damaged(f"{name} is missing") from error
    except Exception as error:
        said = for_now(error)
        if said is not None:
            raise Unavailable(f"{name} is out of reach for now: {said}") from error
        if writing:
            raise
        raise Damaged(f"{name} is not what was written") from error


def for_now(error: BaseException) -> str | None:
    """What the machine will not let us do now, in its words; None where the error is of another kind."""
    if isinstance(error, OSError) and error.errno in _FOR_NOW:
        return os.strerror(error.errno or 0).lower()
    # Rust and C++ libraries raise plain errors with the system's words in them.
    words = str(error).lower()
    return next((phrase for phrase in _MEANT_FOR_NOW if phrase in words), None)


def replace_file(path: Path, data: bytes) -> None:
    """Write a file so that readers never see it half done."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        temporary.write_bytes(data)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_json(path: Path, body: Mapping[str, Any]) -> None:
    """Write a JSON object with its own digest."""
    replace_file(path, json.dumps({DIGEST: _digest(body), **body}, indent=1).encode())


def read_json(path: Path, name: str) -> dict[str, Any]:
    """The object that `write_json` wrote.

    Raises:
        Damaged: the file is missing, or is not what was written.
        Unavailable: it cannot be read now.
    """
    with file_trouble(name):
        body = json.loads(path.read_bytes())
        if body.pop(DIGEST, None) not in (None, _digest(body)):
            raise Damaged(f"{name} is not what was written: its digest differs")
        return dict(body)


def append_json_line(path: Path, body: Mapping[str, Any]) -> None:
    """Add a JSON object to a file of them, a line each: whole or not at all, whoever else adds to it.

    Raises:
        Unavailable: the disk is full, or does not let us write.
    """
    with file_trouble(path.name, writing=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            end = file.seek(0, os.SEEK_END)
            if end:
                file.seek(end - 1)
            # A line that a killed process left half written stays a line of its own.
            broken = b"\n" if end and file.read(1) != b"\n" else b""
            file.write(broken + json.dumps(body, allow_nan=False).encode() + b"\n")


def read_json_lines(path: Path) -> list[dict[str, Any]]:
    """The objects of a file of JSON lines, oldest first; none where there is no file. Broken lines are left out.

    Raises:
        Unavailable: it cannot be read now.
    """
    with file_trouble(path.name):
        found = (_object(line) for line in path.read_bytes().splitlines()) if path.exists() else ()
        return [each for each in found if each is not None]


def _object(line: bytes) -> dict[str, Any] | None:
    try:
        body = json.loads(line)
    except ValueError:
        return None
    return body if isinstance(body, dict) else None


def digest_of(data: bytes) -> str:
    """The digest that files are checked by."""
    return hashlib.sha256(data).hexdigest()


def _digest(body: Mapping[str, Any]) -> str:
    return digest_of(json.dumps(body, sort_keys=True).encode())[:16]
