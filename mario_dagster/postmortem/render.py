"""A postmortem as a file: Markdown, or one page of HTML that needs nothing beside it.

In: a `Postmortem`. Out: text, the same for the same postmortem. Whatever stands in a table of an incident may stand in
a postmortem: it is escaped, in either format.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING

from .document import Cell, Document, Grid, document
from .model import Postmortem

if TYPE_CHECKING:
    from jinja2 import Template

PAGE = "postmortem.html.jinja"
# What Markdown, or HTML in it, would read as more than a character.
_SPECIAL = re.compile(r"([\\`*\[\]<|~&]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9]))")


def to_html(found: Postmortem) -> str:
    """A page that is readable in the light and in the dark."""
    return _page().render(document=document(found))


@cache
def _page() -> Template:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    loader = PackageLoader("mario_dagster.postmortem", "")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template(PAGE)


def to_markdown(found: Postmortem) -> str:
    """The same as Markdown, with tables as GitHub reads them."""
    return "\n".join(_lines(document(found))) + "\n"


def _lines(told: Document) -> Iterator[str]:
    yield f"# {_plain(told.title)}"
    yield f"\n**{_plain(told.verdict.text)}**\n\n{_plain(told.lead)}\n"
    yield from _grid(Grid(("", ""), tuple((Cell(name), Cell(value)) for name, value in told.facts)))
    for section in told.sections:
        yield f"\n## {_plain(section.title)}"
        yield from (f"\n{_plain(sentence)}" for sentence in section.sentences)
        for grid in section.grids:
            yield ""
            yield from _grid(grid)


def _grid(grid: Grid) -> Iterator[str]:
    numbers = [all(row[place].number for row in grid.rows) for place in range(len(grid.headers))]
    yield f"| {' | '.join(map(_plain, grid.headers))} |"
    yield f"| {' | '.join('---:' if number else '---' for number in numbers)} |"
    for row in grid.rows:
        yield f"| {' | '.join(_plain(cell.text) for cell in row)} |"


def _plain(text: str) -> str:
    """Text that Markdown shows as it is, on one line."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))
