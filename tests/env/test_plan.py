"""A repair plan leaves an episode as YAML and makes the same tables elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from mario_dagster.cli.app import app
from mario_dagster.core.action import Action
from mario_dagster.core.registry import tasks
from mario_dagster.env.episode import Episode
from mario_dagster.env.options import reset_options
from mario_dagster.env.plan import BadPlan, Plan, apply, options_for, plan_of
from mario_dagster.incidents.profiles import profiles
from mario_dagster.tables.frames import content_hash

ORDERS = """\
version: 1
incident: {task: temporal, split: train, seed: 3, scale: 1}
steps:
"""


def hashes(episode: Episode) -> dict[str, str]:
    return {name: content_hash(episode.sandbox.table(name)) for name in episode.task.table_names}


@pytest.mark.parametrize("slug", [task.slug for task in tasks()])
def test_an_exported_plan_makes_the_same_tables_on_a_fresh_sandbox(slug: str) -> None:
    profile = profiles(slug, "eval")[-1].name
    first = Episode.start(reset_options({"task": slug, "split": "eval", "seed": 2, "profile": profile}))
    for move in [
        Action(2),
        Action(12, "nothing", "something"),
        *map(Action.from_dict, first.sandbox.truth_store.solution),
    ]:
        if not first.episode_state().done and first.episode_state().steps < first.task.max_steps:
            first.step(move)
    text = plan_of(first).to_yaml()
    again = Plan.from_yaml(text)
    second = apply(again, options_for(again, {}))
    assert second.id != first.id
    assert hashes(second) == hashes(first)
    assert second.sandbox.profile == profile
    assert (second.episode_state().success, second.episode_state().score) == (
        first.episode_state().success,
        first.episode_state().score,
    )
    assert plan_of(second).to_yaml() == text
    first.close()
    second.close()


def test_a_plan_holds_what_was_done_and_names_its_table() -> None:
    episode = Episode.start(reset_options({"task": "temporal", "seed": 3}))
    column = str(episode.sandbox.table("source_orders").columns[0])
    other = str(episode.sandbox.table("catalog").columns[0])
    for move in (
        Action(1),
        Action(12, column, "renamed"),
        Action(12, column, "renamed"),
        Action(0, "catalog"),
        Action(12, other, "id"),
    ):
        episode.step(move)
    body = yaml.safe_load(plan_of(episode).to_yaml())
    episode.close()
    assert list(body) == ["version", "incident", "steps"] and body["version"] == 1
    assert body["steps"] == [
        {"action": "rename_column", "table": "source_orders", "target_column": column, "new_name": "renamed"},
        {"action": "rename_column", "table": "catalog", "target_column": other, "new_name": "id"},
    ]


def test_a_plan_does_not_tell_the_profile_before_its_episode_is_done() -> None:
    names = [each.name for each in profiles("ingestion", "eval")]
    episodes = [
        Episode.start(reset_options({"task": "ingestion", "split": "eval", "seed": 0, "profile": name}))
        for name in names
    ]
    plans = [plan_of(episode) for episode in episodes]
    assert {plan.incident.get("profile") for plan in plans} == {None, "undisclosed"}
    hidden = next(plan for plan in plans if "profile" in plan.incident)
    with pytest.raises(BadPlan, match="undisclosed"):
        options_for(hidden, {})
    assert options_for(hidden, {"profile": names[0]}).profile == names[0]
    for episode in episodes:
        episode.close()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("steps: [", "not YAML"),
        ("- 1", "a plan must be a mapping"),
        ("version: 2", "reads version: 1"),
        ("version: 1\nincident: {task: temporal}\nsteps: []", "incident needs seed"),
        ("version: 1\nincident: {task: tempora, seed: 1}\nsteps: []", "did you mean 'temporal'"),
        ("version: 1\nincident: {task: temporal, seed: 1}\nsteps: {}", "steps must be a list"),
        ("version: 1\nincident: {task: temporal, seed: 1, sede: 2}\nsteps: []", "no field 'sede'"),
        ("version: 1\nincident: {task: temporal, seed: x}\nsteps: []", "incident: seed must be a whole number"),
        ("version: 1\nincident: 5\nsteps: []", "incident must be a mapping"),
        (ORDERS + "- 5", "step 1 must be a mapping"),
        (ORDERS + "- {action: fill_mean, tabel: catalog}", "step 1: no field 'tabel'.*did you mean 'table'"),
        (ORDERS + "- {1: 2}", "step 1: no field 1"),
        (ORDERS + "- {action: rename}", "no action 'rename'.*did you mean 'rename_column'"),
        (ORDERS + "- {action: sample_data}", "no action 'sample_data'"),
        (ORDERS + "- {action: remove_duplicates}", "needs a table"),
        (ORDERS + "- {action: refresh_downstream_assets, table: catalog}", "takes no table"),
        (ORDERS + "- {action: remove_duplicates, table: orders}", "no table 'orders'"),
        (ORDERS + "- {action: fill_mean, table: catalog}", "needs target_column"),
        (ORDERS + "- {action: fill_mean, table: catalog, target_column: [a]}", "needs target_column"),
        (ORDERS + "- {action: fill_mean, table: catalog, target_column: a, new_name: b}", "takes no new_name"),
        (ORDERS + "- {action: reorder_columns, table: catalog, column_order: a}", "a list of column names"),
    ],
)
def test_a_bad_file_says_where_and_why(text: str, said: str) -> None:
    with pytest.raises(BadPlan, match=said):
        Plan.from_yaml(text)


def test_a_plan_that_cannot_be_played_says_at_which_step() -> None:
    plan = Plan.from_yaml(ORDERS + "- {action: fill_mean, table: catalog, target_column: nowhere}")
    with pytest.raises(BadPlan, match=r"step 1 \(fill_mean\) of episode .*: invalid: .*nowhere"):
        apply(plan, options_for(plan, {}))
    with pytest.raises(BadPlan, match="for task 'temporal', not 'events'"):
        apply(plan, options_for(plan, {"task": "events"}))


def test_the_command_exports_and_applies(tmp_path: Path) -> None:
    episode = Episode.start(reset_options({"task": "ingestion", "seed": 1, "episode_id": "plan-cli"}))
    for move in map(Action.from_dict, episode.sandbox.truth_store.solution):
        episode.step(move)
    episode.close()
    file, runner = tmp_path / "plan.yaml", CliRunner()
    assert runner.invoke(app, ["plan", "export", "plan-cli", "--output", str(file)]).exit_code == 0
    assert runner.invoke(app, ["plan", "export", "plan-cli"]).stdout == file.read_text()
    done = runner.invoke(app, ["plan", "apply", str(file), "--episode-id", "plan-cli-2", "--json"])
    assert done.exit_code == 0 and yaml.safe_load(done.stdout)["success"] is True
    taken = runner.invoke(app, ["plan", "apply", str(file), "--episode-id", "plan-cli-2"])
    assert taken.exit_code == 1 and "exists" in taken.output
    file.write_text("version: 7")
    assert runner.invoke(app, ["plan", "apply", str(file)]).exit_code == 1
    assert runner.invoke(app, ["plan", "apply", str(tmp_path / "none.yaml")]).exit_code == 1
