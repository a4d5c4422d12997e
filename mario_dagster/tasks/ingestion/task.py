"""Task 1, `ingestion`: one snapshot of a shop's customers.

In: nothing. Out: `INGESTION`.
"""

from __future__ import annotations

from mario_dagster.core.task import Card, Column, Table, Task
from mario_dagster.tasks.temporal.task import READABLE

# Nobody younger is a customer, nobody older is known to have lived long enough to be one.
AGE = Column("age", "int64", "Age in whole years.", minimum=16, maximum=110)

CUSTOMERS = Table(
    name="customers",
    key="customer_id",
    feed="customers",
    description="One row a customer, delivered as one snapshot.",
    words={"times": "signup_dates", "amounts": "ages_and_spending"},
    columns=(
        Column("customer_id", "int64", "Customer number, unique.", minimum=1),
        AGE,
        Column(
            "monthly_spend",
            "float64",
            "Average spend a month, in dollars.",
            minimum=0.01,
            maximum=5_000,
            skewed=True,
        ),
        Column("city", "string", "City the customer lives in.", pattern=READABLE),
        Column("signup_date", "date", "Day the customer signed up."),
    ),
)

INGESTION = Task(
    id=1,
    slug="ingestion",
    name="Ingestion Contract Repair",
    difficulty="easy",
    threshold=0.85,
    max_steps=10,
    description=(
        "The customer feed was redelivered after a producer's release and no longer meets its contract. Find what "
        "drifted, what was lost and what does not belong, repair it in few steps, then publish."
    ),
    tables=(CUSTOMERS,),
    pipeline_spec="mario_dagster.tasks.ingestion.pipeline:PIPELINE",
    objectives="mario_dagster.scoring.objectives:only_table",
    objective_weights={"completeness": 0.20, "validity": 0.20, "consistency": 0.30, "accuracy": 0.30},
    aliases=("ingestion_contract_repair", "alert_prioritization"),
    card=Card(
        incident_type="ingestion contract breakage in one table",
        objective="Bring the customers table back to its contract without losing a customer, then publish it.",
        broken_state=(
            "The producer redelivered the customer snapshot after a release: columns drifted, values were lost or "
            "respelt, and the scheduled load fails its checks."
        ),
        incident_summary=(
            "The customers table breaks its contract since the last delivery. What consumers read is the release "
            "before it, until a repaired table is published."
        ),
        diagnosis_signals=(
            "schema_report: columns in another type, or missing",
            "column_alias_hints: columns that arrived under another name",
            "missing_rate, duplicate_rate, outlier_count and format_issues: what is wrong with the rows",
            "check_failures: which checks fail, on which columns, for which reasons",
        ),
        repair_steps=(
            "Rename drifted columns.",
            "Cast numbers, normalise dates and cities.",
            "Put columns in contract order.",
            "Drop what was never a customer, remove duplicates, fill what was lost.",
            "Commit.",
        ),
        recovery_requirements=(
            "customers meets its contract: columns, order, types, ranges, spellings",
            "no cell is missing and no customer_id stands twice",
            "every customer that the producer declared is there, and no other",
        ),
        unsafe_commit_conditions=(
            "the table breaks its contract",
            "customers were deleted to get rid of missing values",
            "test records or total lines are still among the customers",
        ),
        failure_conditions=(
            "a commit that a blocking check stops, or with a score below the threshold",
            "the step budget runs out",
            "the score falls below 0.10",
        ),
        threshold_rationale=(
            "0.85 is out of reach with two columns missing or in another type, and no check lets one pass; it leaves "
            "room for values that are lost for good."
        ),
        target_policy="names and types first, then rows, then publish; no step to spare",
        dense_shaping_notes=("0.9 of each change in score, less a small cost a step",),
        exploit_checks=(
            "deleting customers fails no_landed_row_is_lost",
            "ten steps are too few to try every repair on every column",
        ),
        latent_variation_axes=(
            "which columns drift, and under what names",
            "currencies, units and date spellings",
            "which values are lost, and what stands in their place",
            "rows that were delivered twice, or that nobody sent",
        ),
    ),
)
