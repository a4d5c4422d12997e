"""Episodes played by several clients at once, left alone or with servers killed under them.

In: scripts, a home, the moments at which servers are killed. Out: an `Outcome` an episode: what its client heard and
how it ended; and a count of faults. An outcome is held against that of the same script left alone.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from mario_dagster.core.errors import StorageError
from mario_dagster.sandbox.home import Home

from .ends import End, answers_of, debris, differences, end_of
from .fleet import Fleet, Line, Nursery, OutOfTime, serving
from .player import OBSERVATION, READS, Played, Player, Progress, routes, weight
from .script import Script
from .tally import Tally

# Seconds from the moment that a kill is due to the kill: within a step mostly, or within a reset.
SHORT, LONG = 0.1, 0.8
SHARE_OF_SHORT = 0.7
# Seconds that a place stays empty, at the most.
AWAY = 0.5
# One in so many servers is a cold `mario serve`, which takes seconds to start.
COLD = 20


@dataclass(frozen=True)
class Outcome:
    """What became of a script."""

    played: Played
    end: End


@dataclass(frozen=True)
class Moment:
    """A kill.

    Args:
        share: of all steps that are acknowledged when it is due.
        delay: seconds from then.
        away: seconds until another server takes the place.
        cold: the other server is started from nothing.
    """

    share: float
    delay: float
    away: float
    place: int
    cold: bool


@dataclass(frozen=True)
class Scene:
    """Where an ordeal happens, and how long it may take."""

    nursery: Nursery
    root: Path
    seed: int
    clients: int
    until: float

    def fleet(self, home: Path, size: int = 1) -> Fleet:
        return Fleet(self.nursery, home, self.root / f"{home.name}.log", size=size, until=self.until)


def final(routes: frozenset[str]) -> tuple[str, ...]:
    """What a server is asked of an episode that is over."""
    return (*READS, *({OBSERVATION} & routes))


def moments(kills: int, places: int, seed: int, cold: int = COLD) -> list[Moment]:
    """When servers are killed: at random, over all of the playing time alike.

    Args:
        cold: one in so many is followed by a cold start; 0 is none.
    """
    draw = random.Random(f"kills/{seed}/{places}")
    found = [
        Moment(
            share=draw.uniform(0.0, 0.97),
            delay=draw.uniform(0.0, SHORT if draw.random() < SHARE_OF_SHORT else LONG),
            away=draw.uniform(0.0, AWAY) if places > 1 else 0.0,
            place=draw.randrange(places),
            cold=bool(cold) and draw.randrange(cold) == 0,
        )
        for _ in range(kills)
    ]
    return sorted(found, key=lambda moment: moment.share)


def play(
    scene: Scene, home: Path, scripts: Sequence[Script], tally: Tally, *, places: int = 1, kills: Sequence[Moment] = ()
) -> dict[str, Outcome]:
    """Play scripts on a home, and look at what is left: id -> outcome."""
    fleet = scene.fleet(home, places)
    progress, over = Progress(sum(map(weight, scripts))), threading.Event()
    with serving(fleet):
        names = routes(Line(fleet))
        with ThreadPoolExecutor(scene.clients + 1) as pool:
            killing = pool.submit(_kill, fleet, kills, progress, over, tally)
            players = [Player(Line(fleet, turn), tally, names, progress) for turn in range(scene.clients)]
            queue, lock = iter(scripts), threading.Lock()
            try:
                playing = [pool.submit(_play_all, player, queue, lock) for player in players]
                played: list[Played] = [each for future in as_completed(playing) for each in future.result()]
            except BaseException:
                fleet.close()
                raise
            finally:
                over.set()
            killing.result()
    return _ends(scene, home, played, names, tally)


def compare(alone: Mapping[str, Outcome], disturbed: Mapping[str, Outcome], tally: Tally) -> None:
    """Count the episodes that did not go, or end, as they do when they are left alone.

    One whose client could not go on is counted already.
    """
    for id, outcome in disturbed.items():
        if outcome.played.broken_off:
            continue
        other = alone[id]
        found = differences(other.end, outcome.end)
        for place, said in sorted(outcome.played.heard.items()):
            if other.played.heard.get(place, said) != said:
                found.append(f"reply {place} of {outcome.played.steps}")
                break
        if found:
            tally.add("differing", note=f"{id}: {'; '.join(found)}")


def ordeal(scene: Scene, name: str, scripts: Sequence[Script], alone: Mapping[str, Outcome], kills: int) -> Tally:
    """Play scripts while servers are killed; with more than one server on the home, the others go on.

    Args:
        name: `crashes`, with one server at a time, or `two`, with two.
    """
    tally, places = Tally(name), 2 if name == "two" else 1
    found = play(scene, scene.root / name, scripts, tally, places=places, kills=moments(kills, places, scene.seed))
    compare(alone, found, tally)
    return tally


def _play_all(player: Player, queue: Iterator[Script], lock: threading.Lock) -> list[Played]:
    played: list[Played] = []
    while True:
        with lock:
            script = next(queue, None)
        if script is None:
            return played
        played.append(player.play(script))


def _kill(fleet: Fleet, kills: Sequence[Moment], progress: Progress, over: threading.Event, tally: Tally) -> None:
    for moment in kills:
        while not progress.wait(moment.share, 0.2):
            if over.is_set():
                return
        if over.wait(moment.delay):
            return
        fleet.kill(moment.place)
        tally.add("kills")
        time.sleep(moment.away)
        try:
            fleet.launch(moment.place, moment.cold)
        except RuntimeError as error:
            tally.add("unreadable", note=str(error))
            fleet.close()
            return


def outcome(home: Home, played: Played, answers: Mapping[str, bytes], tally: Tally) -> Iterator[Outcome]:
    """How an episode ended, by what a server says of it and by its files; nothing where they cannot be read."""
    id = played.script.id
    tally.add("episodes")
    tally.add("steps", played.steps)
    for path, said in answers.items():
        if not said.startswith(b"200 "):
            tally.add("unreadable", note=f"{id}, at the end, {path}: {said[:300].decode(errors='replace')}")
    try:
        yield Outcome(played, end_of(home, id, answers))
    except (StorageError, OSError, LookupError) as error:
        tally.add("unreadable", note=f"{id}, its files: {type(error).__name__}: {error}")


def _ends(
    scene: Scene, home: Path, played: Sequence[Played], names: frozenset[str], tally: Tally
) -> dict[str, Outcome]:
    """How the episodes ended, as a server says that never played them."""
    answers: dict[str, dict[str, bytes]] = {}
    with serving(scene.fleet(home)) as fleet, suppress(OutOfTime):
        for each in played:
            answers[each.script.id] = answers_of(Line(fleet), each.script.id, final(names))
    found = {
        each.script.id: one
        for each in played
        for one in outcome(Home(home), each, answers.get(each.script.id, {}), tally)
    }
    for left in debris(Home(home)):
        tally.add("debris", note=left)
    return found
