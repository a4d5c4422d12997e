"""`mario bench evaluate`: how policies do on every profile, as a table, JSON or a page of the documentation.

In: policies, tasks, seeds. Out: successes by task and ground, each with its interval, and the gap from train to held
out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from .benchmarks import chosen_tasks
from .console import CommandError, out, print_json, print_table, tracked, working


def run_evaluate(
    policies: Sequence[str], slugs: Sequence[str] | None, seeds: range, as_json: bool, markdown: bool
) -> None:
    """Play every episode asked for, and show what came of them."""
    if as_json and markdown:
        raise CommandError("choose one of --json and --markdown")
    with working("Listing incidents"):
        from mario_dagster.bench.evaluate import GAP_COLUMNS, cases, gap_rows, play_all
        from mario_dagster.bench.evaluate import markdown as page
        from mario_dagster.env.errors import NoPlayer
        from mario_dagster.env.players import player

        try:
            for policy in policies:
                player(policy)
        except NoPlayer as error:
            raise CommandError(str(error)) from None
        wanted = cases(policies, [task.slug for task in chosen_tasks(slugs)], seeds)
    plays = list(tracked("Playing", play_all(wanted), len(wanted)))
    if as_json:
        print_json([asdict(play) for play in plays])
    elif markdown:
        out().print(page(plays, seeds), markup=False, soft_wrap=True, end="")
    else:
        print_table(GAP_COLUMNS, gap_rows(plays))
