"""The screen of `mario play` and `mario drill`: panes around one episode, by keys alone.

In: which incident to start or to go on with, and where a drill is written down. Out: how it was left. The work is done
elsewhere: what panes say in `view.py`, what an action is asked for in `actions.py`, steps in `session.py`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from rich.text import Text
from textual import work
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, VerticalScroll
from textual.widgets import DataTable, Footer, OptionList, Static

from mario_dagster.core.action import Action, ActionId
from mario_dagster.core.errors import StorageError, UnknownName
from mario_dagster.env.errors import PlayError
from mario_dagster.env.options import ResetOptions

from . import actions, view
from .asking import STYLES, Reader, screen_for
from .drills import Clock, DrillLog
from .ending import Ending
from .panes import PANES, ActionsPane, Pane
from .session import Seen, Session

HELP = (
    view.Section(
        "Keys",
        (
            "1 to 5  a part of the screen; arrows move in it, tab goes on",
            "a       the actions; enter plays one, and asks for what it needs",
            "t       another table to work on: inspect_schema, a step",
            "s       rows of the table: sample_data, a step",
            "r       the newest result in full",
            "l       look again, at what others did in the Dagster UI; no step",
            "q       leave; the episode stays, and can be resumed",
        ),
    ),
    view.Section(
        "Where things are",
        (
            "Checks: enter shows what a finding means, and rows at fault once they were sampled (select offenders).",
            "History: enter shows a step's result in full.",
        ),
    ),
)


@dataclass(frozen=True)
class Sitting:
    """What is to be played.

    Args:
        options: the incident to start; None to go on with `resume`.
        log: where a drill is written down; None where it is none.
        minutes: what the drill's clock had when it was left.
        next_steps: an episode's id -> commands to look at it with afterwards.
    """

    options: ResetOptions | None = None
    resume: str = ""
    log: DrillLog | None = None
    minutes: float = 0.0
    next_steps: Callable[[str], Sequence[str]] = lambda _: ()


class PlayApp(App[Seen]):
    """One episode. Returns what was last seen; None where it never began, for the reason in `trouble`."""

    TITLE = "Mario the Plumber on Dagster"
    CSS_PATH = "app.tcss"
    ENABLE_COMMAND_PALETTE = False
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (110, "-wide")]  # noqa: RUF012 - as Textual declares it
    BINDINGS: ClassVar[list[BindingType]] = [
        *(Binding(str(number), f"pane({number})", show=False) for number in range(1, len(PANES) + 1)),
        Binding("a", "pane(4)", "Act"),
        Binding("t", "play('inspect_schema')", "Table"),
        Binding("s", "play('sample_data')", "Sample"),
        Binding("r", "result", "Result"),
        Binding("l", "look", "Look again"),
        Binding("e", "ending", "The end"),
        Binding("question_mark", "help", "Help", key_display="?"),
        Binding("q", "leave", "Quit"),
        Binding("ctrl+q", "leave", show=False, priority=True),
    ]

    def __init__(self, sitting: Sitting):
        super().__init__()
        self._sitting = sitting
        self._session = Session()
        self._clock = Clock(sitting.minutes)
        self._doing = "Breaking a pipeline: healthy history first, then the incident"
        self._outcomes: list[view.Outcome] = []
        self.seen: Seen | None = None
        self.trouble: Exception | None = None

    # --- the screen ---------------------------------------------------------------------------------------------------

    def compose(self) -> ComposeResult:
        yield Static(id="status", markup=False)
        yield Static(id="tabs")
        with Container(id="panes"):
            for number, kind in enumerate(PANES, 1):
                pane = kind(id=f"pane-{number}")
                pane.border_title = f"{number} {kind.name_shown}"
                yield pane
        with VerticalScroll(id="result", can_focus=False):
            yield Static(f"{self._doing} …", id="result-text")
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        self.set_interval(1.0, self._show_status)
        self.action_pane(1)
        self._show_status()
        self._begin()

    def _show(self, seen: Seen) -> None:
        """Everything anew."""
        self.seen = seen
        for pane in self._panes:
            pane.show(seen, drill=self._sitting.log is not None)
        newest = view.newest_result(seen)
        text = Text.assemble((f"{newest.title}\n", "bold"), ("\n".join(newest.lines), STYLES[newest.tone]))
        self.query_one("#result-text", Static).update(text)
        self.query_one("#result").scroll_home(animate=False)
        self._show_status()
        self.refresh_bindings()

    def _show_status(self) -> None:
        drill = self._sitting.log is not None and not (self.seen and self.seen.done)
        head = view.status(self.seen, self._clock.minutes if drill else None) if self.seen else self.TITLE
        line = Text(head, no_wrap=True, overflow="ellipsis")
        if self._doing:
            line = Text.assemble((f"… {self._doing}", "reverse"), "  ", line, no_wrap=True, overflow="ellipsis")
        self.screen_stack[0].query_one("#status", Static).update(line)

    @property
    def _panes(self) -> list[Pane]:
        return list(self.screen_stack[0].query(Pane))

    # --- keys ---------------------------------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Which keys mean something now: none but leaving before it began, no steps once it is over."""
        done = self.seen is not None and self.seen.done
        if action == "ending":
            return done
        if action in ("play", "result", "look"):
            return self.seen is not None and not (done and action != "result")
        return True

    def action_pane(self, number: int) -> None:
        """Show a pane, where there is room for one, and give it the keys."""
        tabs = Text(no_wrap=True)
        for place, pane in enumerate(self._panes, 1):
            pane.set_class(place == number, "current")
            tabs.append(f" {place} {pane.name_shown} ", style="reverse" if place == number else "")
            tabs.append(" ")
        self.query_one("#tabs", Static).update(tabs)
        self.query_one(f"#pane-{number}", Pane).enter()

    def action_play(self, name: str) -> None:
        self._play(ActionId[name.upper()])

    def action_result(self) -> None:
        if self.seen:
            self.push_screen(Reader([view.newest_result(self.seen)]))

    def action_help(self) -> None:
        self.push_screen(Reader(HELP))

    def action_ending(self) -> None:
        if self.seen:
            log, id = self._sitting.log, self.seen.episode_id
            drill = log.drill(id) if log else None
            minutes = drill.minutes if drill else None
            self.push_screen(Ending(self.seen, minutes, self._sitting.next_steps(id), self._outcomes))

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        if event.option_list.id == "actions":
            self.query_one(ActionsPane).explain(event.option_index)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        if event.option_list.id == "actions":
            self._play(self.query_one(ActionsPane).offered[event.option_index].spec.id)

    def on_data_table_row_selected(self, event: DataTable.RowSelected) -> None:
        """Enter on a row: a finding's evidence, a step's result, all of a row that was cut."""
        seen, place = self.seen, event.cursor_row
        if seen is None:
            return
        if event.data_table.id == "checks":
            self._read(view.evidence(seen, view.findings(seen)[place]))
        elif event.data_table.id == "history":
            turn = seen.turns[len(seen.turns) - 1 - place]
            self._read([view.turn_section(turn)])
        elif event.data_table.id in ("schema", "rows"):
            grid = view.schema_grid(seen) if event.data_table.id == "schema" else view.rows_grid(seen)
            if place < len(grid.rows):
                self._read([view.in_full(grid, place)])

    def _read(self, sections: Sequence[view.Section]) -> None:
        self.push_screen(Reader(sections))

    # --- the episode --------------------------------------------------------------------------------------------------

    @work(exclusive=True, group="episode")
    async def _begin(self) -> None:
        options, log = self._sitting.options, self._sitting.log
        try:
            seen = await (self._session.start(options) if options else self._session.resume(self._sitting.resume))
            # Loading Dagster and breaking the pipeline is nobody's time.
            self._clock = Clock(self._sitting.minutes)
            if log and options:
                log.begun(seen)
        except (PlayError, UnknownName, StorageError) as error:
            self.trouble = error
            await self._go()
            return
        self._doing = ""
        self._settle(seen, new=False)

    @work(exclusive=True, group="asking")
    async def _play(self, id: ActionId) -> None:
        """Ask for what an action needs, then play it."""
        if self.seen is None or self.seen.done or self._doing:
            self.notify("one at a time" if self._doing else "the episode is over", timeout=2)
            return
        answers: dict[str, Any] = {}
        while question := actions.next_question(id, answers, self.seen):
            answer = await self.push_screen_wait(screen_for(question))
            if answer == actions.OTHER:
                answer = await self.push_screen_wait(screen_for(question.written))
            if answer is None or answer == actions.NO:
                return
            answers[question.argument] = answer
        self._do(actions.action_of(id, answers))

    @work(exclusive=True, group="episode")
    async def _do(self, action: Action) -> None:
        await self._answered(str(action), lambda: self._session.step(action))

    def action_look(self) -> None:
        # Asked before the worker begins: another of its group would be given up by that.
        if not self._doing:
            self._look()

    @work(exclusive=True, group="episode")
    async def _look(self) -> None:
        await self._answered("looking again", self._session.look)

    async def _answered(self, doing: str, work: Callable[[], Awaitable[Seen]]) -> None:
        """Wait for the episode to answer, and show what it said."""
        self._doing = doing
        self._show_status()
        try:
            seen = await work()
        except (PlayError, StorageError) as error:
            self._doing = ""
            self._show_status()
            self.notify(str(error), title="Nothing has happened", severity="error", timeout=10)
            return
        self._doing = ""
        self._settle(seen)

    def _settle(self, seen: Seen, *, new: bool = True) -> None:
        """Show what is seen, write it down, and come to the end where it is over."""
        if self._sitting.log and (new or seen.done):
            self._write(seen)
        self._show(seen)
        if seen.done:
            self.action_ending()

    def _write(self, seen: Seen) -> None:
        log = self._sitting.log
        if log is None or ((kept := log.drill(seen.episode_id)) and kept.over):
            return
        try:
            log.went_on(seen, self._clock.minutes)
        except StorageError as error:
            self.notify(str(error), title="The history is not written", severity="error", timeout=10)

    # --- leaving ------------------------------------------------------------------------------------------------------

    @work(exclusive=True, group="leaving")
    async def action_leave(self) -> None:
        """Leave; a step under way is done first."""
        self._doing = self._doing and f"{self._doing}, then leaving"
        await self._go()

    async def _go(self) -> None:
        await self._session.close()
        if self.seen and not self.seen.done:
            self._write(self.seen)
        self.exit(self.seen)
