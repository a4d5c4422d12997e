"""What the runs of a sandbox are tagged with, and who may have launched them.

In: an episode, the number of a step, an action, an actor. Out: the tags of the run. What was run before the episode
began has a phase instead of a step, and a run with neither was launched by a person.
"""

from __future__ import annotations

PREFIX = "mario/"
EPISODE, STEP, ACTION, ACTOR = "mario/episode", "mario/step", "mario/action", "mario/actor"
PHASE = "mario/phase"
# Phases: the days that ran green, and the night on which the incident struck.
HISTORY, INCIDENT = "history", "incident"
AGENT, ENGINEER, SCHEDULER = "agent", "engineer", "scheduler"


def step_tags(episode: str, number: int, action: str, actor: str) -> dict[str, str]:
    """The tags of a run that is a step of an episode."""
    return {EPISODE: episode, STEP: str(number), ACTION: action, ACTOR: actor}
