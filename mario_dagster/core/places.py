"""Where things are kept: the home of sandboxes, and the truth beside them, as the environment names them.

In: environment variables. Out: folders, and what is wrong with them. Standard library only, so that a server can say
whether it is well before it has loaded anything.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import warnings
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from .errors import StorageError
from .files import file_trouble

HOME_VARIABLE, DEFAULT_HOME = "MARIO_HOME", ".mario"
TRUTH_VARIABLE, TRUTH_FOLDER = "MARIO_TRUTH", ".truth"
# What they were called before; the variable is read for one more release.
FORMER_TRUTH_VARIABLE, FORMER_TRUTH_FOLDER = "MARIO_VAULT", ".vault"
# What a sandbox of the usual size takes with its first template; below that, the disk counts as full.
FREE_BYTES = 4 * 2**20


def home_folder() -> Path:
    """The home that `$MARIO_HOME` names, else `./.mario`."""
    return Path(os.environ.get(HOME_VARIABLE) or DEFAULT_HOME).resolve()


def truth_folder(home: Path) -> Path:
    """Where the truth of a home's sandboxes is: `$MARIO_TRUTH`, else a folder of its own in the home."""
    named = os.environ.get(TRUTH_VARIABLE)
    if not named and (named := os.environ.get(FORMER_TRUTH_VARIABLE)):
        _warn(f"{FORMER_TRUTH_VARIABLE} is called {TRUTH_VARIABLE} now; the old name goes with the next release")
    if named:
        return Path(named).resolve()
    former, folder = home / FORMER_TRUTH_FOLDER, home / TRUTH_FOLDER
    return former if former.is_dir() and not folder.is_dir() else folder


def trouble(home: Path) -> Mapping[str, str]:
    """What is wrong with a home: place -> in words. Empty when sandboxes can be made and played in it."""
    found: dict[str, str] = {}
    for name, folder in (("home", home), ("truth", truth_folder(home))):
        try:
            with file_trouble(name, writing=True):
                folder.mkdir(parents=True, exist_ok=True)
                with tempfile.TemporaryFile(dir=folder) as file:
                    file.write(b"0" * 4096)
                    file.flush()
        except (StorageError, OSError) as error:
            found[name] = str(error) if isinstance(error, StorageError) else f"{name} is no folder"
    if "home" not in found and (free := shutil.disk_usage(home).free) < FREE_BYTES:
        found["disk"] = f"{free // 2**20} MB are free; a new sandbox takes up to {FREE_BYTES // 2**20}"
    return found


@cache
def _warn(text: str) -> None:
    warnings.warn(text, FutureWarning, stacklevel=3)
