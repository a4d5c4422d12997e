"""The seven profiles of task 3: three to train on, two more to evaluate on, two families held out.

In: faults and pools. Out: `PROFILES`. Each breaks the references between tables in a way of its own: retyped, renamed,
of nobody, or to a record that is none; and each is followed by totals that a bad deploy wrote. A held-out family
combines what no train profile combines, under names and spellings that none uses.
"""

from __future__ import annotations

from mario_dagster.catalog import Profile
from mario_dagster.incidents.faults import (
    AnyOf,
    BadDeploy,
    BogusRows,
    ExtendedSchema,
    GarbledText,
    LostValues,
    OrphanRows,
    RecasedCategory,
    RenamedColumns,
    ReorderedColumns,
    RetriedLoad,
    RetypedColumn,
    SpelledMoments,
    SpelledNumbers,
    TrailerLines,
)
from mario_dagster.incidents.pools import HELD_OUT, TRAIN

TASK = "referential"
ORDERS, CUSTOMERS, PRODUCTS, TOTALS = "orders", "customers", "products", "order_totals"
# A discount taken twice; a tax added to prices that have it.
SHORTFALL = {"total_price": (0.80, 0.94)}
EXCESS = {"total_price": (1.06, 1.25)}
# A number as a spreadsheet shows it: 48,213.
SEPARATED = ("{amount}",)
FEW, SOME = (0.01, 0.03), (0.03, 0.08)

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
        AnyOf((RecasedCategory(PRODUCTS, "category"), ReorderedColumns(PRODUCTS)), least=1, most=2),
        BadDeploy(TOTALS, scale=SHORTFALL),
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
            {
                "category": ("product_category", "product_group"),
                "unit_price": ("price", "price_each"),
                "product_name": ("product_label", "product_text"),
            },
            least=1,
            most=2,
            always=("category",),
        ),
        RenamedColumns(
            ORDERS,
            {
                "customer_id": ("client_id", "customer_number"),
                "order_date": ("ordered_on", "date_of_order"),
                "quantity": ("qty", "order_quantity"),
            },
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
        BadDeploy(TOTALS, scale=SHORTFALL),
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
        BadDeploy(TOTALS, texts={"total_price": TRAIN.cents}, scale=EXCESS),
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
            {
                "customer_id": ("client_id", "customer_number"),
                "product_id": ("item_id", "product_number"),
                "order_date": ("ordered_on", "date_of_order"),
            },
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
        RenamedColumns(PRODUCTS, {"category": ("product_category", "product_group")}),
        BogusRows(
            PRODUCTS,
            {"unit_price": TRAIN.numbers, "product_name": ("Test Item", "QA Product", "Dummy Article")},
            drop="unit_price",
            share=(0.05, 0.12),
        ),
        RetriedLoad(PRODUCTS, share=(0.08, 0.25)),
        BadDeploy(TOTALS, aliases={"total_price": ("order_total", "price_total")}, least=0, most=1, scale=SHORTFALL),
    ),
)

CONTRACT_ALIAS = Profile(
    name="heldout_task3_contract_alias_family",
    task=TASK,
    splits=("eval",),
    held_out=True,
    summary="A new master-data system: other column names, more columns, keys as text, its own date spellings.",
    patterns=("renamed columns", "added columns", "retyped keys", "date spellings", "retried loads", "renamed totals"),
    faults=(
        RenamedColumns(
            ORDERS,
            {
                "order_date": ("event_date", "trade_date"),
                # Names that tell neither reference from the other: the tables they refer to do.
                "product_id": ("goods_ref", "listing_ref"),
                "customer_id": ("party_ref", "account_ref"),
            },
            least=2,
            most=3,
            always=("order_date",),
        ),
        RetypedColumn(ORDERS, "product_id", ("string", "float64")),
        SpelledMoments(ORDERS, "order_date", (*HELD_OUT.dates, "compact_utc"), least=2, most=3),
        RetriedLoad(ORDERS, share=SOME),
        RenamedColumns(
            CUSTOMERS,
            {"email": ("email_address", "contact_email"), "age": ("age_in_years", "age_at_signup")},
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
                "product_name": ("item_name", "item_title"),
                "unit_price": ("list_price", "catalogue_price"),
            },
            least=1,
            most=2,
            always=("unit_price",),
        ),
        RetypedColumn(PRODUCTS, "product_id", ("string",)),
        AnyOf((ReorderedColumns(PRODUCTS), RecasedCategory(PRODUCTS, "category"))),
        BadDeploy(
            TOTALS, aliases={"total_price": ("amount_due_value", "net_order_value")}, least=1, most=1, scale=EXCESS
        ),
    ),
)

DEPENDENCY_ROLLUP = Profile(
    name="heldout_task3_dependency_rollup_family",
    task=TASK,
    splits=("eval",),
    held_out=True,
    summary="A billing takeover: foreign currencies, minor units, placeholder records, totals wrong and misspelt.",
    patterns=("foreign currency", "minor units", "placeholder records", "lost quantities", "mojibake", "wrong totals"),
    faults=(
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
            aliases={"total_price": ("billed_value", "invoiced_value")},
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
)
