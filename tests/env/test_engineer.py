"""What people do to a pipeline, by whatever tool of Dagster's, is part of the episode that is played in it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from dagster import AssetCheckKey, AssetKey, DagsterEventType

from mario_dagster import definitions
from mario_dagster.core.action import Action, ActionId
from mario_dagster.env.episode import Episode
from mario_dagster.env.options import reset_options
from mario_dagster.env.plan import Plan, apply, left_out, options_for, plan_of
from mario_dagster.runtime.instance import RunResult, close_instance, open_instance, run_job
from mario_dagster.sandbox.home import Home

REFRESH = Action(ActionId.REFRESH_DOWNSTREAM_ASSETS)
INCIDENT = {"task": "temporal", "seed": 4, "split": "train"}


class Engineer:
    """A person at another window: an instance of their own on the same home, no word to the episode."""

    def __init__(self, episode: Episode):
        self.task = episode.task
        self._home = episode.sandbox.root / "dagster"

    def runs(self, job: str, config: Mapping[str, Any] | None = None, tags: Mapping[str, str] = {}) -> RunResult:
        instance = open_instance(self._home)
        try:
            return run_job(instance, definitions.job(f"{self.task.slug}_{job}"), tags=tags, run_config=config)
        finally:
            close_instance(instance)

    def materializes(self, *assets: str) -> RunResult:
        instance = open_instance(self._home)
        keys = frozenset(AssetKey([self.task.slug, name]) for name in assets)
        whole = definitions.definitions().resolve_implicit_global_asset_job_def()
        try:
            return run_job(instance, whole.get_subset(asset_selection=keys), tags={})
        finally:
            close_instance(instance)

    def scales(self, slots: int) -> None:
        instance = open_instance(self._home)
        try:
            instance.event_log_storage.set_concurrency_slots(self.task.pool, slots)
        finally:
            close_instance(instance)

    def does(self, episode: Episode, action: Action) -> None:
        """What a plan's action is, done by hand."""
        slug = self.task.slug
        if action.id in (ActionId.SCALE_RECOVERY_WORKERS_UP, ActionId.SCALE_RECOVERY_WORKERS_DOWN):
            up = action.id == ActionId.SCALE_RECOVERY_WORKERS_UP
            self.scales(episode.sandbox.workers() + (1 if up else -1))
        elif action.id == ActionId.REPLAY_PRIORITY_BATCH:
            batch = episode.sandbox.backlog().pending[0].batch
            assert self.runs("replay", tags={"dagster/partition": batch}).success
        elif action.id == ActionId.REFRESH_DOWNSTREAM_ASSETS:
            assert self.runs("refresh").success
        elif action.id == ActionId.COMMIT_CHANGES:
            assert self.runs("commit").success
        elif action.table is not None:
            config = {"ops": {f"{slug}__{action.table}": {"config": action.to_config()}}}
            assert self.runs(f"repair_{action.table}", config).success


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def start(home: Home, id: str, **options: object) -> Episode:
    return Episode.start(reset_options({**INCIDENT, "episode_id": id, **options}), home=home)


def solution(episode: Episode) -> list[Action]:
    """The solution, each repair with its table."""
    table, actions = episode.task.main_table.name, []
    for entry in episode.sandbox.truth_store.solution:
        action = Action.from_dict(entry)
        if action.id == ActionId.INSPECT_SCHEMA:
            table = action.target_column or table
            continue
        repair = int(ActionId.FILL_MEAN) <= action.id <= int(ActionId.REORDER_COLUMNS)
        actions.append(
            Action(action.id, action.target_column, action.new_name, action.column_order, table if repair else None)
        )
    return actions


def test_a_run_by_hand_is_a_step_of_the_episode_that_the_agent_is_told_of_and_not_paid_for(home: Home) -> None:
    episode, calm = start(home, "beside"), start(home, "alone")
    first = next(action for action in solution(episode) if action.table)
    inspect = Action(ActionId.INSPECT_SCHEMA)
    episode.step(inspect), calm.step(inspect)
    Engineer(episode).does(episode, first)
    state = episode.state()
    assert state["step_count"] == 1
    line = episode.sandbox.steps[-1]
    assert (line["actor"], line["name"], line["table"], line["status"]) == ("engineer", first.name, first.table, "done")
    assert line["action"] == first.to_dict() and line["reward"] == 0.0
    seen, unpaid = episode.step(inspect).observation, calm.step(inspect).observation
    assert seen["interventions"] == [line["result"]] and first.name in line["result"] and "rows" in line["result"]
    assert seen["steps_taken"] == 2 and seen["reward"] == unpaid["reward"]
    assert episode.step(inspect).observation["interventions"] == []
    # The same by the agent's own hand comes to the same tables and score.
    calm.step(Action(ActionId.INSPECT_SCHEMA, target_column=first.table)), calm.step(first)
    assert episode.state()["current_score"] == calm.state()["current_score"]
    tags = [run.tags for run in episode.sandbox.instance.get_runs(limit=5) if run.tags.get("mario/actor") == "engineer"]
    assert [(each["mario/episode"], each["mario/step"], each["mario/action"]) for each in tags] == [
        ("beside", "2", first.name)
    ]


