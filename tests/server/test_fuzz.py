"""Requests by machine, from the server's own description: none is answered with 500 or above, none does harm.

`MARIO_FUZZ_CASES=5000` makes it so many; `mario bench fuzz` is the same with figures.
"""

from __future__ import annotations

import os
import warnings

from mario_dagster.bench.fuzz import fuzz

CASES = int(os.environ.get("MARIO_FUZZ_CASES", "0"))


def test_no_request_is_answered_by_a_failure_or_does_harm() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        report = fuzz(CASES) if CASES else fuzz(1, examples=12, phases=("examples", "fuzzing"))
    assert report.holds, "\n".join([*report.failures, *report.harm, *report.logged][:20])
    assert report.requests >= max(CASES, 150) and len(report.operations) > 30
    # Requests that were served are among them, and every kind of refusal.
    assert {"200", "404", "409", "422"} <= report.statuses.keys()
