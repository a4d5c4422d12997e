"""`mario plan`: what an episode did that worked, exported as YAML and played again elsewhere.

In: an episode's id, or a plan's file. Out: YAML, or a new episode in which the plan was played.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .console import CommandError, command, err, out, print_json, print_table, working
from .sandboxes import locate


def export_plan(reference: str, output: Path | None) -> None:
    """Print an episode's plan, or write it to a file."""
    with working("Opening the sandbox"):
        info, _ = locate(reference)
        from mario_dagster.env.episode import Episode
        from mario_dagster.env.plan import left_out, plan_of

        episode = Episode.resume(info.id)
        try:
            plan, missing = plan_of(episode), left_out(episode)
        finally:
            episode.close()
    for act in missing:
        err().print(f"left out, since no action does the same: {act}", markup=False, soft_wrap=True)
    if output is None:
        print(plan.to_yaml(), end="")
        return
    try:
        output.write_text(plan.to_yaml(), encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{output} cannot be written: {error.strerror}") from None
    err().print(f"{len(plan.actions)} steps of {info.id} written to {output}", markup=False)


def apply_plan(file: Path, overrides: Mapping[str, Any], as_json: bool) -> int:
    """Play a plan on a fresh sandbox; status 0 when every step of it was done."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"{file} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    with working("Loading Dagster"):
        from mario_dagster.env.errors import PlayError
        from mario_dagster.env.plan import BadPlan, Plan, apply, options_for
    try:
        plan = Plan.from_yaml(text)
        options = options_for(plan, overrides)
        with working(f"Playing {len(plan.actions)} steps"):
            episode = apply(plan, options)
    except (BadPlan, PlayError) as error:
        raise CommandError(f"{file}: {error}") from None
    try:
        report = _report(episode, len(plan.actions))
    finally:
        episode.close()
    if as_json:
        print_json(report)
    else:
        print_table(("", report["id"]), ((name, _cell(value)) for name, value in report.items() if name != "id"))
        out().print(f"look at it: {command('ui ' + str(report['id']))}", markup=False)
    return 0


def _report(episode: Any, steps: int) -> dict[str, Any]:
    from mario_dagster.tables.frames import content_hash

    told = episode.summary()
    return {
        "id": episode.id,
        "task": told["task"],
        "split": told["split"],
        "seed": told["seed"],
        "steps": steps,
        "score": told["score"],
        "feedback": told["feedback"],
        "finished": told["finished"],
        "success": told["success"],
        "tables": {name: content_hash(episode.sandbox.table(name)) for name in episode.task.table_names},
    }


def _cell(value: object) -> str:
    if isinstance(value, Mapping):
        return "\n".join(f"{name}: {found}" for name, found in value.items())
    return str(value)
