"""What the panes say: an observation as frozen rows and lines, with no widget in sight.

In: `Seen`. Out: values that a pane shows as they are. Nothing here knows more than the observation; in a drill it says
less, since the labels of an incident are for afterwards.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from mario_dagster.checks.reasons import REASONS
from mario_dagster.core.run_tags import AGENT
from mario_dagster.env.episode_state import SUCCESSES

from .session import Seen, Turn
from .told import MISSING, Sample, offenders_of, sample_of, schema_of

Tone = Literal["", "good", "bad", "dim"]
ENDS: Mapping[str, str] = {
    "commit_success": "published, and rightly",
    "held_back": "held back, rightly",
    "commit_failure": "not recovered: the commit was refused, or what it published falls short",
    "quality_collapse": "collapsed: the tables became much worse than they were found",
    "step_budget_exhausted": "no step left: nothing was published",
}


@dataclass(frozen=True)
class Section:
    """A heading with its lines."""

    title: str
    lines: tuple[str, ...]
    tone: Tone = ""


@dataclass(frozen=True)
class Row:
    """One row of a pane's table."""

    cells: tuple[str, ...]
    tone: Tone = ""


@dataclass(frozen=True)
class Grid:
    """A pane's table."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]


def clock(minutes: float) -> str:
    """Minutes as `m:ss`."""
    whole, seconds = divmod(max(round(minutes * 60), 0), 60)
    return f"{whole}:{seconds:02d}"


def status(seen: Seen, minutes: float | None = None) -> str:
    """The line above everything.

    Args:
        minutes: what the clock of a drill says.
    """
    told, incident = seen.observation, seen.incident
    by = "" if incident.feedback == "truth" or seen.done else " by checks"
    parts = [
        *([] if minutes is None else [clock(minutes)]),
        incident.task,
        f"step {seen.steps}/{incident.max_steps}",
        f"score{by} {told['current_score']:.3f}, needs {incident.threshold}",
        f"{len(told['failing_checks'])}/{told['check_count']} checks fail",
    ]
    return " · ".join(parts)


# --- the incident -----------------------------------------------------------------------------------------------------


def incident_card(seen: Seen, *, drill: bool = False) -> tuple[Section, ...]:
    """What the person on call is told."""
    told = seen.observation
    sections = (
        Section("Alerts", tuple(told["orchestration_alerts"]), "bad"),
        Section(told["incident_type"], (told["incident_summary"],)),
        Section("Newest errors", tuple(told["recent_errors"]), "bad"),
        Section("Before publishing", tuple(told["recovery_requirements"])),
        Section("Never publish while", tuple(told["unsafe_commit_conditions"])),
        Section("Worth reading", tuple(told["diagnosis_signals"])),
        Section("Subgoals", tuple(_subgoal(name, told) for name in told["subgoal_order"])),
        Section("The score", (*_score_lines(seen), told["threshold_rationale"])),
        *([] if drill and not seen.done else [Section("The incident", _labels(seen), "dim")]),
    )
    return tuple(each for each in sections if each.lines)


def _subgoal(name: str, told: Mapping[str, Any]) -> str:
    reached = told["subgoal_progress"].get(name)
    return f"{'x' if reached else '>' if name == told['active_subgoal'] else ' '} {name.replace('_', ' ')}"


def _score_lines(seen: Seen) -> tuple[str, ...]:
    told = seen.observation
    parts = [f"{name} {value:.2f}" for name, value in told["objective_breakdown"].items()]
    source = "by the checks; the truth is told at the end" if seen.incident.feedback == "checks" else "by the truth"
    return (f"{told['current_score']:.3f} {'by the truth' if seen.done else source}", ", ".join(parts))


def _labels(seen: Seen) -> tuple[str, ...]:
    told, incident = seen.observation, seen.incident
    where = f"{incident.task}, {incident.split}, seed {incident.seed}, scale {incident.scale}"
    return (where, f"family {told['scenario_profile']}: {', '.join(told['open_world_patterns'])}")


# --- checks -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Finding:
    """What is wrong in one place, and every check that fails for it."""

    table: str
    column: str
    reason: str
    count: int
    checks: tuple[str, ...]


def findings(seen: Seen) -> tuple[Finding, ...]:
    """Why checks fail, place by place; those of the active table first."""
    told = seen.observation
    found: dict[tuple[str, str, str], Finding] = {}
    for each in sorted(told["check_failures"], key=lambda each: each["table"] != told["stage"]):
        place = (each["table"], each["column"], each["reason"])
        before = found.get(place, Finding(*place, 0, ()))
        # Several checks may count the same cells.
        found[place] = Finding(*place, max(before.count, each["count"]), (*before.checks, each["check"]))
    return tuple(found.values())


def check_grid(seen: Seen) -> Grid:
    """The findings, a row each."""
    told, found = seen.observation, findings(seen)
    rows = tuple(
        Row((str(each.count), each.reason, each.column or "(table)", each.table, ", ".join(each.checks)))
        for each in found
    )
    title = f"{len(told['failing_checks'])} of {told['check_count']} checks fail"
    return Grid(title, ("count", "reason", "column", "table", "checks"), rows)


def evidence(seen: Seen, finding: Finding) -> tuple[Section, ...]:
    """One finding in full: what it means, what the log says of its checks, and rows at fault that were looked at."""
    where = f"{finding.table}.{finding.column}" if finding.column else finding.table
    meaning = REASONS.get(finding.reason, "an expectation of the audit that does not hold")
    head = Section(f"{where}: {finding.count} {finding.reason}", (meaning, f"fails {', '.join(finding.checks)}"))
    errors = [each for each in seen.observation["recent_errors"] if any(check in each for check in finding.checks)]
    sample = offenders_of(seen.turns, finding.table, finding.column)
    if sample is None:
        how = f"sample_data (s) with offenders shows them, while {finding.table} is the active table"
        rows = Section("Rows at fault", (how,), "dim")
    else:
        rows = Section(f"Rows at fault, as of step {sample.step}", tuple(_offenders(sample, finding.column)))
    return tuple(each for each in (head, Section("In the log", tuple(errors), "bad"), rows) if each.lines)


def _offenders(sample: Sample, column: str) -> list[str]:
    """Rows whose reasons name the column; every row, where the finding names none."""
    lines = []
    for row, why in zip(sample.rows, sample.why, strict=False):
        if not column or f"{column}: " in why:
            lines.append(", ".join(f"{name}={_plain(cell)}" for name, cell in zip(sample.columns, row, strict=True)))
    return lines


# --- the table --------------------------------------------------------------------------------------------------------


def table_line(seen: Seen) -> str:
    """The active table in a line."""
    told = seen.observation
    schema = schema_of(seen.turns, told["stage"])
    parts = [
        f"{told['stage']}",
        f"health {told['table_health'].get(told['stage'], 0):.2f}",
        *([f"{schema.rows} rows at step {schema.step}"] if schema else []),
        f"missing {told['missing_rate']:.1%}",
        f"duplicate {told['duplicate_rate']:.1%}",
        f"outliers {told['outlier_count']}",
    ]
    return " · ".join(parts)


def schema_grid(seen: Seen) -> Grid:
    """The active table's columns as stored, each held against its contract, as far as that was told."""
    told = seen.observation
    schema = schema_of(seen.turns, told["stage"])
    known = schema.columns if schema else {}
    report, hints = told["schema_report"], told["column_alias_hints"]
    rows = []
    for name in told["observed_columns"]:
        kinds = report.get(name)
        stored, expected = (kinds["actual"], kinds["expected"]) if kinds else known.get(name, ("", ""))
        if not kinds and expected:
            # What no report names is as it should be by now, whatever the inspection said.
            stored = expected
        stranger = name in known and not expected
        note = f"looks like {hints[name]}" if name in hints else "not in the contract" if stranger else ""
        rows.append(Row((name, stored, expected, note), "bad" if kinds or note else ""))
    for name in told["missing_expected_columns"]:
        expected = report.get(name, {}).get("expected", "") or known.get(name, ("", ""))[1]
        rows.append(Row((name, MISSING, expected, "the contract has it"), "bad"))
    title = f"Schema of {told['stage']}" + ("" if schema else "; inspect_schema tells every type")
    return Grid(title, ("column", "stored", "expected", ""), tuple(rows))


