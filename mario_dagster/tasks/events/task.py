"""Task 2, `events`: one snapshot of a payment provider's transactions.

In: nothing. Out: `EVENTS`.
"""

from __future__ import annotations

from mario_dagster.core.task import Card, Column, Table, Task
from mario_dagster.tasks.ingestion.task import AGE

STATUSES = ("approved", "cancelled", "declined", "pending", "refunded", "settled")

TRANSACTIONS = Table(
    name="transactions",
    key="transaction_id",
    feed="transactions",
    description="One row a payment event, delivered as one snapshot.",
    words={"times": "event_dates", "amounts": "ages_and_amounts"},
    columns=(
        Column("transaction_id", "int64", "Transaction number, unique.", minimum=1),
        AGE,
        Column("amount", "float64", "Amount paid, in dollars.", minimum=0.01, maximum=9_000, skewed=True),
        Column("status", "string", "What became of the payment.", categories=STATUSES),
        Column("event_date", "date", "Day of the payment."),
    ),
)

EVENTS = Task(
    id=2,
    slug="events",
    name="Validation and Event Stabilization",
    difficulty="medium",
    threshold=0.80,
    max_steps=15,
    description=(
        "A retried delivery of payment events carries duplicates, retyped columns, foreign currency and test payments "
        "all at once. Tell them apart, repair each without touching the genuine rows, then publish."
    ),
    tables=(TRANSACTIONS,),
    pipeline_spec="mario_dagster.tasks.events.pipeline:PIPELINE",
    objectives="mario_dagster.scoring.objectives:only_table",
    objective_weights={"completeness": 0.20, "validity": 0.20, "consistency": 0.30, "accuracy": 0.30},
    aliases=("validation_and_event_stabilization", "threat_detection"),
    card=Card(
        incident_type="event validation failure with retried and retyped deliveries",
        objective="Bring the transactions table back to what was really paid, then publish it.",
        broken_state=(
            "The provider redelivered its events: some twice or half written, columns retyped or renamed, amounts in "
            "foreign spellings, test payments among them."
        ),
        incident_summary=(
            "The transactions table fails validation in several ways at once. What consumers read is the release "
            "before the redelivery, until a repaired table is published."
        ),
        diagnosis_signals=(
            "schema_report and type_violations: columns that landed as text",
            "duplicate_rate: events that were delivered more than once",
            "outlier_count: payments that nobody made, visible once amounts are numbers",
            "column_alias_hints and missing_expected_columns: columns renamed by the provider",
            "check_failures: which checks fail, on which columns, for which reasons",
        ),
        repair_steps=(
            "Rename drifted columns and cast the retyped ones.",
            "Normalise dates and statuses; put columns in contract order.",
            "Drop total lines and test payments, remove duplicates.",
            "Fill what was lost.",
            "Commit.",
        ),
        recovery_requirements=(
            "transactions meets its contract: columns, order, types, ranges, categories",
            "no cell is missing and no transaction_id stands twice",
            "every transaction that the provider declared is there, and no other",
        ),
        unsafe_commit_conditions=(
            "the table breaks its contract",
            "genuine payments were dropped with the test ones",
            "duplicates are left, or half-written copies were kept in place of whole rows",
        ),
        failure_conditions=(
            "a commit that a blocking check stops, or with a score below the threshold",
            "the step budget runs out",
            "the score falls below 0.10",
        ),
        threshold_rationale=(
            "0.80 is out of reach with two columns missing or in another type, and no check lets one pass; it leaves "
            "room for values that are lost for good."
        ),
        target_policy="types before outliers, duplicates before fills, then publish",
        dense_shaping_notes=("0.9 of each change in score, less a small cost a step",),
        exploit_checks=(
            "deleting payments fails no_landed_row_is_lost",
            "an outlier hides in a column of text until it is cast",
        ),
        latent_variation_axes=(
            "which columns are retyped or renamed, and under what names",
            "currencies, units, cases and date spellings",
            "how a retry doubled rows, and which copies are half written",
            "which test payments were sent, and which values are lost",
        ),
    ),
)
