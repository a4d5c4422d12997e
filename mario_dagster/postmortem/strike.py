"""How the incident came to light: the runs of the schedule before anybody was called, and the checks that failed then.

In: the instance of a sandbox, and the first line of its journal. Out: entries of the timeline, symptoms. All of it is
in the Dagster UI too.
"""

from __future__ import annotations

from collections.abc import Iterator

from dagster import DagsterRun

from mario_dagster.assets.jobs import GRADE
from mario_dagster.checks.facts import checks_for
from mario_dagster.core.run_tags import INCIDENT, PHASE, SCHEDULER
from mario_dagster.env.episode_state import Line
from mario_dagster.env.observation import text
from mario_dagster.runtime.queries import check_outcomes_of, newest_step_failures
from mario_dagster.sandbox.sandbox import Sandbox
from mario_dagster.signals.failures import step_failure

from .model import Entry, Symptom

WENT_WELL, PASSED = "all of it succeeded", "it passed, and failed once all had run"


def runs_before(sandbox: Sandbox) -> Iterator[Entry]:
    """What the schedule ran before anybody was called, oldest first."""
    failures: dict[str, list[str]] = {}
    for failure in newest_step_failures(sandbox.instance.database, 0):
        if (why := step_failure(sandbox.instance, failure)) is not None:
            job = f"run {failure.entry.job_name} failed: "
            failures.setdefault(failure.entry.run_id, []).append(why.removeprefix(job))
    for run in _runs(sandbox):
        result = "; ".join(dict.fromkeys(failures.get(run.run_id, ())))
        status = "done" if run.is_success else "failed"
        yield Entry(None, None, SCHEDULER, run.job_name, "", status, text(result) or WENT_WELL)


def symptoms(sandbox: Sandbox, first: Line) -> tuple[Symptom, ...]:
    """The checks that failed when the incident was noticed, with what the scheduled runs found."""
    found: dict[str, str] = {}
    for run in _runs(sandbox):
        if run.tags[PHASE] == INCIDENT:
            for outcome in check_outcomes_of(sandbox.instance.database, run.run_id):
                if outcome.check != GRADE:
                    found[outcome.check] = PASSED if outcome.passed else text(outcome.description or "failed")
    checks = {check.name: check for check in checks_for(sandbox.task)}
    return tuple(
        Symptom(name, checks[name].table, checks[name].description, found.get(name, ""))
        for name in first["failing_checks"]
        if name in checks
    )


def _runs(sandbox: Sandbox) -> list[DagsterRun]:
    """Runs from before the episode began, oldest first."""
    return [run for run in reversed(sandbox.instance.get_runs()) if PHASE in run.tags]