def rows_grid(seen: Seen) -> Grid:
    """The newest rows that were looked at."""
    stage = seen.observation["stage"]
    sample = sample_of(seen.turns, stage)
    if sample is None:
        return Grid(f"No rows of {stage} looked at yet", ("sample_data shows rows",), ())
    columns = (*sample.columns, *(("why",) if sample.why else ()))
    whys = sample.why or ("",) * len(sample.rows)
    rows = tuple(
        Row((*map(_plain, row), *((why,) if sample.why else ()))) for row, why in zip(sample.rows, whys, strict=True)
    )
    return Grid(f"{sample.title}, as of step {sample.step}", columns, rows)


def _plain(cell: object) -> str:
    return "null" if cell is None else str(cell)


# --- what was done ----------------------------------------------------------------------------------------------------


def history_grid(seen: Seen) -> Grid:
    """The steps so far, newest first."""
    told = seen.observation
    total = sum(turn.reward or 0.0 for turn in seen.turns)
    rows = tuple(_history_row(turn) for turn in reversed(seen.turns))
    title = f"{seen.steps} steps, {told['time_budget_remaining']} left, reward {total:+.3f}"
    return Grid(title, ("step", "action", "score", "reward", "what happened"), rows)


def _history_row(turn: Turn) -> Row:
    name = str(turn.action) if turn.action else turn.name.replace("_", " ")
    who = name if turn.actor == AGENT else f"{turn.actor}: {name}"
    reward = "" if turn.reward is None else f"{turn.reward:+.3f}"
    return Row((str(turn.step), who, f"{turn.score:.3f}", reward, brief(turn)), tone_of(turn.result))


