"""What is written down of a step: one line for what an agent played, one for what a person did meanwhile.

In: a sandbox, an action, how the episode stands. Out: the line, with reward, score and, where it ends the episode, the
truth; and how the pipeline stands after it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mario_dagster.core.action import Action, ActionId
from mario_dagster.core.run_tags import AGENT, ENGINEER, step_tags

from . import reward
from .episode_state import SUCCESSES, DoneReason, EpisodeState
from .perform import Outcome, perform

if TYPE_CHECKING:
    from mario_dagster.engine.snapshot import Snapshot
    from mario_dagster.sandbox.sandbox import Sandbox
    from mario_dagster.signals.signals import Signals

    from .engineer import Intervention


def played(sandbox: Sandbox, action: Action, state: EpisodeState) -> tuple[dict[str, Any], Snapshot]:
    """Do an action; returns what is written down of it, and how the pipeline stands after it."""
    from mario_dagster.runtime.queries import pool_change_count

    number = state.steps + 1
    before = sandbox.snapshot()
    score = _score(sandbox, before)
    # `user` is what the UI names as that which launched it.
    tags = {**step_tags(sandbox.id, number, action.name, AGENT), "user": AGENT}
    outcome = perform(sandbox, action, state.active_table, tags)
    now = sandbox.snapshot()
    shift = (score, _score(sandbox, now))
    reason, changed = _verdict(sandbox, action, outcome, shift, now, number), not now.same_as(before)
    line = {
        "kind": "step",
        "step": number,
        "action": action.to_dict(),
        "name": action.name,
        "table": state.active_table,
        "active_table": outcome.active_table,
        "status": outcome.status,
        "result": outcome.text,
        "changed": changed,
        "minutes": action.spec.minutes,
        "rows_at_fault": rows_at_fault(before.signals),
        "failing_checks": list(now.signals.blocking_failures),
        "workers": now.signals.resource_level,
        "pool_changes": pool_change_count(sandbox.instance.database),
        **_paid(sandbox, outcome, state, state.idle_with(action, changed), shift, now, reason),
    }
    return line, now


def intervened(sandbox: Sandbox, act: Intervention, state: EpisodeState) -> dict[str, Any]:
    """What is written down of a person's act: it changes the score and earns nothing; publishing ends the episode."""
    now = sandbox.snapshot()
    reason = _commit_verdict(sandbox, now, act.published) if act.published else ""
    line: dict[str, Any] = {
        "kind": "step",
        "actor": ENGINEER,
        # Of the player's steps it follows this one.
        "step": state.steps,
        "action": None if act.action is None else act.action.to_dict(),
        "name": act.name,
        "table": act.table or state.active_table,
        "active_table": state.active_table,
        "status": "done" if act.done else "failed",
        "result": act.result,
        "minutes": act.minutes,
        "rows_at_fault": rows_at_fault(now.signals),
        "failing_checks": list(now.signals.blocking_failures),
        # Of several acts that are written down at once, each is left as it was then: the pool is as this one left it.
        "workers": act.slots if act.slots is not None else state.workers,
        "pool_changes": state.pool_changes + (act.slots is not None),
        "reward": 0.0,
        "score": now.grade.score if act.published else _score(sandbox, now),
        "done": act.published,
        "truncated": False,
        "success": reason in SUCCESSES if act.published else None,
        "done_reason": reason,
    }
    return line | (_closing(sandbox, now) if act.published else {})


def _verdict(
    sandbox: Sandbox, action: Action, outcome: Outcome, shift: tuple[float, float], now: Snapshot, number: int
) -> DoneReason:
    """Why the episode is over after this step; empty when it goes on."""
    if action.id == ActionId.COMMIT_CHANGES and outcome.status != "invalid":
        return _commit_verdict(sandbox, now, outcome.status == "done")
    if reward.collapsed(*shift):
        return "quality_collapse"
    if number < sandbox.task.max_steps:
        return ""
    return "held_back" if _rightly_held_back(sandbox, now) else "step_budget_exhausted"


