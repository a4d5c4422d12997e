"""The seven profiles of task 3: three to train on, two more to evaluate on, two families held out.

In: faults and pools. Out: `PROFILES`. Each breaks the references between tables in a way of its own: retyped, renamed,
of nobody, or to a record that is none; and each is followed by totals that a bad deploy wrote. A held-out family
combines what no train profile combines, under names and spellings that none uses.
"""

from __future__ import annotations

from mario_dagster.core.task import Profile
from mario_dagster.incidents.faults.bad_deploy import BadDeploy
from mario_dagster.incidents.faults.base import AnyOf
from mario_dagster.incidents.faults.bogus_rows import BogusRows
from mario_dagster.incidents.faults.extended_schema import ExtendedSchema
from mario_dagster.incidents.faults.garbled_text import GarbledText
from mario_dagster.incidents.faults.lookalike_column import LookalikeColumn
from mario_dagster.incidents.faults.lost_values import LostValues
from mario_dagster.incidents.faults.orphan_rows import OrphanRows
from mario_dagster.incidents.faults.rare_category import RareCategory
from mario_dagster.incidents.faults.real_spike import RealSpike
from mario_dagster.incidents.faults.recased_category import RecasedCategory
from mario_dagster.incidents.faults.renamed_columns import RenamedColumns
from mario_dagster.incidents.faults.reordered_columns import ReorderedColumns
from mario_dagster.incidents.faults.retried_load import RetriedLoad
from mario_dagster.incidents.faults.retyped_column import RetypedColumn
from mario_dagster.incidents.faults.spelled_moments import SpelledMoments
from mario_dagster.incidents.faults.spelled_numbers import SpelledNumbers
from mario_dagster.incidents.faults.trailer_lines import TrailerLines
from mario_dagster.incidents.judgement import false_alarm, real_spike
from mario_dagster.incidents.vocabularies import HELD_OUT, LIKE_NAMES, TRAIN, names, train_names

TASK = "referential"
ORDERS, CUSTOMERS, PRODUCTS, TOTALS = "orders", "customers", "products", "order_totals"
# A discount taken twice; a tax added to prices that have it.
SHORTFALL = {"total_price": (0.80, 0.94)}
EXCESS = {"total_price": (1.06, 1.25)}
# A number as a spreadsheet shows it: 48,213.
SEPARATED = ("{amount}",)
FEW, SOME = (0.01, 0.03), (0.03, 0.08)
# Held-out producers send these beside what the contract wants; what they come to, or the contract's words, tell.
LIKE_QUANTITY = LookalikeColumn(ORDERS, "quantity", LIKE_NAMES["quantity"], factor=(0.3, 0.8))
LIKE_CUSTOMER = LookalikeColumn(ORDERS, "customer_id", LIKE_NAMES["customer_id"], "foreign")
LIKE_PRICE = LookalikeColumn(PRODUCTS, "unit_price", LIKE_NAMES["unit_price"])

CONTRACT_DRIFT = Profile(
    name="customer_product_contract_drift",
    task=TASK,
    splits=("train",),
    summary="References and quantities landed as text or floats, prices with currency marks, dates in two spellings.",
    patterns=("retyped references", "units", "currency marks", "date spellings", "category case", "lost ages"),
    faults=(
        RetypedColumn(ORDERS, "customer_id", ("string", "float64")),
        SpelledNumbers(ORDERS, "quantity", TRAIN.units, least=1, most=3),
        SpelledMoments(ORDERS, "order_date", (*TRAIN.dates, "iso"), least=2, most=3),
        AnyOf(
            (
                LostValues(CUSTOMERS, "age", TRAIN.sentinels, share=SOME),
                LostValues(CUSTOMERS, "age", (None,), share=SOME, fill="fill_mean", most=1),
            )
        ),
        AnyOf(
            (
                RetypedColumn(CUSTOMERS, "customer_id", ("string",)),
                RetriedLoad(CUSTOMERS, share=SOME),
                ReorderedColumns(CUSTOMERS),
            ),
            least=1,
            most=2,
        ),
        SpelledNumbers(PRODUCTS, "unit_price", TRAIN.currency, least=1, most=3),
        AnyOf(
            (
                RecasedCategory(PRODUCTS, "category"),
                ReorderedColumns(PRODUCTS),
                RetypedColumn(PRODUCTS, "product_id", ("string",)),
            ),
            least=1,
            most=2,
        ),
        BadDeploy(TOTALS, aliases=train_names("total_price"), least=1, most=1, scale=SHORTFALL),
    ),
)

