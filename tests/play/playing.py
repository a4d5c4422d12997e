"""A person at the keys: what is pressed to play an action, and waiting for what comes of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from textual.pilot import Pilot
from textual.widgets import OptionList

from mario_dagster.core.action import Action
from mario_dagster.play.app import PlayApp
from mario_dagster.play.asking import NONE, Choose, Order, Write
from mario_dagster.play.panes import ActionsPane

SECONDS = 60.0


async def until(pilot: Pilot[Any], true: Callable[[], bool]) -> None:
    """Wait for something to be so; what the app raised is raised here."""
    for _ in range(int(SECONDS / 0.02)):
        await pilot.pause(0.02)
        if true() or pilot.app._exception:
            break
    await pilot.pause()
    assert true(), pilot.app._exception


async def begun(pilot: Pilot[Any], app: PlayApp) -> None:
    await until(pilot, lambda: app.seen is not None)


async def play(pilot: Pilot[Any], app: PlayApp, action: Action) -> None:
    """Press what plays an action, and wait for it to be over."""
    assert app.seen is not None
    steps = app.seen.steps
    await pilot.press("a")
    place = [offer.spec.id for offer in app.query_one(ActionsPane).offered].index(action.id)
    await choose(pilot, place)
    answers = [action.select or "head"] if action.name == "sample_data" else []
    answers += [NONE] if action.select == "offenders" and not action.target_column else []
    answers += [answer for answer in (action.target_column, action.new_name, action.value) if answer]
    if action.name == "inspect_schema":
        answers = [action.target_column or app.seen.observation["stage"]]
    if action.name == "commit_changes":
        answers = ["yes"]
    for answer in answers:
        await reply(pilot, app, answer)
    if action.column_order:
        await until(pilot, lambda: isinstance(app.screen, Order))
        await pilot.press("c", "enter")
    await until(pilot, lambda: app.seen is not None and app.seen.steps > steps)


async def reply(pilot: Pilot[Any], app: PlayApp, answer: str) -> None:
    """Answer what is asked, from the list or in writing."""
    await until(pilot, lambda: isinstance(app.screen, Choose | Write))
    asked = app.screen
    if isinstance(asked, Choose):
        values: Sequence[str] = asked._values
        await choose(pilot, values.index(answer) if answer in values else len(values) - 1)
        await until(pilot, lambda: app.screen is not asked)
        if answer in values:
            return
        asked = app.screen
    await pilot.press(*answer, "enter")
    await until(pilot, lambda: app.screen is not asked)


async def choose(pilot: Pilot[Any], place: int) -> None:
    """The option at a place of the list that has the keys."""
    assert isinstance(pilot.app.focused, OptionList)
    await pilot.press("home", *["down"] * place, "enter")


def run(scene: Any) -> Any:
    """A scene to its end, in a loop of its own."""
    return asyncio.run(scene)
