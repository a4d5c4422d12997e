"""`mario bench` and its options: what is measured, played in bulk or put under stress.

In: arguments. Out: calls of `benchmarks.py`, `evaluation.py` and `stress.py`, which do it, and exit statuses.
"""

from __future__ import annotations

from typing import Annotated

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Tasks = Annotated[list[str] | None, typer.Option("--task", help="Only this pipeline; may be given again.")]
FirstSeed = Annotated[int, typer.Option(help="The first of them.", min=0)]

bench = typer.Typer(rich_markup_mode=None)


@bench.command()
def speed(
    large: Annotated[int, typer.Option(help="Scale of the large tables; 0 leaves them out.", min=0, max=1000)] = 1000,
    as_json: AsJson = False,
) -> None:
    """How fast creating and stepping are, beside stock Dagster storage, and what memory they take."""
    from .benchmarks import run_speed

    run_speed(large, as_json)


@bench.command()
def ablation(
    rounds: Annotated[int, typer.Option(help="How often every step is played.", min=1)] = 5,
    seed: Annotated[int, typer.Option(help="The incidents that are played.", min=0)] = 7,
    as_json: AsJson = False,
) -> None:
    """What each restated function of Dagster's saves."""
    from .benchmarks import run_ablation

    run_ablation(rounds, seed, as_json)


@bench.command()
def evaluate(
    policy: Annotated[list[str] | None, typer.Option(help="heuristic and random, unless given, once or more.")] = None,
    task: Tasks = None,
    seeds: Annotated[int, typer.Option(help="Seeds a profile and split.", min=1)] = 3,
    first_seed: FirstSeed = 1,
    as_json: AsJson = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print docs/baselines.md.")] = False,
) -> None:
    """Policies on every profile: success with its interval, score, and the gap from train to held-out families."""
    from .evaluation import run_evaluate

    run_evaluate(policy or ["heuristic", "random"], task, range(first_seed, first_seed + seeds), as_json, markdown)


@bench.command()
def variety(
    seeds: Annotated[int, typer.Option(help="Seeds a profile and split.", min=2)] = 200,
    task: Tasks = None,
    as_json: AsJson = False,
) -> None:
    """Whether families vary: how often one seed's plan would do for another's. Nothing is played."""
    from .benchmarks import run_variety

    run_variety(seeds, task, as_json)


@bench.command()
def diversity(
    count: Annotated[int, typer.Option(help="Incidents to compile and count.", min=1)] = 2_000,
    sample: Annotated[int, typer.Option(help="Incidents to play.", min=0)] = 50,
    first_seed: Annotated[int, typer.Option(help="Seeds to play begin here.", min=0)] = 0,
    task: Tasks = None,
    solution_only: Annotated[
        bool, typer.Option("--solution-only", help="Do not try whether each repair is needed.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """How many composed incidents there are, and that they work. Status 1 if one does not."""
    from .benchmarks import run_diversity

    raise typer.Exit(run_diversity(count, sample, first_seed, task, solution_only, as_json))


@bench.command()
def chaos(
    kills: Annotated[int, typer.Option(help="Servers killed, in each part that kills.", min=0)] = 200,
    episodes: Annotated[int, typer.Option(help="Episodes played, in each part with servers.", min=1)] = 60,
    squeezed: Annotated[int, typer.Option(help="Of them, those on a disk that fills up.", min=0)] = 20,
    seed: Annotated[int, typer.Option(help="Decides the actions, and when servers are killed.", min=0)] = 4100,
    clients: Annotated[int, typer.Option(help="Episodes under way at once.", min=1)] = 4,
    minutes: Annotated[float, typer.Option(help="The most that all of it may take.", min=0)] = 45.0,
    part: Annotated[
        list[str] | None, typer.Option(help="Only this one of crashes, two, disk, restarts; may be given again.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Kill servers, fill disks, resume episodes, and count what is lost. Status 1 if anything is."""
    from .stress import run_chaos

    raise typer.Exit(
        run_chaos(
            part,
            as_json,
            kills=kills,
            episodes=episodes,
            squeezed=squeezed,
            seed=seed,
            clients=clients,
            minutes=minutes,
        )
    )


@bench.command()
def fuzz(
    cases: Annotated[int, typer.Option(help="Requests at the least.", min=1)] = 5_000,
    examples: Annotated[int, typer.Option(help="Drawn for each operation and round.", min=1)] = 40,
    as_json: AsJson = False,
) -> None:
    """Requests made from the server's own description, fitting or not. Status 1 if one is answered or handled wrong."""
    from .stress import run_fuzz

    raise typer.Exit(run_fuzz(cases, examples, as_json))
