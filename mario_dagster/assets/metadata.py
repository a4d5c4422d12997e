"""What a run tells people of tables and checks: schema as stored beside the contract's, a preview, rows at fault.

In: contracts, frames, outcomes. Out: metadata of Dagster's. Numbers are numbers, so that the UI plots them over an
episode; nothing here is read back, but for what an audit found.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dagster as dg
import pandas as pd

from mario_dagster.checks.contract import ContractReport, type_of
from mario_dagster.checks.facts import Check, checks_for
from mario_dagster.checks.offenders import rows_at_fault
from mario_dagster.checks.outcome import Outcome
from mario_dagster.checks.suggestions import expected, suggestions
from mario_dagster.core.action import Action
from mario_dagster.core.task import Column, Table, Task
from mario_dagster.runtime.queries import AUDITED

PREVIEW_ROWS, PREVIEW_TEXT = 5, 60
COLUMN_SCHEMA = "dagster/column_schema"
_TYPES = {"int64": "int", "float64": "float", "string": "string", "date": "date", "timestamp": "timestamp"}


# --- tables -----------------------------------------------------------------------------------------------------------


def contract_metadata(table: Table) -> dict[str, Any]:
    """What a table's definition tells: its contract, and the column that names a row."""
    schema = dg.TableSchema(columns=[_contract_column(table, column) for column in table.columns])
    return {COLUMN_SCHEMA: schema, "contract": schema, "key": table.key}


def _contract_column(table: Table, column: Column) -> dg.TableColumn:
    unique = column.name == table.key
    rules = [expected(table, column.name, "bad_pattern")] if column.categories or column.pattern else []
    rules += [expected(table, column.name, "out_of_range")] if column.minimum is not None else []
    rules += [f"found in {column.references}"] if column.references else []
    constraints = dg.TableColumnConstraints(nullable=False, unique=unique, other=rules)
    return dg.TableColumn(column.name, _TYPES[column.type], description=column.description, constraints=constraints)


def stored_metadata(
    table: Table, frame: pd.DataFrame, report: ContractReport, before: int | None, repair: Action | None
) -> dict[str, Any]:
    """What a materialization tells of the table that it stored.

    Args:
        before: rows of the table before; None where there was none.
    """
    told: dict[str, Any] = {
        "dagster/row_count": len(frame),
        COLUMN_SCHEMA: _stored_schema(table, frame, report),
        "rows at fault": rows_at_fault(report),
        "preview": _preview(frame),
    }
    if before is not None:
        told["rows before"] = before
    if repair is not None:
        told["repair"] = dg.MetadataValue.json(repair.to_config())
    return told


def _stored_schema(table: Table, frame: pd.DataFrame, report: ContractReport) -> dg.TableSchema:
    """The columns as they are stored, each with what the contract has instead; and those that are not there."""
    columns = []
    for name in map(str, frame.columns):
        other = [] if name in table.column_names else ["not in the contract"]
        if (found := report.schema_report.get(name)) and found["actual"] != "missing":
            other = [f"the contract has {_TYPES.get(found['expected'], found['expected'])}"]
        description = table.column(name).description if name in table.column_names else None
        stored = type_of(frame, name)
        columns.append(
            dg.TableColumn(
                name,
                _TYPES.get(stored, stored),
                description=description,
                constraints=dg.TableColumnConstraints(other=other),
            )
        )
    missing = [f"missing: {name}" for name in report.missing_expected_columns]
    return dg.TableSchema(columns=columns, constraints=dg.TableConstraints(other=missing))


def _preview(frame: pd.DataFrame) -> dg.TableMetadataValue:
    """The first rows, as text."""
    names = [str(name) for name in frame.columns]
    unique = list(dict.fromkeys(names))
    columns = [column.array[:PREVIEW_ROWS].tolist() for _, column in frame.items()]
    records = [
        dg.TableRecord({name: _cell(value) for name, value in zip(names, row, strict=True)})
        for row in zip(*columns, strict=True)
    ]
    return dg.MetadataValue.table(records, schema=dg.TableSchema([dg.TableColumn(name, "string") for name in unique]))


