"""Whatever makes a run fail, a player reads it in words of this pipeline: table, check, and what is needed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import dagster as dg
import pytest

from mario_dagster import definitions
from mario_dagster.core.action import Action, ActionId
from mario_dagster.core.registry import tasks
from mario_dagster.env.environment import answering
from mario_dagster.env.episode import Episode
from mario_dagster.env.errors import PlayError
from mario_dagster.env.options import reset_options
from mario_dagster.runtime.instance import run_job
from mario_dagster.sandbox.home import Home
from mario_dagster.signals.causes import cause

# Class names, stock phrases and step keys of the orchestrator.
ITS_WORDS = re.compile(
    r"Dagster\w*(?:Error|Failure|DidNotPass)|\bFailure:|blocking asset check|ERROR severity|Execution of "
    r"|[Ss]teps? failed|Partition range|Nonexistent|Traceback|\b\w+__\w+|TransformError|LandingError|InvalidRepair"
)
ACT = ActionId


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path_factory.mktemp("home"))


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, part in value.items():
            yield from (name, *texts(part))
    elif isinstance(value, list | tuple):
        for part in value:
            yield from texts(part)


def assert_ours(seen: Any) -> None:
    for text in texts(seen):
        assert not ITS_WORDS.search(text), text


def begin(home: Home, slug: str, **options: Any) -> Episode:
    return Episode.start(reset_options({"task": slug, "seed": 5, **options}), home=home)


@pytest.mark.parametrize("slug", [each.slug for each in tasks() if each.id <= 5])
def test_no_way_to_fail_speaks_the_orchestrators_language(home: Home, slug: str) -> None:
    episode = begin(home, slug)
    assert_ours(episode.reply().observation)
    for table in episode.task.table_names:
        episode.step(Action(ACT.INSPECT_SCHEMA, table))
        assert_ours(episode.step(Action(ACT.VALIDATE_SCHEMA)).observation)
    for act in (ACT.REFRESH_DOWNSTREAM_ASSETS, ACT.REPLAY_PRIORITY_BATCH, ACT.VIEW_ERROR_LOG, ACT.COMMIT_CHANGES):
        assert_ours(episode.step(Action(act)).observation)
    assert len(episode.sandbox.run_errors(50)) > 3
    assert_ours(episode.sandbox.run_errors(50))
    assert_ours(episode.summary())
    episode.close()


def few_workers(episode: Episode) -> Action:
    return Action(ACT.REPLAY_PRIORITY_BATCH)


def no_partition(episode: Episode) -> Action:
    episode.sandbox.set_workers(3)
    batch = episode.sandbox.backlog().pending[0].batch
    episode.sandbox.instance.delete_dynamic_partition("temporal_orders_batches", batch)
    return Action(ACT.REPLAY_PRIORITY_BATCH)


def tampered(episode: Episode) -> Action:
    episode.sandbox.set_workers(3)
    batch = episode.sandbox.backlog().pending[0].batch
    path = episode.sandbox.workspace.landing.root / "orders" / f"{batch}.parquet"
    path.write_bytes(path.read_bytes() + b"?")
    return Action(ACT.REPLAY_PRIORITY_BATCH)


def bad_input(episode: Episode) -> Action:
    return Action(ACT.REFRESH_DOWNSTREAM_ASSETS)


def failing_gate(episode: Episode) -> Action:
    return Action(ACT.COMMIT_CHANGES)


def failing_validation(episode: Episode) -> Action:
    return Action(ACT.VALIDATE_SCHEMA)


def misfit_by_hand(episode: Episode) -> Action:
    """Somebody runs a repair in the UI that does not fit the table."""
    config = {"ops": {"temporal__catalog": {"config": {"action": "fill_mean", "target_column": "nothing"}}}}
    job = definitions.job("temporal_repair_catalog")
    assert not run_job(episode.sandbox.instance, job, tags={}, run_config=config).success
    return Action(ACT.VIEW_ERROR_LOG)


WAYS: list[tuple[Callable[[Episode], Action], str, str]] = [
    (few_workers, "orders", r"takes 3 recovery workers .* pool 'recovery_workers' has 1: scale up by 2 first"),
    (no_partition, "orders", r"t05 is no partition of orders: it has to be added again first"),
    (tampered, "orders", r"its checksum differs; the producer has to send it again first"),
    (bad_input, "hourly_rollup", r"source_orders\.\w+ is string, not timestamp, which it has to be first"),
    (failing_gate, "catalog", r"catalog_is_fit_to_publish.*(it has|they have) to pass first"),
    (failing_validation, "source_orders", r"source_orders_is_fit_to_publish.*they have to pass first"),
    (misfit_by_hand, "catalog", r"no column 'nothing'; .*choose one of: "),
]


@pytest.mark.parametrize(("way", "table", "needed"), WAYS, ids=lambda each: getattr(each, "__name__", ""))
def test_a_failure_names_table_cause_and_need(
    home: Home, way: Callable[[Episode], Action], table: str, needed: str
) -> None:
    episode = begin(home, "temporal")
    seen = episode.step(way(episode)).observation
    assert_ours(seen)
    for text in (seen["action_result"], " ".join(seen["recent_errors"])):
        assert table in text and re.search(needed, text), text
    assert "grade" not in " ".join(seen["recent_errors"])
    episode.close()


def test_a_batch_that_never_comes_is_told_as_the_producers(home: Home) -> None:
    episode = begin(home, "temporal", profile="judgement_temporal_upstream_down")
    episode.sandbox.set_workers(3)
    seen = episode.step(Action(ACT.REPLAY_PRIORITY_BATCH)).observation
    while seen["action_result"].startswith("loaded "):
        seen = episode.step(Action(ACT.REPLAY_PRIORITY_BATCH)).observation
    assert_ours(seen)
    assert "orders could not be landed: orders/" in seen["action_result"]
    assert seen["action_result"].endswith("has not finished, and only the producer can finish it")
    episode.close()


@pytest.mark.parametrize(
    ("step", "error", "said"),
    [
        ("temporal__hourly_rollup", "KeyError: 'quantity'", "hourly_rollup could not be made: KeyError: 'quantity'"),
        ("temporal__catalog_gate", "RuntimeError: cannot tell",
         "catalog could not be judged: RuntimeError: cannot tell"),
        ("temporal__catalog", "DagsterTypeCheckDidNotPass: Type check failed for step output",
         "catalog could not be made: the orchestrator stopped it, for no fault of the tables"),
        ("temporal__publish", "ValueError: a\nb", "nothing is published: ValueError: a b"),
        ("temporal__monitor", "Failure: disk is nearly full", "disk is nearly full"),
        ("", "Execution of run failed because of DagsterInvariantViolationError",
         "it could not be run: the orchestrator stopped it, for no fault of the tables"),
    ],
)  # fmt: skip
def test_causes_in_words(step: str, error: str, said: str) -> None:
    assert cause(step, error, {}) == said
    assert len(cause(step, f"ValueError: {'x' * 5000}", {})) < 500


def test_what_nobody_foresaw_is_answered_without_its_words() -> None:
    with pytest.raises(PlayError) as refused, answering():
        raise dg.DagsterInvariantViolationError("Execution of run for temporal_commit failed")
    assert_ours(str(refused.value))


def test_the_log_is_the_same_from_scratch(home: Home) -> None:
    episode = begin(home, "temporal")
    episode.step(Action(ACT.VALIDATE_SCHEMA))
    before = episode.sandbox.run_errors(20)
    again = Episode.resume(episode.sandbox.id, home=home)
    assert again.sandbox.run_errors(20) == before
    again.close()
    episode.close()