def _commit_verdict(sandbox: Sandbox, now: Snapshot, published: bool) -> DoneReason:
    """What a commit ends an episode with: success where what it published is as right as the task asks."""
    won = published and now.grade.score >= sandbox.task.threshold
    return "commit_success" if won else "commit_failure"


def _rightly_held_back(sandbox: Sandbox, now: Snapshot) -> bool:
    """Whether something to be published is not there, nobody published, and all that is there is right."""
    from mario_dagster.scoring.missing_batches import unpublished

    if not _absent(sandbox, now) or not unpublished(sandbox.workspace, sandbox.instance, sandbox.task):
        return False
    return now.grade.score >= sandbox.task.threshold and _collateral(sandbox, now) == 0


def _paid(
    sandbox: Sandbox,
    outcome: Outcome,
    state: EpisodeState,
    idle: int,
    shift: tuple[float, float],
    now: Snapshot,
    reason: DoneReason,
) -> dict[str, Any]:
    """The reward and the score of a step, and with the last one the truth."""
    ended, success = bool(reason), reason in SUCCESSES
    grade = now.grade if ended else None
    terms = reward.parts(
        reward.Step(
            before=shift[0],
            after=shift[1],
            invalid=outcome.status == "invalid",
            premature_commit=reason == "commit_failure" and grade is not None and grade.score < sandbox.task.threshold,
            streak=idle,
            waited=state.waited if reason == "held_back" else 0.0,
            ended=ended,
            success=success,
        )
    )
    paid: dict[str, Any] = {
        "reward": reward.total(terms),
        "parts": terms,
        "score": grade.score if grade else shift[1],
        "done": ended,
        "truncated": reason in ("step_budget_exhausted", "held_back"),
        "success": success if ended else None,
        "done_reason": reason,
    }
    return paid | (_closing(sandbox, now) if ended else {})


def _closing(sandbox: Sandbox, now: Snapshot) -> dict[str, Any]:
    """The truth that the last line of an episode tells."""
    return {
        "grade": dict(now.grade.parts),
        "table_scores": dict(now.grade.tables),
        "collateral_cells": _collateral(sandbox, now),
        "guessed_cells": now.grade.guessed,
    }


# --- scores -----------------------------------------------------------------------------------------------------------


def _collateral(sandbox: Sandbox, now: Snapshot) -> int:
    """Cells that were right when the incident struck, and are wrong or gone now."""
    from mario_dagster.scoring.collateral import collateral_since

    since = sandbox.steps[0].get("versions", {})
    return collateral_since(sandbox.workspace, sandbox.task, sandbox.truth_store, since, _absent(sandbox, now))


def _absent(sandbox: Sandbox, now: Snapshot) -> tuple[str, ...]:
    """Batches that nobody could have loaded: they are announced, and not there."""
    from mario_dagster.scoring.missing_batches import absent_batches

    return absent_batches(sandbox.workspace, sandbox.task, sandbox.truth_store, now.backlog)


def _score(sandbox: Sandbox, snapshot: Snapshot) -> float:
    """The score that shapes the reward: the truth, or where that must stay unknown, health by the checks."""
    return snapshot.grade.score if sandbox.feedback == "truth" else snapshot.signals.health


def objectives(sandbox: Sandbox, state: EpisodeState, snapshot: Snapshot) -> Mapping[str, float]:
    """Parts of the score that may be seen now."""
    if state.done:
        return state.grade
    return snapshot.grade.parts if state.feedback == "truth" else {"health": snapshot.signals.health}


def rows_at_fault(signals: Signals) -> int:
    """Rows that consumers would be wrong to use, or that they lack: those at fault in each table, and those not loaded.

    Of a table whose schema broke, every row is at fault.
    """
    from mario_dagster.checks.offenders import rows_at_fault as in_table

    return int(signals.backlog_rows + sum(in_table(report) for report in signals.reports.values()))
