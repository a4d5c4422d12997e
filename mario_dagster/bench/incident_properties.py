"""What must hold of every compiled incident, each as a function of it alone: no sandbox, so that many seeds are cheap.

In: an `Incident`. Out: an empty text when the property holds, else what is wrong. What shows in a pipeline only (that
the checks fail, that the solution recovers it) is in `properties.py`, on a real sandbox.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import pandas as pd

from mario_dagster.checks.contract import contract_report
from mario_dagster.checks.facts import Check, checks_for
from mario_dagster.checks.outcome import CheckContext, Outcome
from mario_dagster.core.action import Action, ActionId
from mario_dagster.core.deploy import Deploy
from mario_dagster.core.registry import task as find_task
from mario_dagster.core.task import Table, Task
from mario_dagster.incidents.compile import Incident
from mario_dagster.incidents.profiles import profiles
from mario_dagster.inject.redelivery import reference
from mario_dagster.scoring.compare import PipelineState, Truth, table_parts, weighed
from mario_dagster.scoring.score import grade
from mario_dagster.tables.frames import column_type, content_hash
from mario_dagster.tables.load import deployed, stack
from mario_dagster.tables.repairs import REPAIR_NAMES, InvalidRepair, apply
from mario_dagster.tables.spec import pipeline_spec

from .bookkeeping import disagreements

RECOVERED = 0.999
# Of a column's values, how many at most may be nowhere any more; and so many in a table that is small.
MOST_LOST, FEW = 0.2, 2

IncidentProperty = Callable[[Incident], str]


def the_manifest_is_the_exact_difference(incident: Incident) -> str:
    """What the damage manifest says was changed is what landed less what was sent, cell by cell and row by row."""
    return _first(disagreements(incident, find_task(incident.task)))


def the_books_are_complete(incident: Incident) -> str:
    """Every batch is loaded or waits, all that lands is declared as it was sent, and the plan takes up all that comes.

    It ends with the commit where it is right to publish, and with none where it is right to hold back.
    """
    clean, names = incident.clean, [step.name for step in incident.solution]
    sent = {f"{table.feed}/{batch}": rows for table, batch, rows in _sent(incident)}
    coming = len(incident.pending) - len(incident.unavailable)
    wrong = {
        "batches are neither loaded nor pending": [*incident.healthy_batches, *incident.pending]
        != [batch.name for batch in clean.batches],
        f"declared are {dict(incident.declared)}, and sent were {sent}": dict(incident.declared) != sent,
        "what lands is not what is declared": incident.landing.keys() != incident.declared.keys(),
        f"the plan replays other than the {coming} batches that come": names.count("replay_priority_batch") != coming,
        "the plan does not end in what is right": (names[-1:] == ["commit_changes"])
        is not (incident.decision == "publish"),
        "the plan commits midway": "commit_changes" in names[:-1],
    }
    return _first(text for text, is_wrong in wrong.items() if is_wrong)


def _sent(incident: Incident) -> Iterator[tuple[Table, str, int]]:
    """What producers sent, by table and batch, in rows; a feed without batches sends one."""
    for table in find_task(incident.task).tables:
        if table.feed is None:
            continue
        if table.batched:
            yield from ((table, batch.name, len(batch.frame)) for batch in incident.clean.batches)
        else:
            (name,) = (key.split("/", 1)[1] for key in incident.landing if key.startswith(f"{table.feed}/"))
            yield table, name, len(incident.clean.feeds[table.feed])


def a_drift_is_in_every_batch_alike(incident: Incident) -> str:
    """All batches of a feed land with the same columns in the same types: what is there shows what is still to come."""
    table = find_task(incident.task).batched_table
    if table is None:
        return ""
    frames = _landed(incident, table)
    shapes = {tuple((name, column_type(frame[name])) for name in frame.columns) for frame in frames}
    return "" if len(shapes) == 1 else f"{table.feed} lands in {len(shapes)} shapes: {sorted(shapes)[:2]}"


def few_values_are_lost(incident: Incident) -> str:
    """Only numbers and categories are lost, for which a plausible value can stand, and few of any column."""
    lost = _lost(incident)
    wrong = []
    for table, frame in _truth_tables(incident).items():
        for name in sorted({column for _, column in lost.get(table, ())}):
            column = find_task(incident.task).table(table).column(name)
            count = sum(each == name for _, each in lost[table])
            if not (column.is_number or column.categories):
                wrong.append(f"{table}.{name} lost values that nobody can fill")
            if count > max(FEW, round(MOST_LOST * len(frame))):
                wrong.append(f"{table}.{name} lost {count} of {len(frame)} values")
    return _first(wrong)


def the_clean_data_are_clean(incident: Incident) -> str:
    """What was really sent passes every check, holds no outlier, and no repair that could harm it does.

    Reading texts, dropping outliers and removing duplicates change nothing of a table that is right.
    """
    task, truth = find_task(incident.task), _truth_tables(incident)
    context = _context(incident, truth)
    wrong = [f"{check.name}: {found.detail}" for check, found in _outcomes(task, context) if not found.passed]
    for table in task.tables:
        frame = truth[table.name]
        wrong += [f"{table.name} holds outliers"] if context.report(table.name).outlier_count else []
        for column in table.columns:
            repair = Action.named("drop_outliers" if column.is_number else "cast_to_string", column.name)
            if content_hash(apply(repair, frame, table)) != content_hash(frame):
                wrong.append(f"{repair.name} harms {table.name}.{column.name}")
        if content_hash(apply(Action.named("remove_duplicates"), frame, table)) != content_hash(frame):
            wrong.append(f"remove_duplicates harms {table.name}")
    return _first(wrong)


def the_damage_shows(incident: Incident) -> str:
    """What the tables were loaded with fails a check; of a drawn profile, it scores under the threshold at best.

    At best: as though all else (backlog, freshness, pool) were as it should be.
    """
    task, truth = find_task(incident.task), _truth_tables(incident)
    if not set(incident.solution) - {Action(ActionId.COMMIT_CHANGES)}:
        return ""  # a false alarm
    tables = {}
    for table in task.tables:
        if table.derived:
            tables[table.name] = deployed(truth[table.name], incident.deploys.get(table.name, Deploy()))
        else:
            loaded = {f"{table.feed}/{batch}" for batch in incident.healthy_batches} if table.batched else None
            tables[table.name] = stack(_landed(incident, table, loaded))
    whole = _context(incident, tables)
    there = {batch: whole.landed[batch] for batch in incident.healthy_batches if batch in whole.landed}
    context = replace(whole, landed=there, pending=incident.pending)
    if all(found.passed for _, found in _outcomes(task, context)):
        return "every check passes"
    drawn = incident.profile in {each.name for each in profiles(task)}
    score = _score(incident, tables, len(incident.pending))
    return f"it scores {score:.4f} before any repair" if drawn and score >= task.threshold else ""


def the_repairs_undo_the_damage(incident: Incident) -> str:
    """The solution's repairs of a table, on all that lands for it, give the reference, lost values apart."""
    wrong = []
    for table in find_task(incident.task).tables:
        if shortfall := _shortfall(incident, table, _repairs(incident, table)):
            wrong.append(f"{table.name}, when it is repaired, {shortfall}")
    return _first(wrong)


