"""The four profiles of task 1: two to train on, one that combines them anew, one family held out.

In: faults and pools. Out: `PROFILES`. Ten steps have to do, so an incident asks for four to seven repairs; which ones,
on which columns and under what names is the seed's choice among far more than ten.
"""

from __future__ import annotations

from mario_dagster.core.task import Profile
from mario_dagster.incidents.faults.base import AnyOf, Fault
from mario_dagster.incidents.faults.bogus_rows import BogusRows
from mario_dagster.incidents.faults.extended_schema import ExtendedSchema
from mario_dagster.incidents.faults.garbled_text import GarbledText
from mario_dagster.incidents.faults.lookalike_column import LookalikeColumn
from mario_dagster.incidents.faults.lost_values import LostValues
from mario_dagster.incidents.faults.real_spike import RealSpike
from mario_dagster.incidents.faults.renamed_columns import RenamedColumns
from mario_dagster.incidents.faults.reordered_columns import ReorderedColumns
from mario_dagster.incidents.faults.retried_load import RetriedLoad
from mario_dagster.incidents.faults.retyped_column import RetypedColumn
from mario_dagster.incidents.faults.spelled_cells import SpelledCells
from mario_dagster.incidents.faults.spelled_moments import SpelledMoments
from mario_dagster.incidents.faults.spelled_numbers import SpelledNumbers
from mario_dagster.incidents.faults.torn_copies import TornCopies
from mario_dagster.incidents.faults.trailer_lines import TrailerLines
from mario_dagster.incidents.judgement import false_alarm, real_spike
from mario_dagster.incidents.vocabularies import HELD_OUT, LIKE_NAMES, TRAIN, names

TASK = "ingestion"
CUSTOMERS = "customers"

# Units of an age, and what test records claim; no other task has such columns.
YEARS, HELD_OUT_YEARS = ("{value} years",), ("{value} yrs",)
NULL: tuple[str | None, ...] = (None,)
ALIASES = {
    "customer_id": ("client_id", *names(("client", "customer", "member"), ("no", "ref", "code", "number"))),
    "age": names(("customer", "client", "member"), ("age", "age_years", "age_now")),
    "monthly_spend": names(("spend", "spending", "outlay"), ("per_month", "each_month", "monthly", "of_month")),
    "city": names(("home", "delivery", "residence", "customer"), ("city", "city_name", "city_text")),
    "signup_date": (
        "signup_dt",
        *names(("signup", "registration", "joining"), ("day", "on_date", "dt_local", "moment")),
    ),
}
# What a customer spent in all, beside what the contract asks for: beyond its range for those who are with us long.
LIKE_SPEND: Fault = LookalikeColumn(CUSTOMERS, "monthly_spend", LIKE_NAMES["monthly_spend"], factor=(12.0, 60.0))
# One for all customers of a household, so that some repeat.
LIKE_KEY: Fault = LookalikeColumn(CUSTOMERS, "customer_id", names(("customer",), LIKE_NAMES["key"]), "shared")
EXTRAS = {"source_system": ("crm", "web shop", "till"), "loyalty_tier": ("basic", "silver", "gold")}

MIXED_DATES: Fault = SpelledMoments(CUSTOMERS, "signup_date", ("iso", *TRAIN.dates), least=2, most=3)
SOME_DATES: Fault = SpelledCells(CUSTOMERS, "signup_date", TRAIN.dates)
DATES: Fault = AnyOf((MIXED_DATES, SOME_DATES))
CURRENCY: Fault = AnyOf(
    (
        SpelledCells(CUSTOMERS, "monthly_spend", TRAIN.currency),
        SpelledNumbers(CUSTOMERS, "monthly_spend", TRAIN.currency, least=1, most=3),
    )
)
REORDERED: Fault = AnyOf((ReorderedColumns(CUSTOMERS), ExtendedSchema(CUSTOMERS, EXTRAS, most=2)), least=2, most=2)


def lost(column: str, words: tuple[str | None, ...], share: tuple[float, float] = (0.01, 0.05)) -> Fault:
    """A few lost values, to be filled with the median or the mean: the middle of a column either way."""
    return AnyOf(
        (
            LostValues(CUSTOMERS, column, words, share=share),
            LostValues(CUSTOMERS, column, words, share=share, fill="fill_mean"),
        )
    )


# Names other than of ages and spending, so that a rename and a loss never fall on one column.
RENAMED_BESIDE: Fault = RenamedColumns(
    CUSTOMERS, {name: ALIASES[name] for name in ("customer_id", "city", "signup_date")}
)
LOST_AGES: Fault = lost("age", NULL, share=(0.01, 0.08))
LOST_SPENDING: Fault = lost("monthly_spend", NULL, share=(0.01, 0.08))
BLANKED_AGES, BLANKED_SPENDING = lost("age", TRAIN.sentinels), lost("monthly_spend", TRAIN.sentinels)
RETYPED_KEY: Fault = RetypedColumn(CUSTOMERS, "customer_id")
ONE_COLUMN: Fault = AnyOf((DATES, RETYPED_KEY))
TWO_COLUMNS: Fault = AnyOf((CURRENCY, DATES, RETYPED_KEY), least=1, most=2)

