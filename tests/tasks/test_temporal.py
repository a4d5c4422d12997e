"""Task 5 by itself: a day of a shop's orders, with corrections that come late, and what a rollup of it counts."""

from __future__ import annotations

import numpy as np
import pandas as pd

from mario_dagster.tables.load import stack
from mario_dagster.tables.spec import clean_data_of
from mario_dagster.tasks.temporal.transforms import hourly_rollup


def test_a_day_looks_like_a_shop_s() -> None:
    for seed in range(20):
        workspace = clean_data_of("temporal", seed)
        assert [batch.name for batch in workspace.batches] == [f"t{number:02d}" for number in range(1, 13)]
        assert all(9 <= len(batch.frame) <= 18 for batch in workspace.batches)
        landed = [batch.landed_at for batch in workspace.batches]
        assert landed == sorted(landed) and 2 <= (workspace.now - landed[-1]).total_seconds() / 60 <= 16
        orders = stack([batch.frame for batch in workspace.batches])
        assert orders["order_id"].is_monotonic_increasing and not orders["event_ts"].is_monotonic_increasing
        assert orders["quantity"].between(1, 12).all()
        quartiles = orders["quantity"].quantile([0.25, 0.75]).tolist()
        assert quartiles[1] - quartiles[0] >= 1  # so that a median is always a plausible fill
        prices = orders["product_id"].map(workspace.feeds["catalog"].set_index("product_id")["unit_price"])
        assert np.allclose(
            (prices * orders["quantity"]).astype(float), orders["gross_revenue"].astype(float), atol=0.005
        )
        names = workspace.feeds["catalog"]["product_name"]
        assert names.is_unique and sum(not name.isascii() for name in names) >= 3


def test_corrections_come_hours_late() -> None:
    late = total = 0
    for seed in range(10):
        workspace = clean_data_of("temporal", seed)
        opening = pd.Timestamp(workspace.batches[0].frame["event_ts"].min()).floor("15min")
        for index, batch in enumerate(workspace.batches):
            opens = batch.landed_at - pd.Timedelta(minutes=53)
            early = int((batch.frame["event_ts"] < opens).sum())
            assert (batch.frame["event_ts"] >= opening - pd.Timedelta(minutes=30)).all()
            assert early == 0 if index < 3 else early >= 1
            late, total = late + early, total + (len(batch.frame) if index >= 3 else 0)
    assert 0.06 <= late / total <= 0.13


def test_a_rollup_counts_every_order() -> None:
    for seed in range(10):
        clean = clean_data_of("temporal", seed)
        orders, catalog = stack([batch.frame for batch in clean.batches]), clean.feeds["catalog"]
        assert orders["product_id"].isin(catalog["product_id"]).all()
        assert int(hourly_rollup(orders, catalog)["order_count"].sum()) == len(orders)
