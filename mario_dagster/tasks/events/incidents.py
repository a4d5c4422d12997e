"""The four profiles of task 2: two to train on, one that combines them anew, one family held out.

In: faults and pools. Out: `PROFILES`. What makes it harder than task 1 is that damage hides damage: an outlier stands
in a column of text, a half-written copy looks like lost values, a duplicate cannot be told while its key has no name.
"""

from __future__ import annotations

from mario_dagster.core.task import Profile
from mario_dagster.incidents.faults.base import AnyOf, Fault
from mario_dagster.incidents.faults.bogus_rows import BogusRows
from mario_dagster.incidents.faults.extended_schema import ExtendedSchema
from mario_dagster.incidents.faults.lookalike_column import LookalikeColumn
from mario_dagster.incidents.faults.lost_values import LostValues
from mario_dagster.incidents.faults.rare_category import RareCategory
from mario_dagster.incidents.faults.real_spike import RealSpike
from mario_dagster.incidents.faults.recased_category import RecasedCategory
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
from mario_dagster.tasks.ingestion.incidents import HELD_OUT_YEARS, NULL, YEARS

TASK = "events"
EVENTS = "transactions"

ALIASES = {
    "transaction_id": ("txn_id", *names(("txn", "transaction", "payment"), ("no", "ref", "code"))),
    "age": names(("payer", "buyer", "customer"), ("age", "age_years")),
    "amount": ("amt", *names(("paid", "charged", "payment"), ("amount", "sum", "total"))),
    "status": names(("payment", "txn", "provider"), ("status", "status_code", "state")),
    "event_date": ("event_time", *names(("event", "payment", "charge"), ("day", "on_date", "calendar_date"))),
}
# The amount before it was converted, beside what the contract asks for: beyond its range for all but small payments.
LIKE_AMOUNT: Fault = LookalikeColumn(EVENTS, "amount", LIKE_NAMES["amount"], factor=(20.0, 90.0))
# One for all captures of an order, so that some repeat.
LIKE_KEY: Fault = LookalikeColumn(EVENTS, "transaction_id", names(("transaction",), LIKE_NAMES["key"]), "shared")
EXTRAS = {"terminal": ("pos", "web", "app"), "issuer_region": ("emea", "apac", "amer"), "retry_of": ("none", "first")}

DATES: Fault = AnyOf(
    (
        SpelledMoments(EVENTS, "event_date", ("iso", *TRAIN.dates), least=2, most=3),
        SpelledCells(EVENTS, "event_date", TRAIN.dates),
    )
)
AGE_AS_TEXT: Fault = AnyOf((RetypedColumn(EVENTS, "age", ("string",)), SpelledNumbers(EVENTS, "age", YEARS)))
LOST_AGE: Fault = LostValues(EVENTS, "age", TRAIN.sentinels, share=(0.01, 0.05))
AMOUNT_AS_TEXT: Fault = AnyOf(
    (
        RetypedColumn(EVENTS, "amount", ("string",)),
        SpelledCells(EVENTS, "amount", TRAIN.currency),
        SpelledNumbers(EVENTS, "amount", TRAIN.currency, least=1, most=3),
    )
)
LOST_AMOUNT: Fault = LostValues(EVENTS, "amount", TRAIN.sentinels, share=(0.01, 0.05), fill="fill_mean")
TEST_PAYMENTS: Fault = BogusRows(EVENTS, {"amount": TRAIN.numbers}, drop="amount")
REORDERED: Fault = AnyOf((ReorderedColumns(EVENTS), ExtendedSchema(EVENTS, EXTRAS, most=2)), least=2, most=2)
RENAMED: Fault = RenamedColumns(EVENTS, ALIASES, least=1, most=2)
AGE: Fault = AnyOf((AGE_AS_TEXT, LOST_AGE), least=1, most=2)
AMOUNT: Fault = AnyOf((AMOUNT_AS_TEXT, LOST_AMOUNT), least=1, most=2)


def renamed_beside(column: str) -> Fault:
    """A rename of another column: two are out of shape, and not one twice."""
    return RenamedColumns(EVENTS, {name: aliases for name, aliases in ALIASES.items() if name != column})


EVENT_RETRY = Profile(
    name="duplicate_event_retry",
    task=TASK,
    splits=("train",),
    summary="The provider's delivery broke off and was retried: events stand there twice, some half written.",
    patterns=("duplicates", "half-written copies", "numbers as text", "column drift"),
    faults=(
        AnyOf((RetriedLoad(EVENTS, share=(0.01, 0.15)), TornCopies(EVENTS)), least=1, most=2),
        AnyOf(
            (
                AnyOf((AGE, AMOUNT, RENAMED), least=3, most=3),
                AnyOf((AGE, AMOUNT, REORDERED), least=3, most=3),
                AnyOf((AGE, renamed_beside("age")), least=2, most=2),
                AnyOf((AMOUNT, renamed_beside("amount"), REORDERED), least=3, most=3),
            )
        ),
        AnyOf(
            (
                DATES,
                RecasedCategory(EVENTS, "status", share=(0.05, 0.4)),
                AnyOf((TEST_PAYMENTS, TrailerLines(EVENTS, total="amount", batches=(1, 1)))),
                LostValues(EVENTS, "status", NULL, share=(0.01, 0.04), fill="fill_forward"),
            ),
            least=0,
            most=2,
        ),
    ),
)

