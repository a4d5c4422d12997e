"""A home of a Dagster instance, and the instance open on it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from mario_dagster.runtime.instance import (
    SandboxInstance,
    close_instance,
    create_home,
    open_instance,
)

from .small_pipeline import POOL


@pytest.fixture
def home(tmp_path: Path) -> Path:
    create_home(tmp_path / "home")
    return tmp_path / "home"


@pytest.fixture
def instance(home: Path) -> Iterator[SandboxInstance]:
    instance = open_instance(home)
    instance.add_dynamic_partitions("batches", ["t01", "t02", "t03"])
    instance.event_log_storage.set_concurrency_slots(POOL, 2)
    yield instance
    close_instance(instance)
