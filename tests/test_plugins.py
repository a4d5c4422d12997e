"""Other packages add tasks, faults and profiles; one that is no good is left out, named, and the rest keeps working."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
EXAMPLE = ROOT / "examples" / "mario-metering"
# What the example's own contract is tested with: every test that runs over tasks, profiles or faults, unchanged.
CONTRACTS = (
    "test_contract.py",
    "incidents/test_composition.py",
    "incidents/test_families.py",
    "tables/test_clean_data.py",
    "assets/test_dev.py",
    "core/test_action.py",
    "env/test_env.py",
)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the example package, built and installed as a user would."""
    target = tmp_path_factory.mktemp("site")
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    assert uv, "uv comes with `make setup`"
    made = [uv, "pip", "install", "--quiet", "--python", sys.executable, "--no-deps", "--target", str(target)]
    subprocess.run([*made, str(EXAMPLE)], check=True)
    return target


def run(site: Path, *arguments: str, home: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Python with a folder of plugins beside the installed packages."""
    environment = {**os.environ, "PYTHONPATH": str(site), **({"MARIO_HOME": str(home)} if home else {})}
    command = [sys.executable, *arguments]
    return subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)


def test_the_contract_tests_hold_for_the_example_package_unchanged(installed: Path) -> None:
    files = [f"tests/{name}" for name in CONTRACTS]
    done = run(installed, "-m", "pytest", "-p", "no:cacheprovider", "-k", "metering", *files)
    assert done.returncode == 0, done.stdout[-5000:]
    assert int(done.stdout.rsplit(" passed", 1)[0].split()[-1].strip(",")) >= 10, done.stdout[-500:]


def test_the_heuristic_and_the_command_line_take_the_example_as_they_take_any_task(
    installed: Path, tmp_path: Path
) -> None:
    listed = run(installed, "-m", "mario_dagster.cli", "tasks", "--json")
    assert [each["slug"] for each in json.loads(listed.stdout)][-1] == "metering", listed.stderr
    # All else is proven by the contract test above, in the same way.
    words = ("check", "--task", "metering", "--seeds", "1", "--gold-only")
    proven = run(installed, "-m", "mario_dagster.cli", *words, home=tmp_path / "home")
    assert proven.returncode == 0, proven.stdout + proven.stderr


# --- bad plugins ------------------------------------------------------------------------------------------------------

BAD = {
    "raises": "raise ZeroDivisionError('half of nothing')\n",
    "clashes": """
from dataclasses import replace
from mario_dagster.core.registry import task
from mario_dagster.core.task import Profile
from mario_dagster.tasks.events.incidents import PROFILES
from mario_dagster.incidents.faults.retried_load import RetriedLoad
from mario_dagster.incidents.faults.spelled_numbers import SpelledNumbers
TASK = replace(task("events"), id=77)
NUMBER = 5
ORPHAN = replace(task("events"), id=78, slug="orphan", aliases=(), pipeline_spec="nowhere:PIPELINE")
TAKEN = PROFILES[0]
SOMEWHERE = Profile("somewhere", "nowhere", ("train",), "")
UNFIT = Profile("unfit", "events", ("train",), "", (SpelledNumbers("transactions", "status", ("${amount}",)),))
ORPHANED = Profile("orphaned", "orphan", ("train",), "", (RetriedLoad("transactions"),))
GOOD = Profile("good", "events", ("train",), "", (RetriedLoad("transactions"),))
""",
    "twins": """
from dataclasses import dataclass
from mario_dagster.incidents.faults import Fault
@dataclass(frozen=True)
class HalfABatch(Fault):
    def inject(self, damage, rng): ...
@dataclass(frozen=True)
class RetriedLoad(Fault):
    def inject(self, damage, rng): ...
""",
}
ENTRY_POINTS = """
[mario_dagster.tasks]
raises = raises:TASK
clash = clashes:TASK
number = clashes:NUMBER
orphan = clashes:ORPHAN
[mario_dagster.faults]
twins = twins
raises = raises
[mario_dagster.profiles]
taken = clashes:TAKEN
somewhere = clashes:SOMEWHERE
unfit = clashes:UNFIT
number = clashes:NUMBER
good = clashes:GOOD
orphaned = clashes:ORPHANED
missing = clashes:NOTHING
"""
ASK = """
import json, logging
logging.basicConfig(format="WARNED %(message)s")
from mario_dagster import definitions
from mario_dagster.core import registry
from mario_dagster.env.episode import Episode
from mario_dagster.env.errors import BadRequest
from mario_dagster.env.options import reset_options
from mario_dagster.incidents.faults import faults
from mario_dagster.incidents.profiles import profiles
def refusal():
    try:
        Episode.start(reset_options({"task": "orphan", "seed": 1}))
    except BadRequest as error:
        return str(error)
episode = Episode.start(reset_options({"task": "events", "seed": 1}))
print(json.dumps({
    "tasks": [each.slug for each in registry.tasks()],
    "pipelines": list(definitions.pipelines()),
    "faults": list(faults()),
    "profiles": [each.name for each in profiles("events")],
    "played": episode.task.slug,
    "refusal": refusal(),
}))
"""


@pytest.fixture(scope="module")
def site_of_bad_plugins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package whose entry points name what cannot be used, and one profile that can, as installers write it."""
    site = tmp_path_factory.mktemp("bad")
    for name, text in BAD.items():
        (site / f"{name}.py").write_text(text)
    info = site / "wrecks-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: wrecks\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    return site


def test_what_a_bad_plugin_brings_is_left_out_with_both_sides_named(site_of_bad_plugins: Path, tmp_path: Path) -> None:
    done = run(site_of_bad_plugins, "-c", ASK, home=tmp_path / "home")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout.splitlines()[-1])
    assert answer["tasks"] == ["ingestion", "events", "referential", "incremental", "temporal", "orphan"]
    assert answer["pipelines"] == ["ingestion", "events", "referential", "incremental", "temporal"]
    assert answer["played"] == "events"
    assert "good" in answer["profiles"] and {"somewhere", "unfit"}.isdisjoint(answer["profiles"])
    # Neither the fault whose name is taken, nor the one that its module had defined before.
    assert "half_a_batch" not in answer["faults"] and "retried_load" in answer["faults"]
    assert answer["refusal"] == (
        "task 'orphan' cannot be used: its pipeline spec 'nowhere:PIPELINE' does not load: "
        "ModuleNotFoundError: No module named 'nowhere'"
    )
    warned = [line for line in done.stderr.splitlines() if line.startswith("WARNED")]
    for wreck, why in {
        "wrecks (raises:TASK)": "ZeroDivisionError: half of nothing",
        "wrecks (clashes:TASK)": "task 'events' wants the name 'events', which mario_dagster has",
        "wrecks (clashes:NUMBER)": "it is a int, not a Task",
        "wrecks (twins)": "a fault 'retried_load', which mario_dagster.incidents.faults.retried_load has",
        "wrecks (clashes:TAKEN)": "is a name that mario_dagster has",
        "wrecks (clashes:SOMEWHERE)": "profile 'somewhere': no task 'nowhere'",
        "wrecks (clashes:UNFIT)": "profile 'unfit': spelled_numbers does not fit transactions.status",
        "wrecks (clashes:NOTHING)": "AttributeError",
        "nowhere:PIPELINE": "task 'orphan' cannot be used",
    }.items():
        assert any(wreck in line and why in line for line in warned), (wreck, warned)
