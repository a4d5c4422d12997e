"""What panes say and what actions are asked for: made of observations, with no screen."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from mario_dagster.checks.reasons import REASONS
from mario_dagster.core.action import ACTIONS, SELECTS, Action, ActionId
from mario_dagster.env.episode import Episode
from mario_dagster.env.options import reset_options
from mario_dagster.play import actions, view
from mario_dagster.play.session import Incident, Seen, turns


@pytest.fixture(scope="module")
def seen() -> Seen:
    """An incident that was looked at: inspected, rows at fault sampled."""
    episode = Episode.start(reset_options({"task": "temporal", "split": "train", "seed": 7}))
    try:
        for action in (Action(ActionId.INSPECT_SCHEMA), Action(ActionId.SAMPLE_DATA, select="offenders")):
            observation = episode.step(action).observation
        incident = Incident("temporal", "train", 7, 1, "truth", 0.82, 35)
        return Seen(episode.id, incident, observation, turns(episode.sandbox.steps))
    finally:
        episode.close()


def test_every_action_of_the_task_is_offered_with_what_it_would_touch(seen: Seen) -> None:
    offered = actions.offers(seen.observation)
    assert [offer.spec for offer in offered] == [ACTIONS[id] for id in seen.observation["available_actions"]]
    touches = {offer.spec.id: offer.touches for offer in offered}
    assert touches[ActionId.REMOVE_DUPLICATES] == "order_id: 20 duplicate_key"
    assert touches[ActionId.CAST_TO_INT] == "quantity: wrong_type, 70 not_a_number"
    assert touches[ActionId.CAST_TO_STRING] == "event_ts: wrong_type, 70 not_canonical"
    assert touches[ActionId.DROP_OUTLIERS] == actions.NOTHING
    assert touches[ActionId.SCALE_RECOVERY_WORKERS_UP] == "1 now, a load takes 3"


def test_what_actions_are_for_is_said_in_the_words_of_the_checks() -> None:
    assert {reason for spec in ACTIONS for reason in spec.mends} <= set(REASONS)
    assert all(spec.mends or spec.id in actions._SAYS for spec in ACTIONS)


@pytest.mark.parametrize("spec", ACTIONS, ids=lambda spec: spec.name)
def test_an_action_is_asked_for_what_the_table_says_that_it_needs(spec: Any, seen: Seen) -> None:
    answers: dict[str, Any] = {}
    while question := actions.next_question(spec.id, answers, seen):
        assert question.choices or question.kind == "text"
        answers[question.argument] = question.preset or question.choices[0].value if question.choices else "x"
    made = actions.action_of(spec.id, answers)
    assert made.id == spec.id and all(getattr(made, need) for need in spec.needs)


@pytest.mark.parametrize("select", SELECTS)
def test_a_sample_is_asked_for_what_its_select_takes(select: str, seen: Seen) -> None:
    answers, asked = {"select": select}, []
    while question := actions.next_question(ActionId.SAMPLE_DATA, answers, seen):
        asked.append((question.argument, question.optional))
        answers[question.argument] = "order_id"
    column = {"offenders": [("target_column", True)], "distinct": [("target_column", False)]}
    wanted = column | {"equal": [("target_column", False), ("value", False)]}
    assert asked == wanted.get(select, [])


def test_columns_come_with_what_the_checks_say_of_them_first(seen: Seen) -> None:
    question = actions.next_question(ActionId.CAST_TO_FLOAT, {}, seen)
    assert question is not None
    first, *others = question.choices
    assert (first.value, first.note) == ("gross_revenue", "wrong_type, 70 not_a_number")
    assert {choice.value for choice in question.choices} == set(seen.observation["observed_columns"])
    assert not any(choice.note for choice in others)


def test_the_table_pane_has_types_as_told_and_rows_as_sampled(seen: Seen) -> None:
    schema = {row.cells[0]: row.cells[1:3] for row in view.schema_grid(seen).rows}
    assert schema["order_id"] == ("int64", "int64") and schema["quantity"] == ("string", "int64")
    mended = replace(seen, observation={**seen.observation, "schema_report": {}})
    assert {row.cells[0]: row.cells[1] for row in view.schema_grid(mended).rows}["quantity"] == "int64"
    rows = view.rows_grid(seen)
    assert rows.columns[0] == "order_id" and rows.columns[-1] == "why" and "as of step 2" in rows.title
    told = json.loads(seen.turns[-1].result)
    assert len(rows.rows) == len(told["rows"]) and "of 70 rows" in rows.title


def test_a_finding_comes_with_its_meaning_the_log_and_the_rows_at_fault(seen: Seen) -> None:
    (finding,) = [each for each in view.findings(seen) if (each.column, each.reason) == ("order_id", "duplicate_key")]
    assert finding.checks == ("source_orders_meets_its_contract", "order_ids_are_unique")
    head, *others = view.evidence(seen, finding)
    assert head.lines[0] == REASONS["duplicate_key"]
    assert any(section.title.startswith("Rows at fault") and len(section.lines) > 5 for section in others)


def test_a_drill_keeps_the_labels_of_the_incident_to_itself(seen: Seen) -> None:
    def words(sections: tuple[view.Section, ...]) -> str:
        return " ".join(line for section in sections for line in section.lines)

    family = seen.observation["scenario_profile"]
    assert family in words(view.incident_card(seen))
    drill = words(view.incident_card(seen, drill=True))
    assert family not in drill and not {word for word in drill.split() if word == str(seen.incident.seed)}


def test_turns_have_nothing_of_the_journal_but_what_the_player_was_told() -> None:
    line: Mapping[str, Any] = {
        "step": 1, "name": "sample_data", "action": {"action_id": 2}, "active_table": "orders", "result": "[]",
        "score": 0.5, "reward": 0.1, "rows_at_fault": 999_999, "grade": {"secret": 0.123456},
    }  # fmt: skip
    (turn,) = turns([line])
    assert "999999" not in repr(turn) and "secret" not in repr(turn)
