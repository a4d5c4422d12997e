"""What every test stands on: a scratch home, so that no test reads or writes the checkout's own sandboxes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

OTHERS = ("MARIO_TRUTH", "MARIO_VAULT", "MARIO_SANDBOX", "MARIO_EVAL_SALT", "DAGSTER_HOME")


@pytest.fixture(scope="session", autouse=True)
def scratch_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """`$MARIO_HOME` for the whole session; templates of incidents made by one test serve the next."""
    root = tmp_path_factory.mktemp("mario-home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MARIO_HOME", str(root))
        for name in OTHERS:
            patch.delenv(name, raising=False)
        yield root
