"""`mario bench chaos` and `mario bench fuzz`: whether anything is lost or harmed when the server has a hard time.

In: how hard. Out: counts of what happened and of what went wrong, as a table, text or JSON, and status 1 when anything
did.
"""

from __future__ import annotations

import signal
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .console import counted, mark, out, print_json, print_table, required, tracked, working

if TYPE_CHECKING:
    from mario_dagster.bench.chaos.tally import Tally
    from mario_dagster.bench.fuzz import Report

HAPPENED = ("episodes", "steps", "requests", "kills", "cut off", "fills", "refused")


def run_chaos(parts: Sequence[str] | None, as_json: bool, **extent: Any) -> int:
    """Run the parts asked for, all of them unless any is; status 0 when nothing is lost."""
    from mario_dagster.core.errors import UnknownName

    with working("Loading Dagster"):
        from mario_dagster.bench.chaos.parts import PARTS, Extent, run, stages
    for part in parts or ():
        if part not in PARTS:
            raise UnknownName("part of the ordeal", part, PARTS)
    chosen = [part for part in PARTS if not parts or part in parts]
    # A plain kill unwinds as Ctrl-C does, so that no server outlives us.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    with tempfile.TemporaryDirectory(prefix="mario-chaos-", ignore_cleanup_errors=True) as folder:
        todo = run(Path(folder), chosen, Extent(**extent))
        tallies = list(tracked("Ordeal", todo, len(stages(chosen))))
    if as_json:
        print_json(
            {tally.name: {**tally.counts, "skipped": tally.skipped, "notes": tally.provenances} for tally in tallies}
        )
    else:
        _print_tallies(tallies)
    return 1 if any(tally.faults for tally in tallies) else 0


def _print_tallies(tallies: Sequence[Tally]) -> None:
    """A column a part, and what went wrong."""
    from mario_dagster.bench.chaos.tally import FAULTS

    counts = {name: [tally.counts.get(name) for tally in tallies] for name in (*HAPPENED, *FAULTS, "seconds")}
    shown = [name for name, row in counts.items() if any(row) or name in FAULTS]
    rows = [(name, *("" if count is None else f"{count:,}" for count in counts[name])) for name in shown]
    verdicts = ("skipped" if tally.skipped else mark(not tally.faults, "nothing lost", "faults") for tally in tallies)
    names = [tally.name for tally in tallies]
    print_table(("", *names), [*rows, ("", *verdicts)], right=names)
    for tally in tallies:
        for note in (*((f"skipped: {tally.skipped}",) if tally.skipped else ()), *tally.provenances):
            out().print(f"{tally.name}: {note}", markup=False, soft_wrap=True)


def run_fuzz(cases: int, examples: int, as_json: bool) -> int:
    """Send requests; status 0 when every answer is as described and nothing was harmed."""
    required("schemathesis")
    with working("Loading Dagster"):
        from mario_dagster.bench.fuzz import fuzz
    with counted("Requests", cases) as progress:
        report = fuzz(cases, examples, progress=progress)
    if as_json:
        print_json({**asdict(report), "operations": sorted(report.operations)})
    else:
        _print_report(report)
    return 0 if report.holds else 1


def _print_report(report: Report) -> None:
    answers = ", ".join(f"{count} x {status}" for status, count in sorted(report.statuses.items()))
    lines = (
        f"{report.requests} requests to {len(report.operations)} operations in {report.seconds} s: {answers}",
        f"{report.server_errors} answers of 500 or above, {len(report.failures)} not as described, "
        f"{len(report.harm)} sessions or episodes harmed, {len(report.logged)} errors logged",
        *dict.fromkeys([*report.failures, *report.harm, *report.logged]),
    )
    for line in lines:
        out().print(line, markup=False, soft_wrap=True)