ALIAS_AND_ENCODING = Profile(
    name="alias_and_encoding_regression",
    task=TASK,
    splits=("train", "eval"),
    summary="Columns were renamed upstream, names and addresses came garbled, and loads were retried.",
    patterns=("renamed columns", "mojibake", "stray blanks", "currency marks", "retried loads", "date spellings"),
    faults=(
        RenamedColumns(
            PRODUCTS,
            train_names("category", "unit_price", "product_name"),
            least=1,
            most=2,
            always=("category",),
        ),
        RenamedColumns(
            ORDERS,
            train_names("customer_id", "order_date", "quantity"),
            least=1,
            most=2,
        ),
        SpelledMoments(ORDERS, "order_date", (*TRAIN.dates, "iso"), least=1, most=2),
        GarbledText(CUSTOMERS, "name"),
        GarbledText(CUSTOMERS, "email"),
        SpelledNumbers(PRODUCTS, "unit_price", TRAIN.currency, least=1, most=2),
        RetriedLoad(PRODUCTS, share=(0.08, 0.25)),
        RetriedLoad(ORDERS, share=SOME),
        BadDeploy(TOTALS, scale=SHORTFALL),
    ),
)

SENTINEL_REFERENCES = Profile(
    name="sentinel_reference_breakage",
    task=TASK,
    splits=("train", "eval"),
    summary="Words and numbers for nothing: ages and quantities lost, orders of nobody, test products at 999999.",
    patterns=("sentinels", "orders of nobody", "test products", "lost ages", "lost quantities", "retried loads"),
    faults=(
        LostValues(CUSTOMERS, "age", TRAIN.sentinels, share=SOME, least=1, most=3),
        LostValues(ORDERS, "quantity", TRAIN.sentinels, share=FEW),
        AnyOf(
            (
                OrphanRows(ORDERS, "customer_id", (*TRAIN.sentinels, None)),
                BogusRows(ORDERS, {"customer_id": TRAIN.numbers}, drop="customer_id"),
                BogusRows(ORDERS, {"product_id": TRAIN.numbers}, drop="product_id"),
            ),
            least=1,
            most=2,
        ),
        BogusRows(
            PRODUCTS,
            {"unit_price": TRAIN.numbers, "product_name": ("Test Item", "QA Product", "Dummy Article")},
            drop="unit_price",
            share=(0.05, 0.12),
        ),
        RetriedLoad(PRODUCTS, share=(0.08, 0.25)),
        RetriedLoad(ORDERS, share=SOME),
        AnyOf(
            (
                RetypedColumn(PRODUCTS, "product_id"),
                RetypedColumn(CUSTOMERS, "customer_id"),
                RetypedColumn(ORDERS, "order_id"),
                ReorderedColumns(CUSTOMERS),
            ),
            least=1,
            most=2,
        ),
        BadDeploy(TOTALS, aliases=train_names("total_price"), least=1, most=1, scale=SHORTFALL),
    ),
)

TIMEZONE_CURRENCY = Profile(
    name="timezone_currency_consistency_incident",
    task=TASK,
    splits=("eval",),
    summary="Dates came as local midnights with offsets, prices in several currencies and cents, totals in cents.",
    patterns=("time-zone offsets", "date spellings", "currency marks", "cents", "thousands marks", "retried loads"),
    faults=(
        SpelledMoments(ORDERS, "order_date", (*TRAIN.offsets, "slash_day_first"), least=2, most=3),
        AnyOf(
            (
                SpelledNumbers(ORDERS, "customer_id", SEPARATED),
                SpelledNumbers(ORDERS, "product_id", SEPARATED),
                SpelledNumbers(PRODUCTS, "product_id", SEPARATED),
            )
        ),
        RetriedLoad(ORDERS, share=SOME),
        AnyOf(
            (
                LostValues(CUSTOMERS, "age", (None,), share=SOME, fill="fill_mean", most=1),
                RetypedColumn(CUSTOMERS, "age", ("string", "float64")),
                GarbledText(CUSTOMERS, "name"),
            ),
            least=1,
            most=2,
        ),
        SpelledNumbers(PRODUCTS, "unit_price", (*TRAIN.currency, *TRAIN.cents), least=2, most=4),
        BadDeploy(
            TOTALS,
            aliases=train_names("total_price"),
            least=1,
            most=1,
            texts={"total_price": TRAIN.cents},
            scale=EXCESS,
        ),
    ),
)

