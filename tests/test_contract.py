"""Every incident of the catalogue, task by profile by split, has the properties that `mario check` proves.

Those of a compiled incident alone are looked at over several seeds; those of a real sandbox, with all the others, over
one. What other packages add is in the catalogue as soon as it is installed, so the same holds for it.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from mario_dagster.bench.incident_properties import INCIDENT_PROPERTIES
from mario_dagster.bench.proofs import Case, cases, prove
from mario_dagster.incidents.compile import Incident, compile_incident

CASES = cases(None, None, seeds=1)
# Beside the seed that is played on a real sandbox.
SEEDS = range(1, 4)
LARGE = 8
# A family's damage does not grow otherwise in another split: one of each is enough.
FAMILIES = list({(case.task, case.profile): case for case in CASES}.values())


def wrong_with(incident: Incident, *but: str) -> dict[str, str]:
    """Properties that do not hold of a compiled incident, with what is wrong."""
    found = {name: holds(incident) for name, holds in INCIDENT_PROPERTIES.items() if name not in but}
    return {name: wrong for name, wrong in found.items() if wrong}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_an_incident_has_every_property_on_real_dagster(case: Case, tmp_path: Path) -> None:
    proof = prove(case, tmp_path)
    assert proof.holds, {name: found.why for name, found in proof.findings.items() if found.state == "fails"}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_its_damage_has_every_property_whatever_the_seed(case: Case) -> None:
    for seed in SEEDS:
        incident = compile_incident(case.task, case.profile, split=case.split, seed=seed)
        assert not wrong_with(incident), seed


@pytest.mark.parametrize("case", FAMILIES, ids=str)
def test_its_damage_has_every_property_in_large_tables_too(case: Case) -> None:
    small, large = (
        compile_incident(case.task, case.profile, split=case.split, seed=5, scale=scale) for scale in (1, LARGE)
    )
    rows = [sum(incident.declared.values()) for incident in (small, large)]
    assert rows[0] * LARGE / 2 < rows[1] <= rows[0] * LARGE * 1.2
    assert not wrong_with(large, "every_repair_is_needed", "deleting_rows_is_no_repair")
