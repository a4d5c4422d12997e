"""Telling incidents apart: by everything that a player meets, or by their kind alone.

In: compiled incidents. Out: hashes, the same on any machine.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pandas as pd

from mario_dagster.tables.frames import content_hash

from .assembly import Incident


def fingerprint(incident: Incident) -> str:
    """A hash of what an incident is to a player: what lands, what waits, what was deployed, what works on it."""
    return _hash(
        {
            "landing": {key: content_hash(frame) for key, frame in sorted(incident.landing.items())},
            "pending": incident.pending,
            "unavailable": incident.unavailable,
            "deploys": {table: deploy.to_dict() for table, deploy in sorted(incident.deploys.items())},
            "workers": (incident.workers, incident.required_floor),
        }
    )


def kind_hash(incident: Incident) -> str:
    """A hash of what kind of incident it is: which faults struck which columns under which names, and what undoes it.

    No row, value or amount enters it: two seeds that differ in their data alone are of one kind.
    """
    damage_manifest = incident.damage_manifest
    return _hash(
        {
            "cells": _distinct(damage_manifest.cells, "table", "column", "fault"),
            "rows": _distinct(damage_manifest.rows_added, "table", "fault"),
            "columns": _distinct(damage_manifest.columns, *damage_manifest.columns.columns),
            "deploys": {
                table: [dict(deploy.rename), dict(deploy.texts), sorted(deploy.scale)]
                for table, deploy in sorted(incident.deploys.items())
            },
            "pending": len(incident.pending),
            "solution": [step.to_dict() for step in incident.solution],
        }
    )


def _distinct(frame: pd.DataFrame, *columns: str) -> list[str]:
    return sorted({str(row) for row in frame[list(columns)].itertuples(index=False, name=None)})


def _hash(body: Any) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
