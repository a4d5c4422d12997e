"""What an incident does to a pipeline from outside, and what the pipeline would be without it.

In: a compiled incident. Out: the files that the producer redelivers, and the twin: every table as the same transforms
compute it from the clean data.
"""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from mario_dagster.assets.frames import canonical
from mario_dagster.assets.landing import Drop, Parcel
from mario_dagster.assets.tables import SNAPSHOT, Transform
from mario_dagster.catalog import Task
from mario_dagster.incidents.compiler import Incident


def redelivery(incident: Incident, task: Task) -> Drop:
    """The whole day's feeds once more, as the producer sends them after its redeploy."""
    landed_at = {batch.name: batch.landed_at for batch in incident.clean.batches}
    parcels = {}
    for name, frame in incident.landing.items():
        feed, batch = name.split("/", 1)
        batched = batch in landed_at
        key = (feed, batch if batched else SNAPSHOT)
        parcels[key] = Parcel(frame, incident.declared[name], landed_at[batch] if batched else incident.clean.now)
    return Drop(now=incident.clean.now, parcels=parcels, workers_floor=incident.required_floor)


def twin(incident: Incident, task: Task, transforms: Mapping[str, Transform]) -> Mapping[str, pd.DataFrame]:
    """Every table as the same pipeline computes it from the producers' clean data."""
    tables: dict[str, pd.DataFrame] = {}
    for table in task.tables:
        if table.derived:
            tables[table.name] = transforms[table.name](**{name: tables[name] for name in table.upstream})
        elif table.batched:
            frames = [batch.frame for batch in incident.clean.batches]
            tables[table.name] = canonical(pd.concat(frames, ignore_index=True), table)
        else:
            tables[table.name] = canonical(incident.clean.feeds[str(table.feed)].reset_index(drop=True), table)
    return tables