CASCADING_OUTAGE = Profile(
    name="cascading_reference_outage",
    task=TASK,
    splits=("eval",),
    summary="One outage, three exports: renamed references, rows of nobody, test products, lost values, local dates.",
    patterns=("renamed columns", "rows of nobody", "test products", "lost quantities", "time-zone offsets", "blanks"),
    faults=(
        RenamedColumns(
            ORDERS,
            train_names("customer_id", "product_id", "order_date"),
            least=1,
            most=2,
        ),
        SpelledMoments(ORDERS, "order_date", (*TRAIN.offsets[:2], *TRAIN.dates), least=2, most=3),
        LostValues(ORDERS, "quantity", TRAIN.sentinels, share=FEW),
        AnyOf(
            (
                TrailerLines(ORDERS, total="quantity", batches=(1, 1)),
                OrphanRows(ORDERS, "customer_id", (*TRAIN.sentinels, None)),
                BogusRows(ORDERS, {"customer_id": TRAIN.numbers}, drop="customer_id"),
            )
        ),
        RetriedLoad(ORDERS, share=SOME),
        GarbledText(CUSTOMERS, "email"),
        AnyOf((GarbledText(CUSTOMERS, "name"), LostValues(CUSTOMERS, "age", TRAIN.sentinels, share=SOME))),
        RenamedColumns(PRODUCTS, train_names("category")),
        BogusRows(
            PRODUCTS,
            {"unit_price": TRAIN.numbers, "product_name": ("Test Item", "QA Product", "Dummy Article")},
            drop="unit_price",
            share=(0.05, 0.12),
        ),
        RetriedLoad(PRODUCTS, share=(0.08, 0.25)),
        BadDeploy(TOTALS, aliases=train_names("total_price"), least=0, most=1, scale=SHORTFALL),
    ),
)

CONTRACT_ALIAS = Profile(
    name="heldout_task3_contract_alias_family",
    task=TASK,
    splits=("eval",),
    held_out=True,
    summary="A new master-data system: other column names, more columns, keys as text, its own date spellings.",
    patterns=("renamed columns", "lookalike columns", "retyped keys", "date spellings", "retried loads", "totals"),
    faults=(
        RenamedColumns(
            ORDERS,
            {
                "order_date": names(("event", "trade", "deal"), ("date", "date_local")),
                # Names that tell neither reference from the other: the tables they refer to do.
                "product_id": names(("goods", "listing", "wares"), ("ref", "key")),
                "customer_id": names(("party", "account", "holder"), ("ref", "key")),
            },
            least=2,
            most=3,
            always=("order_date",),
        ),
        AnyOf((LIKE_CUSTOMER, LIKE_PRICE), least=0, most=2),
        RetypedColumn(ORDERS, "product_id", ("string", "float64")),
        SpelledMoments(ORDERS, "order_date", (*HELD_OUT.dates, "compact_utc"), least=2, most=3),
        RetriedLoad(ORDERS, share=SOME),
        RenamedColumns(
            CUSTOMERS,
            {
                "email": names(("email", "contact_email", "e_mail"), ("address", "address_text")),
                "age": names(("age", "holder_age"), ("in_years", "at_signup")),
            },
            least=1,
            most=2,
            always=("email",),
        ),
        ExtendedSchema(
            CUSTOMERS,
            {
                "consent_state": ("granted", "withdrawn", "pending"),
                "master_data_source": ("crm-2", "crm-3"),
                "loyalty_tier": ("bronze", "silver", "gold"),
            },
            least=1,
            most=2,
        ),
        RetriedLoad(CUSTOMERS, share=SOME),
        RenamedColumns(
            PRODUCTS,
            {
                "product_name": names(("item", "listing"), ("name", "heading")),
                "unit_price": names(("list", "catalogue", "listed"), ("price", "price_dollars")),
            },
            least=1,
            most=2,
            always=("unit_price",),
        ),
        RetypedColumn(PRODUCTS, "product_id", ("string",)),
        AnyOf((ReorderedColumns(PRODUCTS), RecasedCategory(PRODUCTS, "category"))),
        BadDeploy(
            TOTALS,
            aliases={"total_price": names(("amount", "order"), ("due", "payable"), ("value", "worth"))},
            least=1,
            most=1,
            scale=EXCESS,
        ),
    ),
)

