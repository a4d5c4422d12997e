"""The commands and their options. What a command needs it imports when it runs, so that `mario --help` is instant.

In: arguments. Out: calls of the module that does the work, and exit statuses.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from .console import CommandError

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
SandboxId = Annotated[str, typer.Argument(metavar="[ID|latest]", help="A sandbox, see `mario sandboxes list`.")]
Host = Annotated[str, typer.Option(help="Address to listen on.")]


class Commands(TyperGroup):
    """A group whose expected errors are one line on standard error and status 1, not a traceback."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except (CommandError, LookupError, RuntimeError) as error:
            from mario_dagster.core.errors import StorageError, UnknownName
            from mario_dagster.env.errors import PlayError

            if not isinstance(error, (CommandError, UnknownName, StorageError, PlayError)):
                raise
            typer.secho(f"mario: {error}", err=True, fg=typer.colors.RED)
            raise typer.Exit(1) from error


class BenchCommands(TyperGroup):
    """The group `mario bench`, whose commands are made when one of them, or its help, is asked for."""

    _made: MutableMapping[str, Any]

    @property
    def commands(self) -> MutableMapping[str, Any]:
        if not self._made:
            from .bench import bench

            self._made = typer.main.get_group(bench).commands
        return self._made

    @commands.setter
    def commands(self, made: MutableMapping[str, Any]) -> None:
        self._made = made


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    # Rich help costs 0.15 s of imports, as much as all the rest.
    rich_markup_mode=None,
    help="Data-pipeline incidents on real Dagster asset graphs: play them, serve them, look inside.",
)
sandboxes = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="List, show and prune sandboxes.")
app.add_typer(sandboxes, name="sandboxes")
plan = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Export what an episode did; play it elsewhere.")
app.add_typer(plan, name="plan")
app.add_typer(
    typer.Typer(cls=BenchCommands, no_args_is_help=True, rich_markup_mode=None),
    name="bench",
    help="Measure speed, players and the variety of incidents; put the server under stress.",
)