TYPE_REGRESSION = Profile(
    name="dtype_validation_regression",
    task=TASK,
    splits=("train",),
    summary="An exporter writes everything as text: numbers, keys and dates, with words where values are missing.",
    patterns=("numbers as text", "retyped keys", "sentinels", "date spellings", "category case"),
    faults=(
        AnyOf(
            (
                AGE_AS_TEXT,
                AMOUNT_AS_TEXT,
                RetypedColumn(EVENTS, "transaction_id"),
                DATES,
            ),
            least=2,
            most=4,
        ),
        AnyOf((LOST_AGE, LOST_AMOUNT)),
        AnyOf((RENAMED, REORDERED)),
        AnyOf(
            (
                RecasedCategory(EVENTS, "status"),
                AnyOf((RetriedLoad(EVENTS, share=(0.01, 0.1)), TornCopies(EVENTS))),
                TEST_PAYMENTS,
            ),
            least=1,
            most=2,
        ),
    ),
)

CONTRACT_BREAKAGE = Profile(
    name="event_contract_breakage",
    task=TASK,
    splits=("eval",),
    summary="The provider's next version: the date under another name, columns added and moved, statuses lost.",
    patterns=("renamed columns", "added columns", "column order", "lost statuses", "category case", "total lines"),
    faults=(
        RenamedColumns(EVENTS, ALIASES, least=1, most=3, always=("event_date",)),
        DATES,
        AnyOf((AMOUNT_AS_TEXT, AGE_AS_TEXT, LOST_AGE), least=1, most=2),
        AnyOf(
            (
                RecasedCategory(EVENTS, "status"),
                LostValues(EVENTS, "status", TRAIN.sentinels, share=(0.01, 0.05), fill="fill_forward"),
                REORDERED,
                TrailerLines(EVENTS, total="amount", batches=(1, 1)),
                AnyOf((RetriedLoad(EVENTS, share=(0.01, 0.1)), TornCopies(EVENTS))),
            ),
            least=2,
            most=3,
        ),
    ),
)

OUTLIER_CURRENCY = Profile(
    name="outlier_currency_regression",
    task=TASK,
    splits=("eval",),
    held_out=True,
    summary="A new acquirer: amounts in foreign currency and minor units, and its test payments among the real ones.",
    patterns=("test payments", "foreign currency", "minor units", "renamed columns", "lookalike columns"),
    faults=(
        BogusRows(EVENTS, {"amount": HELD_OUT.numbers}, drop="amount", share=(0.01, 0.04)),
        SpelledNumbers(EVENTS, "amount", (*HELD_OUT.currency, *HELD_OUT.cents), least=2, most=4),
        RenamedColumns(
            EVENTS,
            {
                "transaction_id": names(("acquirer", "clearing"), ("transaction_no", "id", "transaction_key")),
                "amount": names(("captured", "cleared"), ("amount_usd", "dollar_amount", "usd_amount")),
                "status": names(("clearing", "lifecycle"), ("status", "stage", "status_word")),
                "event_date": names(("value", "posting", "clearing"), ("date", "date_local")),
            },
            least=2,
            most=3,
            always=("amount",),
        ),
        AnyOf((LIKE_AMOUNT, LIKE_KEY), least=0, most=2),
        AnyOf(
            (
                AnyOf(
                    (
                        SpelledMoments(EVENTS, "event_date", HELD_OUT.dates, least=1, most=3),
                        SpelledCells(EVENTS, "event_date", HELD_OUT.dates),
                    )
                ),
                BogusRows(EVENTS, {"age": HELD_OUT.numbers}, drop="age"),
                SpelledNumbers(EVENTS, "age", HELD_OUT_YEARS),
                LostValues(EVENTS, "age", HELD_OUT.sentinels, share=(0.01, 0.05)),
                LostValues(EVENTS, "status", HELD_OUT.sentinels, share=(0.01, 0.05), fill="fill_forward"),
                AnyOf((RetriedLoad(EVENTS, share=(0.02, 0.15)), TornCopies(EVENTS)), least=1, most=2),
            ),
            least=2,
            most=3,
        ),
    ),
)

PROFILES: tuple[Profile, ...] = (
    EVENT_RETRY,
    TYPE_REGRESSION,
    CONTRACT_BREAKAGE,
    OUTLIER_CURRENCY,
    # Judgement, asked for by name.
    false_alarm(TASK, "transactions", (RareCategory("transactions", "status"),)),
    real_spike(
        TASK,
        RealSpike("transactions", ("amount",)),
        (
            RetriedLoad("transactions", share=(0.01, 0.04)),
            ReorderedColumns("transactions"),
            RecasedCategory("transactions", "status"),
            RetypedColumn("transactions", "age"),
        ),
    ),
)