DEPENDENCY_ROLLUP = Profile(
    name="heldout_task3_dependency_rollup_family",
    task=TASK,
    splits=("eval",),
    held_out=True,
    summary="A billing takeover: foreign currencies, minor units, placeholder records, totals wrong and misspelt.",
    patterns=(
        "foreign currency",
        "minor units",
        "placeholder records",
        "lookalike columns",
        "mojibake",
        "wrong totals",
    ),
    faults=(
        RenamedColumns(
            ORDERS,
            {
                "quantity": names(("billed", "requested", "wanted"), ("pieces", "piece_count")),
                "order_date": names(("contract", "closing", "deal"), ("day", "day_local")),
            },
            least=1,
            most=2,
            always=("quantity",),
        ),
        RenamedColumns(PRODUCTS, {"unit_price": names(("list", "catalogue"), ("amount", "charge"))}),
        AnyOf((LIKE_QUANTITY, LIKE_PRICE), least=0, most=2),
        SpelledNumbers(PRODUCTS, "unit_price", (*HELD_OUT.currency, *HELD_OUT.cents), least=2, most=4),
        BogusRows(
            PRODUCTS,
            {"unit_price": HELD_OUT.numbers, "product_name": ("Sample Article", "Placeholder", "Not For Sale")},
            drop="unit_price",
            share=(0.05, 0.12),
        ),
        AnyOf(
            (
                LostValues(PRODUCTS, "category", HELD_OUT.sentinels, share=(0.05, 0.12), fill="fill_forward"),
                RecasedCategory(PRODUCTS, "category"),
            )
        ),
        LostValues(ORDERS, "quantity", HELD_OUT.sentinels, share=FEW, least=1, most=3),
        AnyOf(
            (
                BogusRows(ORDERS, {"customer_id": (-1,)}, drop="customer_id"),
                BogusRows(ORDERS, {"product_id": (-1,)}, drop="product_id"),
                OrphanRows(ORDERS, "product_id", (*HELD_OUT.sentinels, None)),
            )
        ),
        SpelledMoments(ORDERS, "order_date", (*HELD_OUT.dates, "compact_utc"), least=2, most=4),
        RetriedLoad(ORDERS, share=SOME),
        AnyOf((GarbledText(CUSTOMERS, "name", rounds=2), ReorderedColumns(CUSTOMERS)), least=1, most=2),
        BadDeploy(
            TOTALS,
            aliases={"total_price": names(("billed", "invoiced"), ("value", "order_value", "worth"))},
            least=0,
            most=1,
            texts={"total_price": ("{cents} minor units", "{cents} minor", "{value:.2f} EUR")},
            scale=EXCESS,
        ),
    ),
)

PROFILES: tuple[Profile, ...] = (
    CONTRACT_DRIFT,
    ALIAS_AND_ENCODING,
    SENTINEL_REFERENCES,
    TIMEZONE_CURRENCY,
    CASCADING_OUTAGE,
    CONTRACT_ALIAS,
    DEPENDENCY_ROLLUP,
    # Judgement, asked for by name.
    false_alarm(TASK, "orders", (RareCategory("products", "category"),)),
    real_spike(
        TASK,
        RealSpike("orders", ("quantity",)),
        (
            RetriedLoad("orders", share=(0.01, 0.04)),
            RetypedColumn("customers", "age"),
            RecasedCategory("products", "category"),
            SpelledNumbers("products", "unit_price", TRAIN.currency),
        ),
    ),
)
