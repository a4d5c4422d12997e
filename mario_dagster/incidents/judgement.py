"""Profiles that try judgement: a false alarm, a real spike, an upstream that is still down. Asked for by name only.

In: a task's decoys and small faults. Out: its profiles of these kinds. What is right there is to leave alone what only
looks wrong, and what nobody here can mend: publish a healthy pipeline untouched; repair the one small thing beside a
spike, and not the spike; load and repair what has come, and publish nothing while the rest of it is still to come.
"""

from __future__ import annotations

from mario_dagster.core.task import Profile

from .faults.base import AnyOf, Fault
from .faults.late_batches import LateBatches
from .faults.real_spike import RealSpike
from .faults.unavailable_batches import UnavailableBatches


def _judgement(
    task: str, kind: str, summary: str, patterns: tuple[str, ...], faults: tuple[Fault, ...], *alerts: str
) -> Profile:
    return Profile(
        name=f"judgement_{task}_{kind}",
        task=task,
        splits=("train", "eval"),
        summary=summary,
        patterns=patterns,
        faults=faults,
        options={"by_name_only": True, "alerts": alerts},
    )


def false_alarm(task: str, table: str, oddities: tuple[Fault, ...]) -> Profile:
    """A monitor cries out over oddities that are true, if over anything: right is to publish, untouched.

    Args:
        table: what the monitor says it watches.
    """
    summary = "A monitor cries out, and nothing is wrong: validate, and publish what is there, untouched."
    alert = f"row-count monitor: {table} came in 31 % below its forecast"
    return _judgement(task, "false_alarm", summary, ("false alarm",), (AnyOf(oddities),) if oddities else (), alert)


def real_spike(task: str, spike: RealSpike, faults: tuple[Fault, ...]) -> Profile:
    """A real spike, and one of some small faults beside it: right is to repair the fault, and nothing else."""
    summary = "Business was good, and one small thing broke beside it: repair that, and leave the spike alone."
    patterns = ("real spike", "one small fault")
    alert = f"anomaly monitor: {spike.columns[-1]} in {spike.table} is several times its usual level for some rows"
    return _judgement(task, "real_spike", summary, patterns, (spike, AnyOf(faults)), alert)


def upstream_down(task: str, stream: tuple[Fault, ...], listed: tuple[Fault, ...]) -> Profile:
    """The newest batches never come: right is to recover what is there, and to publish nothing.

    Args:
        stream: small faults of the whole stream, so that what is there needs the repair.
        listed: small faults of what the stream refers to.
    """
    summary = "The newest batches are announced and do not come: recover all the others, refresh, publish nothing."
    patterns = ("upstream still failing", "late batches", "small faults in the feeds")
    faults = (AnyOf(stream, most=2), AnyOf(listed), LateBatches(healthy=(4, 7)), UnavailableBatches())
    return _judgement(task, "upstream_down", summary, patterns, faults)
