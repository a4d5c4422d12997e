"""An incident that no name stands for, made into a sandbox: composed of faults that somebody wrote by hand.

In: a compiled incident. Out: a sandbox in which it has struck, lived through like any other; no template is kept.
"""

from __future__ import annotations

import secrets
import shutil

from mario_dagster.core.registry import task
from mario_dagster.incidents.compile import Incident
from mario_dagster.scoring.truth import TruthStore

from .home import Home, check_id, partial_name
from .sandbox import Sandbox
from .template_cache import TEMPLATE_ID, Recipe, from_template, live_and_seal, with_checksums


def stage(
    incident: Incident, *, id: str | None = None, feedback: str | None = None, home: Home | None = None
) -> Sandbox:
    """A new sandbox of an incident at hand.

    Raises:
        InvalidId, SandboxExists: the id cannot be one, or is taken.
    """
    home, found = home or Home.default(), task(incident.task)
    recipe = Recipe(found.slug, incident.profile, incident.split, incident.seed, incident.scale, "")
    info = recipe.info(check_id(id) if id is not None else f"{found.slug}-{secrets.token_hex(6)}", feedback)
    folder = home.root / partial_name("staged")
    with home.making():
        try:
            live_and_seal(incident, found, recipe.info(TEMPLATE_ID), folder)
            from_template(with_checksums(folder), home, info)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    return Sandbox(home.sandbox(info.id), TruthStore(home.truth_store(info.id)))