def _version(wanted: bool) -> None:
    if wanted:
        from mario_dagster import __version__

        typer.echo(f"mario-dagster {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@app.command()
def demo(
    task: Annotated[str, typer.Option(help="Which pipeline; see `mario tasks`.")] = "temporal",
    profile: Annotated[str | None, typer.Option(help="Which family of incidents; a held-out one unless given.")] = None,
    split: Annotated[str, typer.Option(help="train or eval.")] = "eval",
    seed: Annotated[int | None, typer.Option(help="Which incident of the family.")] = None,
    policy: Annotated[str, typer.Option(help="Who plays: heuristic or random.")] = "heuristic",
    url: Annotated[str | None, typer.Option(help="Play on this server instead of starting one.")] = None,
    as_json: AsJson = False,
) -> None:
    """Play one held-out incident, live, over a WebSocket, on real Dagster."""
    from .demo import run_demo

    raise typer.Exit(
        run_demo(task=task, profile=profile, split=split, seed=seed, policy=policy, url=url, as_json=as_json)
    )


@app.command()
def play(
    ctx: typer.Context,
    task: Annotated[
        str | None, typer.Argument(help="Which pipeline, the first unless given; see `mario tasks`.")
    ] = None,
    profile: Annotated[str | None, typer.Option(help="Which family of incidents; drawn unless given.")] = None,
    split: Annotated[str | None, typer.Option(help="train or eval.")] = None,
    seed: Annotated[int | None, typer.Option(help="Which incident; drawn unless given.")] = None,
    scale: Annotated[int | None, typer.Option(help="How many times the rows.")] = None,
    resume: Annotated[
        str | None, typer.Option(metavar="ID", help="Go on with an episode; latest for the newest.")
    ] = None,
) -> None:
    """Play an incident yourself, in this terminal."""
    from .play import run_play

    options = {"task": task, "profile": profile, "split": split, "seed": seed, "scale": scale}
    raise typer.Exit(run_play(options, resume, _commands(ctx)))


@app.command()
def drill(
    ctx: typer.Context,
    task: Annotated[str | None, typer.Argument(help="Only this pipeline; see `mario tasks`.")] = None,
    held_out: Annotated[bool, typer.Option("--held-out", help="Of a family that no train incident is like.")] = False,
    resume: Annotated[
        str | None, typer.Option(metavar="ID", help="Go on with a drill that was broken off; latest for the newest.")
    ] = None,
    history: Annotated[bool, typer.Option("--history", help="Show the drills so far instead.")] = False,
    as_json: AsJson = False,
) -> None:
    """Play an incident that you have not seen, against the clock; --history shows whether it gets better."""
    from .play import run_drill, show_drills

    if as_json and not history:
        raise CommandError("--json goes with --history")
    raise typer.Exit(show_drills(as_json) if history else run_drill(task, held_out, resume, _commands(ctx)))


def _commands(ctx: typer.Context) -> Any:
    """The commands there are, by name."""
    return getattr(ctx.find_root().command, "commands", {})


@app.command()
def serve(
    host: Host = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 for a free one.", min=0, max=65535)] = 8000,
    log_level: Annotated[str, typer.Option(help="critical, error, warning, info or debug.")] = "info",
    allow_repair: Annotated[
        bool, typer.Option("--allow-repair", help="Let runs be launched in the episodes' UIs, at /ui/<episode_id>/.")
    ] = False,
) -> None:
    """Serve the environment over WebSocket (/ws) and HTTP."""
    from .server import run_server

    run_server(host, port, log_level, allow_repair)


@app.command()
def ui(
    sandbox: SandboxId = "latest",
    host: Host = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 for a free one.", min=0, max=65535)] = 3000,
    allow_repair: Annotated[
        bool, typer.Option("--allow-repair", help="Let runs be launched while the episode is under way.")
    ] = False,
) -> None:
    """Open the Dagster UI on a sandbox: its assets, runs, checks and tables, live."""
    from .ui import run_ui

    raise typer.Exit(run_ui(sandbox, host, port, allow_repair))


@app.command()
def dev(
    host: Host = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 for a free one.", min=0, max=65535)] = 3000,
) -> None:
    """Open Dagster on all pipelines, healthy: inject an incident, repair it by hand, publish. No episode."""
    from .dev import run_dev

    raise typer.Exit(run_dev(host, port))


@app.command()
def tasks(
    profiles: Annotated[
        bool, typer.Option("--profiles", help="List the families of incidents instead, and how each is asked for.")
    ] = False,
    faults: Annotated[
        bool, typer.Option("--faults", help="List the kinds of fault instead: where each fits, or why it does not.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """The pipelines that can break, and what may break them."""
    from .tasks import show_faults, show_profiles, show_tasks

    (show_faults if faults else show_profiles if profiles else show_tasks)(as_json)


@sandboxes.command("list")
def sandboxes_list(as_json: AsJson = False) -> None:
    """Every sandbox under $MARIO_HOME (./.mario), newest first."""
    from .sandboxes import show_sandboxes

    show_sandboxes(as_json)


@sandboxes.command("show")
def sandboxes_show(sandbox: SandboxId = "latest", as_json: AsJson = False) -> None:
    """One sandbox: what is wrong in it, by its checks, and what waits."""
    from .sandboxes import show_sandbox

    show_sandbox(sandbox, as_json)


@sandboxes.command("check")
def sandboxes_check(
    sandbox: Annotated[str, typer.Argument(metavar="[ID|latest|all]", help="One sandbox, or all of them.")] = "all",
    as_json: AsJson = False,
) -> None:
    """Read every file of sandboxes, and say which are not what was written. Status 1 if any is not."""
    from .sandboxes import check_sandboxes

    raise typer.Exit(check_sandboxes(sandbox, as_json))


@sandboxes.command("prune")
def sandboxes_prune(
    keep: Annotated[int | None, typer.Option(help="Keep the newest N.", min=0)] = None,
    older_than: Annotated[
        float | None, typer.Option(help="Delete only those older than this many hours.", min=0)
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Delete old sandboxes, with their truth."""
    from .sandboxes import prune_sandboxes

    prune_sandboxes(keep, older_than, yes, as_json)


@app.command()
def grade(sandbox: SandboxId = "latest", as_json: AsJson = False) -> None:
    """The true score of a sandbox. Status 1 unless that is a success: published, or rightly held back."""
    from .sandboxes import show_grade

    raise typer.Exit(show_grade(sandbox, as_json))


@app.command()
def trace(sandbox: SandboxId = "latest", as_json: AsJson = False) -> None:
    """What was done in a sandbox, step by step."""
    from .sandboxes import show_trace

    show_trace(sandbox, as_json)


@app.command()
def postmortem(
    sandbox: SandboxId = "latest",
    format: Annotated[Literal["md", "html"], typer.Option(help="Markdown, or a page of HTML.")] = "md",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write to this file.")] = None,
) -> None:
    """What happened in an episode, what was done about it and, once it is over, what had been wrong."""
    from .postmortem import write_postmortem

    write_postmortem(sandbox, format, output)


@app.command()
def check(
    task: Annotated[str | None, typer.Option(help="Only this pipeline; see `mario tasks`.")] = None,
    profile: Annotated[str | None, typer.Option(help="Only this family of incidents.")] = None,
    seeds: Annotated[int, typer.Option(help="Seeds a profile and split.", min=1)] = 3,
    first_seed: Annotated[int, typer.Option(help="The first of them.", min=0)] = 0,
    solution_only: Annotated[
        bool, typer.Option("--solution-only", help="Only that the solution's repairs recover it.")
    ] = False,
    gold_only: Annotated[
        bool, typer.Option("--gold-only", hidden=True, help="The former name of --solution-only.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Prove every incident on real sandboxes: it strikes, shows, and can be undone. Status 1 if one does not."""
    from .proofs import run_check

    if gold_only:
        typer.secho("mario: --gold-only is --solution-only now, and goes with the next release", err=True, fg="yellow")
    raise typer.Exit(
        run_check(
            task=task,
            profile=profile,
            seeds=seeds,
            first_seed=first_seed,
            solution_only=solution_only or gold_only,
            as_json=as_json,
        )
    )


@app.command()
def exploits(
    task: Annotated[str | None, typer.Option(help="Only this pipeline; see `mario tasks`.")] = None,
    seeds: Annotated[int, typer.Option(help="Seeds a task and split.", min=1)] = 2,
    first_seed: Annotated[int, typer.Option(help="The first of them.", min=0)] = 0,
    as_json: AsJson = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print docs/exploits.md.")] = False,
) -> None:
    """Play every cheat against every pipeline. Status 1 if one wins, or earns what honest work earns."""
    from .exploits import run_exploits

    raise typer.Exit(run_exploits(task=task, seeds=seeds, first_seed=first_seed, as_json=as_json, markdown=markdown))


@plan.command("export")
def plan_export(
    sandbox: SandboxId = "latest",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write to this file.")] = None,
) -> None:
    """The repairs and other acts of an episode that were done, as YAML."""
    from .plan import export_plan

    export_plan(sandbox, output)


@plan.command("apply")
def plan_apply(
    file: Annotated[Path, typer.Argument(help="A plan, as `mario plan export` writes it.")],
    task: Annotated[str | None, typer.Option(help="The plan's own unless given; it fits no other.")] = None,
    profile: Annotated[str | None, typer.Option(help="Another family of incidents.")] = None,
    split: Annotated[str | None, typer.Option(help="train or eval.")] = None,
    seed: Annotated[int | None, typer.Option(help="Another incident.")] = None,
    episode_id: Annotated[str | None, typer.Option(help="The new episode's id.")] = None,
    as_json: AsJson = False,
) -> None:
    """Play a plan on a fresh sandbox of its incident, or of another. Status 1 if a step is refused or fails."""
    from .plan import apply_plan

    overrides = {"task": task, "profile": profile, "split": split, "seed": seed, "episode_id": episode_id}
    raise typer.Exit(apply_plan(file, overrides, as_json))
