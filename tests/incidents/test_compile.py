"""Compiling is the same for everyone, in any process and any order; a salt changes the eval split only."""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import subprocess
import sys

import pandas as pd
import pytest

from mario_dagster.bench.proofs import cases
from mario_dagster.core.errors import UnknownName
from mario_dagster.core.registry import tasks
from mario_dagster.core.task import Task
from mario_dagster.incidents.compile import Incident, compile_incident
from mario_dagster.incidents.manifest import DamageManifest
from mario_dagster.incidents.profiles import profile, profiles
from mario_dagster.incidents.vocabularies import HELD_OUT
from mario_dagster.tables.frames import content_hash
from tests.serving import REPO

SEED = 2**31 - 1


def digest(incident: Incident) -> str:
    parts = [f"{key}:{content_hash(frame)}" for key, frame in sorted(incident.landing.items())]
    parts += [content_hash(batch.frame) + str(batch.landed_at) for batch in incident.clean.batches]
    parts += [f"{key}:{content_hash(frame)}" for key, frame in sorted(incident.clean.feeds.items())]
    parts += [
        incident.damage_manifest.to_json(),
        repr(incident.solution),
        repr(incident.deploys),
        str(incident.clean.now),
    ]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def test_another_process_compiles_the_same_incidents() -> None:
    chosen = [(case.task, case.profile, case.split) for case in cases(None, None, 1)]
    here = [digest(compile_incident(task, name, split=split, seed=SEED)) for task, name, split in chosen]
    code = (
        "import hashlib, json\nfrom mario_dagster.tables.frames import content_hash\n"
        "from mario_dagster.incidents.compile import Incident, compile_incident\n"
        f"{inspect.getsource(digest)}\n"
        "compile_incident('temporal', seed=5)\n"
        f"chosen = {chosen[::-1]}\n"
        f"make = lambda task, name, split: compile_incident(task, name, split=split, seed={SEED})\n"
        "print(json.dumps([digest(make(*each)) for each in chosen]))"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "77", "TZ": "Asia/Kolkata", "PYTHONPATH": str(REPO)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == here[::-1]


@pytest.mark.parametrize("task", tasks(), ids=lambda task: task.slug)
def test_salt_changes_eval_incidents_only(task: Task) -> None:
    for split, same in (("train", True), ("eval", False)):
        name = profiles(task, split)[0].name  # type: ignore[arg-type]
        plain, salted = (
            digest(compile_incident(task, name, split=split, seed=5, salt=salt))  # type: ignore[arg-type]
            for salt in ("", "secret")
        )
        assert (plain == salted) is same


def test_the_manifest_survives_json_and_says_what_is_lost() -> None:
    incident = compile_incident("temporal", "heldout_temporal_schema_extension_family", split="eval", seed=4)
    again = DamageManifest.from_json(incident.damage_manifest.to_json())
    for name in ("cells", "rows_added", "columns", "repairs"):
        pd.testing.assert_frame_equal(getattr(again, name), getattr(incident.damage_manifest, name), check_dtype=False)
    lost = again.cells[again.cells["lost"].astype(bool)]
    assert set(lost["column"]) == {"category"}
    assert set(lost["damaged"]) <= set(HELD_OUT.sentinels)
    assert set(again.repairs["action"]) >= {"rename_column", "fill_forward"}


def test_unknown_names_say_what_there_is() -> None:
    with pytest.raises(UnknownName, match="did you mean 'late_correction_backpressure_incident'"):
        profile("late_correction_backpresure")
    with pytest.raises(UnknownName, match=r"choose one of|did you mean"):
        compile_incident("temporal", "heldout_temporal_correction_replay_family", split="train", seed=1)
    with pytest.raises(UnknownName, match="no split 'bogus'"):
        compile_incident("temporal", split="bogus", seed=1)  # type: ignore[arg-type]
    with pytest.raises(UnknownName, match="no task"):
        compile_incident("temporall", seed=1)
    with pytest.raises(ValueError, match="scale is 0"):
        compile_incident("temporal", seed=1, scale=0)
