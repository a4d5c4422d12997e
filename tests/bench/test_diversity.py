"""How many incidents there are that differ: a census, and composed incidents that are played."""

from __future__ import annotations

from pathlib import Path

from mario_dagster.bench.diversity import Census, Draw, census, draws, play
from mario_dagster.incidents.compile import compile_incident
from mario_dagster.incidents.compose import compose
from mario_dagster.incidents.hashes import fingerprint, kind_hash


def test_a_census_counts_what_differs_and_bounds_what_was_not_seen() -> None:
    assert census([("a", "x"), ("b", "x"), ("c", "y")]) == Census(3, 3, 1, 2, 2)
    assert census([("a", "x"), ("a", "x")]).at_least is None
    assert len({str(each) for each in draws(60)}) == 60
    pairs = [compose(each.task, seed=each.seed, difficulty=each.difficulty) for each in draws(45)]  # type: ignore[arg-type]
    assert len({fingerprint(each) for each in pairs}) == 45 and len({kind_hash(each) for each in pairs}) > 35


def test_totals_that_a_failing_reference_kept_from_being_computed_are_refreshed(tmp_path: Path) -> None:
    """What orders refer to is judged before them, so that totals stay as the bad release wrote them."""
    only_customers = Draw("referential", "easy", 1021)
    solution = compile_incident("referential", only_customers.profile, seed=only_customers.seed).solution
    assert {"orders", "products"}.isdisjoint(step.table for step in solution)
    assert solution[-2].name == "refresh_downstream_assets"
    assert play(only_customers, tmp_path, solution_only=True).wrong == {}