def brief(turn: Turn) -> str:
    """What came of a step, in a line; rows that were looked at are in their pane."""
    sample = sample_of((turn,), turn.table)
    return f"{sample.title} of {turn.table}: see Table (3)" if sample else turn.result.split("\n")[0]


def tone_of(result: str) -> Tone:
    """Whether a result is of something that went wrong."""
    return "bad" if result.startswith(("invalid:", "failed:")) else ""


def result_text(turn: Turn) -> str:
    """What came of a step, kindly."""
    refusal = turn.result.removeprefix("invalid: ")
    if refusal != turn.result:
        return f"That cannot be done: {refusal}. Nothing was changed; the step counts."
    return turn.result.removeprefix("failed: ") if turn.result.startswith("failed: ") else turn.result


def turn_section(turn: Turn) -> Section:
    """A step with all that came of it."""
    name = str(turn.action) if turn.action else turn.name.replace("_", " ")
    paid = "" if turn.reward is None else f", reward {turn.reward:+.3f}"
    return Section(f"step {turn.step}: {name}{paid}", (result_text(turn),), tone_of(turn.result))


def newest_result(seen: Seen) -> Section:
    """The newest step, and what others did since the one before."""
    turn = seen.turns[-1]
    newest = turn_section(turn)
    lines = (brief(turn),) if sample_of((turn,), turn.table) else newest.lines
    meanwhile = tuple(f"meanwhile: {each}" for each in seen.observation["interventions"])
    return Section(newest.title, (*lines, *meanwhile), newest.tone)


def in_full(grid: Grid, place: int) -> Section:
    """One row of a table, cell by cell."""
    cells = grid.rows[place].cells
    return Section(grid.title, tuple(f"{name}: {cell}" for name, cell in zip(grid.columns, cells, strict=True) if cell))


# --- the end ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Outcome:
    """How a player left an incident; None for what is not known yet."""

    player: str
    score: float
    steps: int
    done_reason: str
    minutes: float
    collateral: int
    guessed: int

    @classmethod
    def of(cls, player: str, summary: Mapping[str, Any]) -> Outcome:
        return cls(
            player,
            float(summary["score"]),
            int(summary["steps"]),
            str(summary["done_reason"]),
            float(summary["minutes_to_recover"]),
            int(summary["collateral_cells"] or 0),
            int(summary["guessed_cells"] or 0),
        )


def verdict(seen: Seen, minutes: float | None = None) -> Section:
    """How it ended, in a line or two.

    Args:
        minutes: what the clock of a drill said at the end.
    """
    told = seen.observation
    reason = str(told["done_reason"])
    won = reason in SUCCESSES
    taken = "" if minutes is None else f", {clock(minutes)} by the clock"
    lines = (
        f"score {told['current_score']:.3f}, {seen.incident.threshold} needed, {seen.steps} steps{taken}",
        *_labels(seen),
        *([f"still failing: {', '.join(told['failing_checks'])}"] if told["failing_checks"] else []),
    )
    return Section(ENDS.get(reason, reason), lines, "good" if won else "bad")


def outcome_grid(outcomes: tuple[Outcome, ...]) -> Grid:
    """Players of the same incident beside each other."""
    rows = tuple(
        Row(
            (
                each.player,
                f"{each.score:.3f}",
                str(each.steps),
                f"{each.minutes:.0f}",
                str(each.collateral),
                str(each.guessed),
                short_end(each.done_reason),
            ),
            "good" if each.done_reason in SUCCESSES else "bad",
        )
        for each in outcomes
    )
    columns = ("player", "score", "steps", "minutes", "collateral", "guessed", "end")
    return Grid("Minutes are modelled: what the actions would take the person on call.", columns, rows)


def short_end(done_reason: str) -> str:
    """How it ended, in a word or three."""
    return re.split("[:,]", ENDS.get(done_reason, done_reason))[0]
