"""The task `metering`: meter readings of some weeks, the meters they come from, and what was used a day.

In: nothing. Out: `METERING`, standard library only, so that listing tasks stays instant.
"""

from __future__ import annotations

from mario_dagster.plugin import Card, Column, Table, Task

TARIFFS = ("day", "flat", "night", "solar")

READINGS = Table(
    name="readings",
    key="reading_id",
    feed="readings",
    description="One row a reading, delivered as one snapshot.",
    columns=(
        Column("reading_id", "int64", "Reading number, unique.", minimum=1),
        Column("meter_id", "int64", "Meter that was read.", minimum=1, references="meters.meter_id"),
        Column("read_at", "timestamp", "When it was read, UTC."),
        Column("kwh", "float64", "Used since the reading before, in kWh.", minimum=0.01, maximum=500, skewed=True),
    ),
)
METERS = Table(
    name="meters",
    key="meter_id",
    feed="meters",
    description="One row a meter.",
    columns=(
        Column("meter_id", "int64", "Meter number, unique.", minimum=1),
        Column("site", "string", "Where it hangs: region and number.", pattern=r"[A-Z]{3}-\d{2}"),
        Column("tariff", "string", "Tariff it is billed by.", categories=TARIFFS),
    ),
)
DAILY_USAGE = Table(
    name="daily_usage",
    key="usage_date",
    upstream=("readings", "meters"),
    description="Readings and kWh by UTC day, over meters that are registered.",
    words={"whole": "usage"},
    columns=(
        Column("usage_date", "date", "Day of the reading, UTC."),
        Column("reading_count", "int64", "Readings of the day.", minimum=1),
        Column("kwh", "float64", "Used on the day, in kWh.", minimum=0.01),
    ),
)

METERING = Task(
    id=101,
    slug="metering",
    name="Metering Usage Recovery",
    difficulty="medium",
    threshold=0.90,
    max_steps=18,
    description=(
        "The metering service was redeployed: labels of meters stand under each other's names, and readings no "
        "longer meet their contract. Repair both, compute the daily usage anew, then publish."
    ),
    tables=(READINGS, METERS, DAILY_USAGE),
    pipeline_spec="mario_metering.pipeline:PIPELINE",
    # Each part is the score of the table of that name.
    objective_weights={"readings": 0.45, "meters": 0.25, "daily_usage": 0.30},
    subgoals={
        "reconcile_schema_aliases": "schema_reconciled",
        "repair_readings": "clean:readings",
        "repair_meters": "clean:meters",
        "publish_usage": "published",
    },
    card=Card(
        incident_type="metering contract breakage in two tables",
        objective="Bring readings and meters back to their contracts, and publish the usage they add up to.",
        broken_state="The producer redelivered both feeds after a release, and the scheduled run fails its checks.",
        incident_summary="Usage cannot be published since the last delivery of readings and meters.",
        diagnosis_signals=(
            "schema_report and column_alias_hints: columns that arrived under another name",
            "format_issues: values that cannot be of the column they stand in",
            "duplicate_rate: readings that were delivered twice",
        ),
        repair_steps=(
            "Rename drifted columns; of two that traded names, one has to step aside first.",
            "Normalise times, cast numbers, remove duplicates.",
            "Refresh the daily usage, commit.",
        ),
        recovery_requirements=(
            "readings and meters meet their contracts, and no landed row is lost",
            "daily_usage is what the readings add up to",
        ),
        unsafe_commit_conditions=("a table breaks its contract", "daily_usage is stale"),
        failure_conditions=(
            "a commit that a blocking check stops, or with a score below the threshold",
            "the step budget runs out",
            "the score falls below 0.10",
        ),
        threshold_rationale="0.90 is out of reach while two labels of every meter are wrong.",
        target_policy="names first, then values and rows, then what is derived, then publish",
    ),
)
