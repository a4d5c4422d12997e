"""Why a step of a run failed, in a player's words: which table, which checks, and what would be needed.

In: the step's key, what was raised in it as "Error: text", the checks that the run denied. Out: one line without the
orchestrator's own words: its class names, step keys and stock phrases mean nothing to whoever repairs a table.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from mario_dagster.core.registry import tasks
from mario_dagster.core.task import Task

# What the pipeline itself raises: its texts are sentences, and need no class in front.
OURS = frozenset({"Failure", "TransformError", "LandingError", "InvalidRepair"})
ORCHESTRATOR = re.compile(r"\bDagster\w*(?:Error|Failure|DidNotPass)\b")
GATE, LANDED, PUBLISH = "_gate", "landed_", "publish"
LONGEST = 400


def cause(step: str, error: str, denied: Mapping[str, Sequence[str]]) -> str:
    """Why a step failed.

    Args:
        step: its key; empty for the run itself.
        error: what was raised, as "ValueError: no such column".
        denied: table -> the checks that failed in the same run, each in words.
    """
    words, task = _words(error), _task_of(step)
    part = step.removeprefix(f"{task.slug}__") if task else ""
    if task is None:
        return f"it could not be run: {words}"
    table = part.removesuffix(GATE)
    if part.endswith(GATE) and table in task.table_names:
        return stopped({table: denied[table]}) if denied.get(table) else f"{table} could not be judged: {words}"
    if part in task.table_names:
        return f"{part} could not be made: {words}"
    if part.startswith(LANDED):
        return f"{part.removeprefix(LANDED)} could not be landed: {words}"
    return f"nothing is published: {words}" if part == PUBLISH else words


def stopped(denied: Mapping[str, Sequence[str]]) -> str:
    """What stopped a run at a gate: `orders fails order_ids_are_unique, ...; they have to pass first`."""
    failing = [f"{table} fails {', '.join(checks)}" for table, checks in denied.items() if checks]
    several = sum(map(len, denied.values())) > 1
    return f"{'; '.join(failing)}; {'they have' if several else 'it has'} to pass first"


def _words(error: str) -> str:
    """What an error says, on one line: of the pipeline's own its sentence, of the orchestrator's nothing."""
    name, _, text = error.partition(": ")
    if not error or ORCHESTRATOR.search(error):
        return "the orchestrator stopped it, for no fault of the tables"
    line = " ".join((text if name in OURS else error).split())
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 3]}..."


def _task_of(step: str) -> Task | None:
    """The task whose step it is; of two that fit the one with the longer name."""
    fitting = [task for task in tasks() if step.startswith(f"{task.slug}__")]
    return max(fitting, key=lambda task: len(task.slug), default=None)
