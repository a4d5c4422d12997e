"""An upstream that is down, on real sandboxes: what is there is recovered, and nothing is published meanwhile."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest
from typer.testing import CliRunner

from mario_dagster import definitions
from mario_dagster.assets.sensors import DEV_SEED, clean_drop, register_batches
from mario_dagster.bench.proofs import cases
from mario_dagster.bench.properties import Scene, the_right_decision_alone_succeeds
from mario_dagster.bench.solution_orders import to_the_end
from mario_dagster.cli.app import app
from mario_dagster.core.action import Action
from mario_dagster.core.registry import task
from mario_dagster.core.task import MAX_WORKERS, Profile, required_workers
from mario_dagster.env import players
from mario_dagster.env.episode import Episode
from mario_dagster.env.options import reset_options
from mario_dagster.incidents.compile import Incident, compile_incident, compile_profile
from mario_dagster.incidents.damage import FaultError
from mario_dagster.incidents.faults.late_batches import LateBatches
from mario_dagster.incidents.faults.retyped_column import RetypedColumn
from mario_dagster.incidents.faults.unavailable_batches import UnavailableBatches
from mario_dagster.runtime.instance import close_instance, create_home, open_instance
from mario_dagster.sandbox.home import Home
from mario_dagster.scoring.missing_batches import absent_batches, unpublished
from mario_dagster.tables.frames import content_hash
from mario_dagster.tables.landing import DeliveredFile, Delivery, Landing, LandingError, file_of
from mario_dagster.tables.spec import clean_data_of
from mario_dagster.tables.workspace import workspace_of

SLUGS = ("incremental", "temporal")
LOOK, SAMPLE, COMMIT, REPLAY, REFRESH = Action(1), Action(2), Action(15), Action(18), Action(19)
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path_factory.mktemp("home"))


def begin(home: Home, slug: str = "temporal", seed: int = 3, split: str = "train", profile: str = "") -> Episode:
    name = profile or f"judgement_{slug}_upstream_down"
    return Episode.start(reset_options({"task": slug, "profile": name, "seed": seed, "split": split}), home=home)


@pytest.fixture
def episode(home: Home) -> Iterator[Episode]:
    """One batch is announced and not there."""
    begun = begin(home)
    yield begun
    begun.close()


def solution(episode: Episode) -> list[Action]:
    return [Action.from_dict(each) for each in episode.sandbox.truth_store.solution]


def play(episode: Episode, moves: Sequence[Action]) -> dict[str, object]:
    for move in moves:
        episode.step(move)
    return episode.summary()


def compiled(slug: str, seed: int = 3) -> Incident:
    return compile_incident(slug, f"judgement_{slug}_upstream_down", seed=seed)


def bring(episode: Episode, batch: str, frame: pd.DataFrame | None = None) -> None:
    """Put the file of a batch into the landing zone, as somebody at the producer's would, with nothing in between."""
    incident, feed = compiled(episode.task.slug), episode.task.main_table.feed
    sent = incident.landing[f"{feed}/{batch}"] if frame is None else frame
    (episode.sandbox.workspace.landing.root / str(feed) / f"{batch}.parquet").write_bytes(file_of(sent))


def tables(episode: Episode) -> dict[str, str]:
    return {name: content_hash(episode.sandbox.table(name)) for name in episode.task.table_names}


# --- compiling --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("slug", SLUGS)
def test_the_newest_batches_never_come_and_the_plan_ends_without_a_commit(slug: str) -> None:
    counts, repairs = set(), set()
    for seed in range(20):
        incident, found = compiled(slug, seed), task(slug)
        missing = len(incident.unavailable)
        counts.add(missing)
        assert incident.pending[-missing:] == incident.unavailable and incident.decision == "hold"
        names = [step.name for step in incident.solution]
        assert names.count("replay_priority_batch") == len(incident.pending) - missing >= 3
        assert "commit_changes" not in names and names[-1] == "refresh_downstream_assets"
        assert len(names) <= found.max_steps - 5
        mended = [step for step in incident.solution if step.table]
        assert mended
        repairs.add(tuple(mended))
    assert counts == {1, 2} and len(repairs) >= 12
    assert compile_incident(slug, None, seed=3).decision == "publish"