def test_an_episode_played_by_hand_alone_ends_with_the_grader_s_score_and_exports_a_plan_that_replays(
    home: Home,
) -> None:
    episode = start(home, "by-hand")
    engineer = Engineer(episode)
    for action in solution(episode):
        engineer.does(episode, action)
    state, summary = episode.state(), episode.summary()
    assert state["done"] and state["done_reason"] == "commit_success" and state["success"] is True
    assert state["step_count"] == 0 and summary["finished"] and summary["score"] == state["current_score"] == 0.99
    assert episode.sandbox.grade().score >= 0.999
    assert episode.sandbox.info.status == "commit_success"
    assert all(line["actor"] == "engineer" for line in episode.sandbox.steps[1:])
    over = episode.step(REFRESH).observation
    assert over["done"] and "the episode is over (commit_success)" in over["action_result"]
    plan = Plan.from_yaml(plan_of(episode).to_yaml())
    again = apply(plan, options_for(plan, {"episode_id": "again"}), home=home)
    assert again.state()["success"] is True and again.summary()["score"] == 0.99


def test_what_a_person_does_after_the_end_fails_and_changes_nothing(home: Home) -> None:
    episode = start(home, "ended")
    for entry in episode.sandbox.truth_store.solution:
        episode.step(Action.from_dict(entry))
    assert episode.state()["done"]
    lines, engineer = len(episode.sandbox.steps), Engineer(episode)
    before = {name: episode.sandbox.workspace.lake.version(f"temporal/{name}") for name in episode.task.table_names}
    late = engineer.runs("refresh")
    assert not late.success and "the episode is over (commit_success)" in " ".join(late.errors.values())
    assert not engineer.materializes("published_catalog", "published_source_orders", "published_hourly_rollup").success
    assert len(episode.sandbox.steps) == lines and episode.state()["done"]
    assert before == {name: episode.sandbox.workspace.lake.version(f"temporal/{name}") for name in before}


def test_the_gate_cannot_be_walked_round(home: Home) -> None:
    episode = start(home, "gate")
    engineer = Engineer(episode)
    release = episode.sandbox.release()
    asked = engineer.materializes("published_catalog", "published_source_orders", "published_hourly_rollup")
    text = " ".join(asked.errors.values())
    assert not asked.success and "not published: " in text
    assert set(text.split("not published: ")[1].split(", ")) >= set(episode.sandbox.signals().blocking_failures)
    assert not engineer.runs("commit").success
    assert episode.sandbox.release() == release
    state = episode.state()
    assert not state["done"]
    lines = episode.sandbox.steps
    assert [(line["actor"], line["name"], line["status"]) for line in lines[1:]] == [
        ("engineer", "commit_changes", "failed")
        if line["name"] == "commit_changes"
        else ("engineer", line["name"], "failed")
        for line in lines[1:]
    ] and len(lines) == 3


def test_no_score_is_in_the_event_log_of_a_commit_that_a_person_tried(home: Home) -> None:
    episode = start(home, "unknown", split="eval")
    run = Engineer(episode).runs("commit")
    grade = AssetCheckKey(AssetKey([episode.task.slug, episode.task.main_table.name]), "grade")
    told = [
        event.asset_check_evaluation_data
        for entry in episode.sandbox.instance.all_logs(run.run_id, of_type=DagsterEventType.ASSET_CHECK_EVALUATION)
        if (event := entry.dagster_event) is not None
    ]
    assert told and not any(each.metadata for each in told if each.asset_check_key == grade)


@pytest.mark.parametrize("slots", [0, 4, 10])
def test_a_pool_takes_what_an_agent_could_give_it(home: Home, slots: int) -> None:
    episode = start(home, f"pool-{slots}")
    before = episode.sandbox.workers()
    with pytest.raises(Exception, match=f"takes 1 to 3 slots, not {slots or 'unlimited'}"):
        Engineer(episode).scales(slots)
    assert episode.sandbox.workers() == before


def test_slots_given_by_hand_are_steps_one_a_slot(home: Home) -> None:
    episode = start(home, "slots")
    before = episode.sandbox.workers()
    Engineer(episode).scales(3)
    episode.take_up()
    names = [line["name"] for line in episode.sandbox.steps[1:]]
    assert names == ["scale_recovery_workers_up"] * (3 - before) and names


def test_a_run_that_failed_says_why(home: Home) -> None:
    episode = start(home, "failed")
    engineer = Engineer(episode)
    assert not engineer.runs("replay", tags={"dagster/partition": "t05"}).success
    (told,) = episode.step(Action(ActionId.INSPECT_SCHEMA)).observation["interventions"]
    assert "the run failed: orders could not be landed" in told and "workers" in told
    assert "Dagster" not in told
    assert not engineer.runs("commit").success
    (told,) = episode.step(Action(ActionId.INSPECT_SCHEMA)).observation["interventions"]
    assert told.startswith("commit_changes: the run failed: ") and "catalog fails catalog_is_fit_to_publish" in told


def test_a_plan_says_what_it_leaves_out(home: Home) -> None:
    episode = start(home, "by-button")
    assert Engineer(episode).materializes("landed_catalog", "catalog", "hourly_rollup") is not None
    episode.take_up()
    line = episode.sandbox.steps[-1]
    assert line["actor"] == "engineer" and line["action"] is None
    assert plan_of(episode).actions == ()
    assert left_out(episode) == ((line["result"],) if line["status"] == "done" else ())
