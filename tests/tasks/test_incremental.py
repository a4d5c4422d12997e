"""Task 4 by itself: a shop's stream of orders, how its days add up for the audit, and the parts of its score."""

from __future__ import annotations

import numpy as np
import pytest

from mario_dagster.checks.audit import audit
from mario_dagster.core import registry
from mario_dagster.scoring.compare import PipelineState
from mario_dagster.tables.load import stack
from mario_dagster.tables.spec import clean_data_of
from mario_dagster.tasks.incremental.transforms import daily_summary

from .at_rest import AtRest


def test_the_stream_looks_like_a_shop_s() -> None:
    late = 0
    for seed in range(20):
        workspace = clean_data_of("incremental", seed)
        orders, products = stack([batch.frame for batch in workspace.batches]), workspace.feeds["products"]
        days = daily_summary(orders, products)
        assert [batch.name for batch in workspace.batches] == [f"b{number:02d}" for number in range(1, 14)]
        assert all(12 <= len(batch.frame) <= 22 for batch in workspace.batches)
        landed = [batch.landed_at for batch in workspace.batches]
        assert landed == sorted(landed) and 4 <= (workspace.now - landed[-1]).total_seconds() / 60 <= 31
        assert len(days) >= 3 and int(days["order_count"].sum()) == len(orders)
        prices = products.set_index("product_id")["unit_price"]
        assert orders["order_id"].is_monotonic_increasing and orders["quantity"].between(1, 12).all()
        quartiles = orders["quantity"].quantile([0.25, 0.75]).tolist()
        assert quartiles[1] - quartiles[0] >= 1  # so that a median is always a plausible fill
        amounts = (orders["product_id"].map(prices) * orders["quantity"]).astype(float)
        assert np.allclose(amounts, orders["revenue"].astype(float), atol=0.005)
        for batch in workspace.batches:
            assert (batch.frame["event_ts"] < batch.landed_at).all()
        before = [batch.frame["event_ts"].max() for batch in workspace.batches[:-1]]
        late += sum(
            bool((batch.frame["event_ts"] < earlier).any())
            for batch, earlier in zip(workspace.batches[1:], before, strict=True)
        )
    assert late >= 20 * 9


def test_the_audit_sums_days_up() -> None:
    rest = AtRest.of("incremental")
    summary = rest.task.table("daily_summary")
    assert not rest.failing()
    short = rest.tables["daily_summary"].assign(total_revenue=lambda frame: frame["total_revenue"] * 0.9)
    rest.tables["daily_summary"] = short
    assert not audit(rest.context, summary).passed
    rest.tables["daily_summary"] = short.iloc[1:]
    assert {"event_date", "order_count"} <= {case["column"] for case in audit(rest.context, summary).failures}


# --- the score --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "part", "value"),
    [
        (PipelineState(13, 0, 0.0, False, 2, 2), "resources", 1.0),
        (PipelineState(13, 0, 0.0, False, 3, 2), "resources", 0.85),
        (PipelineState(3, 10, 0.0, False, 1, 3), "resources", 0.2),
        (PipelineState(13, 0, 90.0, False, 2, 2), "freshness", 0.5),
        (PipelineState(13, 0, 90.0, True, 2, 2), "freshness", 0.25),
        (PipelineState(3, 10, 4000.0, True, 1, 3), "freshness", 0.0),
        (PipelineState(13, 0, 0.0, False, 2, 2), "backlog", 1.0),
        (PipelineState(9, 4, 0.0, False, 2, 2), "backlog", 7 / 13),
    ],
)
def test_the_parts_of_the_score(state: PipelineState, part: str, value: float) -> None:
    graded = AtRest.of("incremental", seed=2).grade(state)
    assert graded.parts[part] == pytest.approx(value)
    assert graded.parts["data_quality"] == graded.parts["summary_consistency"] == 1.0
    assert set(graded.parts) == set(registry.task("incremental").objective_weights)
