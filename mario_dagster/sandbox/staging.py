"""An incident that no name stands for, made into a sandbox: composed of faults that somebody wrote by hand.

In: a compiled incident. Out: a sandbox in which it has struck, lived through like any other; no template is kept.
"""

from __future__ import annotations

import secrets
import tempfile
from pathlib import Path

from mario_dagster import definitions
from mario_dagster.catalog import task
from mario_dagster.incidents.compiler import Incident

from .creation import live
from .home import Home, check_id
from .sandbox import Sandbox
from .strike import twins
from .templates import TEMPLATE_ID, Recipe, clone_folder
from .vault import Vault


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
    home.root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".staged-", dir=home.root) as folder:
        root, vault = Path(folder) / "sandbox", Path(folder) / "vault"
        root.mkdir(mode=0o755)
        recipe.info(TEMPLATE_ID).save(root)
        live(incident, found, root)
        Vault(vault).seal(incident, twins(incident, found, definitions.pipeline(found).transforms))
        clone_folder(root, vault, home, info)
    return Sandbox(home.sandbox(info.id), Vault(home.vault(info.id)))
