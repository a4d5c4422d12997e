"""`mario play` and `mario drill`: an incident in the terminal, for people.

In: which incident, or which episode to go on with. Out: the screen, and when it is left, how to go on or where to look;
for drills also their history, as a table or JSON.
"""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from .console import CommandError, command, out, print_json, print_table, working

if TYPE_CHECKING:
    from mario_dagster.play.app import Sitting
    from mario_dagster.play.drills import Drill, Means
    from mario_dagster.play.session import Seen

# Commands that look at an episode which is over; one that is not installed is not named.
LOOKS = ("ui", "postmortem", "trace")
LATEST = "latest"


def run_play(options: Mapping[str, Any], resume: str | None, commands: Mapping[str, Any]) -> int:
    """Play an incident, or go on with an episode; one that was begun as a drill goes on as one.

    Args:
        commands: those that there are, by name.
    """
    _require_terminal("play")
    if resume and (named := [name for name, value in options.items() if value is not None]):
        raise CommandError(f"--resume goes on with an episode as it is; leave out {', '.join(named)}")
    with working("Opening"):
        sitting = _resumed(resume, commands) if resume else _started(options, commands)
    return _sit(sitting)


def run_drill(task: str | None, held_out: bool, resume: str | None, commands: Mapping[str, Any]) -> int:
    """An incident that was not drilled yet, against the clock; or one that was broken off."""
    _require_terminal("drill")
    if resume and (task or held_out):
        raise CommandError("--resume goes on with a drill as it is; leave out task and --held-out")
    with working("Choosing an incident" if not resume else "Opening"):
        if resume:
            sitting = _resumed(_newest_drill() if resume == LATEST else resume, commands)
            if sitting.log is None:
                raise CommandError(f"'{resume}' is no drill; {command(f'play --resume {resume}')} goes on with it")
        else:
            sitting = _picked(task, held_out, commands)
    return _sit(sitting)


def show_drills(as_json: bool) -> int:
    """The drills so far, oldest first, and whether it gets better."""
    from mario_dagster.core.places import home_folder
    from mario_dagster.play.drills import DrillLog, trend

    drills = DrillLog(home_folder()).drills()
    means = trend(drills)
    if as_json:
        print_json({"drills": [asdict(each) for each in drills], "trend": means.to_dict()})
        return 0
    if not drills:
        out().print(f"no drill in {home_folder()} yet; {command('drill')} begins one", markup=False)
        return 0
    figures = ("minutes", "steps", "score", "collateral", "guessed")
    print_table(
        ("drill", "begun", "task", "split", *figures[:3], "published", *figures[3:], "end"),
        map(_drill_row, drills),
        right=figures,
    )
    if means.newest and means.before:
        _print_trend(means.newest, means.before)
    if broken := [each.id for each in drills if not each.over]:
        out().print(f"go on with one that was broken off: {command(f'drill --resume {broken[-1]}')}", markup=False)
    return 0


# --- what is played ---------------------------------------------------------------------------------------------------


def _started(options: Mapping[str, Any], commands: Mapping[str, Any]) -> Sitting:
    from mario_dagster.env.errors import BadRequest
    from mario_dagster.env.options import reset_options
    from mario_dagster.play.app import Sitting

    named = {name: value for name, value in options.items() if value is not None}
    try:
        chosen = reset_options({**named, "episode_id": f"play-{secrets.token_hex(4)}"})
    except BadRequest as error:
        raise CommandError(str(error)) from None
    return Sitting(options=chosen, next_steps=_looks(commands))


def _picked(task: str | None, held_out: bool, commands: Mapping[str, Any]) -> Sitting:
    import random

    from mario_dagster.core.places import home_folder
    from mario_dagster.core.registry import task as find_task
    from mario_dagster.play.app import Sitting
    from mario_dagster.play.drills import DrillLog
    from mario_dagster.play.picking import pick

    log = DrillLog(home_folder())
    options = pick(
        log.drills(),
        None if task is None else find_task(task),
        held_out=held_out,
        draws=random.Random(),
        episode_id=f"drill-{secrets.token_hex(4)}",
    )
    return Sitting(options=options, log=log, next_steps=_looks(commands))


