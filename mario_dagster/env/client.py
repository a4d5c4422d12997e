"""The client: `MarioEnv` plays over a WebSocket, one session a client.

In: a server's address. Out: `StepResult`s with typed observations, and the state.

    with MarioEnv(base_url="http://localhost:8000").sync() as env:
        result = env.reset(task="temporal", seed=7)
        result = env.step(MarioAction(action_id=1))
        print(result.observation.action_result)
"""

from __future__ import annotations

from typing import Any

from .models import MarioAction, MarioObservation, MarioState
from .openenv import EnvClient, StepResult

# A reset that nothing is cached for lives through a day of pipeline runs; a client must not give up on it.
MESSAGE_TIMEOUT_SECONDS = 300.0


class MarioEnv(EnvClient[MarioAction, MarioObservation, MarioState]):
    """An OpenEnv client of this environment; `.sync()` gives the blocking one."""

    def __init__(
        self, base_url: str | None = None, *, message_timeout_s: float = MESSAGE_TIMEOUT_SECONDS, **options: Any
    ):
        super().__init__(base_url, message_timeout_s=message_timeout_s, **options)

    def _step_payload(self, action: MarioAction) -> dict[str, Any]:
        payload: dict[str, Any] = action.model_dump(exclude_none=True)
        if not payload["metadata"]:
            del payload["metadata"]
        return payload

    def _parse_result(self, payload: dict[str, Any]) -> StepResult[MarioObservation]:
        done, reward = payload["done"], payload["reward"]
        observation = MarioObservation(**payload["observation"], done=done, reward=reward)
        return StepResult(observation=observation, reward=reward, done=done, metadata=payload.get("metadata"))

    def _parse_state(self, payload: dict[str, Any]) -> MarioState:
        return MarioState(**payload)
