"""How others do on the same incident: the solution and the heuristic, really played, in a process of their own.

In: the incident of an episode that is over. Out: a line of JSON a step, then how it ended, player by player. They play
in fresh sandboxes of a home that is thrown away; this is the one file of the room that opens the truth store, and what
it says is asked for when there is nothing left to play.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mario_dagster.core.action import Action
from mario_dagster.core.places import FORMER_TRUTH_VARIABLE, HOME_VARIABLE, TRUTH_VARIABLE

from .session import Seen
from .view import Outcome

if TYPE_CHECKING:
    from mario_dagster.env.episode import Episode

SOLUTION, HEURISTIC = "solution", "heuristic"
PLAYERS = (SOLUTION, HEURISTIC)


@dataclass(frozen=True)
class Progress:
    """How far a player is."""

    player: str
    step: int
    of: int


def incident_of(seen: Seen) -> dict[str, Any]:
    """What starts the incident again, of an episode that is over.

    Raises:
        ValueError: it is not over.
    """
    if not seen.done:
        raise ValueError("an incident is played by others once its episode is over")
    incident = seen.incident
    return {
        "task": incident.task,
        "split": incident.split,
        "seed": incident.seed,
        "scale": incident.scale,
        "profile": seen.observation["scenario_profile"],
    }


async def others(seen: Seen) -> AsyncIterator[Progress | Outcome]:
    """What the others come to, as they play; the process is gone when the loop is left.

    Raises:
        RuntimeError: it could not be played; the message is the last that was said.
    """
    command = (sys.executable, "-m", __name__, json.dumps(incident_of(seen)))
    pipe, nothing = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(*command, stdin=nothing, stdout=pipe, stderr=pipe)
    assert process.stdout is not None and process.stderr is not None
    said = asyncio.ensure_future(process.stderr.read())
    try:
        async for line in process.stdout:
            fields = json.loads(line)
            yield Outcome.of(fields["player"], fields["summary"]) if "summary" in fields else Progress(**fields)
        if await process.wait():
            raise RuntimeError((await said).decode(errors="replace").strip().split("\n")[-1])
    finally:
        said.cancel()
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()


# --- in the process ---------------------------------------------------------------------------------------------------


def played(player: str, incident: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """A player's way through the incident, in a fresh sandbox of the home that the environment names."""
    from mario_dagster.env.episode import Episode
    from mario_dagster.env.options import reset_options

    episode = Episode.start(reset_options(incident))
    try:
        choose, reply, step = _chooser(player, episode), episode.reply(), 0
        while not reply.done:
            yield {"player": player, "step": step, "of": episode.task.max_steps}
            reply = episode.step(choose(reply.observation))
            step += 1
        yield {"player": player, "summary": episode.summary()}
    finally:
        episode.close()


def _chooser(player: str, episode: Episode) -> Callable[[Mapping[str, Any]], Action]:
    """What answers an observation with an action."""
    if player == SOLUTION:
        from mario_dagster.bench.solution_orders import to_the_end

        recorded = [Action.from_dict(fields) for fields in episode.sandbox.truth_store.solution]
        moves = iter(to_the_end(episode.task, recorded))
        return lambda _: next(moves)
    from mario_dagster.env.players import player as find_player

    policy = find_player(player)
    policy.begin(0)
    return lambda observation: Action.from_dict(policy.choose(observation).to_dict())


def main(incident: Mapping[str, Any]) -> None:
    """Play the incident as each of the others, and say on standard output how it goes."""
    for name in (TRUTH_VARIABLE, FORMER_TRUTH_VARIABLE):
        os.environ.pop(name, None)
    with tempfile.TemporaryDirectory(prefix="mario-") as home:
        os.environ[HOME_VARIABLE] = home
        for player in PLAYERS:
            for line in played(player, incident):
                print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
