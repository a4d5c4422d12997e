"""Going on with an episode: what a client names when it resets with `resume`, and whether the episode is that one.

In: the keywords of a reset. Out: the id of the episode to go on with, and a refusal where the other keywords describe
another incident. A client that repeats its whole reset with `resume` added is served; one that mistakes one episode for
another is not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .errors import BadRequest, OtherIncident
from .options import reset_request

if TYPE_CHECKING:
    from .episode import Episode

# What a keyword decides of an incident.
_DECIDES = {"index": ("task", "seed", "split"), "task_id": ("task",)}
# What an incident is told by, beside its task; a sandbox and the options that started it have them by the same names.
_FACTS = ("seed", "split", "scale", "feedback", "profile")


@dataclass(frozen=True)
class Resumption:
    """An episode to go on with.

    Args:
        expected: what the client takes the incident for, by name; only what it named.
    """

    episode_id: str
    expected: Mapping[str, Any]

    @classmethod
    def wanted(cls, keywords: Mapping[str, Any]) -> Resumption | None:
        """What the keywords of a reset ask to go on with; None where they ask for a new incident.

        Raises:
            BadRequest: they name no episode, or one is unknown or not valid.
        """
        request = reset_request(keywords)
        if not request.resume:
            return None
        if request.episode_id is None:
            raise BadRequest("resume needs the episode_id of the episode to go on with")
        options = request.options()
        incident = request.model_fields_set - {"episode_id", "resume"}
        named = {fact for name in incident for fact in _DECIDES.get(name, (name,))}
        facts: dict[str, Any] = {name: getattr(options, name) for name in _FACTS} | {"task": options.task.slug}
        return cls(request.episode_id, {name: facts[name] for name in sorted(named)})

    def check(self, episode: Episode) -> None:
        """See that the episode is one of the incident that was named.

        Raises:
            OtherIncident: it is not, or it is none of the client's business yet whether it is.
        """
        facts = {"task": episode.task.slug, **{name: getattr(episode.sandbox, name) for name in _FACTS}}
        if "profile" in self.expected and not episode.episode_state().discloses:
            # Yes or no would tell a player what it must not know.
            raise OtherIncident(f"the profile of '{self.episode_id}' is undisclosed until the end; leave profile out")
        wrong = [name for name, value in self.expected.items() if facts[name] != value]
        if wrong:
            name = wrong[0]
            raise OtherIncident(
                f"episode '{self.episode_id}' has {name} {facts[name]}, not {self.expected[name]}; "
                f"leave {name} out to go on with it, or resume out to start another"
            )
