"""What whoever does not play may see of episodes: the list of all, and what an episode's lines tell.

In: a home, or lines of a journal. Out: plain fields, with nothing in them that the player of an episode is not told at
that time: labels of an incident once they may be shown, scores as the player sees them. No episode is opened for it,
and none is kept waiting.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mario_dagster.core.action import Action
from mario_dagster.core.errors import StorageError
from mario_dagster.core.files import OPEN
from mario_dagster.core.run_tags import AGENT, ENGINEER, SCHEDULER
from mario_dagster.core.task import Task

from . import reward
from .episode_state import EpisodeState, Line, episode_state
from .errors import BadRequest
from .observation import UNDISCLOSED, text, texts

if TYPE_CHECKING:
    from mario_dagster.sandbox.home import Home, Place, SandboxInfo

RUNNING, FINISHED, DAMAGED = "running", "finished", "damaged"


def actor(line: Line) -> str:
    """Who did what a line tells: the scheduler brought the incident to light, all else somebody did about it."""
    return SCHEDULER if line.get("kind") == "reset" else ENGINEER if line.get("actor") == ENGINEER else AGENT


def told(number: int, line: Line) -> dict[str, Any]:
    """What a line of the journal tells a spectator.

    Args:
        number: its place in the journal; the line of the reset is 0.
    """
    action = line.get("action")
    earned = line.get("reward")
    return {
        "line": number,
        "step": line.get("step", 0),
        "actor": actor(line),
        "name": line.get("name", "reset"),
        "action": action,
        "words": str(Action.from_dict(action)) if action else line.get("name", "reset"),
        "table": line.get("table", line.get("active_table")),
        "status": line.get("status", "done"),
        "result": text(line.get("result", "")),
        "failing_checks": texts(line.get("failing_checks", ())),
        "minutes": line.get("minutes", 0),
        "reward": earned,
        "score": reward.shown(line["score"]),
        "done": bool(line.get("done")),
        "done_reason": line.get("done_reason", ""),
        "success": line.get("success"),
    }


def ended(state: EpisodeState) -> dict[str, Any]:
    """What is said once an episode is over."""
    return {
        "episode_id": state.episode_id,
        "steps": state.steps,
        "score": reward.shown(state.score),
        "return": round(state.total_reward, 6),
        "success": state.success,
        "done_reason": state.done_reason,
    }


# --- the list of episodes ---------------------------------------------------------------------------------------------


def listed(
    home: Home, limit: int, after: str | None = None, task: Task | None = None, finished: bool | None = None
) -> dict[str, Any]:
    """One page of the episodes in a home, newest first.

    Args:
        after: where the page before ended, as it said in `next`.
        task: only episodes of this one.
        finished: only those that are over, or only the others.

    Raises:
        BadRequest: `after` is not what a page said.
    """

    def wanted(info: SandboxInfo) -> bool:
        over = not info.damaged and info.status != OPEN
        return (task is None or info.task == task.slug) and finished in (None, over)

    infos, more = home.page(limit, None if after is None else _place(after), wanted)
    episodes = [_entry(home, info) for info in infos if home.exists(info.id)]
    return {"episodes": episodes, "next": _cursor(infos[-1].place) if more else None}


def _entry(home: Home, info: SandboxInfo) -> dict[str, Any]:
    state = None if info.damaged else _state(home, info.id)
    known = {"seed": info.seed, "split": info.split, "scale": info.scale} if info.task else {}
    return {
        "episode_id": info.id,
        "task": info.task or None,
        **{name: known.get(name) for name in ("split", "seed", "scale")},
        "profile": None if state is None else _profile(home, info.id, state),
        "feedback": None if state is None else "truth" if state.done else state.feedback,
        "created_at": info.created_at,
        "status": DAMAGED if state is None else FINISHED if state.done else RUNNING,
        "steps": info.steps if state is None else state.steps,
        "score": None if state is None else reward.shown(state.score),
        "success": None if state is None else state.success,
        "done_reason": "" if state is None else state.done_reason,
        **_links(info.id),
    }


def _state(home: Home, id: str) -> EpisodeState | None:
    """How an episode stands by its journal; None where that cannot be read."""
    from mario_dagster.sandbox.journal import lines_of

    try:
        lines = lines_of(home.sandbox(id))
    except StorageError:
        return None
    return episode_state(lines) if lines else None


def _profile(home: Home, id: str, state: EpisodeState) -> str:
    from mario_dagster.scoring.truth import TruthStore

    return TruthStore(home.truth_store(id)).profile if state.discloses else UNDISCLOSED


def _links(id: str) -> Mapping[str, str]:
    return {"ui": f"/ui/{id}/", "events": f"/episodes/{id}/events", "postmortem": f"/episodes/{id}/postmortem"}


def _cursor(place: Place) -> str:
    return base64.urlsafe_b64encode(" ".join(place).encode()).decode().rstrip("=")


def _place(cursor: str) -> Place:
    """Raises `BadRequest` where it is no cursor of ours."""
    padded = cursor + "=" * (-len(cursor) % 4)
    try:
        made, id = base64.b64decode(padded, altchars=b"-_", validate=True).decode().split(" ")
    except (binascii.Error, ValueError):
        raise BadRequest(
            "after is what a page of /episodes said in next; leave it out to begin with the newest"
        ) from None
    return made, id
