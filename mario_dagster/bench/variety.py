"""Whether families vary: how often one seed's plan would do for another's, `mario bench variety`.

In: how many seeds. Out: a table by profile and split. A plan does for another incident when every act that the other
calls for is among its own; a family in which that happens can be learned by heart. Compiled only, nothing is played.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mario_dagster.core.action import Action
from mario_dagster.core.task import Split, Task
from mario_dagster.incidents.assembly import Incident
from mario_dagster.incidents.compile import compile_incident
from mario_dagster.incidents.profiles import profiles
from mario_dagster.incidents.solution import PHASES

SEEDS = 200
# A grader takes the one fill for the other: the middle of a column is the middle of it.
ALIKE = {"fill_mean": "fill_median"}

Deed = tuple[object, ...]


@dataclass(frozen=True)
class Variety:
    """How one family varies.

    Args:
        covered: share of ordered pairs of seeds of which the one's plan does for the other's incident.
        plans: how many different plans there are among them.
        steps: of the longest plan.
        spare: steps that the budget leaves beside it.
    """

    profile: str
    split: Split
    seeds: int
    covered: float
    plans: int
    steps: int
    spare: int


def acts(incident: Incident) -> frozenset[Deed]:
    """What an incident's solution does, looks and the commit left out."""
    idle = ("inspect_schema", "commit_changes")
    return frozenset(_act(step) for step in incident.solution if step.name not in idle)


def _act(step: Action) -> Deed:
    table = step.table if step.name in PHASES else None
    return table, ALIKE.get(step.name, step.name), step.target_column, step.new_name, step.column_order


def covered(plans: Sequence[frozenset[Deed]]) -> float:
    """Share of ordered pairs of which the one's acts are all among the other's."""
    pairs = len(plans) * (len(plans) - 1)
    return sum(one <= other for one in plans for other in plans if one is not other) / pairs


def variety(name: str, of: Task, split: Split, seeds: int = SEEDS) -> Variety:
    """How a profile varies over the first so many seeds of a split."""
    incidents = [compile_incident(of, name, split=split, seed=seed) for seed in range(seeds)]
    plans, longest = [acts(each) for each in incidents], max(len(each.solution) for each in incidents)
    return Variety(name, split, seeds, covered(plans), len(set(plans)), longest, of.max_steps - longest)


def families(chosen: Sequence[Task]) -> list[tuple[str, Task, Split]]:
    """Every profile that seeds draw, in every split that it is drawn in."""
    return [(profile.name, of, split) for of in chosen for profile in profiles(of) for split in profile.splits]
