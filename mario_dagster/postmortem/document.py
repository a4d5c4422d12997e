"""A postmortem in words: titled sections of sentences and grids, which any format can be made of.

In: a `Postmortem`. Out: a `Document`. What is said, and in which order, is decided here alone; how it looks, in
`render.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from .model import Change, Compared, Entry, Postmortem, Reached, SolutionStep, Struck, Truth

Tone = Literal["", "good", "bad", "quiet"]
NOT_YET = (
    "The episode is not over. What had gone wrong, what would have been done and how the tables stand beside the "
    "reference are told at its end."
)
LONGEST = 240


@dataclass(frozen=True)
class Cell:
    """Text of a grid. `number` is for what is read from the right."""

    text: str
    tone: Tone = ""
    number: bool = False


@dataclass(frozen=True)
class Grid:
    """Rows under headers. `narrow` is for marks by the dozen, side by side."""

    headers: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    narrow: bool = False


@dataclass(frozen=True)
class Section:
    """A title, and below it sentences, then grids."""

    title: str
    sentences: tuple[str, ...] = ()
    grids: tuple[Grid, ...] = ()


@dataclass(frozen=True)
class Document:
    """All of it. `facts` are the few things to be seen at once."""

    title: str
    lead: str
    verdict: Cell
    facts: tuple[tuple[str, str], ...]
    sections: tuple[Section, ...]


def document(found: Postmortem) -> Document:
    """The document of a postmortem."""
    summary = found.summary
    return Document(
        title=f"Postmortem: {summary.episode_id}",
        lead=summary.about,
        verdict=_verdict(found),
        facts=tuple(_facts(found)),
        sections=tuple(_sections(found)),
    )


def _verdict(found: Postmortem) -> Cell:
    summary = found.summary
    if not summary.done:
        return Cell("under way", "quiet")
    how = summary.outcome.replace("_", " ")
    return Cell(f"recovered: {how}", "good") if summary.success else Cell(f"not recovered: {how}", "bad")


def _facts(found: Postmortem) -> Iterator[tuple[str, str]]:
    summary = found.summary
    started, over = summary.started, summary.started + timedelta(minutes=summary.minutes)
    yield "Task", summary.task
    yield "Profile", summary.profile
    yield "Split, seed, scale", f"{summary.split}, {summary.seed}, {summary.scale}"
    kind = "true score" if summary.feedback == "truth" else "score by checks"
    yield kind.capitalize(), f"{summary.score:.4f} (from {summary.initial_score:.4f}; {summary.threshold} is success)"
    yield "Published", "yes" if summary.published else "no"
    yield "Steps", f"{summary.steps} by the agent, {found.downtime.interventions} by engineers"
    yield (
        "Duration",
        f"{_minutes(summary.minutes)} on the incident's clock: {started:%Y-%m-%d %H:%M} to {over:%Y-%m-%d %H:%M}",
    )


def _sections(found: Postmortem) -> Iterator[Section]:
    yield Section("Timeline", (), (_timeline(found.timeline),))
    yield _symptoms(found)
    if found.truth is not None:
        yield _cause(found.truth)
        yield _propagation(found.truth)
    yield _repairs(found.changes)
    yield _checks(found)
    yield _downtime(found)
    if found.truth is None:
        yield Section("What is not told yet", (NOT_YET,))
        return
    yield _solution(found.truth, found.timeline)
    yield _beside_reference(found)
    yield _score(found.truth)


# --- what happened ----------------------------------------------------------------------------------------------------


def _timeline(timeline: Iterable[Entry]) -> Grid:
    headers = ("line", "minute", "actor", "table", "action", "what happened", "reward", "score")
    return Grid(headers, tuple(tuple(_entry(entry)) for entry in timeline))


def _entry(entry: Entry) -> Iterator[Cell]:
    yield _number("" if entry.line is None else entry.line)
    yield _number("before" if entry.minutes is None else _plain(entry.minutes))
    yield Cell(entry.actor)
    yield Cell(entry.table)
    yield Cell(entry.words)
    # Which checks then failed has a section of its own.
    yield Cell(_brief(entry.result.partition("; failing: ")[0]), "" if entry.status == "done" else "bad")
    yield _number("" if entry.reward is None else f"{entry.reward:+.3f}")
    yield _number("" if entry.score is None else f"{entry.score:.4f}")


def _symptoms(found: Postmortem) -> Section:
    count = len(found.symptoms)
    said = f"{_many(count, 'blocking check')} failed when the incident was noticed." if count else "No check failed."
    rows = tuple(
        (Cell(each.check), Cell(each.table), Cell(each.must), Cell(_brief(each.found) or "the run did not come to it"))
        for each in found.symptoms
    )
    return Section("Symptoms", (said,), _grids(("check", "table", "what it stands for", "what the run found"), rows))


def _repairs(changes: Sequence[Change]) -> Section:
    if not changes:
        return Section("Repairs", ("No table was written.",))
    rows = tuple(
        (
            _number(each.line),
            Cell(each.actor),
            Cell(each.words),
            Cell(each.table),
            _number(each.before),
            _number(each.after),
            _number(f"{each.after - each.before:+d}" if each.after != each.before else ""),
        )
        for each in changes
    )
    headers = ("line", "actor", "action", "table", "rows before", "rows after", "change")
    said = f"{_many(len(changes), 'version')} of tables were written, of {_many(len(_tables(changes)), 'table')}."
    return Section("Repairs", (said,), _grids(headers, rows))


def _checks(found: Postmortem) -> Section:
    names = list(dict.fromkeys(name for moment in found.moments for name in moment.failing))
    if not names:
        return Section("Checks over time", ("No blocking check ever failed.",))
    headers = ("check", *(str(moment.line) for moment in found.moments))
    marks = [
        (Cell(name), *(Cell("✗", "bad") if name in moment.failing else Cell("·", "good") for moment in found.moments))
        for name in names
    ]
    counts = tuple(_number(len(moment.failing)) for moment in found.moments)
    said = "Blocking checks after each line of the timeline: ✗ fails, · passes."
    grid = Grid(headers, (*marks, (Cell("failing"), *counts)), narrow=True)
    return Section("Checks over time", (said,), (grid,))


def _downtime(found: Postmortem) -> Section:
    downtime, moments = found.downtime, found.moments
    not_yet = "never" if found.summary.done else "not so far"
    rows = [
        ("tables were published", _after(downtime.released, not_yet)),
        ("every blocking check passed", _after(downtime.green, not_yet)),
        ("length of the timeline", f"{_minutes(downtime.minutes)}, {_many(downtime.steps, 'step')}"),
        ("rows at fault or missing, times minutes", _plain(downtime.exposed)),
    ]
    if moments and moments[0].lag is not None and moments[-1].lag is not None:
        rows.append(("age of the oldest batch not shown, at first", _minutes(moments[0].lag)))
        rows.append(("the same at the end of the timeline", _minutes(moments[-1].lag)))
    said = "Minutes are the incident's own: what each action would take a person on call."
    return Section("Downtime", (said,), _grids(("", ""), [(Cell(name), Cell(value)) for name, value in rows]))


# --- what is told at the end ------------------------------------------------------------------------------------------


def _cause(truth: Truth) -> Section:
    faults = [(Cell(each.name), Cell(each.about)) for each in truth.faults]
    rows = [tuple(_struck(each)) for each in truth.struck]
    headers = ("table", "column", "what happened to it", "cells", "lost for good", "rows added", "fault")
    grids = (*_grids(("fault", "what it is"), faults), *_grids(headers, rows))
    return Section("Cause", (truth.about,) if truth.about else (), grids)


def _struck(each: Struck) -> Iterator[Cell]:
    yield Cell(each.table)
    yield Cell(each.column or "")
    yield Cell(_brief(each.what))
    for number in (each.cells, each.lost, each.rows):
        yield _number(number or "")
    yield Cell(each.fault.replace("+", ", "))


def _propagation(truth: Truth) -> Section:
    rows = [(Cell(each.asset), Cell(" → ".join(each.path)), _at_strike(each, truth.shielded)) for each in truth.reached]
    said = "Assets that the damage could reach along the lineage, and how they stood when it was noticed."
    return Section("Propagation", (said,), _grids(("asset", "by way of", "when it was noticed"), rows))


def _at_strike(each: Reached, shielded: bool) -> Cell:
    if each.at_strike is not None:
        return _compared(each.at_strike)
    if len(each.path) == 1:
        return Cell("the damage came in here", "bad")
    return Cell("as released before the incident", "good") if shielded else Cell("")


def _compared(each: Compared) -> Cell:
    parts = [
        f"{each.missing} of {each.reference_rows} rows missing" if each.missing else "",
        f"{_many(each.surplus, 'row')} too many" if each.surplus else "",
        f"{_many(each.differing, 'cell')} wrong" if each.differing else "",
    ]
    return Cell("as it should be", "good") if each.right else Cell(", ".join(filter(None, parts)), "bad")


def _solution(truth: Truth, timeline: Sequence[Entry]) -> Section:
    rows = [tuple(_solution_step(number, each)) for number, each in enumerate(truth.solution, 1)]
    missed = sum(each.line is None for each in truth.solution)
    said = [f"{len(truth.solution) - missed} of {_many(len(truth.solution), 'step')} of the solution were done."]
    if truth.hold:
        said.append("It was right to publish nothing: something that was announced never came.")
    beside = [entry for entry in timeline if entry.line in truth.beside]
    beside_rows = [
        (_number(each.line or 0), Cell(each.actor), Cell(each.table), Cell(each.words), Cell(_brief(each.result)))
        for each in beside
    ]
    count = _many(len(beside), "line") if beside else "No line"
    said.append(f"{count} beside it changed something.")
    grids = (
        *_grids(("", "what would have been done", "table", "done by line"), rows),
        *_grids(("line", "actor", "table", "what was done beside it", "what happened"), beside_rows),
    )
    return Section("Solution", tuple(said), grids)


def _solution_step(number: int, each: SolutionStep) -> Iterator[Cell]:
    yield _number(number)
    yield Cell(each.words)
    yield Cell(each.table)
    yield Cell("not done", "bad") if each.line is None else Cell(str(each.line), "good", number=True)


def _beside_reference(found: Postmortem) -> Section:
    truth = found.truth
    assert truth is not None
    published = found.summary.published
    said = "What was published, " if published else "Nothing was published; the tables as they were left, "
    rows = [tuple(_compared_row(each)) for each in truth.compared]
    headers = ("table", "rows", "reference", "missing", "too many", "cells wrong", "cells lost", "of them guessed", "")
    title = "Published and reference" if published else "Left and reference"
    return Section(title, (f"{said}beside the same tables had nothing gone wrong.",), _grids(headers, rows))


def _compared_row(each: Compared) -> Iterator[Cell]:
    yield Cell(each.table)
    yield _number(each.rows)
    yield _number(each.reference_rows)
    for number in (each.missing, each.surplus, each.differing):
        yield Cell(str(number), "bad" if number else "", number=True)
    yield _number(each.lost)
    yield _number(each.guessed)
    yield _compared(each)


def _score(truth: Truth) -> Section:
    parts = [(Cell(name), _number(f"{value:.4f}")) for name, value in truth.parts.items()]
    tables = [(Cell(name), _number(f"{value:.4f}")) for name, value in truth.table_scores.items()]
    said = [
        f"{_many(number, 'cell')} {what}."
        for number, what in (
            (truth.collateral, "had been right when the incident struck and were wrong or gone at the end"),
            (truth.guessed, "whose value is nowhere any more held a guess at the end"),
        )
        if number is not None
    ]
    grids = (*_grids(("part of the score", "value"), parts), *_grids(("table", "score"), tables))
    return Section("Score", tuple(said), grids)


# --- small words ------------------------------------------------------------------------------------------------------


def _grids(headers: tuple[str, ...], rows: Sequence[tuple[Cell, ...]]) -> tuple[Grid, ...]:
    """A grid, unless it would be empty."""
    return (Grid(headers, tuple(rows)),) if rows else ()


def _tables(changes: Iterable[Change]) -> set[str]:
    return {each.table for each in changes}


def _number(value: object) -> Cell:
    return Cell(str(value), number=True)


def _plain(value: float) -> str:
    """A number without a decimal point that says nothing."""
    return f"{value:.1f}".removesuffix(".0")


def _minutes(value: float) -> str:
    return f"{_plain(value)} min"


def _after(minutes: float | None, otherwise: str) -> str:
    return otherwise if minutes is None else f"after {_minutes(minutes)}"


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _brief(text: str) -> str:
    """The first line of a text, as much as a grid has room for."""
    line = text.split("\n")[0].strip()
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"
