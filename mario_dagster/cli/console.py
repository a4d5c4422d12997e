"""How the command speaks: one console for results, one for progress, JSON where a script asked for it.

In: values. Out: text on standard output; progress and errors on standard error, so that piping a result stays clean.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

Item = TypeVar("Item")


class CommandError(Exception):
    """What was asked for cannot be done; the message names the thing and the fix. Ends the command with status 1."""


# A pipe has no width of its own; tables in logs and files get this one.
PLAIN_WIDTH = 140


@cache
def out() -> Console:
    from rich.console import Console

    return Console(highlight=False, width=None if sys.stdout.isatty() else PLAIN_WIDTH)


@cache
def err() -> Console:
    from rich.console import Console

    return Console(stderr=True, highlight=False)


def print_json(value: Any) -> None:
    """The value as JSON, unwrapped and uncoloured."""
    print(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, right: Sequence[str] = ()) -> None:
    """A plain table; `right` names the columns that hold numbers."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in columns:
        table.add_column(name, justify="right" if name in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(cell if isinstance(cell, Text) else Text(str(cell)) for cell in row))
    out().print(table)


@contextmanager
def working(what: str) -> Iterator[None]:
    """A spinner on a terminal, one line elsewhere, while the block runs."""
    if err().is_terminal:
        with err().status(what):
            yield
    else:
        err().print(f"{what} …", markup=False)
        yield


@contextmanager
def counted(what: str, total: int, *, still: bool = False) -> Iterator[Callable[[int], None]]:
    """What to call with how many of all are done: a progress bar on a terminal, a line at each tenth elsewhere.

    Args:
        still: redraw at those calls only; no thread of ours runs beside what is being measured.
    """
    if not err().is_terminal:
        tenth = max(1, total // 10)
        told = 0

        def tell(done: int) -> None:
            nonlocal told
            if done >= total > told or done // tenth > told // tenth:
                told = done
                err().print(f"{what}: {done} of {total}", markup=False)

        yield tell
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=err(), auto_refresh=not still) as progress:
        bar = progress.add_task(what, total=total)
        yield lambda done: progress.update(bar, completed=done, refresh=still)


def tracked(what: str, items: Iterable[Item], total: int, *, still: bool = False) -> Iterator[Item]:
    """The items as they come, counted."""
    with counted(what, total, still=still) as progress:
        for number, item in enumerate(items, 1):
            progress(number)
            yield item


def mark(good: bool | None, yes: str, no: str) -> Text:
    """A verdict in its colour; nothing where there is none."""
    from rich.text import Text

    return Text() if good is None else Text(yes, style="green") if good else Text(no, style="red")


def required(package: str) -> None:
    """Raise `CommandError` unless a package of the `dev` extra is installed."""
    if find_spec(package) is None:
        raise CommandError(f"this needs {package}: pip install 'mario-dagster[dev]'")


def command(arguments: str) -> str:
    """How this very command is called from where the user stands, with other arguments."""
    if shutil.which("mario"):
        return f"mario {arguments}"
    script = Path(sys.argv[0])
    return (
        f"{os.path.relpath(script) if script.name == 'mario' else f'{sys.executable} -m mario_dagster.cli'} {arguments}"
    )
