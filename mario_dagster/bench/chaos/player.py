"""A client that plays one script to its end, whatever becomes of the servers meanwhile.

In: a script, a way to the servers. Out: `Played`: what it heard, step by step. After every request that was cut off it
asks where the episode stands: a step either never happened, or is complete. Anything else is counted as a fault.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .fleet import Answer, Cut, Line, OutOfTime
from .script import Script
from .tally import Tally

# What a reset weighs in the progress of a script, in steps: about as much longer it takes.
RESET_WEIGHT = 3
# One in so many steps is followed by a question where the episode stands.
ASKS = 5
READS = ("/state", "/grader", "/grader/debug")
OBSERVATION = "/observation"


class Lost(Exception):
    """The episode cannot be played on: what is wrong has been counted."""


class Progress:
    """How much of all scripts has been acknowledged."""

    def __init__(self, whole: int):
        self.whole, self._done = whole, 0
        self._change = threading.Condition()

    def add(self, weight: int) -> None:
        with self._change:
            self._done += weight
            self._change.notify_all()

    def wait(self, share: float, seconds: float) -> bool:
        """Wait a while for that share of the whole; whether it was reached."""
        with self._change:
            return self._change.wait_for(lambda: self._done >= share * self.whole, seconds)


def weight(script: Script) -> int:
    """How much of the progress a script is."""
    return RESET_WEIGHT + len(script.actions)


@dataclass
class Played:
    """What came of a script.

    Args:
        heard: place -> the reply as bytes; 0 is the reset's. One that was cut off is asked for again.
        steps: steps that happened.
        done: the episode came to its end.
        broken_off: the client could not go on.
    """

    script: Script
    heard: dict[int, bytes] = field(default_factory=dict)
    steps: int = 0
    done: bool = False
    broken_off: bool = False


class Player:
    """Plays scripts over HTTP.

    Args:
        routes: paths that the server has.
    """

    def __init__(self, line: Line, tally: Tally, routes: frozenset[str], progress: Progress | None = None):
        self._line, self._tally, self._routes, self._progress = line, tally, routes, progress

    def play(self, script: Script) -> Played:
        """One script from its reset to its end."""
        played, draw = Played(script), random.Random(script.id)
        told = 0
        try:
            self._reset(played)
            told = self._told(RESET_WEIGHT)
            while played.steps < len(script.actions) and not played.done:
                before = played.steps
                self._step(played)
                told += self._told(played.steps - before)
                if draw.randrange(ASKS) == 0:
                    self._where(played)
        except (Lost, OutOfTime) as error:
            played.broken_off = True
            self._tally.add("unfinished", note=f"{script.id} at step {played.steps}: {type(error).__name__}")
        finally:
            self._told(weight(script) - told)
        return played

    def _told(self, more: int) -> int:
        if self._progress is not None:
            self._progress.add(more)
        return more

    # --- one request --------------------------------------------------------------------------------------------------

    def _reset(self, played: Played) -> None:
        while True:
            answer = self._sent(lambda: self._line.ask("POST", "/reset", played.script.reset))
            if answer is not None:
                self._heard(played, 0, answer, "reset")
                return
            if self._where(played, missing=True) is not None:
                self._look(played)
                return

    def _step(self, played: Played) -> None:
        """One action: sent until it is known to have happened."""
        place = played.steps
        body = {"episode_id": played.script.id, "action": played.script.actions[place]}
        answer = self._sent(lambda: self._line.ask("POST", "/step", body))
        if answer is not None:
            self._heard(played, place + 1, answer, f"step {place + 1}")
            taken = int(answer.json["observation"]["steps_taken"])
            self._stands(played, taken, place + 1, place + 1)
            played.steps, played.done = taken, bool(answer.json["done"])
            return
        state = self._where(played, at_most=place + 1)
        if state is not None and state["step_count"] == place + 1:
            played.steps, played.done = place + 1, bool(state["done"])
        self._look(played)

    def _sent(self, send: Callable[[], Answer]) -> Answer | None:
        """The answer; None where the server went away before."""
        self._tally.add("requests")
        try:
            return send()
        except Cut:
            self._tally.add("cut off")
            return None

    def _heard(self, played: Played, place: int, answer: Answer, what: str) -> None:
        if not answer.ok:
            self._unreadable(played, what, answer)
            raise Lost
        played.heard[place] = answer.body

    def _where(self, played: Played, *, at_most: int | None = None, missing: bool = False) -> Any:
        """The episode's state; None where there is none, which may only be after a reset that was cut off."""
        answer = self._line.insist("GET", f"/state?episode_id={played.script.id}")
        if missing and answer.status == 404:
            return None
        if not answer.ok:
            self._unreadable(played, "/state", answer)
            raise Lost
        state = answer.json
        self._stands(played, int(state["step_count"]), played.steps, played.steps if at_most is None else at_most)
        return state

    def _look(self, played: Played) -> None:
        """Every question that may be asked of an episode after a crash, each to be answered."""
        for path in (*READS, *({OBSERVATION} & self._routes)):
            answer = self._line.insist("GET", f"{path}?episode_id={played.script.id}")
            if not answer.ok:
                self._unreadable(played, path, answer)
            elif path == OBSERVATION:
                # The reply that was cut off.
                played.heard[played.steps] = answer.body

    def _stands(self, played: Played, steps: int, at_least: int, at_most: int) -> None:
        where = f"{played.script.id} stands at step {steps}"
        if steps < at_least:
            self._tally.add("lost", at_least - steps, f"{where}, {at_least} were acknowledged")
            raise Lost
        if steps > at_most:
            self._tally.add("doubled", steps - at_most, f"{where}, {at_most} were sent")
            raise Lost

    def _unreadable(self, played: Played, what: str, answer: Answer) -> None:
        log = self._line.fleet.tail().strip().splitlines()[-1:] if answer.status >= 500 else []
        self._tally.add("unreadable", note=f"{played.script.id} at step {played.steps}, {what}: {answer} {log}")


def routes(line: Line) -> frozenset[str]:
    """Paths that a server has."""
    return frozenset(line.insist("GET", "/openapi.json").json["paths"])
