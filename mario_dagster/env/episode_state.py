"""How an episode stands: the fold of the lines that its sandbox recorded.

In: lines, the reset's first, as plain mappings. Out: an `EpisodeState`. There is no other memory of an episode: whoever
has the lines, in whichever process, has all of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from mario_dagster.core.action import READS, Action
from mario_dagster.core.run_tags import ENGINEER

DoneReason = Literal["", "commit_success", "held_back", "commit_failure", "quality_collapse", "step_budget_exhausted"]
# Published, and rightly; or rightly not published, to the last step of the budget.
SUCCESSES: frozenset[DoneReason] = frozenset({"commit_success", "held_back"})
Line = Mapping[str, Any]


@dataclass(frozen=True)
class EpisodeState:
    """How an episode stands: everything that its recorded lines add up to.

    Args:
        score, initial_score, best_score: raw, in the episode's own feedback; the true score once it is done.
        streak: how many times in a row the newest action was played, with the same arguments.
        idle: how many of those in a row, up to the newest, left everything as it was.
        parts: the newest step's reward by name.
        waited: what repeats of looks, and of runs that failed, have cost so far, as a positive number.
        grade: parts of the true score by name; empty until the episode is done.
        minutes: modelled time since the first action.
        exposure: rows at fault times minutes that they stood there, summed over the steps.
        collateral: cells that were right at the start and are wrong or gone at the end; None until the end.
        guessed: cells whose value is nowhere any more and that hold one at the end; None until the end.
        workers: slots of the recovery pool after the newest line.
        pool_changes: how often the pool had been changed by then, since the episode began.
        interventions: what people did since the action before the newest, in words; the newest of them are `unplayed`.
        unplayed: how many of them came after the newest action.
    """

    episode_id: str
    seed: int
    split: str
    scale: int
    feedback: str
    via: str
    started_at: str
    active_table: str
    score: float
    initial_score: float
    best_score: float
    steps: int = 0
    reward: float | None = None
    total_reward: float = 0.0
    parts: Mapping[str, float] = field(default_factory=dict)
    waited: float = 0.0
    result: str = ""
    last_action: Mapping[str, Any] | None = None
    streak: int = 0
    idle: int = 0
    done: bool = False
    truncated: bool = False
    success: bool | None = None
    done_reason: str = ""
    grade: Mapping[str, float] = field(default_factory=dict)
    table_scores: Mapping[str, float] = field(default_factory=dict)
    minutes: float = 0.0
    exposure: float = 0.0
    collateral: int | None = None
    guessed: int | None = None
    workers: int = 0
    pool_changes: int = 0
    interventions: tuple[str, ...] = ()
    unplayed: int = 0

    @property
    def last_action_id(self) -> int | None:
        return None if self.last_action is None else int(self.last_action["action_id"])

    @property
    def discloses(self) -> bool:
        """Whether labels of the incident may be shown: always in train, else when it is over."""
        return self.split == "train" or self.done

    def idle_with(self, action: Action, changed: bool) -> int:
        """What `idle` is once this action has been played, which changed something or did not."""
        return 0 if changed else self.idle + 1 if self.last_action == action.to_dict() else 1


def episode_state(lines: Sequence[Line]) -> EpisodeState:
    """Fold an episode's recorded lines, the reset's first."""
    first, *steps = lines
    now = _begun(first)
    for line in steps:
        now = after(now, line)
    return now


def _begun(line: Line) -> EpisodeState:
    score = float(line["score"])
    return EpisodeState(
        episode_id=line["episode_id"],
        seed=line["seed"],
        split=line["split"],
        scale=line["scale"],
        feedback=line["feedback"],
        via=line["via"],
        started_at=line["started_at"],
        active_table=line["active_table"],
        score=score,
        initial_score=score,
        best_score=score,
        result=line["result"],
        workers=line.get("workers", 0),
        pool_changes=line.get("pool_changes", 0),
    )


def after(before: EpisodeState, line: Line) -> EpisodeState:
    """How it stands one recorded line later: after an action, or after what a person did meanwhile."""
    return _intervened(before, line) if line.get("actor") == ENGINEER else _stepped(before, line)


def _intervened(before: EpisodeState, line: Line) -> EpisodeState:
    """A person's act changes the pipeline and its score; the player's steps, reward and last action stay."""
    return replace(
        _went_on(before, line),
        interventions=(*before.interventions, line["result"]),
        unplayed=before.unplayed + 1,
    )


def _stepped(before: EpisodeState, line: Line) -> EpisodeState:
    same = before.last_action == line["action"]
    idle = line["status"] == "failed" or line["action"]["action_id"] in READS
    return replace(
        _went_on(before, line),
        active_table=line["active_table"],
        steps=line["step"],
        reward=line["reward"],
        total_reward=before.total_reward + line["reward"],
        parts=line["parts"],
        waited=before.waited - (line["parts"]["repetition"] if idle else 0.0),
        result=line["result"],
        last_action=line["action"],
        streak=before.streak + 1 if same else 1,
        # Episodes of earlier versions did not write down what changed: each of their repeats counts.
        idle=0 if line.get("changed") else before.idle + 1 if same else 1,
        truncated=line["truncated"],
        interventions=before.interventions[len(before.interventions) - before.unplayed :],
        unplayed=0,
    )


def _went_on(before: EpisodeState, line: Line) -> EpisodeState:
    """What any line says of the pipeline, its score and its end, whoever acted."""
    return replace(
        before,
        score=line["score"],
        best_score=max(before.best_score, line["score"]),
        done=line["done"],
        success=line["success"],
        done_reason=line["done_reason"],
        grade=line.get("grade", {}),
        table_scores=line.get("table_scores", {}),
        minutes=before.minutes + line["minutes"],
        exposure=before.exposure + line["minutes"] * line["rows_at_fault"],
        collateral=line.get("collateral_cells"),
        guessed=line.get("guessed_cells"),
        workers=line.get("workers", 0),
        pool_changes=line.get("pool_changes", 0),
    )
