"""Screens that ask for one thing, or show one: a choice, a text, an order, a page to read.

In: a question or sections of text. Out: the answer, or None where the player thought better of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Footer, Input, OptionList, Static
from textual.widgets.option_list import Option

from .actions import Question
from .view import Section, Tone

STYLES: dict[Tone, str] = {"": "", "good": "green", "bad": "red", "dim": "dim"}
Answer = str | tuple[str, ...]
NONE = "(none)"


def page(sections: Iterable[Section]) -> Text:
    """Sections as text, each with its heading."""
    text = Text()
    for section in sections:
        if text:
            text.append("\n\n")
        text.append(section.title, style=f"bold {STYLES[section.tone]}")
        for line in section.lines:
            text.append(f"\n{line}")
    return text


class Choose(ModalScreen[Answer | None]):
    """One of several answers, by arrows and enter, or by its first letters."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "Back"),
    ]

    def __init__(self, question: Question):
        super().__init__()
        self._question = question
        none = (NONE,) if question.optional else ()
        self._values = [*none, *(choice.value for choice in question.choices)]

    def compose(self) -> ComposeResult:
        width = max((len(value) for value in self._values), default=0)
        notes = {choice.value: choice.note for choice in self._question.choices}
        with asking("enter: choose, esc: back"):
            yield Static(self._question.title, classes="title", markup=False)
            yield OptionList(
                *(Option(_line(value, notes.get(value, ""), width)) for value in self._values), id="choices"
            )
        yield Footer(show_command_palette=False)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        value = self._values[event.option_index]
        self.dismiss("" if value == NONE else value)


class Write(ModalScreen[Answer | None]):
    """A text that the player writes."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "Back"),
    ]

    def __init__(self, question: Question):
        super().__init__()
        self._question = question

    def compose(self) -> ComposeResult:
        with asking("enter: take it, esc: back"):
            yield Static(self._question.title, classes="title", markup=False)
            yield Input(id="text")
        yield Footer(show_command_palette=False)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        if event.value:
            self.dismiss(event.value)


class Order(ModalScreen[Answer | None]):
    """All choices, to be moved about until they stand in the order wanted."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("shift+up,k", "move(-1)", "Up", key_display="k"),
        Binding("shift+down,j", "move(1)", "Down", key_display="j"),
        Binding("c", "preset", "Contract's order"),
        Binding("escape", "dismiss(None)", "Back"),
    ]

    def __init__(self, question: Question):
        super().__init__()
        self._question = question
        self._order = list(question.preset) or [choice.value for choice in question.choices]

    def compose(self) -> ComposeResult:
        hint = "" if self._question.preset else " (inspect_schema tells the contract's)"
        with asking("enter: take it, esc: back"):
            yield Static(self._question.title + hint, classes="title", markup=False)
            yield OptionList(*map(Text, self._order), id="choices")
        yield Footer(show_command_palette=False)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return bool(self._question.preset) if action == "preset" else True

    def action_move(self, by: int) -> None:
        listed = self.query_one(OptionList)
        here = listed.highlighted or 0
        there = min(max(here + by, 0), len(self._order) - 1)
        self._order.insert(there, self._order.pop(here))
        self._show(there)

    def action_preset(self) -> None:
        self._order = list(self._question.preset)
        self._show(0)

    def on_option_list_option_selected(self) -> None:
        self.dismiss(tuple(self._order))

    def _show(self, highlighted: int) -> None:
        listed = self.query_one(OptionList)
        listed.clear_options().add_options(map(Text, self._order))
        listed.highlighted = highlighted


class Reader(ModalScreen[None]):
    """A page to read, as long as it may be."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,enter,r", "dismiss(None)", "Back", key_display="esc")]

    def __init__(self, sections: Iterable[Section]):
        super().__init__()
        self._sections = tuple(sections)

    def compose(self) -> ComposeResult:
        with VerticalScroll(classes="reader"):
            yield Static(page(self._sections))
        yield Footer(show_command_palette=False)


def screen_for(question: Question) -> ModalScreen[Answer | None]:
    """The screen that asks a question."""
    return {"one": Choose, "text": Write, "order": Order}[question.kind](question)


def asking(hint: str) -> Vertical:
    """The frame of what is asked, with the keys that answer."""
    frame = Vertical(classes="asking")
    frame.border_subtitle = hint
    return frame


def _line(value: str, note: str, width: int) -> Text:
    return Text.assemble(value.ljust(width), ("  " + note if note else "", "dim"))
