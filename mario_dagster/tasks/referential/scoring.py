"""Task 3's parts of the score: its tables, and totals that follow from them.

In: all that a score is made of. Out: the task's objectives by name, each 0 to 1.
"""

from __future__ import annotations

from mario_dagster.scoring.objectives import Scored


def objectives(found: Scored) -> dict[str, float]:
    """Task 3's parts of the score, each 0 to 1.

    Weighted they are quality * (0.30 + 0.70 * share of right totals): three parts share the first term, the last part
    is the whole second one, so that right totals of wrong tables, and wrong totals of right ones, are worth little.
    """
    scores = found.scores
    quality = 0.50 * scores["orders"] + 0.30 * scores["customers"] + 0.20 * scores["products"]
    # Of orders whose quantity is lost nobody knows the total: they are left out.
    totals = found.same_rows("order_totals")
    return {
        "orders_quality": scores["orders"],
        "customers_quality": scores["customers"],
        "products_quality": scores["products"],
        "dependency_consistency": quality * totals,
    }
