"""The last screen: how it ended, beside the solution and the heuristic on the same incident, and what to look at next.

In: what is seen once the episode is over. Out: nothing. The others play in a process of their own while this is shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Footer, Static

from . import view
from .asking import page
from .others import PLAYERS, Progress, others
from .panes import Rows
from .session import Seen

YOU = "you"


class Ending(ModalScreen[None]):
    """How it ended."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,b", "dismiss(None)", "Look around", key_display="esc"),
        Binding("q", "app.leave", "Quit"),
    ]

    def __init__(self, seen: Seen, minutes: float | None, next_steps: Sequence[str], known: list[view.Outcome]):
        """
        Args:
            minutes: what the clock of a drill said at the end.
            known: what the others came to, as far as they have played; added to here.
        """
        super().__init__()
        self._seen, self._minutes, self._next, self._known = seen, minutes, next_steps, known

    def compose(self) -> ComposeResult:
        with VerticalScroll(classes="reader"):
            yield Static(page([view.verdict(self._seen, self._minutes)]), id="verdict")
            yield Rows("outcomes")
            yield Static(id="note", markup=False)
            yield Static(id="progress", markup=False)
            yield Static(page([view.Section("Look at it", tuple(self._next))]), id="next")
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        self._fill()
        # Keys scroll the card: the table of players is to be read, not to be gone about in.
        self.query_one(VerticalScroll).focus()
        if len(self._known) < len(PLAYERS):
            self._play_others()

    @work(exclusive=True)
    async def _play_others(self) -> None:
        self._known.clear()
        self._say(f"{' and '.join(PLAYERS)} play the same incident now …")
        try:
            async for told in others(self._seen):
                if isinstance(told, Progress):
                    self._say(f"{told.player} plays the same incident: step {told.step} of at most {told.of} …")
                else:
                    self._known.append(told)
                    self._fill()
            self._say("")
        except (OSError, RuntimeError) as error:
            self._say(f"the others could not play it: {error}")

    def _fill(self) -> None:
        ending = self._seen.ending or {}
        grid = view.outcome_grid((view.Outcome.of(YOU, ending), *self._known))
        for rows in self.query(Rows):
            rows.fill(grid)
        for note in self.query("#note").results(Static):
            note.update(grid.title)

    def _say(self, text: str) -> None:
        # It plays on in its own time: the screen may have been left meanwhile.
        for line in self.query("#progress").results(Static):
            line.update(text)
