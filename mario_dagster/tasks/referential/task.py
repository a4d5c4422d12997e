"""Task 3, `referential`: orders that refer to customers and products, and the order totals computed from them.

In: nothing. Out: `REFERENTIAL`.
"""

from __future__ import annotations

from mario_dagster.core.task import Card, Column, Table, Task
from mario_dagster.tasks.temporal.task import CATEGORIES, READABLE

EMAIL = r"[a-z0-9]+([._+-][a-z0-9]+)*@[a-z0-9]+([.-][a-z0-9]+)*\.[a-z]{2,}"
# Numbers of customers and products have at most six digits, and 999999 is nobody's: a reference beyond is a test's.
LAST_NUMBER = 999_998

ORDERS = Table(
    name="orders",
    key="order_id",
    feed="orders",
    description="One row an order, as the shop's order service exports them.",
    words={"times": "order_dates", "amounts": "quantities"},
    columns=(
        Column("order_id", "int64", "Order number, unique.", minimum=1),
        Column(
            "customer_id",
            "int64",
            "Customer who ordered.",
            minimum=1,
            maximum=LAST_NUMBER,
            references="customers.customer_id",
        ),
        Column(
            "product_id",
            "int64",
            "Product ordered.",
            minimum=1,
            maximum=LAST_NUMBER,
            references="products.product_id",
        ),
        Column("quantity", "int64", "Pieces ordered.", minimum=1, maximum=60),
        Column("order_date", "date", "Calendar date of the order where it was placed."),
    ),
)
CUSTOMERS = Table(
    name="customers",
    key="customer_id",
    feed="customers",
    description="One row a customer, from the customer relations system.",
    words={"amounts": "ages"},
    columns=(
        Column("customer_id", "int64", "Customer number, unique.", minimum=1),
        Column("name", "string", "First and last name.", pattern=READABLE),
        Column("email", "string", "E-mail address, in lower case.", pattern=EMAIL),
        Column("age", "int64", "Age in years.", minimum=18, maximum=110),
    ),
)
PRODUCTS = Table(
    name="products",
    key="product_id",
    feed="products",
    description="One row a product that the shop sells.",
    words={"amounts": "prices"},
    columns=(
        Column("product_id", "int64", "Product number, unique.", minimum=1),
        Column("product_name", "string", "Name shown in the shop.", pattern=READABLE),
        Column("unit_price", "float64", "List price in dollars.", minimum=0.01, maximum=5_000, skewed=True),
        Column("category", "string", "Department.", categories=CATEGORIES),
    ),
)
ORDER_TOTALS = Table(
    name="order_totals",
    key="order_id",
    upstream=("orders", "products"),
    description="What each order comes to: quantity times unit price, over products that the shop sells.",
    words={"reconciles": "totals_match_price_times_quantity"},
    columns=(
        Column("order_id", "int64", "Order number, unique.", minimum=1),
        Column("total_price", "float64", "Quantity times unit price, in dollars.", minimum=0.01),
    ),
)

REFERENTIAL = Task(
    id=3,
    slug="referential",
    name="Referential Repair and Cascading Recovery",
    difficulty="hard",
    threshold=0.75,
    max_steps=25,
    description=(
        "Three systems export orders, customers and products; one broken export breaks the references between them "
        "and every order total. Repair each table, restore the references, compute the totals anew, then publish."
    ),
    tables=(ORDERS, CUSTOMERS, PRODUCTS, ORDER_TOTALS),
    # Together (0.50 orders + 0.30 customers + 0.20 products) * (0.30 + 0.70 * share of right totals): the first three
    # are 0.30 of each table's weight, the last is the tables' weighted quality times the share of right totals.
    blueprint="mario_dagster.tasks.referential.pipeline:BLUEPRINT",
    objectives="mario_dagster.tasks.referential.scoring:objectives",
    objective_weights={
        "orders_quality": 0.15,
        "customers_quality": 0.09,
        "products_quality": 0.06,
        "dependency_consistency": 0.70,
    },
    subgoals={
        "repair_customers": "clean:customers",
        "repair_products": "clean:products",
        "repair_orders": "clean:orders",
        "restore_dependency_consistency": "totals_reconciled",
        "commit_pipeline": "published",
    },
    aliases=("incident_response", "referential_repair"),
    card=Card(
        incident_type="referential breakage that cascades into order totals",
        objective="Make orders, customers and products agree again, and every order total follow from them.",
        broken_state=(
            "The exports of three systems were redelivered with drifted columns, broken references and rows that "
            "nobody sent, and a bad deploy wrote the order totals wrongly."
        ),
        incident_summary=(
            "Order totals are wrong. The tables they are computed from drifted from their contracts, references "
            "between them do not hold, and the scheduled run stopped before the totals."
        ),
        diagnosis_signals=(
            "dependency_health_summary: which tables fail, and what fails downstream of them",
            "failing_checks: every_customer_exists and every_product_exists say whether references hold",
            "column_alias_hints and missing_expected_columns: columns renamed upstream",
            "type_violations and format_issues: numbers, dates and references that landed as text",
            "duplicate_rate, outlier_count and missing_rate: rows loaded twice, test rows, lost values",
        ),
        repair_steps=(
            "Inspect each table; rename drifted columns and put them in contract order.",
            "Cast numbers and references, normalise dates, names and categories.",
            "Remove duplicates and the rows that no producer declared; fill what was lost.",
            "Repair what the deploy does to the names and spellings of order_totals.",
            "Refresh the totals, validate, commit.",
        ),
        recovery_requirements=(
            "orders, customers and products meet their contracts",
            "every customer_id and product_id of an order is found in its table",
            "every order total is quantity times unit price",
            "no landed row is lost, none is invented",
        ),
        unsafe_commit_conditions=(
            "a reference points nowhere",
            "order_totals is stale or does not match price times quantity",
            "a table breaks its contract",
            "rows were deleted that a producer delivered",
        ),
        failure_conditions=(
            "a commit that a blocking check stops, or with a score below the threshold",
            "the step budget runs out",
            "the score falls below 0.10",
        ),
        threshold_rationale=(
            "0.75 cannot be reached while the totals are wrong, whatever the tables look like: they weigh 0.70 of it; "
            "it leaves room for values that are lost for good."
        ),
        target_policy="referred tables and orders first, then what is derived, then publish",
        dense_shaping_notes=("0.9 of each change in score, less a small cost a step",),
        exploit_checks=(
            "deleting orders, customers or products fails no_landed_row_is_lost",
            "renaming a joined column fails the reference check, it does not switch it off",
            "refreshing before repairing leaves totals that do not match",
        ),
        latent_variation_axes=(
            "which table's export is broken, and which of its columns",
            "how references break: retyped, renamed, or rows of nobody",
            "currencies, units and date spellings",
            "which rows were loaded twice, invented or lost values",
        ),
    ),
)