NULL_BURST = Profile(
    name="ingestion_null_burst",
    task=TASK,
    splits=("train",),
    summary="A join upstream came back empty: ages and spending are lost, among whatever else the release brought.",
    patterns=("lost ages", "lost spending", "sentinels", "drift beside the loss"),
    faults=(
        RENAMED_BESIDE,
        AnyOf(
            (
                AnyOf((BLANKED_AGES, BLANKED_SPENDING), least=2, most=2),
                AnyOf((BLANKED_AGES, LOST_SPENDING, ONE_COLUMN), least=3, most=3),
                AnyOf((LOST_AGES, BLANKED_SPENDING, ONE_COLUMN), least=3, most=3),
                AnyOf((LOST_AGES, LOST_SPENDING, TWO_COLUMNS), least=3, most=3),
            )
        ),
        AnyOf(
            (
                REORDERED,
                GarbledText(CUSTOMERS, "city"),
                AnyOf((RetriedLoad(CUSTOMERS, share=(0.01, 0.08)), TornCopies(CUSTOMERS))),
                AnyOf(
                    (
                        TrailerLines(CUSTOMERS, total="monthly_spend", batches=(1, 1)),
                        BogusRows(CUSTOMERS, {"age": TRAIN.numbers}, drop="age"),
                    )
                ),
            ),
            least=1,
            most=2,
        ),
    ),
)

SIGNUP_DRIFT = Profile(
    name="signup_contract_drift",
    task=TASK,
    splits=("train",),
    summary="The sign-up form was rebuilt: its date under a new name and spelling, spending with currency marks.",
    patterns=("renamed columns", "currency marks", "mixed date spellings", "a lost column"),
    faults=(
        RenamedColumns(CUSTOMERS, ALIASES, least=1, most=2, always=("signup_date",)),
        DATES,
        CURRENCY,
        AnyOf((LOST_AGES, BLANKED_AGES, LOST_SPENDING)),
        AnyOf(
            (
                GarbledText(CUSTOMERS, "city"),
                REORDERED,
                RETYPED_KEY,
                ExtendedSchema(CUSTOMERS, EXTRAS),
                RetriedLoad(CUSTOMERS, share=(0.01, 0.08)),
            ),
        ),
    ),
)

DATE_DRIFT = Profile(
    name="ingestion_date_contract_drift",
    task=TASK,
    splits=("eval",),
    summary="Offices write dates each in their own way, and the merged file has their test records and column orders.",
    patterns=("mixed date spellings", "test records", "column order", "renamed columns", "retyped ages"),
    faults=(
        MIXED_DATES,
        AnyOf((LOST_AGES, LOST_SPENDING, BLANKED_SPENDING)),
        AnyOf(
            (
                AnyOf((RetypedColumn(CUSTOMERS, "age"), SpelledNumbers(CUSTOMERS, "age", YEARS))),
                CURRENCY,
                RETYPED_KEY,
            )
        ),
        RenamedColumns(CUSTOMERS, {name: ALIASES[name] for name in ("customer_id", "age", "city")}),
        AnyOf(
            (
                BogusRows(CUSTOMERS, {"age": TRAIN.numbers}, drop="age"),
                BogusRows(CUSTOMERS, {"monthly_spend": TRAIN.numbers}, drop="monthly_spend"),
                REORDERED,
                GarbledText(CUSTOMERS, "city"),
                AnyOf((RetriedLoad(CUSTOMERS, share=(0.02, 0.1)), TornCopies(CUSTOMERS))),
            ),
            least=1,
            most=2,
        ),
    ),
)

CURRENCY_REGRESSION = Profile(
    name="currency_contract_regression",
    task=TASK,
    splits=("eval",),
    held_out=True,
    summary="Billing moved abroad: spending in other currencies and minor units, dates and names as they write them.",
    patterns=("foreign currency", "minor units", "renamed columns", "lookalike columns", "foreign date spellings"),
    faults=(
        SpelledNumbers(CUSTOMERS, "monthly_spend", (*HELD_OUT.currency, *HELD_OUT.cents), least=2, most=4),
        AnyOf(
            (
                SpelledMoments(CUSTOMERS, "signup_date", HELD_OUT.dates, least=1, most=3),
                SpelledCells(CUSTOMERS, "signup_date", HELD_OUT.dates),
            )
        ),
        RenamedColumns(
            CUSTOMERS,
            {
                "customer_id": names(("account_holder", "party", "payer"), ("id", "key")),
                "monthly_spend": names(
                    ("charged", "billed", "invoiced", "debited"), ("monthly", "a_month", "each_month", "every_month")
                ),
                "city": names(("billing", "invoice"), ("city", "city_line")),
                "signup_date": names(("account_opened", "contract_signed"), ("date", "day")),
            },
            least=1,
            most=2,
            always=("monthly_spend",),
        ),
        AnyOf((LIKE_SPEND, LIKE_KEY), least=1, most=2),
        AnyOf(
            (
                lost("monthly_spend", HELD_OUT.sentinels),
                lost("age", HELD_OUT.sentinels),
                SpelledNumbers(CUSTOMERS, "age", HELD_OUT_YEARS),
                BogusRows(CUSTOMERS, {"monthly_spend": HELD_OUT.numbers}, drop="monthly_spend"),
                BogusRows(CUSTOMERS, {"age": HELD_OUT.numbers}, drop="age"),
            ),
            least=1,
            most=2,
        ),
    ),
)

PROFILES: tuple[Profile, ...] = (
    NULL_BURST,
    SIGNUP_DRIFT,
    DATE_DRIFT,
    CURRENCY_REGRESSION,
    # Judgement, asked for by name.
    false_alarm(TASK, "customers", ()),
    real_spike(
        TASK,
        RealSpike("customers", ("monthly_spend",)),
        (
            RetriedLoad("customers", share=(0.01, 0.04)),
            ReorderedColumns("customers"),
            SpelledCells("customers", "signup_date", TRAIN.dates),
            RetypedColumn("customers", "age"),
        ),
    ),
)
