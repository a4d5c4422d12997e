"""How old the data were that derived tables lacked, after any line of the journal.

In: the table versions that a line stands on, the landing manifest. Out: minutes on the incident's clock, as the signal
of that name has them for the tables of now.
"""

from __future__ import annotations

from mario_dagster.env.episode_state import Line
from mario_dagster.sandbox.sandbox import Sandbox
from mario_dagster.tables.load import table_name


def lag_after(sandbox: Sandbox, line: Line) -> float | None:
    """Age of the oldest batch that some derived table did not show; None for a line that names no versions."""
    task, stored = sandbox.task, line.get("stored")
    manifest, batched = sandbox.workspace.landing.manifest(), task.batched_table
    if not stored or batched is None or batched.feed is None:
        return None if not stored else 0.0
    oldest = 0.0
    for table in task.derived_tables:
        name = table_name(task, table.name)
        version = stored.get(f"lake/{name}")
        provenance = None if version is None else sandbox.workspace.lake.provenance_at(name, version)
        shown = provenance.loaded.keys() if provenance is not None else ()
        for delivery in manifest.feed(batched.feed).values():
            if delivery.batch not in shown:
                oldest = max(oldest, manifest.minutes_since(delivery.landed_at))
    return round(oldest, 2)