def _resumed(reference: str, commands: Mapping[str, Any]) -> Sitting:
    from mario_dagster.core.places import home_folder
    from mario_dagster.play.app import Sitting
    from mario_dagster.play.drills import DrillLog

    from .sandboxes import locate

    info, _ = locate(reference)
    log = DrillLog(home_folder())
    drill = log.drill(info.id)
    minutes = drill.minutes if drill else 0.0
    return Sitting(resume=info.id, log=log if drill else None, minutes=minutes, next_steps=_looks(commands))


def _newest_drill() -> str:
    """The drill that was broken off last."""
    from mario_dagster.core.places import home_folder
    from mario_dagster.play.drills import DrillLog

    broken = [each.id for each in DrillLog(home_folder()).drills() if not each.over]
    if not broken:
        raise CommandError(f"no drill is broken off; {command('drill')} begins one")
    return broken[-1]


def _looks(commands: Mapping[str, Any]) -> Any:
    return lambda id: tuple(command(f"{name} {id}") for name in LOOKS if name in commands)


# --- the screen -------------------------------------------------------------------------------------------------------


def _require_terminal(name: str) -> None:
    if not (sys.stdin.isatty() and sys.stdout.isatty()) or os.environ.get("TERM") == "dumb":
        raise CommandError(
            f"`mario {name}` is for a person at a terminal, and this is none; a script plays over `mario serve`, "
            "and `mario demo` shows an incident without a screen"
        )


def _sit(sitting: Sitting) -> int:
    """Show the screen until it is left."""
    from mario_dagster.play.app import PlayApp

    app = PlayApp(sitting)
    seen = app.run()
    if app.trouble is not None:
        raise CommandError(str(app.trouble)) from None
    if seen is not None:
        _print_left(seen, sitting)
    return app.return_code or 0


def _print_left(seen: Seen, sitting: Sitting) -> None:
    """How it was left, once the screen is gone."""
    drill = sitting.log is not None
    if not seen.done:
        again = command(f"{'drill' if drill else 'play'} --resume {seen.episode_id}")
        out().print(f"left after {seen.steps} steps; go on with {again}", markup=False)
        return
    from mario_dagster.play.view import verdict

    ending = verdict(seen)
    out().print(f"{ending.title}: {ending.lines[0]}", style="green" if ending.tone == "good" else "red", markup=False)
    for line in (*ending.lines[1:], *sitting.next_steps(seen.episode_id), *([command("drill --history")] * drill)):
        out().print(line, markup=False)


# --- the history ------------------------------------------------------------------------------------------------------


def _drill_row(drill: Drill) -> tuple[object, ...]:
    published = "" if drill.published is None else "yes" if drill.published else "no"
    return (
        drill.id,
        drill.begun_at[:16].replace("T", " "),
        drill.task,
        drill.split,
        f"{drill.minutes:.1f}",
        drill.steps,
        "" if drill.score is None else f"{drill.score:.3f}",
        published,
        "" if drill.collateral is None else drill.collateral,
        "" if drill.guessed is None else drill.guessed,
        drill.end,
    )


def _print_trend(newest: Means, before: Means) -> None:
    figures = (
        f"score {before.score:.2f} → {newest.score:.2f}",
        f"published {before.published:.0%} → {newest.published:.0%}",
        f"minutes {before.minutes:.1f} → {newest.minutes:.1f}",
        f"steps {before.steps:.0f} → {newest.steps:.0f}",
        f"collateral {before.collateral:.1f} → {newest.collateral:.1f}",
    )
    out().print(f"{before.drills} before → the newest {newest.drills}: {', '.join(figures)}", markup=False)
