"""`make chaos`: nothing is lost, whatever happens to servers and disks. Status 1 if anything is."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .tally import FAULTS, Tally

PARTS = ("crashes", "two", "disk", "restarts")
SEED = 4100
HAPPENED = ("episodes", "steps", "requests", "kills", "cut off", "fills", "refused")


def main() -> None:
    arguments = _arguments()
    # A plain kill unwinds as Ctrl-C does, so that no server outlives us.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    parts = [part for part in PARTS if getattr(arguments, part)] or list(PARTS)
    with tempfile.TemporaryDirectory(prefix="mario-chaos-", ignore_cleanup_errors=True) as folder:
        tallies = run(Path(folder), parts, arguments)
    if arguments.json:
        report = {each.name: {**each.counts, "skipped": each.skipped, "notes": each.notes} for each in tallies}
        sys.stdout.write(json.dumps(report, indent=1) + "\n")
    else:
        show(tallies)
    sys.exit(1 if any(each.faults for each in tallies) else 0)


def run(root: Path, parts: Sequence[str], arguments: Any) -> list[Tally]:
    """The parts of the ordeal that are asked for, one after the other."""
    from .disk import disk
    from .fleet import Nursery
    from .ordeal import Scene, ordeal, play
    from .restarts import restarts
    from .script import scripts

    tallies = []
    with Nursery() as nursery:
        until = time.monotonic() + 60 * arguments.minutes
        scene = Scene(nursery, root, arguments.seed, arguments.clients, until)
        played = scripts(arguments.episodes, arguments.seed)
        if set(parts) - {"restarts"}:
            tallies.append(Tally("left alone"))
            alone = play(scene, root / "alone", played, tallies[0])
        for part in parts:
            begun = time.monotonic()
            if part == "restarts":
                tally = restarts(root / part, arguments.seed)
            elif part == "disk":
                tally = disk(scene, played[: arguments.squeezed], alone)
            else:
                tally = ordeal(scene, part, played, alone, arguments.kills)
            tally.add("seconds", round(time.monotonic() - begun))
            tallies.append(tally)
    return tallies


def show(tallies: Sequence[Tally]) -> None:
    """A column a part, and what went wrong."""
    from rich.console import Console
    from rich.table import Table

    table = Table("", *(each.name for each in tallies), title="mario chaos")
    for name in (*HAPPENED, *FAULTS, "seconds"):
        counts = [each.counts.get(name) for each in tallies]
        if any(counts) or name in FAULTS:
            table.add_row(name, *("" if count is None else f"{count:,}" for count in counts))
    table.add_section()
    table.add_row("", *map(_verdict, tallies))
    console = Console()
    console.print(table)
    for each in tallies:
        for note in (*((f"skipped: {each.skipped}",) if each.skipped else ()), *each.notes):
            console.print(f"{each.name}: {note}", markup=False, highlight=False, soft_wrap=True)


def _verdict(tally: Tally) -> str:
    return "skipped" if tally.skipped else "[red]faults[/]" if tally.faults else "[green]nothing lost[/]"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="mario_dagster.bench.chaos", description=__doc__)
    parser.add_argument("--kills", type=int, default=200, help="servers killed, in each part that kills")
    parser.add_argument("--episodes", type=int, default=60, help="episodes played, in each part with servers")
    parser.add_argument("--squeezed", type=int, default=20, help="of them, episodes played on a disk that fills up")
    parser.add_argument("--seed", type=int, default=SEED, help="decides the actions, and when servers are killed")
    parser.add_argument("--clients", type=int, default=4, help="episodes under way at once")
    parser.add_argument("--minutes", type=float, default=45.0, help="the most that all of it may take")
    parser.add_argument("--crashes", action="store_true", help="this part only: one server, killed again and again")
    parser.add_argument("--two", action="store_true", help="this part only: two servers on one home, either killed")
    parser.add_argument("--disk", action="store_true", help="this part only: a small disk that fills up")
    parser.add_argument(
        "--restart-every-step", action="store_true", dest="restarts", help="this part only: resumed before every action"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    return parser.parse_args()


if __name__ == "__main__":
    main()
