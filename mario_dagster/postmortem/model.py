"""A postmortem as values: what happened in an episode, what was done about it, and, at its end, what had been wrong.

In: what `gather.py` and `truth.py` derive from journal, instance, tables and truth store. Out: frozen values that
`document.py` puts into words. What a player may not know before the end is in `Truth` alone, which is not there until
then.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Summary:
    """What a reader wants to know first.

    Args:
        profile: as it may be told.
        feedback: what `score` is of: `truth`, or `checks` alone.
        outcome: why the episode is over; empty while it is not.
        published: the tables were released to their consumers in it.
        started: when it was noticed, on the incident's own clock.
        minutes: modelled time from then to the newest line.
    """

    episode_id: str
    task: str
    about: str
    profile: str
    split: str
    seed: int
    scale: int
    feedback: str
    score: float
    initial_score: float
    threshold: float
    steps: int
    done: bool
    success: bool | None
    outcome: str
    published: bool
    started: datetime
    minutes: float


@dataclass(frozen=True)
class Entry:
    """One line of the timeline.

    Args:
        line: its number in the journal; None for what the pipeline's schedule did before it was noticed.
        minutes: from then to the end of this.
        reward: None for what nobody is paid for.
    """

    line: int | None
    minutes: float | None
    actor: str
    words: str
    table: str
    status: str
    result: str
    reward: float | None = None
    score: float | None = None


@dataclass(frozen=True)
class Symptom:
    """A check that failed when the incident was noticed.

    Args:
        must: what it stands for.
        found: what the scheduled run found; empty for a check that the run did not come to.
    """

    check: str
    table: str
    must: str
    found: str


@dataclass(frozen=True)
class Change:
    """One version of a table that was written in the episode, by whom, and its rows before and after."""

    line: int
    actor: str
    words: str
    table: str
    before: int
    after: int


@dataclass(frozen=True)
class Moment:
    """How the pipeline stood after a line.

    Args:
        lag: age of the oldest landed batch that a derived table did not show, in minutes; None where nothing tells it.
    """

    line: int
    minutes: float
    failing: tuple[str, ...]
    score: float
    lag: float | None


@dataclass(frozen=True)
class Downtime:
    """How long consumers went without right data, on the incident's clock.

    Args:
        steps: actions that were played; what people did is in `interventions`.
        exposed: rows at fault or missing times the minutes that they were.
        green: minutes until every blocking check passed; None where that never was.
        released: minutes until the tables were published; None where they were not.
    """

    steps: int
    interventions: int
    minutes: float
    exposed: float
    green: float | None
    released: float | None


@dataclass(frozen=True)
class Fault:
    """One defect of the incident, by the name that the manifest of damage gives it."""

    name: str
    about: str


@dataclass(frozen=True)
class Struck:
    """What of a table was struck.

    Args:
        column: None where whole rows, batches or the table's code were.
        what: in words.
        cells, lost: how many cells; of those, whose value is nowhere any more.
        rows: rows that no producer meant to send.
    """

    fault: str
    table: str
    column: str | None
    what: str
    cells: int = 0
    lost: int = 0
    rows: int = 0


@dataclass(frozen=True)
class Compared:
    """A table beside the reference, which is the same table had nothing gone wrong.

    Args:
        missing: rows of the reference that it lacks; where its key cannot be read, all.
        surplus: rows that it has beyond those, second rows of a key among them.
        differing: cells of rows of the same key that are not the reference's; lost ones are not counted.
        lost: cells whose value is nowhere any more.
        guessed: of those, the ones that hold a value again.
    """

    table: str
    rows: int
    reference_rows: int
    missing: int
    surplus: int
    differing: int
    lost: int = 0
    guessed: int = 0

    @property
    def right(self) -> bool:
        return not (self.missing or self.surplus or self.differing)


@dataclass(frozen=True)
class Reached:
    """An asset that damage could reach along the lineage.

    Args:
        path: from what was struck to it.
        at_strike: its table beside the reference then; None for what is no table of the task.
    """

    asset: str
    path: tuple[str, ...]
    at_strike: Compared | None


@dataclass(frozen=True)
class SolutionStep:
    """What would have been done; `line` is where it was."""

    words: str
    table: str
    line: int | None


@dataclass(frozen=True)
class Truth:
    """What is told once the episode is over.

    Args:
        shielded: when the incident was noticed, consumers still saw what had been released before it.
        hold: it was right to publish nothing.
        beside: lines of the journal that changed something and are no part of the solution.
        compared: the tables that consumers see, if they were published in the episode; else those that were left.
        collateral: cells that were right when the incident struck, and are wrong or gone at the end.
    """

    about: str
    faults: tuple[Fault, ...]
    struck: tuple[Struck, ...]
    reached: tuple[Reached, ...]
    shielded: bool
    solution: tuple[SolutionStep, ...]
    hold: bool
    beside: tuple[int, ...]
    compared: tuple[Compared, ...]
    parts: Mapping[str, float]
    table_scores: Mapping[str, float]
    collateral: int | None
    guessed: int | None


@dataclass(frozen=True)
class Postmortem:
    """All of it. `truth` is None until the episode is over."""

    summary: Summary
    timeline: tuple[Entry, ...]
    symptoms: tuple[Symptom, ...]
    changes: tuple[Change, ...]
    moments: tuple[Moment, ...]
    downtime: Downtime
    truth: Truth | None
