"""`mario demo`: one incident that nobody trained for, played live against a real server.

In: which incident and which policy. Out: a line a step as it happens, the score, what was published, and the command
that opens the Dagster UI on it. The server is a process of its own and the policy talks to it over a WebSocket, as any
agent anywhere would.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from .console import CommandError, command, err, out, print_json
from .sandboxes import opened
from .server import local_server

if TYPE_CHECKING:
    from rich.status import Status

    from mario_dagster.core.task import Task
    from mario_dagster.policies.play import Played, Turn

SEED = 7
WIDTHS = (4, 46, 5, 15)
READS, SAMPLE = (0, 1, 2), 2


def run_demo(
    *, task: str, profile: str | None, split: str, seed: int | None, policy: str, url: str | None, as_json: bool
) -> int:
    """Play it; status 0 when it was published, or rightly held back, at or above the threshold."""
    from mario_dagster.core.errors import UnknownName
    from mario_dagster.core.registry import task as find_task
    from mario_dagster.core.task import SPLITS
    from mario_dagster.env.errors import NoPlayer
    from mario_dagster.env.players import player as find_player

    if split not in SPLITS:
        raise UnknownName("split", split, SPLITS)
    try:
        player, chosen = find_player(policy), find_task(task)
    except NoPlayer as error:
        raise CommandError(str(error)) from None
    options: dict[str, Any] = {
        "task": chosen.slug,
        "split": split,
        "seed": SEED if seed is None else seed,
        "profile": profile or (_held_out(chosen) if split == "eval" else None),
        "episode_id": f"demo-{secrets.token_hex(4)}",
    }
    live = LiveTable(chosen.max_steps, quiet=as_json)
    with nullcontext(url) if url else local_server(_preload_client) as address:
        from mario_dagster.env.client import MarioEnv
        from mario_dagster.policies.play import play

        try:
            with MarioEnv(base_url=address).sync() as env, live.playing():
                played = play(env, player, on_turn=live.add, **options)
        except (RuntimeError, OSError) as error:
            raise CommandError(f"the server at {address} would not play: {error}") from error
    report = _report(options, played, chosen.threshold, here=url is None)
    if as_json:
        print_json(report)
    else:
        _print_summary(report)
    return 0 if report["success"] else 1


def _held_out(task: Task) -> str | None:
    """A family whose names, spellings and units occur in no train profile; None where the task has none."""
    from mario_dagster.incidents.profiles import profiles

    return next((profile.name for profile in profiles(task, "eval") if profile.held_out), None)


def _preload_client() -> None:
    """Load the client while the server starts, so that both imports overlap."""
    import mario_dagster.env.client  # noqa: F401


# --- while it is played -----------------------------------------------------------------------------------------------


class LiveTable:
    """The play as a growing table: a line a step above a line that says what is being waited for."""

    def __init__(self, budget: int, *, quiet: bool):
        self._budget, self._quiet = budget, quiet
        self._status: Status | None = None

    @contextmanager
    def playing(self) -> Iterator[None]:
        # Rows and the waiting line share a console where they share a screen: else they would write over each other.
        screen = out() if out().is_terminal and not self._quiet else err()
        if not screen.is_terminal:
            screen.print("Breaking a pipeline …", markup=False)
            yield
            return
        with screen.status("Breaking a pipeline: healthy history first, then the incident") as self._status:
            yield

    def add(self, turn: Turn) -> None:
        """Show a turn that is over."""
        if self._status:
            self._status.update(f"step {turn.number + 1} of at most {self._budget}")
        if self._quiet:
            return
        seen = turn.observation
        if turn.move is None:
            self._head(seen)
        checks, failing = int(seen["check_count"]), len(seen["failing_checks"])
        action, result = "the incident strikes" if turn.move is None else str(turn.move), _deed(turn)
        self._row(
            (
                str(turn.number),
                action,
                f"{seen['current_score']:.3f}",
                f"{failing} red {checks - failing} green",
                result,
            ),
            style="red" if result.startswith(("invalid:", "failed:")) else None,
        )

    def _head(self, seen: Mapping[str, Any]) -> None:
        out().print(f"\n[bold]{seen['incident_type']}[/bold]\n{seen['incident_summary']}\n")
        self._row(("step", "action", "score", "checks", "what Dagster did"), style="bold")

    def _row(self, cells: tuple[str, ...], style: str | None) -> None:
        from rich.text import Text

        widths = (*WIDTHS, max(out().width - sum(WIDTHS) - 2 * len(WIDTHS), 20))
        line = Text(style=style or "")
        for place, (cell, room) in enumerate(zip(cells, widths, strict=True)):
            text = cell if len(cell) <= room else f"{cell[: room - 1]}…"
            right = place in (0, 2)
            line.append(text.rjust(room) if right else text.ljust(room))
            line.append("  ")
        line.rstrip()
        out().print(line, soft_wrap=True)


def _deed(turn: Turn) -> str:
    """What Dagster did in a turn, in a line."""
    result = str(turn.observation["action_result"]).split("\n")[0]
    if turn.move is None:
        return result
    if turn.move.id in READS:
        return "no run; rows looked at" if turn.move.id == SAMPLE else f"no run; {result}"
    return result.removeprefix(f"{turn.move.name} on ")


# --- when it is over --------------------------------------------------------------------------------------------------


def _report(options: Mapping[str, Any], played: Played, threshold: float, *, here: bool) -> dict[str, Any]:
    last = played.last.observation
    return {
        **options,
        "profile": last["scenario_profile"],
        "steps": played.steps,
        "done_reason": played.done_reason,
        "success": played.succeeded,
        "score": last["current_score"],
        "threshold": threshold,
        "total_reward": round(played.total_reward, 4),
        "failing_checks": list(last["failing_checks"]),
        **(_left_behind(options["episode_id"]) if here else {"published": {}, "dagster_runs": None}),
        "actions": [turn.move.to_dict() for turn in played.turns if turn.move],
    }


def _left_behind(sandbox_id: str) -> dict[str, Any]:
    """What the play left on disk: published table -> rows, and how many runs Dagster has recorded."""
    with opened(sandbox_id) as sandbox:
        release = sandbox.release() if sandbox.signals().committed == "published" else None
        return {
            "published": dict(release.rows) if release else {},
            "dagster_runs": sandbox.instance.get_runs_count(),
        }


def _print_summary(report: Mapping[str, Any]) -> None:
    well = "held back, rightly" if report["done_reason"] == "held_back" else "published"
    verdict = f"[green]{well}[/green]" if report["success"] else f"[red]not published: {report['done_reason']}[/red]"
    out().print(
        f"\n{verdict}  score {report['score']:.3f} (threshold {report['threshold']}), "
        f"{report['steps']} steps, total reward {report['total_reward']:+.3f}"
    )
    if report["published"]:
        rows = ", ".join(f"{name} ({count} rows)" for name, count in report["published"].items())
        out().print(f"tables       {rows}", markup=False)
    if report["dagster_runs"] is not None:
        out().print(f"runs         {report['dagster_runs']} in Dagster's event log", markup=False)
    if report["failing_checks"]:
        out().print(f"still red    {', '.join(report['failing_checks'])}", markup=False)
    out().print(f"incident     {report['profile']} ({report['split']}, seed {report['seed']})", markup=False)
    out().print(f"sandbox      {report['episode_id']}", markup=False)
    out().print(f"look inside  {command('ui latest')}", markup=False)
