"""What an incident does to a pipeline from outside, and what the pipeline would be without it.

In: a compiled incident. Out: the files that the producer redelivers, and the reference tables: every table as the same
transforms compute it from the clean data, of all batches and of those that are there.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from itertools import combinations

import pandas as pd

from mario_dagster.core.task import Task
from mario_dagster.incidents.compile import Incident
from mario_dagster.tables.frames import canonical
from mario_dagster.tables.landing import DeliveredFile, Delivery
from mario_dagster.tables.load import SNAPSHOT
from mario_dagster.tables.spec import Transform


def redelivery(incident: Incident, task: Task) -> Delivery:
    """The whole day's feeds once more, as the producer sends them after its redeploy."""
    landed_at = {batch.name: batch.landed_at for batch in incident.clean.batches}
    files = {}
    for name, frame in incident.landing.items():
        feed, batch = name.split("/", 1)
        batched = batch in landed_at
        key = (feed, batch if batched else SNAPSHOT)
        files[key] = DeliveredFile(frame, incident.declared[name], landed_at[batch] if batched else incident.clean.now)
    announced = frozenset(key for key in files if key[1] in incident.unavailable)
    return Delivery(incident.clean.now, files, incident.required_floor, announced)


def reference_tables(
    incident: Incident, task: Task, transforms: Mapping[str, Transform]
) -> Mapping[tuple[str, ...], Mapping[str, pd.DataFrame]]:
    """Absent batches -> the reference without them, for each set of the unavailable ones: any of them may come yet."""
    sets = [each for size in range(len(incident.unavailable) + 1) for each in combinations(incident.unavailable, size)]
    return {absent: reference(incident, task, transforms, absent) for absent in sets}


def reference(
    incident: Incident, task: Task, transforms: Mapping[str, Transform], absent: Collection[str] = ()
) -> Mapping[str, pd.DataFrame]:
    """Every table as the same pipeline computes it from the producers' clean data, less some batches."""
    tables: dict[str, pd.DataFrame] = {}
    for table in task.tables:
        if table.derived:
            tables[table.name] = transforms[table.name](**{name: tables[name] for name in table.upstream})
        elif table.batched:
            frames = [batch.frame for batch in incident.clean.batches if batch.name not in absent]
            tables[table.name] = canonical(pd.concat(frames, ignore_index=True), table)
        else:
            tables[table.name] = canonical(incident.clean.feeds[str(table.feed)].reset_index(drop=True), table)
    return tables
