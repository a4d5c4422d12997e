"""The repair plan: what an episode did that worked, as YAML that a person can read, edit and play elsewhere.

In: an episode's journal, or a file. Out: a `Plan`, its YAML, and an episode on a fresh sandbox in which it has been
played. Only acts that were done are in it: looks, refusals and failed runs changed nothing. Each act names the table it
is for, so that the plan does not hang on which table was active.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import yaml

from mario_dagster.core.action import ACTIONS, REPAIRS, Action, ActionId
from mario_dagster.core.errors import UnknownName
from mario_dagster.core.registry import task
from mario_dagster.core.task import Task

from .episode import Episode
from .episode_state import standing
from .options import ResetOptions, reset_options

if TYPE_CHECKING:
    from mario_dagster.sandbox.home import Home

VERSION = 1
UNDISCLOSED = "undisclosed"
# Looks and check-only runs leave everything as it was.
LOOKS = frozenset({"inspect_schema", "view_error_log", "sample_data", "validate_schema"})
ACTS: Mapping[str, ActionId] = {action.name: action.id for action in ACTIONS if action.name not in LOOKS}
INCIDENT_FIELDS = ("task", "split", "seed", "scale", "profile")
STEP_FIELDS = ("action", "table", "target_column", "new_name", "column_order")


class BadPlan(ValueError):
    """A plan that is no plan, or that cannot be played where it was to be; the message says where and why."""


@dataclass(frozen=True)
class Plan:
    """What was done to recover one incident.

    Args:
        incident: keywords of `reset` that make the incident again. `profile` is there only where the seed alone would
            draw another; `undisclosed` while the episode must not tell it.
    """

    incident: Mapping[str, Any]
    actions: tuple[Action, ...]

    @property
    def task(self) -> Task:
        return task(self.incident["task"])

    def to_yaml(self) -> str:
        """The plan as a file, fields in reading order."""
        body = {
            "version": VERSION,
            "incident": dict(self.incident),
            "steps": [_entry(action) for action in self.actions],
        }
        text: str = yaml.safe_dump(body, sort_keys=False, allow_unicode=True, width=100)
        return text

    @classmethod
    def from_yaml(cls, text: str) -> Plan:
        """The plan that a file holds.

        Raises:
            BadPlan: it is no YAML, of another version, or holds what no plan does.
        """
        try:
            body = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise BadPlan(f"this is not YAML: {' '.join(str(error).split())}") from None
        body = _mapping(body, "a plan", ("version", "incident", "steps"))
        if body.get("version") != VERSION or isinstance(body.get("version"), bool):
            raise BadPlan(f"version is {body.get('version')!r}; this package reads version: {VERSION}")
        incident = _incident(body.get("incident"))
        steps = body.get("steps")
        if not isinstance(steps, list):
            raise BadPlan("steps must be a list of acts, each with its action")
        found = task(incident["task"])
        return cls(incident, tuple(_act(step, number, found) for number, step in enumerate(steps, 1)))


# --- export -----------------------------------------------------------------------------------------------------------


def plan_of(episode: Episode) -> Plan:
    """What has been done so far in an episode, and worked."""
    lines = [line for line in episode.sandbox.steps if line.get("kind") == "step"]
    actions = [_recorded(line) for line in lines if line["status"] == "done" and line["name"] in ACTS]
    return Plan(_incident_of(episode), tuple(actions))


def _recorded(line: Mapping[str, Any]) -> Action:
    move = Action.from_dict(line["action"])
    # The line's own table: `active_table` is the one after the step.
    return replace(move, table=line["table"]) if move.id in REPAIRS else move


def _incident_of(episode: Episode) -> dict[str, Any]:
    from mario_dagster.sandbox.template_cache import Recipe

    sandbox = episode.sandbox
    incident = {
        "task": sandbox.task.slug,
        "split": sandbox.split,
        "seed": sandbox.seed,
        "scale": sandbox.scale,
    }
    drawn = Recipe.of(sandbox.task, profile=None, split=sandbox.split, seed=sandbox.seed, scale=sandbox.scale).profile
    if drawn != sandbox.profile:
        incident["profile"] = sandbox.profile if standing(sandbox.steps).discloses else UNDISCLOSED
    return incident


# --- apply ------------------------------------------------------------------------------------------------------------


def options_for(plan: Plan, overrides: Mapping[str, Any]) -> ResetOptions:
    """The incident that a plan is for, or, where keywords are given, another one.

    Raises:
        BadPlan: the plan was exported before its profile might be told, and no profile is given.
        BadRequest, UnknownName: what is given is no task, split, seed or id.
    """
    given = {name: value for name, value in overrides.items() if value is not None}
    keywords = {**plan.incident, **given}
    if keywords.get("profile") == UNDISCLOSED:
        raise BadPlan("the incident's profile was undisclosed when the plan was exported; name it")
    return reset_options(keywords)


def apply(plan: Plan, options: ResetOptions, home: Home | None = None) -> Episode:
    """An episode on a fresh sandbox, with the plan played in it. The caller closes it.

    Raises:
        BadPlan: the plan is for another task, or an act was refused or failed; the episode stays where that left it.
    """
    if options.task.slug != plan.task.slug:
        raise BadPlan(f"the plan is for task '{plan.task.slug}', not '{options.task.slug}'")
    episode = Episode.start(options, via="plan", home=home)
    try:
        for number, act in enumerate(plan.actions, 1):
            _play(episode, act, number)
    except BaseException:
        episode.close()
        raise
    return episode


def _play(episode: Episode, act: Action, number: int) -> None:
    """One act, on its table."""
    for move in _moves(episode, act):
        now = episode.standing()
        if now.done:
            raise BadPlan(f"step {number} ({move.name}): episode {episode.id} was over ({now.done_reason})")
        episode.step(move)
        line = episode.sandbox.steps[-1]
        if line["status"] != "done":
            raise BadPlan(f"step {number} ({move.name}) of episode {episode.id}: {line['result']}")


def _moves(episode: Episode, act: Action) -> Iterable[Action]:
    if act.table is not None and act.table != episode.standing().active_table:
        yield Action(ActionId.INSPECT_SCHEMA, target_column=act.table)
    yield act


def _entry(action: Action) -> dict[str, Any]:
    """An action as a plan's file has it: its name, its table, its arguments."""
    config = action.to_config()
    named = {"table": action.table} if action.table else {}
    return {"action": config.pop("action"), **named, **config}


