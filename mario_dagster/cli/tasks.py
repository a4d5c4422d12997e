"""`mario tasks`: the catalogue, as a table or JSON.

In: the catalogue, standard library only. Out: what can break, and what it takes to be rescued.
"""

from __future__ import annotations

from mario_dagster.catalog import tasks

from .console import print_json, print_table


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
