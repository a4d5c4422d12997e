"""The wire: what an action, an observation and a state are, as OpenEnv models.

In: JSON. Out: typed values. Fields and bounds only: a validator that raises would cost an OpenEnv client its session,
so whatever needs the pipeline to be judged is judged in the step and comes back as an observation. Importing this
imports OpenEnv, which takes seconds; the engine and `Episode` do without.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from mario_dagster.checks.reasons import REASONS
from mario_dagster.core.action import ACTIONS

from .arguments import Says, integer, read
from .errors import BadRequest
from .openenv import Action, Observation, State

NAME_LENGTH, ORDER_LENGTH, VALUE_LENGTH = 128, 256, 256


Name = Annotated[str, Field(max_length=NAME_LENGTH)]
Value = Annotated[str, Field(max_length=VALUE_LENGTH)]
WireActionId = Annotated[
    int,
    Field(strict=True, ge=0, le=len(ACTIONS) - 1),
    BeforeValidator(integer),
    Says(f"a whole number from 0 to {len(ACTIONS) - 1}"),
]
_SAYS_NAME = Says(f"a name of at most {NAME_LENGTH} characters")
_SAYS_ORDER = Says(f"a list of at most {ORDER_LENGTH} names, each of at most {NAME_LENGTH} characters")
_SAYS_VALUE = Says(f"text of at most {VALUE_LENGTH} characters")

_ACTION_TABLE = "; ".join(
    f"{action.id} {action.name}: {action.summary}" + (f" (needs {', '.join(action.needs)})" if action.needs else "")
    for action in ACTIONS
)


_REASONS = "Why, as a code. " + "; ".join(f"{reason}: {what}" for reason, what in REASONS.items())


class MarioAction(Action):
    """One of the twenty actions, on the active table."""

    action_id: WireActionId = Field(description=_ACTION_TABLE)
    target_column: Annotated[Name | None, _SAYS_NAME] = Field(
        default=None, description="Column to work on; for inspect_schema, the table to make active."
    )
    new_name: Annotated[Name | None, _SAYS_NAME] = Field(
        default=None, description="What rename_column calls the column."
    )
    column_order: Annotated[list[Name] | None, _SAYS_ORDER] = Field(
        default=None, max_length=ORDER_LENGTH, description="Every column of the table, in the order wanted."
    )
    select: Annotated[Name | None, _SAYS_NAME] = Field(
        default=None,
        description="What sample_data shows: head, the first five rows (unless said); last_batch; offenders, rows that "
        "break checks, worst first, of target_column if given; distinct, values of target_column with counts; equal, "
        "rows whose target_column is value.",
    )
    value: Annotated[Value | None, _SAYS_VALUE] = Field(
        default=None, description="What select equal looks for, as sample_data shows it."
    )


def read_action(fields: Any) -> MarioAction:
    """The action of a request, over HTTP and over `/ws`.

    Raises:
        BadRequest: it is none; the message names the field and the choices.
    """
    if not isinstance(fields, dict) or not fields:
        raise BadRequest('a step takes an action: {"action_id": 0 to 19, ...}')
    return read(MarioAction, fields, "an action", "field of an action")


class CheckFailure(BaseModel):
    """One reason for which a check fails, as data."""

    model_config = ConfigDict(extra="forbid")

    check: str = Field(description="The check's name.")
    table: str = Field(description="The table at fault.")
    column: str = Field(default="", description="Its column; empty where the table as a whole is at fault.")
    reason: str = Field(description=f"{_REASONS}; an audit's is the name of the expectation that does not hold.")
    count: int = Field(ge=0, description="Rows, cells or columns at fault, as the check counts them.")


class MarioObservation(Observation):
    """What the person on call can see: signals from checks, tables and the instance, and how the episode stands."""

    # the incident's card
    incident_type: str = Field(default="", description="Kind of incident the task is about.")
    incident_summary: str = Field(default="", description="What is known to be wrong.")
    diagnosis_signals: list[str] = Field(default_factory=list, description="Fields worth reading first.")
    recovery_requirements: list[str] = Field(default_factory=list, description="What must hold before a commit.")
    unsafe_commit_conditions: list[str] = Field(default_factory=list, description="When a commit would be wrong.")
    threshold_rationale: str = Field(default="", description="Why the threshold is where it is.")

    # quality of the active table
    missing_rate: float = Field(default=0.0, ge=0, le=1, description="Null cells, as a share.")
    duplicate_rate: float = Field(default=0.0, ge=0, le=1, description="Rows whose key occurred before, as a share.")
    type_violations: int = Field(default=0, ge=0, description="Columns stored in another type than their contract's.")
    outlier_count: int = Field(default=0, ge=0, description="Rows with an implausible amount.")
    format_issues: int = Field(default=0, ge=0, description="Cells of a wrong pattern, category or spelling.")
    schema_report: dict[str, dict[str, str]] = Field(
        default_factory=dict, description="Columns that differ from the contract: expected and actual type."
    )
    schema_drift_count: int = Field(default=0, ge=0, description="How many columns differ.")
    observed_columns: list[str] = Field(default_factory=list, description="Columns as stored, in order.")
    missing_expected_columns: list[str] = Field(default_factory=list, description="Contract columns that it lacks.")
    column_alias_hints: dict[str, str] = Field(
        default_factory=dict, description="Stored column -> the contract column it looks like, by name and values."
    )
    recent_errors: list[str] = Field(
        default_factory=list, description="Newest failures since the last publication, at most five."
    )

    # tables and what depends on what
    stage: str = Field(default="", description="The active table.")
    table_health: dict[str, float] = Field(default_factory=dict, description="Table -> health by its checks, 0 to 1.")
    dependency_alerts: list[str] = Field(default_factory=list, description="Facts across tables that fail.")
    dependency_health_summary: dict[str, str] = Field(default_factory=dict, description="Table -> its lineage.")
    commit_ready: bool = Field(default=False, description="Every blocking check would pass now.")
    failing_checks: list[str] = Field(default_factory=list, description="Blocking checks that would fail now.")
    check_failures: list[CheckFailure] = Field(
        default_factory=list,
        description="Why checks fail now, as data: check, table, column, reason, count; of audits, what the newest run "
        "found in the tables as they are.",
    )
    check_count: int = Field(default=0, ge=0, description="Checks that were evaluated.")

    # orchestration
    backlog_rows: int = Field(default=0, ge=0, description="Rows that have landed and are not loaded.")
    queue_backlog_age_minutes: float = Field(default=0.0, ge=0, description="Age of the oldest batch not loaded.")
    freshness_lag_minutes: float = Field(default=0.0, ge=0, description="Age of the oldest data derived tables lack.")
    sla_severity: str = Field(default="none", description="none, elevated, high or critical.")
    resource_level: int = Field(default=0, ge=0, description="Slots of the recovery pool.")
    required_resource_level: int = Field(default=0, ge=0, description="Slots that loading a batch takes now.")
    workload_pressure: float = Field(default=0.0, ge=0, le=1, description="Waiting rows against what workers clear.")
    pending_batches: int = Field(default=0, ge=0, description="Batches that have landed and are not loaded.")
    downstream_stale: bool = Field(default=False, description="Dagster calls a derived table stale.")
    orchestration_alerts: list[str] = Field(default_factory=list, description="The same in words.")
    recent_failure_counters: dict[str, int] = Field(default_factory=dict, description="Failures by name, since then.")
    drift_markers: list[str] = Field(default_factory=list, description="Traces of schema drift.")

    # scenario
    scenario_split: str = Field(default="train", description="train or eval.")
    scenario_profile: str = Field(default="", description="Family of the incident; undisclosed in eval until done.")
    open_world_patterns: list[str] = Field(default_factory=list, description="What drifts; undisclosed likewise.")
    heldout_profile_family: str = Field(default="", description="Undisclosed in eval until done.")
    adaptation_target: str = Field(default="", description="What incidents of this task vary in.")
    synthetic_data_notes: list[str] = Field(default_factory=list, description="Where the data come from.")

    # the episode
    current_score: float = Field(default=0.01, ge=0, le=1, description="By the feedback; true at the end.")
    steps_taken: int = Field(default=0, ge=0)
    repeated_action_streak: int = Field(default=0, ge=0, description="The newest action, how often in a row.")
    repeated_action_tripwire: bool = Field(
        default=False, description="More repeats that changed nothing than are free."
    )
    available_actions: list[int] = Field(default_factory=list, description="Action ids that the task has.")
    action_result: str = Field(default="", description="What came of the newest action; `invalid:` if nothing.")
    interventions: list[str] = Field(
        default_factory=list, description="What people did to the pipeline since the action before, in words."
    )
    time_budget_remaining: int = Field(default=0, ge=0, description="Steps left.")
    time_budget_ratio: float = Field(default=0.0, ge=0, le=1, description="Steps left, as a share.")
    truncated: bool = Field(default=False, description="The step budget ran out.")
    done_reason: str = Field(default="", description="Why it ended; empty while it goes on.")

    # structured reward
    reward_breakdown: dict[str, float] = Field(default_factory=dict, description="The reward's parts, adding up to it.")
    objective_breakdown: dict[str, float] = Field(default_factory=dict, description="The score's parts, 0 to 1 each.")
    tradeoff_weights: dict[str, float] = Field(default_factory=dict, description="How the score weighs its parts.")
    subgoal_progress: dict[str, bool] = Field(default_factory=dict, description="Subgoal -> whether it holds now.")
    subgoal_order: list[str] = Field(default_factory=list, description="The order a careful engineer would go in.")
    active_subgoal: str = Field(default="", description="The first that does not hold.")
    reward_machine_state: str = Field(default="", description="`s<held>/<all>:<next>`.")


class MarioState(State):
    """Where an episode stands. Never a label of the incident before it may be shown, nor anything of the truth."""

    task_id: int = Field(default=0, ge=0)
    task: str = ""
    seed: int | None = None
    scale: int = Field(default=1, ge=1)
    feedback: str = Field(default="", description="What shapes reward and score: truth or checks.")
    max_steps: int = Field(default=0, ge=0)
    current_score: float = Field(default=0.01, ge=0, le=1)
    initial_score: float = Field(default=0.01, ge=0, le=1)
    best_score: float = Field(default=0.01, ge=0, le=1)
    done: bool = False
    success: bool | None = Field(default=None, description="None while the episode goes on.")
    active_table: str = ""
    scenario_split: str = "train"
    backlog_rows: int = Field(default=0, ge=0)
    queue_backlog_age_minutes: float = Field(default=0.0, ge=0)
    freshness_lag_minutes: float = Field(default=0.0, ge=0)
    sla_severity: str = "none"
    resource_level: int = Field(default=0, ge=0)
    required_resource_level: int = Field(default=0, ge=0)
    pending_batches: int = Field(default=0, ge=0)
    time_budget_remaining: int = Field(default=0, ge=0)
    truncated: bool = False
    done_reason: str = ""
    last_action_id: int | None = None
    repeated_action_streak: int = Field(default=0, ge=0)
    repeated_action_tripwire: bool = False
    scenario_profile: str = ""
    started_at: str = Field(default="", description="When the incident struck, on its own clock.")
    active_subgoal: str = ""
    reward_machine_state: str = ""
    heldout_profile_family: str = ""
