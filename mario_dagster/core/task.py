"""What exists, as frozen values: `Task`, `Table`, `Column`, `Card`, `Profile`.

In: nothing (standard library only, so that `mario --help` and `mario tasks` stay instant). Out: the values that assets,
incidents, checks, graders and the OpenEnv side all read their contracts from.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from .errors import UnknownName

ColumnType = Literal["int64", "float64", "string", "date", "timestamp"]
Split = Literal["train", "eval"]
Feedback = Literal["truth", "checks"]
Severity = Literal["none", "elevated", "high", "critical"]
SPLITS: tuple[Split, ...] = ("train", "eval")
FEEDBACKS: tuple[Feedback, ...] = ("truth", "checks")
# Shares of the freshness window that (a lag, the age of the oldest batch not loaded) uses up, from which on it is so
# urgent.
SEVERITIES: tuple[tuple[Severity, float, float], ...] = (("critical", 0.75, 1.25), ("high", 0.375, 0.75))

# What a subgoal may be reached by.
FACTS = (
    "schema_reconciled",
    "main_table_clean",
    "source_tables_clean",
    "enough_workers",
    "nothing_pending",
    "derived_tables_right",
    "totals_reconciled",
    "fresh",
    "published",
)
CLEAN = "clean"
SLUG = re.compile("[a-z][a-z0-9_]*")
MIN_WORKERS, MAX_WORKERS = 1, 3
# A backlog of so many batches, or so many rows, takes every recovery worker there is.
MANY_BATCHES, MANY_ROWS = 5, 80


def required_workers(pending_batches: int, pending_rows: int, floor: int) -> int:
    """Recovery workers that replaying a backlog takes: all for a large one, else what the feed takes at the least."""
    return MAX_WORKERS if pending_batches >= MANY_BATCHES or pending_rows >= MANY_ROWS else floor


@dataclass(frozen=True)
class Column:
    """One column of a contract.

    Args:
        name: as the contract spells it.
        type: the type it is stored in once repaired.
        minimum, maximum: the plausible range of a number, both ends included; a value outside is absurd.
        categories: the allowed values of a categorical string.
        pattern: a regular expression that a string matches whole.
        references: `table.column` that every value must be found in.
        skewed: the values spread over orders of magnitude, so that outliers are judged on a log scale.
    """

    name: str
    type: ColumnType
    description: str = ""
    minimum: float | None = None
    maximum: float | None = None
    categories: tuple[str, ...] = ()
    pattern: str | None = None
    references: str | None = None
    skewed: bool = False

    @property
    def is_number(self) -> bool:
        return self.type in ("int64", "float64")

    @property
    def is_time(self) -> bool:
        return self.type in ("date", "timestamp")


@dataclass(frozen=True)
class Table:
    """One table of a task: its columns in contract order, its key, and where it comes from.

    Args:
        feed: the landing source it is loaded from (`orders`), or None for a derived table.
        batched: its feed arrives in batches, each a partition of the landed asset.
        upstream: for a derived table, the tables it is computed from.
        words: what facts about the table call its `rows`, `times`, `amounts`, the table as a `whole`, and that it
            `reconciles` with its source; by default after the table's name.
    """

    name: str
    columns: tuple[Column, ...]
    key: str
    description: str = ""
    feed: str | None = None
    batched: bool = False
    upstream: tuple[str, ...] = ()
    words: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def derived(self) -> bool:
        return self.feed is None

    @property
    def column_names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    def column(self, name: str) -> Column:
        for column in self.columns:
            if column.name == name:
                return column
        raise UnknownName("column", name, self.column_names)


# --- tasks ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Card:
    """What the person on call is told about a task: in every observation, the same for all profiles."""

    incident_type: str
    objective: str
    broken_state: str
    incident_summary: str
    diagnosis_signals: tuple[str, ...]
    repair_steps: tuple[str, ...]
    recovery_requirements: tuple[str, ...]
    unsafe_commit_conditions: tuple[str, ...]
    failure_conditions: tuple[str, ...]
    threshold_rationale: str
    target_policy: str
    dense_shaping_notes: tuple[str, ...] = ()
    exploit_checks: tuple[str, ...] = ()
    latent_variation_axes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Freshness:
    """How old what derived tables show may be, on the incident's clock. All that judges lateness derives from it.

    Args:
        window: minutes, 2 or more. Data that lag further behind break the promise: Dagster's freshness policy of the
            derived tables fails, and the score's part for freshness is worth nothing.

    Raises:
        ValueError: the window is shorter than Dagster's freshness policies can be, or no number.
    """

    window: float = 240.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.window) and self.window >= 2):
            raise ValueError(f"a freshness window is 2 minutes or more, not {self.window}")

    @property
    def warns_after(self) -> float:
        """Minutes after which Dagster warns."""
        return self.window / 2

    def left(self, lag_minutes: float) -> float:
        """Share of the window that a lag leaves, 0 to 1."""
        return max(0.0, 1.0 - lag_minutes / self.window)

    def is_met(self, lag_minutes: float) -> bool:
        """Whether a lag is small enough to call the data fresh: no more than an eighth of the window is used up."""
        return lag_minutes <= self.window / 8

    def severity(self, lag_minutes: float, backlog_age_minutes: float) -> Severity:
        """How urgent it is: the share of the window that a lag, or the age of the oldest batch that waits, uses up."""
        for name, lag, age in SEVERITIES:
            if lag_minutes >= lag * self.window or backlog_age_minutes >= age * self.window:
                return name
        return "elevated" if lag_minutes > 0 or backlog_age_minutes > 0 else "none"


@dataclass(frozen=True)
class Task:
    """One pipeline with its contracts, threshold, step budget and card.

    Args:
        id: 1 to 5 in this package; a plugin's task takes a higher one.
        slug: asset key prefix, folder name and code location group.
        threshold: the raw score that success needs, 0 to 1.
        max_steps: actions an episode may take.
        pool: name of the Dagster concurrency pool that batch loads run in, None where the task has no batches.
        objective_weights: parts of the score and their weights, adding up to 1.
        pipeline spec: where its `tables.spec.PipelineSpec` is, as `module:object`: clean data, transforms, sums.
        objectives: where what computes the parts of its score is, as `module:object`; the function of
            `scoring.objectives` that takes each part for the score of the table of that name, unless given.
        subgoals: subgoal -> the fact that reaches it, in the order in which a careful engineer would go; reported,
            never enforced. Facts are those of `FACTS`; `clean:<table>` is that a table meets its contract.
        aliases: other names a task is asked for by.
        freshness: how far what derived tables show may lag behind what has landed.

    Raises:
        ValueError: it contradicts itself; the message says where.
    """

    id: int
    slug: str
    name: str
    difficulty: Literal["easy", "medium", "hard"]
    threshold: float
    max_steps: int
    tables: tuple[Table, ...]
    card: Card
    objective_weights: Mapping[str, float]
    pipeline_spec: str
    objectives: str = "mario_dagster.scoring.objectives:each_table"
    subgoals: Mapping[str, str] = field(default_factory=dict)
    pool: str | None = None
    description: str = ""
    aliases: tuple[str, ...] = ()
    freshness: Freshness = Freshness()

    def __post_init__(self) -> None:
        if not SLUG.fullmatch(self.slug):
            raise ValueError(f"task '{self.slug}': a slug is lower-case letters, digits and underscores")
        if not math.isclose(total := sum(self.objective_weights.values()), 1.0):
            raise ValueError(f"task '{self.slug}': its objective weights add up to {total:.3f}, not 1")
        if not self.tables or self.tables[0].derived or len(set(self.table_names)) < len(self.tables):
            raise ValueError(f"task '{self.slug}': it needs tables of different names, the first of them from a feed")
        for table in self.tables:
            self._check(table)
        for subgoal, fact in self.subgoals.items():
            kind, _, table_name = fact.partition(":")
            if fact not in FACTS and not (kind == CLEAN and table_name in self.table_names):
                known = ", ".join((*FACTS, *(f"{CLEAN}:{name}" for name in self.table_names)))
                raise ValueError(f"task '{self.slug}', subgoal '{subgoal}': no fact '{fact}'; there are {known}")

    def _check(self, table: Table) -> None:
        """Raises `ValueError` where a table lacks its key, or names a table or column that the task does not have."""
        try:
            table.column(table.key)
            for name in table.upstream:
                self.table(name)
            for column in table.columns:
                if column.references:
                    other, _, key = column.references.partition(".")
                    self.table(other).column(key)
        except UnknownName as error:
            raise ValueError(f"task '{self.slug}', table '{table.name}': {error}") from None
        if table.derived is not bool(table.upstream):
            raise ValueError(f"task '{self.slug}', table '{table.name}': it needs a feed or upstream tables, not both")
        if table.batched and self.pool is None:
            raise ValueError(f"task '{self.slug}', table '{table.name}': batches are loaded in a pool, and it has none")

    @property
    def table_names(self) -> tuple[str, ...]:
        return tuple(table.name for table in self.tables)

    @property
    def main_table(self) -> Table:
        """The first table: active when an episode begins, and the batched one where there is one."""
        return self.tables[0]

    @property
    def derived_tables(self) -> tuple[Table, ...]:
        return tuple(table for table in self.tables if table.derived)

    @property
    def batched_table(self) -> Table | None:
        return next((table for table in self.tables if table.batched), None)

    def table(self, name: str) -> Table:
        for table in self.tables:
            if table.name == name:
                return table
        raise UnknownName("table", name, self.table_names)


@dataclass(frozen=True)
class Profile:
    """A named family of incidents of one task.

    Args:
        faults: the fault recipes of `mario_dagster.incidents` it is composed of; opaque here.
        splits: where the seed may draw it.
        held_out: drawn in eval only, with names, spellings and units that no train profile uses. Never shown to a
        player. patterns: words for what is drifting; shown in train, `undisclosed` elsewhere until an episode is done.
    """

    name: str
    task: str
    splits: tuple[Split, ...]
    summary: str
    faults: tuple[Any, ...] = ()
    held_out: bool = False
    patterns: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
