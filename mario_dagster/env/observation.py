"""What a player sees: signals, card and episode state as the fields of one observation.

In: a `View` (the task, its signals, how the episode stands, what the last step came to). Out: a flat mapping of
JSON-able fields, the same bytes for equal inputs. This is the one boundary where numbers become plain and finite and
text becomes sendable; nothing here reads a clock, a run id or the truth store.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from mario_dagster.core.action import ACTIONS, available
from mario_dagster.core.registry import task as find_task
from mario_dagster.core.task import Profile, Severity, Task

from . import reward
from .subgoals import Progress, progress

if TYPE_CHECKING:
    from mario_dagster.signals.signals import Signals

    from .episode_state import EpisodeState

UNDISCLOSED = "undisclosed"
# Rows that one worker clears before the next batch is due.
ROWS_A_WORKER = 30
REPEAT_TRIPWIRE = 3
ALERTS = 4
NOTES = (
    "Rows are generated from the seed; no real person, shop or order is in them.",
    "Ages and lags are measured on the incident's own clock.",
)


@dataclass(frozen=True)
class View:
    """Everything an observation is made of.

    Args:
        profile: the incident's family; masked here until it may be shown.
        objectives: parts of the score that the player may see now, by name.
    """

    task: Task
    signals: Signals
    episode_state: EpisodeState
    profile: Profile
    objectives: Mapping[str, float] = field(default_factory=dict)


def observe(view: View) -> dict[str, Any]:
    """The fields of an observation, `done`, `reward` and `metadata` included."""
    episode_state, reached = view.episode_state, progress(view.task, view.signals)
    return {
        **_framework(view),
        **_card(view.task),
        **_quality(view),
        **_tables(view),
        **_orchestration(view),
        **_scenario(view),
        **_episode(view.task, episode_state),
        **_structure(view, reached),
    }


def state_fields(view: View) -> dict[str, Any]:
    """The fields of a state: where the episode stands, and never what is behind it."""
    episode_state, signals, task = view.episode_state, view.signals, view.task
    reached = progress(task, signals)
    return {
        "episode_id": episode_state.episode_id,
        "step_count": episode_state.steps,
        "task_id": task.id,
        "task": task.slug,
        "seed": episode_state.seed,
        "scale": episode_state.scale,
        "feedback": episode_state.feedback,
        "max_steps": task.max_steps,
        "current_score": reward.shown(episode_state.score),
        "initial_score": reward.shown(episode_state.initial_score),
        "best_score": reward.shown(episode_state.best_score),
        "done": episode_state.done,
        "success": episode_state.success,
        "active_table": episode_state.active_table,
        "scenario_split": episode_state.split,
        "backlog_rows": int(signals.backlog_rows),
        "queue_backlog_age_minutes": number(signals.queue_backlog_age_minutes),
        "freshness_lag_minutes": number(signals.freshness_lag_minutes),
        "sla_severity": _severity(view),
        "resource_level": int(signals.resource_level),
        "required_resource_level": int(signals.required_resource_level),
        "pending_batches": len(signals.pending_batches),
        "time_budget_remaining": task.max_steps - episode_state.steps,
        "truncated": episode_state.truncated,
        "done_reason": episode_state.done_reason,
        "last_action_id": episode_state.last_action_id,
        "repeated_action_streak": episode_state.streak,
        "repeated_action_tripwire": episode_state.idle > REPEAT_TRIPWIRE,
        "scenario_profile": _disclosed(view, view.profile.name),
        "started_at": episode_state.started_at,
        "active_subgoal": reached.active,
        "reward_machine_state": reached.machine_state,
        "heldout_profile_family": _disclosed(view, view.profile.name if view.profile.held_out else ""),
    }


def _framework(view: View) -> dict[str, Any]:
    episode_state = view.episode_state
    last = episode_state.last_action_id
    return {
        "done": episode_state.done,
        "reward": episode_state.reward,
        "metadata": {
            "action_id": last,
            "action_name": "" if last is None else ACTIONS[last].name,
            "truncated": episode_state.truncated,
            "done_reason": episode_state.done_reason,
        },
    }


def _card(task: Task) -> dict[str, Any]:
    card = task.card
    return {
        "incident_type": card.incident_type,
        "incident_summary": card.incident_summary,
        "diagnosis_signals": list(card.diagnosis_signals),
        "recovery_requirements": list(card.recovery_requirements),
        "unsafe_commit_conditions": list(card.unsafe_commit_conditions),
        "threshold_rationale": card.threshold_rationale,
    }


def _quality(view: View) -> dict[str, Any]:
    table, signals = view.episode_state.active_table, view.signals
    report = signals.reports.get(table)
    if report is None:
        expected = list(view.task.table(table).column_names)
        return {**_EMPTY_QUALITY, "missing_expected_columns": expected, "recent_errors": texts(signals.recent_errors)}
    return {
        "missing_rate": rate(report.missing_rate),
        "duplicate_rate": rate(report.duplicate_rate),
        "type_violations": int(report.type_violations),
        "outlier_count": int(report.outlier_count),
        "format_issues": int(report.format_issues),
        "schema_report": {text(name): dict(found) for name, found in report.schema_report.items()},
        "schema_drift_count": len(report.schema_report),
        "observed_columns": texts(report.observed_columns),
        "missing_expected_columns": texts(report.missing_expected_columns),
        "column_alias_hints": {text(name): hint for name, hint in sorted(signals.alias_hints.get(table, {}).items())},
        "recent_errors": texts(signals.recent_errors),
    }


_EMPTY_QUALITY: Mapping[str, Any] = {
    "missing_rate": 0.0,
    "duplicate_rate": 0.0,
    "type_violations": 0,
    "outlier_count": 0,
    "format_issues": 0,
    "schema_report": {},
    "schema_drift_count": 0,
    "observed_columns": [],
    "column_alias_hints": {},
}


def _tables(view: View) -> dict[str, Any]:
    signals = view.signals
    return {
        "stage": view.episode_state.active_table,
        "table_health": {name: rate(health) for name, health in signals.table_health.items()},
        "dependency_alerts": _dependency_alerts(view.task, signals),
        "dependency_health_summary": {text(name): text(health) for name, health in signals.dependency_health.items()},
        "commit_ready": bool(signals.commit_ready),
        "failing_checks": texts(signals.blocking_failures),
        "check_failures": [
            {name: text(value) if isinstance(value, str) else value for name, value in failure.to_dict().items()}
            for failure in signals.check_failures
        ],
        "check_count": len(signals.check_outcomes),
    }


def _orchestration(view: View) -> dict[str, Any]:
    signals = view.signals
    return {
        "backlog_rows": int(signals.backlog_rows),
        "queue_backlog_age_minutes": number(signals.queue_backlog_age_minutes),
        "freshness_lag_minutes": number(signals.freshness_lag_minutes),
        "sla_severity": _severity(view),
        "resource_level": int(signals.resource_level),
        "required_resource_level": int(signals.required_resource_level),
        "workload_pressure": pressure(signals.backlog_rows, signals.resource_level),
        "pending_batches": len(signals.pending_batches),
        "downstream_stale": bool(signals.downstream_stale),
        "orchestration_alerts": _orchestration_alerts(view.task, signals),
        "recent_failure_counters": {text(name): int(count) for name, count in signals.recent_failure_counters.items()},
        "drift_markers": texts(signals.drift_markers),
    }


def _scenario(view: View) -> dict[str, Any]:
    profile, axes = view.profile, view.task.card.latent_variation_axes
    shown = view.episode_state.discloses
    return {
        "scenario_split": view.episode_state.split,
        "scenario_profile": _disclosed(view, profile.name),
        "open_world_patterns": list(profile.patterns) if shown else [UNDISCLOSED],
        "heldout_profile_family": _disclosed(view, profile.name if profile.held_out else ""),
        "adaptation_target": "; ".join(axes) if view.task.subgoals else "",
        "synthetic_data_notes": list(NOTES),
    }


def _episode(task: Task, episode_state: EpisodeState) -> dict[str, Any]:
    left = task.max_steps - episode_state.steps
    return {
        "current_score": reward.shown(episode_state.score),
        "steps_taken": episode_state.steps,
        "repeated_action_streak": episode_state.streak,
        "repeated_action_tripwire": episode_state.idle > REPEAT_TRIPWIRE,
        "available_actions": available(task),
        "action_result": text(episode_state.result),
        "interventions": texts(episode_state.interventions),
        "time_budget_remaining": left,
        "time_budget_ratio": round(left / task.max_steps, 4),
        "truncated": episode_state.truncated,
        "done_reason": episode_state.done_reason,
    }


def _structure(view: View, reached: Progress) -> dict[str, Any]:
    structured = bool(view.task.subgoals)
    return {
        # Sorted: a recorded line's keys come back in another order than they went in.
        "reward_breakdown": dict(sorted(view.episode_state.parts.items())),
        "objective_breakdown": {name: rate(value) for name, value in sorted(view.objectives.items())},
        "tradeoff_weights": dict(view.task.objective_weights) if structured else {},
        "subgoal_progress": dict(reached.reached),
        "subgoal_order": list(view.task.subgoals),
        "active_subgoal": reached.active,
        "reward_machine_state": reached.machine_state,
    }


def _disclosed(view: View, value: str) -> str:
    """A label of the incident: shown in train, and elsewhere once the episode is done."""
    return value if view.episode_state.discloses else UNDISCLOSED


# --- derived words and numbers ----------------------------------------------------------------------------------------


def _severity(view: View) -> Severity:
    """How badly the task's promise of fresh data is broken, from the data's lag and the queue's age."""
    signals = view.signals
    return view.task.freshness.severity(signals.freshness_lag_minutes, signals.queue_backlog_age_minutes)


