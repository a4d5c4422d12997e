"""The parts of the ordeal, one after the other: `mario bench chaos`.

In: which parts, and how much of each. Out: a tally a part, as it is done. Nothing may be lost, whatever happens to
servers and disks.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .disk import disk
from .fleet import Nursery
from .ordeal import Outcome, Scene, ordeal, play
from .restarts import restarts
from .script import Script, scripts
from .tally import Tally

# By part, what happens in it.
PARTS: Mapping[str, str] = {
    "crashes": "one server, killed again and again",
    "two": "two servers on one home, either killed",
    "disk": "a small disk that fills up",
    "restarts": "an episode resumed before every action",
}


@dataclass(frozen=True)
class Extent:
    """How much happens.

    Args:
        kills: servers killed, in each part that kills.
        episodes: played, in each part with servers.
        squeezed: of them, those that are played on a disk that fills up.
        seed: decides the actions, and when servers are killed.
        clients: episodes under way at once.
        minutes: the most that all of it may take.
    """

    kills: int
    episodes: int
    squeezed: int
    seed: int
    clients: int
    minutes: float


def stages(parts: Sequence[str]) -> list[str]:
    """What will be tallied: the parts, and before those with servers the same episodes left alone."""
    return [*(("left alone",) if set(parts) - {"restarts"} else ()), *parts]


def run(root: Path, parts: Sequence[str], extent: Extent) -> Iterator[Tally]:
    """Each stage's tally, as it is done."""
    with Nursery() as nursery:
        scene = Scene(nursery, root, extent.seed, extent.clients, time.monotonic() + 60 * extent.minutes)
        played, alone = scripts(extent.episodes, extent.seed), dict[str, Outcome]()
        for stage in stages(parts):
            begun = time.monotonic()
            if stage == "left alone":
                tally = Tally(stage)
                alone = play(scene, root / "alone", played, tally)
            else:
                tally = _part(stage, scene, played, alone, extent)
            tally.add("seconds", round(time.monotonic() - begun))
            yield tally


def _part(part: str, scene: Scene, played: Sequence[Script], alone: Mapping[str, Outcome], extent: Extent) -> Tally:
    if part == "restarts":
        return restarts(scene.root / part, extent.seed)
    if part == "disk":
        return disk(scene, played[: extent.squeezed], alone)
    return ordeal(scene, part, played, alone, extent.kills)