def every_repair_is_needed(incident: Incident) -> str:
    """Without any one of the solution's repairs its table is not the reference."""
    wrong = []
    for table in find_task(incident.task).tables:
        repairs = _repairs(incident, table)
        for place, repair in enumerate(repairs):
            if not _shortfall(incident, table, (*repairs[:place], *repairs[place + 1 :])):
                wrong.append(f"{table.name} needs no {repair.name}({repair.target_column or ''})")
    return _first(wrong)


def deleting_rows_is_no_repair(incident: Incident) -> str:
    """Of tables that are right, a row, half or all rows of one taken away fail a gate, and the score says so."""
    task, truth = find_task(incident.task), _truth_tables(incident)
    (kept_all,) = [check for check in checks_for(task) if check.name == "no_landed_row_is_lost"]
    wrong = [] if _score(incident, truth) > RECOVERED else ["the truth does not score 1"]
    for table in task.tables:
        if table.derived:
            continue
        rows = len(truth[table.name])
        for kept in (rows - 1, rows // 2, 0):
            tables = _computed(task, {**truth, table.name: truth[table.name].iloc[:kept].reset_index(drop=True)})
            if not kept_all.blocking or kept_all.evaluate(_context(incident, tables)).passed:
                wrong.append(f"{table.name} with {kept} of {rows} rows passes")
            if (score := _score(incident, tables)) >= (RECOVERED if kept else task.threshold):
                wrong.append(f"{table.name} with {kept} of {rows} rows scores {score:.4f}")
    return _first(wrong)


# --- what they are made of --------------------------------------------------------------------------------------------


def _first(wrong: Iterable[str]) -> str:
    """The first few things that are wrong, in one line."""
    return "; ".join(list(wrong)[:3])


def _landed(incident: Incident, table: Table, keys: Collection[str] | None = None) -> list[pd.DataFrame]:
    """What lands for a table, all of it or only the files of these keys."""
    files = {key: frame for key, frame in incident.landing.items() if key.startswith(f"{table.feed}/")}
    return [frame for key, frame in files.items() if keys is None or key in keys]


def _truth_tables(incident: Incident) -> Mapping[str, pd.DataFrame]:
    task = find_task(incident.task)
    return reference(incident, task, pipeline_spec(task).transforms)


def _computed(task: Task, tables: Mapping[str, pd.DataFrame]) -> Mapping[str, pd.DataFrame]:
    """The tables with those that are derived computed from the others."""
    found = dict(tables)
    for table in task.derived_tables:
        transform = pipeline_spec(task).transforms[table.name]
        found[table.name] = transform(**{name: found[name] for name in table.upstream})
    return found


def _lost(incident: Incident) -> Mapping[str, frozenset[tuple[str, str]]]:
    """Table -> (key as text, column) of the cells whose value is nowhere any more."""
    cells = incident.damage_manifest.cells
    gone = cells[cells["lost"].astype(bool)]
    return {
        str(table): frozenset(zip(rows["key"], rows["column"], strict=True)) for table, rows in gone.groupby("table")
    }


def _repairs(incident: Incident, table: Table) -> tuple[Action, ...]:
    return tuple(step for step in incident.solution if step.table == table.name and step.name in REPAIR_NAMES)


def _shortfall(incident: Incident, table: Table, repairs: Sequence[Action]) -> str:
    """What a table, as it landed or as its release computes it, lacks of the reference after these repairs.

    A repair that does not apply does nothing, as in a play. A release's wrong amounts are for a refresh to undo.
    """
    truth = _truth_tables(incident)[table.name]
    if table.derived:
        live = incident.deploys.get(table.name, Deploy())
        frame = deployed(truth, Deploy(live.rename, live.texts))
    else:
        frame = stack(_landed(incident, table))
    for repair in repairs:
        try:
            frame = apply(repair, frame, table)
        except InvalidRepair:
            continue
    score = weighed(table_parts(table, frame, truth, _lost(incident).get(table.name, frozenset())))
    if score < RECOVERED:
        return f"scores {score:.4f}"
    return "" if contract_report(frame, table).passed else "breaks its contract"


def _context(incident: Incident, tables: Mapping[str, pd.DataFrame]) -> CheckContext:
    """What checks look at when everything has landed and been computed."""
    task = find_task(incident.task)
    landed = {batch: rows for table, batch, rows in _sent(incident) if table.batched}
    declared = {str(table.feed): rows for table, _, rows in _sent(incident) if not table.batched}
    return CheckContext(task, tables, landed, (), frozenset(), declared)


def _outcomes(task: Task, context: CheckContext) -> list[tuple[Check, Outcome]]:
    """Every check but the audits, with what it finds."""
    return [(check, check.evaluate(context)) for check in checks_for(task) if check.kind != "audit"]


def _score(incident: Incident, tables: Mapping[str, pd.DataFrame], pending: int = 0) -> float:
    """The task's score of tables in a pipeline that is fresh and has the workers that it takes."""
    batches, floor = len(incident.clean.batches), incident.required_floor
    state = PipelineState(batches - pending, pending, 0.0, False, floor, floor, incident.pending)
    return grade(find_task(incident.task), tables, Truth(_truth_tables(incident), _lost(incident)), state).score


INCIDENT_PROPERTIES: Mapping[str, IncidentProperty] = {
    each.__name__: each
    for each in (
        the_manifest_is_the_exact_difference,
        the_books_are_complete,
        a_drift_is_in_every_batch_alike,
        few_values_are_lost,
        the_clean_data_are_clean,
        the_damage_shows,
        the_repairs_undo_the_damage,
        every_repair_is_needed,
        deleting_rows_is_no_repair,
    )
}
