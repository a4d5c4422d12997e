"""The repair plan: what an episode did that worked, as YAML that a person can read, edit and play elsewhere.

In: an episode's journal, or a file. Out: a `Plan`, its YAML, and an episode on a fresh sandbox in which it has been
played. Only acts that were done are in it: looks, refusals and failed runs changed nothing. Each act names the table it
is for, so that the plan does not hang on which table was active.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any

import yaml
from pydantic import BeforeValidator

from mario_dagster.core.action import ACTIONS, ARGUMENTS, REPAIRS, Action, ActionId, Need
from mario_dagster.core.errors import UnknownName
from mario_dagster.core.registry import task
from mario_dagster.core.task import Split, Task

from .arguments import Arguments, Model, Says, read, unknown
from .episode import Episode
from .episode_state import episode_state
from .errors import BadRequest
from .options import ProfileName, ResetOptions, Scale, Seed, reset_options, task_named

if TYPE_CHECKING:
    from mario_dagster.sandbox.home import Home

VERSION = 1
UNDISCLOSED = "undisclosed"
# Looks and check-only runs leave everything as it was.
LOOKS = frozenset({"inspect_schema", "view_error_log", "sample_data", "validate_schema"})
ACTS: Mapping[str, ActionId] = {action.name: action.id for action in ACTIONS if action.name not in LOOKS}


class BadPlan(ValueError):
    """A plan that is no plan, or that cannot be played where it was to be; the message says where and why."""


def _version(value: object) -> object:
    if value != VERSION or isinstance(value, bool):
        raise ValueError(f"version is {value!r}; this package reads version: {VERSION}")
    return value


def _act_named(value: object) -> ActionId:
    if not isinstance(value, str) or value not in ACTS:
        raise ValueError(unknown("action", value, tuple(ACTS)))
    return ACTS[value]


class _File(Arguments):
    """A plan's file; what is below its fields is read one by one, to say where something is wrong."""

    version: Annotated[Any, BeforeValidator(_version)]
    incident: Any
    steps: Annotated[list[Any], Says("a list of acts, each with its action")]


class _Incident(Arguments):
    task: Annotated[Any, BeforeValidator(task_named)]
    split: Split | None = None
    seed: Seed
    scale: Scale = None
    profile: ProfileName = None


class _Entry(Arguments):
    """An act as a file has it; its arguments are judged by what the action needs."""

    action: Annotated[Any, BeforeValidator(_act_named)]
    table: Any = None
    target_column: Any = None
    new_name: Any = None
    column_order: Any = None


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
        file = _part(_File, body, "a plan", where="")
        given = _part(_Incident, file.incident, "incident", where="incident: ")
        incident = {"task": given.task.slug, **given.model_dump(exclude={"task"}, exclude_unset=True)}
        return cls(incident, tuple(_act(step, number, given.task) for number, step in enumerate(file.steps, 1)))


# --- export -----------------------------------------------------------------------------------------------------------


def plan_of(episode: Episode) -> Plan:
    """What has been done so far in an episode, and worked."""
    lines = [line for line in episode.sandbox.steps if line.get("kind") == "step"]
    actions = [_recorded(line) for line in lines if line["status"] == "done" and line["name"] in ACTS]
    return Plan(_incident_of(episode), tuple(actions))


def left_out(episode: Episode) -> tuple[str, ...]:
    """What people did and no action does, which a plan therefore lacks: each in words."""
    lines = (line for line in episode.sandbox.steps if line.get("kind") == "step")
    return tuple(line["result"] for line in lines if line["status"] == "done" and line["action"] is None)


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
        incident["profile"] = sandbox.profile if episode_state(sandbox.steps).discloses else UNDISCLOSED
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
        now = episode.episode_state()
        if now.done:
            raise BadPlan(f"step {number} ({move.name}): episode {episode.id} was over ({now.done_reason})")
        episode.step(move)
        line = episode.sandbox.steps[-1]
        if line["status"] != "done":
            raise BadPlan(f"step {number} ({move.name}) of episode {episode.id}: {line['result']}")


def _moves(episode: Episode, act: Action) -> Iterable[Action]:
    if act.table is not None and act.table != episode.episode_state().active_table:
        yield Action(ActionId.INSPECT_SCHEMA, target_column=act.table)
    yield act


def _entry(action: Action) -> dict[str, Any]:
    """An action as a plan's file has it: its name, its table, its arguments."""
    config = action.to_config()
    named = {"table": action.table} if action.table else {}
    return {"action": config.pop("action"), **named, **config}


# --- reading a file ---------------------------------------------------------------------------------------------------


def _part(model: type[Model], value: object, what: str, where: str) -> Model:
    """A part of a file. Raises `BadPlan` where it is none."""
    try:
        return read(model, value, what, "field", where)
    except BadRequest as error:
        raise BadPlan(str(error)) from None


def _act(value: object, number: int, task: Task) -> Action:
    where = f"step {number}"
    entry = _part(_Entry, value, where, f"{where}: ")
    action, table = Action(entry.action), entry.table
    if table is not None and table not in task.table_names:
        raise BadPlan(f"{where}: {UnknownName('table', table, task.table_names)}")
    if (action.id in REPAIRS) != (table is not None):
        raise BadPlan(
            f"{where}: {action.name} {'needs a' if table is None else 'is of the whole pipeline and takes no'} table"
        )
    arguments = {name: _argument(action, name, getattr(entry, name), where) for name in ARGUMENTS}
    return replace(action, table=table, **arguments)


def _argument(action: Action, name: Need, given: object, where: str) -> Any:
    """An argument that the action needs, or None for one that it does not take."""
    if name not in action.spec.needs:
        if given is not None:
            raise BadPlan(f"{where}: {action.name} takes no {name}")
        return None
    if name == "column_order":
        if not isinstance(given, list) or not all(isinstance(each, str) for each in given) or not given:
            raise BadPlan(f"{where}: {action.name} needs column_order, a list of column names")
        return tuple(given)
    if not isinstance(given, str) or not given:
        raise BadPlan(f"{where}: {action.name} needs {name}, a column name")
    return given
