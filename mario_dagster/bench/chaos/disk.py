"""Episodes on a disk that fills up at random moments, and is emptied again.

In: scripts. Out: a count of faults. The home is a small file system of its own, a ballast file in it leaves a random
rest, before a request or in the middle of it. Whatever cannot be done then is answered 503, changes nothing, and
succeeds when it is sent again.
"""

from __future__ import annotations

import os
import random
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from mario_dagster.sandbox.home import Home

from .ends import answers_of, debris
from .fleet import Answer, Cut, Line, serving
from .ordeal import Outcome, Scene, compare, final, outcome
from .player import READS, Lost, Played, routes
from .script import PAIR, Script
from .tally import Tally

# A template and the longest of episodes, with the log of its database, fill half of it.
MEGABYTES = 16
# KiB that the ballast leaves: nothing, less than a step takes, about what one takes, enough for one.
LEAVES = (0, 0, 4, 8, 16, 24, 32, 48, 64, 96, 128, 256)
# Share of the requests that meet a full disk.
SQUEEZED = 0.5
# Seconds into a request at which the disk fills up, at the most; half of the times it is full before.
WITHIN = 0.06
UNAVAILABLE = 503


class NoMount(Exception):
    """This machine does not let us have a file system of our own."""


@dataclass(frozen=True)
class Squeeze:
    """One time that the disk is full.

    Args:
        leave: KiB that are left.
        delay: seconds into the request.
    """

    leave: int
    delay: float

    @classmethod
    def drawn(cls, draw: random.Random) -> Squeeze | None:
        """The next request's; None where it is left alone."""
        chosen, leave, late = draw.random() < SQUEEZED, draw.choice(LEAVES), draw.random() < 0.5
        delay = draw.uniform(0.0, WITHIN)
        return cls(leave, delay if late else 0.0) if chosen else None


def disk(scene: Scene, scripts: Sequence[Script], alone: Mapping[str, Outcome]) -> Tally:
    """Play scripts, one after the other, on a disk that fills up."""
    tally, found = Tally("disk"), dict[str, Outcome]()
    try:
        with mounted(scene.root / "disk", MEGABYTES) as folder:
            home = Home(folder)
            for place, script in enumerate(scripts):
                with serving(scene.fleet(folder)) as fleet:
                    line = Line(fleet)
                    played = _Squeezed(line, folder, tally).play(script)
                    answers = answers_of(line, script.id, final(routes(line)))
                found.update((each.played.script.id, each) for each in outcome(home, played, answers, tally))
                for left in debris(home):
                    tally.add("debris", provenance=f"{script.id}: {left}")
                # The second of two alike is made of the first one's template.
                home.prune(keep=0, templates=place % PAIR == PAIR - 1)
    except NoMount as error:
        tally.skipped = str(error)
    compare(alone, found, tally)
    return tally


@contextmanager
def mounted(folder: Path, megabytes: int) -> Iterator[Path]:
    """A file system of that size, for the length of the block.

    Raises:
        NoMount: only root may, and not everywhere.
    """
    folder.mkdir(parents=True)
    try:
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)], check=True, capture_output=True
        )
    except (OSError, subprocess.CalledProcessError):
        raise NoMount("a small file system cannot be mounted here: it takes root, outside of most containers") from None
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=False)


class Ballast:
    """A file that takes up room."""

    def __init__(self, folder: Path):
        self._folder, self._file = folder, folder / ".ballast"

    @contextmanager
    def filling(self, squeeze: Squeeze) -> Iterator[None]:
        """The disk fills up at its moment, and is full until the end of the block."""
        late = threading.Thread(target=self._fill_later, args=(squeeze,))
        if squeeze.delay:
            late.start()
        else:
            self._fill(squeeze.leave)
        try:
            yield
        finally:
            if squeeze.delay:
                late.join()
            self._file.unlink(missing_ok=True)

    def _fill_later(self, squeeze: Squeeze) -> None:
        time.sleep(squeeze.delay)
        self._fill(squeeze.leave)

    def _fill(self, leave: int) -> None:
        room = os.statvfs(self._folder)
        size = room.f_bavail * room.f_frsize - leave * 1024
        if size > 0:
            # What was taken meanwhile is full as well.
            with self._file.open("wb") as file, suppress(OSError):
                os.posix_fallocate(file.fileno(), 0, size)


class _Squeezed:
    """Plays scripts while the disk fills up under some of the requests."""

    def __init__(self, line: Line, folder: Path, tally: Tally):
        self._line, self._ballast, self._tally = line, Ballast(folder), tally

    def play(self, script: Script) -> Played:
        played, draw = Played(script), random.Random(f"disk/{script.id}")
        try:
            played.heard[0] = self._send(played, draw, "/reset", script.reset).body
            while played.steps < len(script.actions) and not played.done:
                body = {"episode_id": script.id, "action": script.actions[played.steps]}
                answer = self._send(played, draw, "/step", body)
                played.steps, played.done = played.steps + 1, bool(answer.json["done"])
                played.heard[played.steps] = answer.body
                taken = answer.json["observation"]["steps_taken"]
                if taken != played.steps:
                    what = "doubled" if taken > played.steps else "lost"
                    self._tally.add(what, provenance=f"{script.id} stands at step {taken}, {played.steps} were played")
                    raise Lost
        except (Lost, Cut) as error:
            played.broken_off = True
            self._tally.add(
                "unfinished", provenance=f"{script.id} at step {played.steps}: {type(error).__name__} {error}"
            )
        return played

    def _send(self, played: Played, draw: random.Random, path: str, body: Mapping[str, object]) -> Answer:
        """The answer to a request that succeeds: at once, or when there is room again."""
        squeeze = Squeeze.drawn(draw)
        self._tally.add("requests")
        if squeeze is not None:
            self._tally.add("fills")
            with self._ballast.filling(squeeze):
                answer = self._line.ask("POST", path, body)
                self._look(played, path, squeeze, answer.ok)
            if answer.ok:
                return answer
            self._judge(played, path, squeeze, answer)
        answer = self._line.ask("POST", path, body)
        if not answer.ok:
            when = "with room to spare" if squeeze is None else f"when there was room again after {squeeze}"
            self._tally.add("wrong", provenance=f"{played.script.id} at step {played.steps}, {path}, {when}: {answer}")
            raise Lost
        return answer

    def _look(self, played: Played, path: str, squeeze: Squeeze, happened: bool) -> None:
        """Questions on a full disk: answered truly, or not for now."""
        at = 0 if path == "/reset" else played.steps + int(happened)
        for question in READS:
            answer = self._line.ask("GET", f"{question}?episode_id={played.script.id}")
            if answer.ok and question == READS[0] and answer.json["step_count"] != at:
                provenance = (
                    f"{played.script.id} is said to stand at step {answer.json['step_count']}, not {at}, {squeeze}"
                )
                self._tally.add("wrong", provenance=provenance)
            if not answer.ok and not (path == "/reset" and not happened and answer.status == 404):
                self._judge(played, question, squeeze, answer)

    def _judge(self, played: Played, path: str, squeeze: Squeeze, answer: Answer) -> None:
        """What was not done must be said to be so for now only."""
        self._tally.add("refused")
        if answer.status != UNAVAILABLE:
            log = self._line.fleet.tail().strip().splitlines()[-1:] if answer.status >= 500 else []
            provenance = f"{played.script.id} at step {played.steps}, {path}, {squeeze}: {answer} {log}"
            self._tally.add("wrong", provenance=provenance)