def _cell(value: object) -> str:
    shown = "null" if value is None or value is pd.NA or value is pd.NaT else str(value)
    return shown if len(shown) <= PREVIEW_TEXT else f"{shown[: PREVIEW_TEXT - 1]}…"


# --- checks -----------------------------------------------------------------------------------------------------------


def check_result(
    task: Task, check: Check, outcome: Outcome, tables: Mapping[str, pd.DataFrame], content: str = ""
) -> dg.AssetCheckResult:
    """A check's result for Dagster.

    Args:
        tables: as stored; of them the check's own is looked at.
        content: what an audit looked at; with what it found, it is the only thing here that is read back.
    """
    metadata = _evidence(task, check, outcome, tables)
    if check.kind == "audit" and not outcome.passed:
        found = [failure.to_dict() for failure in outcome.failures_of(check.name, check.table)]
        metadata[AUDITED] = dg.MetadataValue.json({"content": content, "failures": found})
    return dg.AssetCheckResult(
        asset_key=dg.AssetKey([task.slug, check.table]),
        check_name=check.name,
        passed=outcome.passed,
        severity=dg.AssetCheckSeverity.ERROR if check.severity == "error" else dg.AssetCheckSeverity.WARN,
        description=outcome.detail or None,
        metadata=metadata,
    )


def fit_name(table: Table) -> str:
    """The name of the gate that all facts of a table make together."""
    return f"{table.name}_is_fit_to_publish"


def fit_result(task: Task, table: Table, outcomes: Mapping[str, Outcome]) -> dg.AssetCheckResult:
    """That gate's result, by what its facts found."""
    facts = [check for check in checks_for(task) if check.table == table.name and check.scope == "table"]
    failing = {
        check.name: dict(outcomes[check.name].counts)
        for check in facts
        if check.blocking and not outcomes[check.name].passed
    }
    return dg.AssetCheckResult(
        asset_key=dg.AssetKey([task.slug, table.name]),
        check_name=fit_name(table),
        passed=not failing,
        metadata={"failing": dg.MetadataValue.json(failing)},
        description=f"fails {', '.join(failing)}" if failing else "meets every fact",
    )


def _evidence(task: Task, check: Check, outcome: Outcome, tables: Mapping[str, pd.DataFrame]) -> dict[str, Any]:
    """Why a check fails, with the first rows at fault; how often, as a number, also when it passes."""
    told: dict[str, Any] = {"failing": sum(outcome.counts.values())}
    if not outcome.passed:
        told["counts"] = dg.MetadataValue.json(dict(outcome.counts))
        if outcome.failures:
            told["failures"] = _failure_table(task, check, outcome, tables)
    return told


def _failure_table(
    task: Task, check: Check, outcome: Outcome, tables: Mapping[str, pd.DataFrame]
) -> dg.TableMetadataValue:
    """The first cases: where, which row by its key, what stands there, what was expected, what may mend it."""
    table, frame = task.table(check.table), tables.get(check.table)
    keys = None if frame is None or list(frame.columns).count(table.key) != 1 else frame[table.key]
    stored = () if frame is None else tuple(map(str, frame.columns))
    records = []
    for case in outcome.failures:
        column, reason, row = str(case["column"]), str(case["reason"]), case["index"]
        at = row is not None and keys is not None and row < len(keys)
        mend = suggestions(task, table.name, column, reason, {}, stored)
        records.append(
            dg.TableRecord(
                {
                    "column": column,
                    "reason": reason,
                    "row": "" if row is None else str(row),
                    table.key: repr(keys.iloc[row]) if at and keys is not None else "",
                    "value": _quoted(case["value"], row),
                    "expected": expected(table, column, reason),
                    "could be mended by": ", ".join(dict.fromkeys(action.name for action in mend)),
                }
            )
        )
    names = list(records[0].data)
    return dg.MetadataValue.table(records, schema=dg.TableSchema([dg.TableColumn(name, "string") for name in names]))


def _quoted(value: object, row: object) -> str:
    """A cell with its quotes, so that blanks show; what is said of the table as a whole, as it is."""
    if value is None:
        return "null" if row is not None else ""
    return repr(value) if row is not None else str(value)
