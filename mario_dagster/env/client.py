"""The client: `MarioEnv` plays over a WebSocket, one session a client.

In: a server's address. Out: `StepResult`s with typed observations, and the state. A client that lost a reply, or its
connection, goes on with the episode and sends the step again under the key that it sent it under.

    with MarioEnv(base_url="http://localhost:8000").sync() as env:
        result = env.reset(task="temporal", seed=7, episode_id="mine")
        result = env.step(MarioAction(action_id=10), request_id="mine-1")
    with MarioEnv(base_url="http://localhost:8000").sync() as env:
        env.reset(episode_id="mine", resume=True)
        again = env.step(MarioAction(action_id=10), request_id="mine-1")
        assert again.observation == result.observation
"""

from __future__ import annotations

from typing import Any

from .keys import FIELD
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

    async def _step_async(
        self, action: MarioAction, *, request_id: str | None = None, **options: Any
    ) -> StepResult[MarioObservation]:
        """Play one action.

        Args:
            request_id: a key of the caller's; sent again, the newest step's is answered as before and plays nothing.
        """
        if request_id is not None:
            action = action.model_copy(update={"metadata": {**action.metadata, FIELD: request_id}})
        result: StepResult[MarioObservation] = await super()._step_async(action, **options)
        return result

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
