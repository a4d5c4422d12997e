"""The spellings and names that incidents draw from: one pool for train profiles, another, disjoint, for held-out ones.

In: nothing. Out: `TRAIN` and `HELD_OUT`; `TRAIN_NAMES`; `names`, which composes pools of names. Every mark is one of
`core/formats.py`, so a contract lists it and a repair reads it; which of them a player has met in training is what
tells the pools apart. Pools of names are large, so that one incident's renames are hardly ever another's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product


def names(*parts: Sequence[str]) -> tuple[str, ...]:
    """Every name of one word of each part, in their order; an empty word is left out."""
    return tuple("_".join(filter(None, words)) for words in product(*parts))


@dataclass(frozen=True)
class Vocabulary:
    """Spellings by what they do.

    Args:
        currency, cents: templates of an amount of money.
        units: templates of a whole number.
        moments: spellings of a timestamp; `offsets` those with a time-zone offset.
        dates: spellings of a date.
        sentinels: words for "no value".
        numbers: numbers that a test record carries.
    """

    currency: tuple[str, ...]
    cents: tuple[str, ...]
    units: tuple[str, ...]
    timestamps: tuple[str, ...]
    offsets: tuple[str, ...]
    dates: tuple[str, ...]
    sentinels: tuple[str, ...]
    numbers: tuple[int, ...]


TRAIN = Vocabulary(
    currency=("${amount}", "{value} USD", "USD {amount}", "₹{amount}", "INR {value}"),
    cents=("{cents} cents", "{cents} cent"),
    units=("{value} units", "{value} pcs", "{value} items"),
    timestamps=("iso_space", "slash_day_first"),
    offsets=("iso_offset +05:30", "iso_offset +01:00", "iso_offset -04:00", "iso_offset +09:00"),
    dates=("slash_day_first", "dash_month_first"),
    sentinels=("missing", "unknown", "n/a", "", "null"),
    numbers=(999999,),
)
HELD_OUT = Vocabulary(
    currency=("€{amount}", "{value} EUR", "US${amount}", "£{value}", "GBP {amount}"),
    cents=("{cents} minor units", "{cents}¢", "{cents} minor"),
    units=("{value} ea", "{value} pieces", "x{value}"),
    timestamps=("dot_day_first", "compact_utc", "month_name", "epoch_seconds"),
    offsets=("iso_offset -09:30", "iso_offset +12:45", "iso_offset -02:30"),
    dates=("dot_day_first", "compact", "month_name"),
    sentinels=("tbd", "--", "#n/a", "not available", "nil"),
    numbers=(9999, -1),
)


_ITEM = ("item", "product", "article")
_NUMBER = ("no", "ref", "code", "number")
# Contract column -> names that it may have in a train profile, whatever the task.
TRAIN_NAMES: Mapping[str, tuple[str, ...]] = {
    "product_id": ("item_id", *names(_ITEM, _NUMBER)),
    "customer_id": ("client_id", *names(("client", "customer", "buyer"), _NUMBER)),
    "quantity": ("qty", *names(("qty", "pieces", "count"), ("ordered", "sold", "bought")), "order_qty", "line_qty"),
    "event_ts": ("observed_at", *names(("event", "order", "purchase"), ("time", "moment", "clock", "instant"))),
    "order_date": ("ordered_on", *names(("date", "day"), ("of_order", "of_purchase", "ordered", "placed"))),
    "revenue": names(("line", "order", "sale"), ("total", "value", "amount", "takings")),
    "gross_revenue": names(("gross", "order", "sale"), ("amount", "value", "sum", "takings")),
    "category": ("product_segment", *names(_ITEM, ("group", "class", "section", "type")), "product_category"),
    "product_name": names(_ITEM, ("title", "label", "text", "caption")),
    "unit_price": names(("price", "cost", "dollars"), ("each", "per_piece", "per_item", "of_one")),
    "age": names(("customer", "buyer", "client"), ("age", "years", "age_years")),
    "email": names(("customer", "buyer", "client"), ("mail", "mailbox", "mail_address")),
    "name": names(("customer", "buyer", "client"), ("name", "full_name", "name_in_full")),
    "hour_bucket": names(("window", "bucket", "slot", "hour"), ("start", "from", "begin", "opens")),
    "event_date": names(("business", "order", "sales", "trading"), ("day", "date_utc", "calendar_day")),
    "order_count": names(("orders", "purchases", "tickets"), ("counted", "seen", "in_all", "number")),
    "total_revenue": names(("revenue", "sales", "takings"), ("sum", "in_all", "added_up", "of_day")),
    "rollup_revenue": names(("revenue", "sales", "takings"), ("sum", "in_all", "added_up", "of_hour")),
    "total_price": names(("order", "price", "line", "basket"), ("total", "sum", "in_all", "due")),
}

# Contract column -> names of columns that look like it, and are something else; held-out families only.
LIKE_NAMES: Mapping[str, tuple[str, ...]] = {
    "quantity": ("shipped_qty", "picked_qty", "qty_packed", "qty_on_hand"),
    "revenue": ("net_turnover", "income_after_fees", "takings_less_returns", "net_of_rebates"),
    "gross_revenue": ("net_revenue", "revenue_after_fees", "revenue_paid_out", "revenue_less_returns"),
    "unit_price": ("wholesale_price", "former_price", "price_at_cost", "member_price"),
    "product_id": ("product_bin", "product_shelf", "product_pallet", "product_lot"),
    "customer_id": ("customer_till", "customer_region", "customer_card", "customer_visit"),
    "monthly_spend": ("lifetime_spend", "spend_to_date", "spend_all_told"),
    "amount": ("local_amount", "amount_in_yen", "amount_unconverted"),
    "key": ("household", "group", "envelope"),
}


def train_names(*columns: str) -> dict[str, tuple[str, ...]]:
    """Contract column -> its names in train profiles, of the columns that are asked for."""
    return {column: TRAIN_NAMES[column] for column in columns}
