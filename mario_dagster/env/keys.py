"""The key of a step: what a client sends along so that a step sent twice is played once.

In: the key as it came (the header `Idempotency-Key`, `request_id` in a body, a message or an action's metadata) and the
lines that an episode has recorded. Out: whether the step was played already. The key is recorded in the step's own
line, in the step's transaction, so that it holds over a restart, in every process and for every way in.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .arguments import quoted
from .errors import BadRequest, KeyReused, StepPassed

# The field of a recorded line, and of whatever carries a key to the step.
FIELD = "request_id"
NAMES = (FIELD, "idempotency_key")
HEADER = "Idempotency-Key"
PATTERN = "[ -~]{1,128}"
KEY_IS = "1 to 128 printable ASCII characters"


def one_key(given: Iterable[object]) -> str | None:
    """The key that a request gives, in as many places as it likes; None where it gives none.

    Raises:
        BadRequest: it cannot be a key, or two places have different ones.
    """
    keys = {_key(value) for value in given if value is not None}
    if len(keys) > 1:
        raise BadRequest(f"a step has one key; this one has {len(keys)} different ones: send the same or only one")
    return keys.pop() if keys else None


def keys_in(carrier: Mapping[str, Any]) -> list[Any]:
    """What a body, a message or an action's metadata has under a key's names."""
    return [carrier[name] for name in NAMES if name in carrier]


def played(lines: Sequence[Mapping[str, Any]], key: str, action: Mapping[str, Any]) -> bool:
    """Whether the newest step of an episode is the one that is asked for under this key.

    Args:
        lines: the episode's recorded lines, oldest first.

    Raises:
        KeyReused: the key is that of another action.
        StepPassed: the key is that of a step before the newest.
    """
    line = next((line for line in reversed(lines) if line.get(FIELD) == key), None)
    if line is None:
        return False
    number, newest = line["step"], lines[-1]["step"]
    if line["action"] != action:
        raise KeyReused(f"that key was step {number}'s, which played {line['name']}; another action needs another key")
    if number != newest:
        raise StepPassed(
            f"that key was step {number}'s, and the episode is at step {newest}: GET /observation has the newest "
            "observation; a new step needs a new key"
        )
    return True


def _key(value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch(PATTERN, value):
        raise BadRequest(f"a step's key must be {KEY_IS}, not {quoted(value)}")
    return value