def test_workers_that_the_missing_rows_take_are_left_in_the_pool() -> None:
    profile = Profile("two_huge", "temporal", ("train",), "", (LateBatches(), UnavailableBatches(count=(2, 2))))
    huge = compile_profile(task("temporal"), profile, seed=1, scale=6)
    rows = sum(huge.declared[f"orders/{batch}"] for batch in huge.unavailable)
    assert required_workers(2, rows, huge.required_floor) == MAX_WORKERS
    assert "scale_recovery_workers_down" not in {step.name for step in huge.solution}


def test_an_upstream_that_is_down_alone_leaves_nothing_to_do() -> None:
    profile = Profile("down", "temporal", ("train",), "", (UnavailableBatches(count=(1, 1)),))
    incident = compile_profile(task("temporal"), profile, seed=1)
    assert incident.solution == () and len(incident.pending) == len(incident.unavailable) == 1
    assert incident.workers == incident.required_floor
    nowhere = Profile("down", "events", ("train",), "", (UnavailableBatches(), RetypedColumn("transactions", "age")))
    with pytest.raises(FaultError, match="unavailable_batches does not fit task 'events'"):
        compile_profile(task("events"), nowhere, seed=1)


# --- landing ----------------------------------------------------------------------------------------------------------


def test_what_is_announced_stands_in_the_manifest_and_is_read_once_it_is_there(tmp_path: Path) -> None:
    frame = pd.DataFrame({"order_id": [1, 2, 3]})
    landing, key = Landing(tmp_path), ("orders", "b01")
    drop = Delivery(NOW, {key: DeliveredFile(frame, 3, NOW)}, announced=frozenset({key}))
    entry = landing.deliver(drop).get(*key)
    assert entry.rows == 3 and not landing.arrived(*key)
    said = (
        r"^orders/b01 was announced with 3 rows, but its file is not in the landing zone: "
        r"the producer's upload has not finished, and only the producer can finish it$"
    )
    with pytest.raises(LandingError, match=said):
        landing.read(*key)
    before = landing.stamp()
    (tmp_path / "orders").mkdir()
    (tmp_path / "orders" / "b01.parquet").write_bytes(file_of(frame.iloc[:2]))
    assert landing.arrived(*key) and landing.stamp() != before
    with pytest.raises(LandingError, match="its checksum differs"):
        landing.read(*key)
    (tmp_path / "orders" / "b01.parquet").write_bytes(file_of(frame))
    assert len(landing.read(*key)) == 3
    # Announced again, the version before is withdrawn.
    assert landing.deliver(drop).get(*key).revision == 1 and not landing.arrived(*key)


def test_the_sensor_loads_what_is_there_and_the_rest_when_it_comes(tmp_path: Path) -> None:
    found = task("temporal")
    create_home(tmp_path / "home")
    instance = open_instance(tmp_path / "home")
    workspace, drop = workspace_of(instance, "temporal"), clean_drop(found, clean_data_of("temporal", DEV_SEED))
    late = ("orders", "t12")
    workspace.landing.deliver(replace(drop, announced=frozenset({late})))
    register_batches(instance, found, workspace.landing.manifest())
    context = dg.build_sensor_context(instance=instance)
    sensor = next(each for each in definitions.defs().sensors or [] if each.name == "temporal_landing")

    def requested() -> str | None:
        data = sensor.evaluate_tick(context)
        context.update_cursor(data.cursor)
        return data.run_requests[0].tags["dagster/asset_partition_range_end"] if data.run_requests else None

    assert requested() == "t11" and requested() is None
    (workspace.landing.root / "orders" / "t12.parquet").write_bytes(file_of(drop.files[late].frame))
    assert requested() == "t12"
    workspace.close()
    close_instance(instance)


# --- playing ----------------------------------------------------------------------------------------------------------


def test_loading_what_is_not_there_fails_in_the_event_log_and_changes_nothing(episode: Episode) -> None:
    play(episode, solution(episode))
    seen, before = episode.reply().observation, tables(episode)
    assert (seen["pending_batches"], seen["backlog_rows"], seen["commit_ready"]) == (1, 15, False)
    assert seen["failing_checks"] == ["every_batch_is_loaded"] and not seen["downstream_stale"]
    assert seen["freshness_lag_minutes"] > 0 and seen["queue_backlog_age_minutes"] > 0
    after = episode.step(REPLAY).observation
    said = (
        "orders/t12 was announced with 15 rows, but its file is not in the landing zone: "
        "the producer's upload has not finished, and only the producer can finish it"
    )
    assert after["action_result"] == f"failed: replay of t12 failed: orders could not be landed: {said}"
    assert after["recent_errors"][0].endswith(said)
    run = episode.sandbox.instance.get_runs(limit=1)[0]
    assert (run.job_name, run.status) == ("temporal_replay", dg.DagsterRunStatus.FAILURE)
    assert run.tags["mario/action"] == "replay_priority_batch"
    assert tables(episode) == before
    same = ("pending_batches", "backlog_rows", "failing_checks", "freshness_lag_minutes", "table_health")
    assert {name: after[name] for name in same} == {name: seen[name] for name in same}


