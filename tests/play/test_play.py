"""`mario play` and `mario drill`, by keys, on real sandboxes: whole episodes, refusals, leaving, going on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import DataTable, OptionList, Static

from mario_dagster.core.action import ACTIONS, Action, ActionId
from mario_dagster.env.options import reset_options
from mario_dagster.incidents.profiles import profile
from mario_dagster.play.app import PlayApp, Sitting
from mario_dagster.play.asking import Choose, Order, Reader
from mario_dagster.play.drills import BROKEN_OFF, DrillLog
from mario_dagster.play.ending import Ending
from mario_dagster.play.others import incident_of
from mario_dagster.sandbox.home import Home
from mario_dagster.sandbox.sandbox import Sandbox
from mario_dagster.scoring.truth import TruthStore

from .playing import begun, choose, play, reply, run, until

WIDE, NARROW = (120, 40), (80, 24)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MARIO_HOME", str(tmp_path))
    return tmp_path


def solution(home: Path, id: str) -> list[Action]:
    return [Action.from_dict(fields) for fields in TruthStore(Home(home).truth_store(id)).solution]


def shown(app: PlayApp) -> str:
    """Every word on every screen."""
    words: list[str] = []
    for screen in app.screen_stack:
        words += [str(each.content) for each in screen.query(Static)]
        for listed in screen.query(OptionList):
            words += [str(listed.get_option_at_index(place).prompt) for place in range(listed.option_count)]
        for table in screen.query(DataTable):
            words += [str(cell) for row in table.rows for cell in table.get_row(row)]
    return "\n".join(words)


def secrets(app: PlayApp, home: Path) -> Iterator[str]:
    """What nobody may be told before the end."""
    assert app.seen
    with Sandbox.open(app.seen.episode_id) as sandbox:
        family = profile(sandbox.profile)
    yield from (family.name, family.summary, ", ".join(family.patterns))


def test_a_drill_by_keys_to_the_end_and_what_is_kept_of_it(home: Path) -> None:
    log = DrillLog(home)
    options = reset_options({"task": "referential", "split": "train", "seed": 3, "episode_id": "drill-one"})

    async def scene() -> None:
        app = PlayApp(Sitting(options=options, log=log, next_steps=lambda id: (f"mario ui {id}",)))
        async with app.run_test(size=NARROW) as pilot:
            await begun(pilot, app)
            hidden = tuple(secrets(app, home))
            for action in solution(home, "drill-one"):
                assert not [word for word in hidden if word in shown(app)], action
                with pytest.raises(ValueError, match="over"):
                    incident_of(app.seen)
                if action.column_order:
                    await play(pilot, app, Action(ActionId.INSPECT_SCHEMA, target_column=app.seen.observation["stage"]))
                await play(pilot, app, action)
            await until(pilot, lambda: isinstance(app.screen, Ending))
            await until(pilot, lambda: len(app._outcomes) == 2)
            await ended(pilot, app, hidden[0])
        assert app.return_value == app.seen

    async def ended(pilot: Pilot[Any], app: PlayApp, family: str) -> None:
        assert family in shown(app) and "mario ui drill-one" in shown(app)
        by = {each.player: each for each in app._outcomes}
        assert app.seen.observation["done_reason"] == "commit_success"
        assert by["solution"].score == app.seen.observation["current_score"] > 0.9
        assert by["heuristic"].steps > 0
        await pilot.press("escape")
        await pilot.pause()
        await pilot.press("e")
        await until(pilot, lambda: isinstance(app.screen, Ending))
        await pilot.press("q")
        await until(pilot, lambda: app._exit)

    run(scene())
    (drill,) = log.drills()
    assert drill.over and drill.published and drill.collateral == 0 and drill.family and drill.score > 0.9
    assert 0 < drill.minutes < 10 and drill.steps >= len(solution(home, "drill-one"))
    assert [info.id for info in Home(home).sandboxes()] == ["drill-one"]


def test_what_cannot_be_done_is_said_kindly_and_an_episode_that_is_left_goes_on(home: Path) -> None:
    log = DrillLog(home)
    options = reset_options({"task": "temporal", "split": "eval", "seed": 7, "episode_id": "drill-two"})

    async def first_sitting() -> Any:
        app = PlayApp(Sitting(options=options, log=log))
        async with app.run_test(size=WIDE) as pilot:
            await begun(pilot, app)
            before = app.seen.observation["observed_columns"]
            await pilot.press("t")
            await until(pilot, lambda: isinstance(app.screen, Choose))
            await pilot.press("escape")
            assert app.seen.steps == 0
            await play(pilot, app, Action(ActionId.RENAME_COLUMN, before[0], before[1]))
            assert "That cannot be done" in shown(app) and app.seen.observation["observed_columns"] == before
            await play(pilot, app, Action(ActionId.SAMPLE_DATA, before[1], select="equal", value="t01"))
            await play(pilot, app, Action(ActionId.INSPECT_SCHEMA))
            await pilot.press("2", "enter")
            await until(pilot, lambda: isinstance(app.screen, Reader))
            assert app.seen.observation["check_failures"][0]["check"] in shown(app)
            await pilot.press("escape", "a")
            await choose(pilot, [spec.id for spec in ACTIONS].index(ActionId.REORDER_COLUMNS))
            await until(pilot, lambda: isinstance(app.screen, Order))
            await pilot.press("j", "enter")
            await until(pilot, lambda: app.seen.steps == 4)
            assert app.seen.observation["observed_columns"][:2] == [before[1], before[0]]
            await pilot.press("a")
            await choose(pilot, [spec.id for spec in ACTIONS].index(ActionId.COMMIT_CHANGES))
            await reply(pilot, app, "no")
            await pilot.press("q")
            await until(pilot, lambda: app._exit)
        return app.return_value

    left = run(first_sitting())
    (drill,) = log.drills()
    assert (drill.end, drill.steps, drill.published) == (BROKEN_OFF, 4, None) and not left.done
    assert "family" not in (home / "drills.jsonl").read_text()

    async def second_sitting() -> None:
        app = PlayApp(Sitting(resume="drill-two", log=log, minutes=drill.minutes + 5))
        async with app.run_test(size=WIDE) as pilot:
            await begun(pilot, app)
            assert app.seen == left
            await play(pilot, app, Action(ActionId.COMMIT_CHANGES))
            await until(pilot, lambda: isinstance(app.screen, Ending))
            await pilot.press("q")
            await until(pilot, lambda: app._exit)

    run(second_sitting())
    (drill,) = log.drills()
    assert (drill.end, drill.published) == ("commit_failure", False) and drill.minutes > 5


def test_an_incident_that_there_is_not_ends_the_screen_with_the_reason(home: Path) -> None:
    async def scene() -> Any:
        app = PlayApp(Sitting(options=reset_options({"task": "events", "profile": "no_such_family"})))
        async with app.run_test() as pilot:
            await until(pilot, lambda: app.trouble is not None)
        return app.trouble

    assert "no_such_family" in str(run(scene()))
    assert not Home(home).sandboxes()
