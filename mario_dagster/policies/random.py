"""The random player: any action, with a column, name or order that might even fit.

In: observations. Out: moves drawn uniformly from the player's own seed. The floor every other player is compared with.
"""

from __future__ import annotations

import random

from mario_dagster.core.action import ACTIONS, ActionId

from .base import Action, Observation

INSPECT, RENAME, REORDER = ActionId.INSPECT_SCHEMA, ActionId.RENAME_COLUMN, ActionId.REORDER_COLUMNS
COLUMN_ACTIONS = frozenset(action.id for action in ACTIONS if "target_column" in action.needs)


class RandomPolicy:
    """Uniform over the twenty actions; arguments uniform over what the observation names."""

    def __init__(self) -> None:
        self._dice = random.Random(0)

    def begin(self, seed: int) -> None:
        self._dice = random.Random(seed)

    def choose(self, observation: Observation) -> Action:
        action = ActionId(self._dice.randrange(len(ACTIONS)))
        columns = list(observation.get("observed_columns") or ())
        if action == INSPECT:
            return Action(action, target_column=self._pick([None, *(observation.get("table_health") or ())]))
        if action == RENAME:
            missing = list(observation.get("missing_expected_columns") or columns)
            return Action(action, target_column=self._pick(columns), new_name=self._pick(missing))
        if action == REORDER:
            return Action(action, column_order=tuple(self._dice.sample(columns, len(columns))))
        return Action(action, target_column=self._pick(columns) if action in COLUMN_ACTIONS else None)

    def _pick(self, choices: list[str | None] | list[str]) -> str | None:
        return self._dice.choice(choices) if choices else None
