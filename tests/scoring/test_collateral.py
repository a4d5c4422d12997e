"""Collateral: cells that were right when an incident struck, and are not at the end."""

from __future__ import annotations

from mario_dagster.core.registry import task
from mario_dagster.incidents.compose import compose
from mario_dagster.inject.redelivery import reference
from mario_dagster.scoring.collateral import collateral


def test_collateral_is_what_was_right_and_no_longer_is() -> None:
    found = task("events")
    incident = compose("events", ["renamed_columns", "spelled_moments", "retried_load"], seed=3)
    truth = reference(incident, found, {})
    landed = {"transactions": incident.landing["transactions/c01"]}
    assert collateral(found, landed, landed, truth, incident.damage_manifest.landed_as) == 0
    assert collateral(found, landed, truth, truth, incident.damage_manifest.landed_as) == 0
    assert collateral(found, truth, {}, truth, incident.damage_manifest.landed_as) == truth["transactions"].size
    assert (
        collateral(found, truth, {"transactions": truth["transactions"][5:]}, truth, incident.damage_manifest.landed_as)
        == 25
    )
    swapped = truth["transactions"].assign(status=truth["transactions"]["status"].shift(1))
    changed = int((swapped["status"] != truth["transactions"]["status"]).fillna(True).sum())
    assert collateral(found, truth, {"transactions": swapped}, truth, incident.damage_manifest.landed_as) == changed
