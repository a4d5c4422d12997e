"""`mario sandboxes`, `grade` and `trace`: what is in the sandboxes on disk.

In: `$MARIO_HOME`. Out: tables or JSON. Everything is read from the sandbox as it stands, so that these work while an
episode is being played, after it, and on what a person did in the Dagster UI.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .console import CommandError, out, print_json, print_table, working

if TYPE_CHECKING:
    from mario_dagster.sandbox.home import SandboxInfo
    from mario_dagster.sandbox.sandbox import Sandbox

LATEST, EVERY = "latest", "all"


def locate(reference: str) -> tuple[SandboxInfo, Path]:
    """A sandbox by its id, or the one made last, and its folder.

    Raises:
        CommandError, UnknownName: there is none.
    """
    from mario_dagster.sandbox.home import Home, InvalidId, SandboxInfo

    home = Home.default()
    if reference == LATEST:
        newest = home.latest()
        if newest is None:
            raise CommandError(f"no sandbox in {home.root} yet; `mario demo` makes one")
        return newest, home.sandbox(newest.id)
    try:
        folder = home.require(reference)
    except InvalidId as error:
        raise CommandError(str(error)) from None
    return SandboxInfo.load(folder), folder


@contextmanager
def opened(reference: str) -> Iterator[Sandbox]:
    """The sandbox, open, with what people did in Dagster written down; progress is shown while Dagster loads."""
    with working("Opening the sandbox"):
        info, _ = locate(reference)
        from mario_dagster.env.episode import Episode

        episode = Episode.resume(info.id)
    try:
        episode.take_up()
        yield episode.sandbox
    finally:
        episode.close()


def show_sandboxes(as_json: bool) -> None:
    """Every sandbox, newest first."""
    with working("Reading sandboxes"):
        from mario_dagster.sandbox.home import Home

        home = Home.default()
        infos = home.sandboxes()
    if as_json:
        print_json([asdict(info) for info in infos])
    elif not infos:
        out().print(f"no sandbox in {home.root} yet; `mario demo` makes one", markup=False)
    else:
        print_table(
            ("id", "task", "split", "seed", "scale", "steps", "status", "created"),
            (
                (i.id, i.task, i.split, i.seed, i.scale, i.steps, i.status, i.created_at[:19].replace("T", " "))
                for i in infos
            ),
            right=("seed", "scale", "steps"),
        )


def show_sandbox(reference: str, as_json: bool) -> None:
    """One sandbox: signals, checks that fail, and the newest errors."""
    with opened(reference) as sandbox, working("Running its checks"):
        signals, errors = sandbox.signals(), sandbox.run_errors()
        report = {
            "id": sandbox.id,
            "task": sandbox.task.slug,
            "split": sandbox.split,
            "seed": sandbox.seed,
            "scale": sandbox.scale,
            "steps": max(len(sandbox.steps) - 1, 0),
            "commit_ready": signals.commit_ready,
            "commit": signals.committed or "none yet",
            "failing_checks": list(signals.blocking_failures),
            "pending_batches": list(signals.pending_batches),
            "backlog_rows": signals.backlog_rows,
            "freshness_lag_minutes": signals.freshness_lag_minutes,
            "downstream_stale": signals.downstream_stale,
            "workers": signals.resource_level,
            "workers_required": signals.required_resource_level,
            "table_health": dict(signals.table_health),
            "recent_errors": list(errors),
        }
    if as_json:
        print_json(report)
    else:
        print_table(("", sandbox.id), ((name, _cell(value)) for name, value in report.items() if name != "id"))


def check_sandboxes(reference: str, as_json: bool) -> int:
    """What is damaged, sandbox by sandbox."""
    with working("Reading every file"):
        from mario_dagster.sandbox.home import Home
        from mario_dagster.sandbox.verification import damage

        home = Home.default()
        ids = [info.id for info in home.sandboxes()] if reference == EVERY else [locate(reference)[1].name]
        found = {id: damage(home, id) for id in ids}
    if as_json:
        print_json(found)
    else:
        print_table(("sandbox", "damage"), ((id, "\n".join(said) or "none") for id, said in found.items()))
    return 1 if any(found.values()) else 0


def prune_sandboxes(keep: int | None, older_than_hours: float | None, yes: bool, as_json: bool) -> None:
    """Delete sandboxes, after a question unless `yes`."""
    if keep is None and older_than_hours is None:
        raise CommandError("say what to delete: --keep N, --older-than HOURS or both")
    with working("Reading sandboxes"):
        from mario_dagster.sandbox.home import Home

        home = Home.default()
    if not yes:
        import typer

        typer.confirm(f"Delete sandboxes in {home.root}?", abort=True, err=True)
    span = None if older_than_hours is None else timedelta(hours=older_than_hours)
    with working("Deleting"):
        gone = home.prune(keep=keep, older_than=span)
    if as_json:
        print_json({"deleted": gone})
    else:
        out().print(f"{len(gone)} deleted{': ' if gone else ''}{', '.join(gone)}", markup=False)


def show_grade(reference: str, as_json: bool) -> int:
    """The true score; status 0 when it was published, or rightly held back, at or above the threshold."""
    from mario_dagster.env.reward import shown

    with opened(reference) as sandbox, working("Comparing with the truth"):
        grade, committed, threshold = sandbox.grade(), sandbox.signals().committed, sandbox.task.threshold
        rightly = committed == "published" or sandbox.info.status == "held_back"
        success = rightly and grade.score >= threshold
        report = {
            "id": sandbox.id,
            "task": sandbox.task.slug,
            "score": shown(grade.score),
            # What decides; the score is kept off 0 and 1, as a player sees it.
            "raw_score": round(grade.score, 6),
            "threshold": threshold,
            "commit": committed or "none yet",
            "success": success,
            "parts": {name: round(value, 6) for name, value in grade.parts.items()},
            "tables": {name: round(value, 6) for name, value in grade.tables.items()},
            "guessed_cells": grade.guessed,
        }
    if as_json:
        print_json(report)
    else:
        print_table(("", sandbox.id), ((name, _cell(value)) for name, value in report.items() if name != "id"))
    return 0 if success else 1


def show_trace(reference: str, as_json: bool) -> None:
    """The trajectory, line by line; needs nothing but the file, so it works on a copied sandbox too."""
    import json

    with working("Looking for the sandbox"):
        _, folder = locate(reference)
    file = folder / "trajectory.jsonl"
    lines = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    if as_json:
        print_json(lines)
    elif not lines:
        out().print("nothing was played in it", markup=False)
    else:
        from mario_dagster.core.action import Action

        print_table(
            ("step", "actor", "table", "action", "what happened", "score", "reward"),
            (_step_row(line, Action.from_dict) for line in lines),
            right=("step", "score", "reward"),
        )


def _step_row(line: Mapping[str, Any], move: Any) -> tuple[object, ...]:
    from mario_dagster.env.reward import shown

    action = line.get("action")
    return (
        line.get("step", 0),
        line.get("actor", "agent") if line.get("kind") == "step" else "",
        line.get("table") or line.get("active_table", ""),
        str(move(action)) if action else line.get("name", "reset"),
        str(line.get("result", "")).split("\n")[0],
        f"{shown(line.get('score', 0)):.3f}",
        f"{line['reward']:+.3f}" if line.get("reward") is not None else "",
    )


def _cell(value: Any) -> str:
    if isinstance(value, Mapping):
        return "\n".join(f"{name}: {number:.4f}" for name, number in value.items())
    if isinstance(value, list):
        return "\n".join(map(str, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)