# --- reading a file ---------------------------------------------------------------------------------------------------


def _incident(value: object) -> dict[str, Any]:
    incident = _mapping(value, "incident", INCIDENT_FIELDS)
    for name in ("task", "seed"):
        if name not in incident:
            raise BadPlan(f"incident needs {name}")
    try:
        return {**incident, "task": task(incident["task"]).slug}
    except UnknownName as error:
        raise BadPlan(f"incident: {error}") from None


def _act(value: object, number: int, found: Task) -> Action:
    where = f"step {number}"
    fields = _mapping(value, where, STEP_FIELDS)
    name, table = fields.get("action"), fields.get("table")
    if not isinstance(name, str) or name not in ACTS:
        raise BadPlan(f"{where}: {UnknownName('action', name, ACTS)}")
    move = Action(ACTS[name], table=table if isinstance(table, str) else None)
    if table is not None and (not isinstance(table, str) or table not in found.table_names):
        raise BadPlan(f"{where}: {UnknownName('table', table, found.table_names)}")
    if (move.id in REPAIRS) != (table is not None):
        raise BadPlan(
            f"{where}: {name} {'needs a' if table is None else 'is of the whole pipeline and takes no'} table"
        )
    for need in ("target_column", "new_name", "column_order"):
        if need in fields and need not in move.spec.needs:
            raise BadPlan(f"{where}: {name} takes no {need}")
        if need in move.spec.needs:
            move = _with(move, need, fields.get(need), where)
    return move


def _with(move: Action, need: str, given: object, where: str) -> Action:
    if need == "column_order":
        if not isinstance(given, list) or not all(isinstance(name, str) for name in given) or not given:
            raise BadPlan(f"{where}: {move.name} needs column_order, a list of column names")
        return replace(move, column_order=tuple(given))
    if not isinstance(given, str) or not given:
        raise BadPlan(f"{where}: {move.name} needs {need}, a column name")
    return replace(move, target_column=given) if need == "target_column" else replace(move, new_name=given)


def _mapping(value: object, what: str, fields: tuple[str, ...]) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise BadPlan(f"{what} must be a mapping with {', '.join(fields)}, not {type(value).__name__}")
    for name in value:
        if name not in fields:
            raise BadPlan(f"{what}: {UnknownName('field', name, fields)}")
    return value
