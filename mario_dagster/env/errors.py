"""What can be wrong with a request to play: one flat class each, with the HTTP status it is answered with.

In: nothing. Out: exceptions whose message names what was wrong and what would be right. Over `/ws` the same message
comes back as an error reply and the session goes on.
"""

from __future__ import annotations


class PlayError(ValueError):
    """A request that cannot be served as it stands."""

    status = 422


class BadRequest(PlayError):
    """An argument that is unknown, of the wrong type or out of range."""


class NoEpisode(PlayError):
    """No episode goes by that id."""

    status = 404


class EpisodeExists(PlayError):
    """An id that is taken: an episode is never overwritten."""

    status = 409


class NotStarted(PlayError):
    """A step or a question before any reset."""

    status = 409


class Ambiguous(PlayError):
    """The request names no episode, and there is not exactly one that it could mean."""

    status = 409


class WrongTask(PlayError):
    """An episode asked about as if it were one of another task."""

    status = 409


class OtherIncident(PlayError):
    """An episode to go on with that is not the one the request describes."""

    status = 409


class NoPlayer(PlayError):
    """A baseline that no installed package provides."""


class KeyReused(PlayError):
    """A step asked for under the key of a step with another action."""


class StepPassed(PlayError):
    """A step asked for under the key of one that was played before the newest: its reply is not kept."""

    status = 409


class EpisodeDamaged(PlayError):
    """A file of the episode is not what was written, and nothing that is left could make it so. It stays set aside."""

    status = 410


class StorageUnavailable(PlayError):
    """The disk is full, read-only or held by somebody: nothing happened, and the same request may succeed later."""

    status = 503


class Fault(PlayError):
    """Something that nobody foresaw. The log has it all; whoever asked is told this sentence and nothing of it."""

    status = 500

    def __init__(self) -> None:
        super().__init__("the server could not answer this request; its log says why")
