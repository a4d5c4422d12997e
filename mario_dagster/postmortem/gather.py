"""What the journal, the Dagster instance and the versions of the tables tell of an episode.

In: an episode, finished or not. Out: a `Postmortem`; of an unfinished episode without the truth. No clock and no run id
of this machine is in it: the same episode gives the same postmortem.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from mario_dagster.assets.publish import RELEASES
from mario_dagster.core.action import Action
from mario_dagster.core.errors import StorageError
from mario_dagster.core.run_tags import ACTION, ACTOR, AGENT, ENGINEER, STEP
from mario_dagster.env.episode import Episode, told
from mario_dagster.env.episode_state import EpisodeState, Line, after, episode_state
from mario_dagster.env.observation import UNDISCLOSED, text
from mario_dagster.env.reward import shown
from mario_dagster.env.spectator import actor
from mario_dagster.sandbox.sandbox import Sandbox
from mario_dagster.tables.load import table_name

from .lag import lag_after
from .model import Change, Downtime, Entry, Moment, Postmortem, Summary
from .strike import runs_before, symptoms
from .truth import truth_of


def postmortem_of(episode: Episode) -> Postmortem:
    """The postmortem of an episode as it stands, with what people did in Dagster written down.

    Raises:
        EpisodeDamaged, StorageUnavailable: it cannot be read.
    """
    episode.take_up()
    try:
        with episode.sandbox.look():
            return _gathered(episode.sandbox)
    except StorageError as error:
        episode.close()
        raise told(error, episode.id) from error


def _gathered(sandbox: Sandbox) -> Postmortem:
    lines = sandbox.steps
    state, clock = episode_state(lines), _clock(lines)
    return Postmortem(
        summary=_summary(sandbox, state, lines),
        timeline=(*runs_before(sandbox), *(_entry(number, line, clock[number]) for number, line in enumerate(lines))),
        symptoms=symptoms(sandbox, lines[0]),
        changes=tuple(_changes(sandbox, lines)),
        moments=tuple(
            Moment(number, clock[number], tuple(map(text, line["failing_checks"])), shown(line["score"]), lag)
            for number, line in enumerate(lines)
            for lag in (lag_after(sandbox, line),)
        ),
        downtime=_downtime(sandbox, state, lines, clock),
        truth=truth_of(sandbox, state, _released(sandbox, lines) is not None) if state.done else None,
    )


def _clock(lines: Sequence[Line]) -> list[float]:
    """Minutes from the first line to the end of each."""
    state, clock = episode_state(lines[:1]), [0.0]
    for line in lines[1:]:
        state = after(state, line)
        clock.append(round(state.minutes, 1))
    return clock


def _summary(sandbox: Sandbox, state: EpisodeState, lines: Sequence[Line]) -> Summary:
    return Summary(
        episode_id=state.episode_id,
        task=sandbox.task.slug,
        about=sandbox.task.card.incident_summary,
        profile=sandbox.profile if state.done else UNDISCLOSED,
        split=state.split,
        seed=state.seed,
        scale=state.scale,
        feedback="truth" if state.done else state.feedback,
        score=shown(state.score),
        initial_score=shown(state.initial_score),
        threshold=sandbox.task.threshold,
        steps=state.steps,
        done=state.done,
        success=state.success,
        outcome=state.done_reason,
        published=_released(sandbox, lines) is not None,
        started=datetime.fromisoformat(state.started_at),
        minutes=round(state.minutes, 1),
    )


def _entry(number: int, line: Line, minutes: float) -> Entry:
    action = line.get("action")
    return Entry(
        line=number,
        minutes=minutes,
        actor=actor(line),
        words=str(Action.from_dict(action)) if action else line.get("name", "incident noticed"),
        table=line.get("table", ""),
        status=line.get("status", "failed"),
        result=text(line["result"]),
        reward=None if actor(line) != AGENT else line["reward"],
        score=shown(line["score"]),
    )


def _downtime(sandbox: Sandbox, state: EpisodeState, lines: Sequence[Line], clock: Sequence[float]) -> Downtime:
    green = next((clock[number] for number, line in enumerate(lines) if not line["failing_checks"]), None)
    released = _released(sandbox, lines)
    return Downtime(
        steps=state.steps,
        interventions=sum(actor(line) == ENGINEER for line in lines),
        minutes=clock[-1],
        exposed=round(state.exposure, 1),
        green=green,
        released=None if released is None else clock[released],
    )


def _released(sandbox: Sandbox, lines: Sequence[Line]) -> int | None:
    """The line after which consumers saw another release than before; None where none was made in the episode."""
    name = f"published/{table_name(sandbox.task, RELEASES)}"
    releases = [line.get("stored", {}).get(name) for line in lines]
    return next((number for number, release in enumerate(releases) if release != releases[0]), None)


# --- table versions ---------------------------------------------------------------------------------------------------


def _changes(sandbox: Sandbox, lines: Sequence[Line]) -> Iterator[Change]:
    """Versions of tables that were written since the first line, by line and table."""
    tags = {run.run_id: run.tags for run in sandbox.instance.get_runs()}
    found = [change for table in sandbox.task.table_names for change in _versions(sandbox, lines, tags, table)]
    yield from sorted(found, key=lambda change: change.line)


def _versions(
    sandbox: Sandbox, lines: Sequence[Line], tags: Mapping[str, Mapping[str, str]], table: str
) -> Iterator[Change]:
    lake, name = sandbox.workspace.lake, table_name(sandbox.task, table)
    first, last = (line.get("stored", {}).get(f"lake/{name}", -1) for line in (lines[0], lines[-1]))
    rows = {version: len(lake.read_at(name, version)) for version in range(max(first, 0), last + 1)}
    for version in range(first + 1, last + 1):
        provenance = lake.provenance_at(name, version)
        by = tags.get(provenance.run_id, {}) if provenance is not None else {}
        number = _line_of(lines, by)
        if number is not None:
            yield Change(number, by[ACTOR], by[ACTION], table, rows.get(version - 1, 0), rows[version])


def _line_of(lines: Sequence[Line], tags: Mapping[str, str]) -> int | None:
    """The line of a run, by its tags: an agent's have the step of the episode, a person's the number of the line."""
    if STEP not in tags:
        return None
    if tags[ACTOR] == ENGINEER:
        return int(tags[STEP])
    steps = (number for number, line in enumerate(lines) if actor(line) == AGENT and line["step"] == int(tags[STEP]))
    return next(steps, None)
