"""The panes of the screen: each shows one part of what is seen, and is told anew after every step.

In: `Seen`. Out: widgets. What they say is made in `view.py` and `actions.py`.
"""

from __future__ import annotations

from typing import ClassVar

from rich.cells import cell_len
from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Container, VerticalScroll
from textual.widgets import DataTable, OptionList, Static
from textual.widgets.option_list import Option

from . import view
from .actions import NOTHING, Offer, offers
from .asking import STYLES, page
from .session import Seen

# Wider cells are cut, or one long text would push every other column off the screen.
CELL = 60


class Pane(Container):
    """A part of the screen with a number to reach it by."""

    name_shown: ClassVar[str] = ""

    def show(self, seen: Seen, *, drill: bool) -> None:
        """Show how it stands now."""
        raise NotImplementedError

    def enter(self) -> None:
        """Take the keys."""
        focusable = next(iter(self.query("DataTable, OptionList, VerticalScroll")), None)
        if focusable is not None:
            focusable.focus()


class Rows(DataTable[Text]):
    """A table that is filled from a grid, its cursor left where it was."""

    def __init__(self, id: str):
        super().__init__(id=id, cursor_type="row", zebra_stripes=True)

    def fill(self, grid: view.Grid) -> None:
        """Show these rows."""
        place = self.cursor_row
        self.clear(columns=True)
        rows = [[Text(_cut(cell), style=STYLES[row.tone]) for cell in row.cells] for row in grid.rows]
        for number, name in enumerate(grid.columns):
            # Measured here: lines drawn before the table has measured them itself would stay as narrow as its heading.
            width = max([cell_len(name), *(row[number].cell_len for row in rows)])
            self.add_column(Text(name), width=width, key=str(number))
        self.add_rows(rows)
        self.move_cursor(row=min(place, max(len(grid.rows) - 1, 0)))


class IncidentPane(Pane):
    """What the person on call is told."""

    name_shown = "Incident"

    def compose(self) -> ComposeResult:
        with VerticalScroll():
            yield Static(id="card")

    def show(self, seen: Seen, *, drill: bool) -> None:
        self.query_one("#card", Static).update(page(view.incident_card(seen, drill=drill)))


class ChecksPane(Pane):
    """Why checks fail."""

    name_shown = "Checks"

    def compose(self) -> ComposeResult:
        yield Rows("checks")

    def show(self, seen: Seen, *, drill: bool) -> None:
        grid = view.check_grid(seen)
        self.border_subtitle = f"{grid.title}; enter: evidence"
        self.query_one(Rows).fill(grid)


class TablePane(Pane):
    """The active table: its schema, and rows of it that were looked at."""

    name_shown = "Table"

    def compose(self) -> ComposeResult:
        yield Static(id="table-line", markup=False)
        yield Rows("schema")
        yield Static(id="rows-title", markup=False, classes="title")
        yield Rows("rows")

    def show(self, seen: Seen, *, drill: bool) -> None:
        schema, rows = view.schema_grid(seen), view.rows_grid(seen)
        self.border_subtitle = "tab: schema, rows"
        self.query_one("#table-line", Static).update(view.table_line(seen))
        self.query_one("#schema", Rows).fill(schema)
        self.query_one("#rows-title", Static).update(rows.title)
        self.query_one("#rows", Rows).fill(rows)


class ActionsPane(Pane):
    """What can be done, and what each would touch."""

    name_shown = "Actions"
    offered: tuple[Offer, ...] = ()

    def compose(self) -> ComposeResult:
        yield OptionList(id="actions")
        yield Static(id="explained")

    def show(self, seen: Seen, *, drill: bool) -> None:
        self.offered = offers(seen.observation)
        listed = self.query_one(OptionList)
        place = listed.highlighted
        listed.clear_options().add_options(Option(_offer(each)) for each in self.offered)
        listed.highlighted = 0 if place is None else place

    def explain(self, place: int) -> None:
        """Say of one action what it does, and in full what it would touch."""
        offer = self.offered[place]
        text = Text.assemble((offer.spec.summary, "italic"), f"\n{offer.touches}")
        self.query_one("#explained", Static).update(text)


class HistoryPane(Pane):
    """What was done so far."""

    name_shown = "History"

    def compose(self) -> ComposeResult:
        yield Rows("history")

    def show(self, seen: Seen, *, drill: bool) -> None:
        grid = view.history_grid(seen)
        self.border_subtitle = f"{grid.title}; enter: in full"
        self.query_one(Rows).fill(grid)


PANES: tuple[type[Pane], ...] = (IncidentPane, ChecksPane, TablePane, ActionsPane, HistoryPane)


def _offer(offer: Offer) -> Text:
    minutes = f"{offer.spec.minutes:g} min"
    head = f"{offer.spec.name:<28}{minutes:>6}  "
    style = "dim" if offer.touches == NOTHING else ""
    return Text.assemble((head, style or "bold"), (offer.touches, style))


def _cut(text: str) -> str:
    return text if len(text) <= CELL else f"{text[: CELL - 1]}…"