@pytest.mark.parametrize("slug", SLUGS)
@pytest.mark.parametrize("split", ["train", "eval"])
def test_holding_back_to_the_end_is_a_success(
    home: Home, slug: str, split: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    episode = begin(home, slug, split=split)
    release = episode.sandbox.release()
    moves = to_the_end(episode.task, solution(episode))
    play(episode, moves[:-1])
    open_ = episode.summary()
    assert (open_["finished"], open_["success"], open_["done_reason"]) == (False, None, "")
    last = episode.step(moves[-1])
    told = episode.summary()
    assert last.done and last.observation["truncated"] and last.observation["done_reason"] == "held_back"
    assert (told["success"], told["collateral_cells"], told["steps"]) == (True, 0, episode.task.max_steps)
    assert episode.episode_state().score >= 0.999
    assert last.observation["reward_breakdown"]["success"] >= 0.18
    assert last.observation["reward_breakdown"]["failure"] == 0.0
    assert episode.sandbox.release() == release and not last.observation["commit_ready"]
    assert episode.step(COMMIT).reward == 0 and episode.sandbox.release() == release
    episode.close()
    monkeypatch.setenv("MARIO_HOME", str(home.root))
    assert CliRunner().invoke(app, ["grade", episode.id]).exit_code == 0


@pytest.mark.parametrize("wait", [SAMPLE, REPLAY], ids=["looking", "trying"])
def test_waiting_costs_little_however_it_is_done(home: Home, wait: Action) -> None:
    dull, varied, hasty = begin(home), begin(home), begin(home)
    plan = solution(dull)
    waited = play(dull, [*plan, *[wait] * (dull.task.max_steps - len(plan))])
    best = play(varied, to_the_end(varied.task, plan))
    worst = play(hasty, [*plan, COMMIT])
    assert waited["success"] and not worst["success"]
    # All that repeats cost, but for the last step's own.
    assert best["return"] - waited["return"] == pytest.approx(0.03)  # type: ignore[operator]
    assert waited["return"] > worst["return"] + 0.3  # type: ignore[operator]
    for each in (dull, varied, hasty):
        each.close()


def test_the_heuristic_holds_back_where_a_batch_cannot_be_loaded() -> None:
    options = {"task": "incremental", "profile": "judgement_incremental_upstream_down", "seed": 2}
    told = players.play("heuristic", reset_options(options))
    assert told["done_reason"] == "held_back" and told["success"]


def test_a_commit_is_refused_and_is_the_wrong_decision(episode: Episode) -> None:
    release = episode.sandbox.release()
    told = play(episode, [*solution(episode), COMMIT])
    assert (told["success"], told["done_reason"], told["truncated"]) == (False, "commit_failure", False)
    why = "source_orders fails every_batch_is_loaded (batch_id: pending_batch (t12)); it has to pass first"
    assert episode.reply().observation["action_result"] == f"failed: not published: {why}"
    assert episode.sandbox.release() == release and episode.episode_state().score >= 0.999


def test_doing_nothing_to_the_end_is_no_holding_back(episode: Episode) -> None:
    told = play(episode, [LOOK, SAMPLE] * episode.task.max_steps)
    assert (told["success"], told["done_reason"]) == (False, "step_budget_exhausted")


def test_harm_done_meanwhile_is_counted_and_is_no_success(episode: Episode) -> None:
    harm = [Action(0, "catalog"), Action(12, "product_name", "label")]
    told = play(episode, to_the_end(episode.task, [*solution(episode), *harm]))
    assert episode.episode_state().score >= episode.task.threshold
    assert told["collateral_cells"] == len(episode.sandbox.table("catalog"))
    assert (told["success"], told["done_reason"]) == (False, "step_budget_exhausted")


def test_a_commit_by_another_hand_was_an_attempt_too(episode: Episode) -> None:
    play(episode, solution(episode))
    sandbox = episode.sandbox
    assert unpublished(sandbox.workspace, sandbox.instance, episode.task)
    assert not sandbox.commit({}).ok
    assert not unpublished(sandbox.workspace, sandbox.instance, episode.task)
    told = play(episode, [LOOK, SAMPLE] * episode.task.max_steps)
    assert (told["success"], told["done_reason"]) == (False, "step_budget_exhausted")


def test_holding_back_where_all_is_there_fails_as_ever(home: Home) -> None:
    episode = begin(home, profile="temporal_rollup_backfill_incident")
    plan = solution(episode)[:-1]
    told = play(episode, [*plan, *[LOOK, SAMPLE] * episode.task.max_steps])
    assert episode.reply().observation["commit_ready"] and episode.episode_state().score >= 0.999
    assert (told["success"], told["done_reason"]) == (False, "step_budget_exhausted")
    episode.close()


# --- when it comes after all ------------------------------------------------------------------------------------------


def test_a_file_that_comes_late_is_loaded_and_then_it_is_right_to_publish(episode: Episode) -> None:
    sandbox, truth_store = episode.sandbox, episode.sandbox.truth_store
    play(episode, solution(episode))
    assert absent_batches(sandbox.workspace, episode.task, truth_store, sandbox.backlog()) == ("t12",)
    assert sandbox.grade().score >= 0.999
    bring(episode, "t12")
    assert absent_batches(sandbox.workspace, episode.task, truth_store, sandbox.backlog()) == ()
    assert sandbox.grade().score < 0.999
    seen = episode.step(REPLAY).observation
    assert seen["action_result"].startswith("loaded t12 into source_orders: 0 pending")
    seen = episode.step(REFRESH).observation
    assert seen["commit_ready"] and sandbox.grade().score >= 0.999
    told = play(episode, [COMMIT])
    assert (told["success"], told["done_reason"], told["collateral_cells"]) == (True, "commit_success", 0)


def test_holding_back_what_has_come_is_no_success(episode: Episode) -> None:
    plan = solution(episode)
    play(episode, plan)
    bring(episode, "t12")
    told = play(episode, [LOOK, SAMPLE] * episode.task.max_steps)
    assert (told["success"], told["done_reason"]) == (False, "step_budget_exhausted")


def test_another_file_under_its_name_is_not_taken_for_it(episode: Episode) -> None:
    play(episode, solution(episode))
    before = tables(episode)
    bring(episode, "t12", compiled("temporal").landing["orders/t11"])
    seen = episode.step(REPLAY).observation
    assert "checksum differs" in seen["action_result"] and tables(episode) == before


def test_one_of_two_that_comes_is_loaded_and_the_other_is_waited_for(home: Home) -> None:
    episode = begin(home, "temporal", seed=1)
    incident = compiled("temporal", 1)
    first, second = incident.unavailable
    play(episode, solution(episode))
    data = file_of(incident.landing[f"orders/{first}"])
    (episode.sandbox.workspace.landing.root / "orders" / f"{first}.parquet").write_bytes(data)
    seen = episode.step(REPLAY).observation
    assert seen["action_result"].startswith(f"loaded {first} ") and seen["pending_batches"] == 1
    told = play(episode, [REFRESH, *[LOOK, SAMPLE] * episode.task.max_steps])
    assert (told["success"], told["done_reason"]) == (True, "held_back") and episode.episode_state().score >= 0.999
    assert second not in set(episode.sandbox.table("source_orders")["batch_id"])
    episode.close()


# --- proving ----------------------------------------------------------------------------------------------------------


def test_a_plan_that_does_not_recover_what_is_there_is_found(home: Home) -> None:
    episode = begin(home, "temporal", seed=4)
    with episode.sandbox as sandbox:
        scene = Scene(sandbox, compiled("temporal", 4), home)
        scene.solution = scene.solution[:-1]
        assert "holding back ends in" in the_right_decision_alone_succeeds(scene)


def test_a_composed_incident_is_a_case_where_it_is_asked_for() -> None:
    asked = cases("temporal", "composed:hard", 2, first_seed=4)
    assert [(case.profile, case.split, case.seed, case.first) for case in asked] == [
        ("composed:hard", "train", 4, True),
        ("composed:hard", "train", 5, False),
    ]
    with pytest.raises(FaultError, match="late_batches does not fit task 'events'"):
        cases("events", "composed:late_batches", 1)