def pressure(backlog_rows: int, workers: int) -> float:
    """Rows that wait, as a share of those and what the workers clear at once: 0 idle, near 1 swamped."""
    waiting = max(int(backlog_rows), 0)
    return rate(waiting / (waiting + ROWS_A_WORKER * max(int(workers), 1)))


def _dependency_alerts(task: Task, signals: Signals) -> list[str]:
    failing = [(name, found) for name, found in signals.check_outcomes.items() if not found.passed]
    alerts = [f"{name} fails: {found.detail}" if found.detail else f"{name} fails" for name, found in failing]
    across = _across_tables(task.slug)
    return texts([alert for alert, (name, _) in zip(alerts, failing, strict=True) if name in across][:ALERTS])


@cache
def _across_tables(slug: str) -> frozenset[str]:
    """Names of a task's checks that look beyond one table."""
    from mario_dagster.checks.facts import checks_for

    return frozenset(check.name for check in checks_for(find_task(slug)) if check.scope == "pipeline")


def _orchestration_alerts(task: Task, signals: Signals) -> list[str]:
    alerts = []
    pending, level, required = signals.pending_batches, signals.resource_level, signals.required_resource_level
    if pending:
        alerts.append(f"{len(pending)} batches ({signals.backlog_rows} rows) are not loaded, the first {pending[0]}")
    if task.pool and level < required:
        alerts.append(f"loading a batch takes {required} recovery workers; the pool has {level}")
    if task.pool and level > required:
        alerts.append(f"the pool has {level} recovery workers; {required} are enough")
    if signals.downstream_stale:
        alerts.append(f"out of date: {', '.join(sorted(signals.stale_tables))}")
    return texts(alerts)


# --- plain values -----------------------------------------------------------------------------------------------------


def number(value: float) -> float:
    """A finite number with one decimal; what is not finite reads 0."""
    return round(float(value), 1) + 0.0 if math.isfinite(value) else 0.0


def rate(value: float) -> float:
    """A share of 1 with four decimals."""
    return round(reward.bounded(value), 4) + 0.0


def text(value: object) -> str:
    """Text that any JSON encoder can send: a lone surrogate, which is half a character, becomes a question mark."""
    return str(value).encode("utf-8", "replace").decode("utf-8")


def texts(values: Any) -> list[str]:
    return [text(value) for value in values]
