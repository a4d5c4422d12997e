"""Streams of chance: named, seeded, salted, and the same in every release."""

from __future__ import annotations

from typing import Any

from mario_dagster.tables.random_streams import stream


def test_streams_are_named_seeded_and_salted() -> None:
    def first(*args: Any, **options: Any) -> int:
        return int(stream(*args, **options).integers(2**62))

    assert first(1, "a", "b") == first(1, "a", "b")
    different = [
        first(1, "a", "b"), first(2, "a", "b"), first(1, "b", "a"), first(1, "ab"), first(1, "a", "b", salt="s"),
        first(1, "a"), first(-1, "a", "b"), first(1, "", "ab"),
    ]  # fmt: skip
    assert len(set(different)) == len(different)
    assert first(7) == 3920500814104766170  # a stream never changes between releases
