"""`mario tasks`: the catalogue, and the families of incidents and kinds of fault that may strike it, as tables or JSON.

In: the catalogue, standard library only; profiles and faults where they are asked for. Out: what can break, and what
it takes to be rescued.
"""

from __future__ import annotations

from mario_dagster.core.registry import tasks

from .console import command, out, print_json, print_table, working


def show_tasks(as_json: bool) -> None:
    """Every task: id, name, difficulty, tables, threshold, budget."""
    if as_json:
        print_json(
            [
                {
                    "id": task.id,
                    "slug": task.slug,
                    "name": task.name,
                    "difficulty": task.difficulty,
                    "tables": list(task.table_names),
                    "threshold": task.threshold,
                    "max_steps": task.max_steps,
                    "description": task.description,
                }
                for task in tasks()
            ]
        )
        return
    print_table(
        ("id", "task", "difficulty", "threshold", "steps", "tables", "what breaks"),
        (
            (
                t.id,
                t.slug,
                t.difficulty,
                f"{t.threshold:.2f}",
                t.max_steps,
                ", ".join(t.table_names),
                t.card.incident_type,
            )
            for t in tasks()
        ),
        right=("id", "threshold", "steps"),
    )
    out().print(f"families of incidents, also those asked for by name: {command('tasks --profiles')}", markup=False)


def show_profiles(as_json: bool) -> None:
    """Every family of incidents: its task, its splits, and whether seeds draw it or it has to be asked for by name."""
    with working("Listing incidents"):
        from mario_dagster.incidents.profiles import profile, profiles
        from mario_dagster.server.cards import by_name_only

        rows = []
        for task in tasks():
            named = [profile(name) for name in by_name_only(task)]
            for asked, found in (("by seed", profiles(task)), ("by name", named)):
                rows += [(task.slug, each.name, " ".join(each.splits), asked, each.summary) for each in found]
    heads = ("task", "profile", "splits", "asked for", "what happened")
    if as_json:
        print_json([dict(zip(heads, row, strict=True)) for row in rows])
    else:
        print_table(heads, rows)


def show_faults(as_json: bool) -> None:
    """Every kind of fault on every task: in how many ways it may strike, and why it does not strike elsewhere."""
    with working("Fitting faults to tasks"):
        from mario_dagster.incidents.compose import material
        from mario_dagster.incidents.faults import faults
        from mario_dagster.incidents.faults.base import fits

        found = [
            (task.slug, name, fits(kind, task, material(task))) for task in tasks() for name, kind in faults().items()
        ]
    if as_json:
        print_json(
            [
                {"task": slug, "fault": name, "ways": len(fit.faults), "refusals": list(fit.refusals)}
                for slug, name, fit in found
            ]
        )
        return
    print_table(
        ("task", "fault", "ways", "where it does not fit"),
        ((slug, name, len(fit.faults), "; ".join(fit.refusals)) for slug, name, fit in found),
        right=("ways",),
    )
