"""What must hold of every incident, each as a function of a real sandbox in which it has struck.

In: a `Scene`: the sandbox as the person on call finds it, never touched here, and clones of it to play in. Out: an
empty text when the property holds, else what is wrong. The properties are those of a fair benchmark: it struck, it
shows, it cannot be talked away, it can be undone, by more than one way, and only by undoing it. What holds of the
compiled incident alone is in `incident_properties.py`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from typing import Any

import pandas as pd

from mario_dagster.core.action import REPAIRS, Action
from mario_dagster.env.episode import Episode
from mario_dagster.env.perform import perform
from mario_dagster.incidents.compile import Incident
from mario_dagster.incidents.damage import UNBATCHED
from mario_dagster.incidents.profiles import profiles
from mario_dagster.sandbox.home import Home
from mario_dagster.sandbox.sandbox import Sandbox
from mario_dagster.scoring.missing_batches import absent_batches
from mario_dagster.tables.frames import content_hash
from mario_dagster.tables.load import SNAPSHOT, landed_name, stack, table_name
from mario_dagster.tables.store import Provenance

from .solution_orders import COMMIT, INSPECT, VALIDATE, other_order, to_the_end

RECOVERED = 0.999
# Of a plan, how many of its moves are each left out once. Each seed draws others, and no repair where there are other
# acts: `incident_properties.py` leaves out each repair.
LEFT_OUT = 1
TAGS = {"mario/actor": "proof"}


class NotApplicable(Exception):
    """The property says nothing about this incident; the message says why."""


@dataclass(frozen=True)
class Ending:
    """How a play ended.

    Args:
        refused: moves that were invalid or whose run failed, in words.
        published: the commit job published, of this very play.
        hold: it is right that it did not.
    """

    score: float
    published: bool
    refused: tuple[str, ...] = ()
    hold: bool = False

    @property
    def recovered(self) -> bool:
        return self.published is not self.hold and self.score >= RECOVERED

    @property
    def shortfall(self) -> str:
        """What is missing to a recovery in which every move was done; empty where nothing is."""
        return "" if self.recovered and not self.refused else str(self)

    def __str__(self) -> str:
        end = f"score {self.score:.4f}, {'published' if self.published else 'not published'}"
        return "; ".join((end, *self.refused[:2]))


@dataclass(frozen=True)
class Walk:
    """How the solution ends, how it ends without some of its moves, and what is wrong once its main table is emptied.

    Args:
        without: place in the solution of the move left out -> how that ended.
        emptied: empty when nothing is.
    """

    ending: Ending
    without: Mapping[int, Ending]
    emptied: str


@dataclass
class Scene:
    """An incident that has struck, and room to play it again and again."""

    sandbox: Sandbox
    incident: Incident
    home: Home

    def __post_init__(self) -> None:
        self._numbers = count(1)

    @cached_property
    def solution(self) -> tuple[Action, ...]:
        return tuple(Action.from_dict(step) for step in self.sandbox.truth_store.solution)

    def copy(self, of: Sandbox | None = None) -> Take:
        """The scene once more, as it was when the incident struck, or as `of` stands."""
        clone = (of or self.sandbox).clone(f"{self.sandbox.id[:50]}-{next(self._numbers)}", self.home)
        return Take(clone, self.home, self.hold)

    @property
    def hold(self) -> bool:
        """Whether it is right to publish nothing."""
        return self.incident.decision == "hold"

    @cached_property
    def acts(self) -> tuple[int, ...]:
        """Places in the solution of what undoes damage: all but the looks and the commit. None in a false alarm."""
        idle = (INSPECT, VALIDATE, COMMIT)
        return tuple(place for place, move in enumerate(self.solution) if move.id not in idle)

    def must_be_broken(self) -> None:
        """Raise `NotApplicable` where nothing is wrong, as in a false alarm."""
        if not self.acts:
            raise NotApplicable("a false alarm: the solution repairs nothing")

    @property
    def _left_out(self) -> list[int]:
        """Places in the solution of the moves to be left out, one at a time."""
        info = self.sandbox.info
        dice = random.Random(f"{info.task}/{self.sandbox.profile}/{info.split}/{info.seed}")
        drawn_from = [place for place in self.acts if self.solution[place].id not in REPAIRS] or self.acts
        return sorted(dice.sample(drawn_from, min(LEFT_OUT, len(drawn_from))))

    @cached_property
    def walk(self) -> Walk:
        """The solution played, and played without each of a few of its moves, on branches of the same play."""
        without: dict[int, Ending] = {}
        with self.copy() as trunk:
            played = 0
            for place in self._left_out:
                trunk.play(self.solution[played:place])
                played = place
                with self.copy(trunk.sandbox) as branch:
                    branch.active = trunk.active
                    without[place] = branch.rescue(self.solution[place + 1 :])
            trunk.play(self.solution[played:])
            return Walk(trunk.ending(), without, _emptied(trunk.sandbox))


class Take:
    """One play in a clone, which is gone afterwards."""

    def __init__(self, sandbox: Sandbox, home: Home, hold: bool = False):
        self.sandbox, self._home, self._hold = sandbox, home, hold
        self.active = sandbox.task.main_table.name
        self.refused: list[str] = []

    def __enter__(self) -> Take:
        return self

    def __exit__(self, *_: object) -> None:
        self.sandbox.close()
        self._home.remove(self.sandbox.id)

    def play(self, moves: Sequence[Action]) -> None:
        """Act through the public actions, without the observations between: nobody is looking."""
        with self.sandbox.instance.database.transaction():
            for move in moves:
                outcome = perform(self.sandbox, move, self.active, TAGS)
                self.active = outcome.active_table
                if outcome.status != "done":
                    self.refused.append(f"{move.name}: {outcome.text}")

    def rescue(self, moves: Sequence[Action]) -> Ending:
        """Play on to the end; a commit only where the tables are the truth's, since else it decides nothing."""
        self.play([move for move in moves if move.id != COMMIT])
        if not self._hold and self.sandbox.grade().score >= RECOVERED:
            self.play([Action(COMMIT)])
        return self.ending()

    def ending(self) -> Ending:
        published = self.sandbox.signals().committed == "published"
        return Ending(self.sandbox.grade().score, published, tuple(self.refused), self._hold)


Property = Callable[[Scene], str]


def what_landed_is_the_compiled_damage(scene: Scene) -> str:
    """What waits, what landed, and what the tables were loaded with, is what the compiler made."""
    sandbox, incident, wrong = scene.sandbox, scene.incident, []
    if sandbox.signals().pending_batches != incident.pending:
        wrong.append(f"pending are {sandbox.signals().pending_batches}, not {incident.pending}")
    for table in sandbox.task.tables:
        if table.feed is None:
            continue
        held = {batch: batch for batch in incident.healthy_batches} if table.batched else {SNAPSHOT: UNBATCHED}
        for stored, batch in held.items():
            landed = sandbox.workspace.lake.read(landed_name(sandbox.task, table, stored)).frame
            if content_hash(landed) != content_hash(incident.landing[f"{table.feed}/{batch}"]):
                wrong.append(f"{table.feed}/{batch} is not what was delivered")
        loaded = stack([incident.landing[f"{table.feed}/{batch}"] for batch in held.values()])
        if content_hash(sandbox.table(table.name)) != content_hash(loaded):
            wrong.append(f"{table.name} is not the sum of what landed")
    return "; ".join(wrong[:3])


def a_blocking_check_fails(scene: Scene) -> str:
    """The damage shows: at least one blocking check fails, and of a drawn profile the score is under the threshold."""
    scene.must_be_broken()
    signals, score = scene.sandbox.signals(), scene.sandbox.grade().score
    if not signals.blocking_failures or signals.commit_ready:
        return "every blocking check passes" if not signals.blocking_failures else "it is called ready to be published"
    drawn = scene.sandbox.profile in {each.name for each in profiles(scene.sandbox.task)}
    under = score < scene.sandbox.task.threshold or not drawn
    return "" if under else f"score {score:.4f} is at or above {scene.sandbox.task.threshold} before any repair"


def doing_nothing_publishes_nothing(scene: Scene) -> str:
    """A commit at once fails, and consumers see what they saw before."""
    scene.must_be_broken()
    with scene.copy() as take:
        before = take.sandbox.release()
        tables = {name: content_hash(take.sandbox.table(name)) for name in take.sandbox.task.table_names}
        take.play([Action(COMMIT)])
        if take.ending().published or take.sandbox.release() != before:
            return "a commit without a repair published"
        after = {name: content_hash(take.sandbox.table(name)) for name in take.sandbox.task.table_names}
        return "" if after == tables else "a failed commit changed a table"


def the_solution_recovers_it(scene: Scene) -> str:
    """Played through the public actions within the budget, they reach the truth, and publish it where that is right."""
    budget = scene.sandbox.task.max_steps
    if len(scene.solution) > budget:
        return f"{len(scene.solution)} moves for a budget of {budget}"
    return scene.walk.ending.shortfall


def the_solution_alone_recovers_it(scene: Scene) -> str:
    """The same, played in the scene's own sandbox: for when nothing else is to be tried there afterwards."""
    take = Take(scene.sandbox, scene.home, scene.hold)
    take.play(scene.solution)
    return take.ending().shortfall


def every_gold_repair_is_needed(scene: Scene) -> str:
    """Without any one of them the truth is not reached, or not published; the seed draws which is left out."""
    scene.must_be_broken()
    idle = [_words(scene.solution[place]) for place, ending in scene.walk.without.items() if ending.recovered]
    return f"not needed: {', '.join(idle)}" if idle else ""


def an_emptied_table_is_never_published(scene: Scene) -> str:
    """Where all is recovered, a main table without rows fails a commit, and the score falls below the threshold."""
    return scene.walk.emptied


def _emptied(sandbox: Sandbox) -> str:
    """Empty the main table by hand, as no repair can, compute what is derived from it, and try to publish that."""
    table, before = sandbox.task.main_table.name, sandbox.release()
    _write(sandbox, table, sandbox.table(table).iloc[:0])
    if sandbox.task.derived_tables:
        sandbox.refresh(TAGS)
    if sandbox.commit(TAGS).ok or sandbox.release() != before:
        return f"{table} without rows is published"
    grade = sandbox.grade()
    passed = grade.tables[table] > 0.0 or grade.score >= sandbox.task.threshold
    return f"with {table} empty the score is {grade.score:.4f}, of it {grade.tables[table]:.4f}" if passed else ""


def another_order_recovers_it(scene: Scene) -> str:
    """Independent repairs the other way round, tables in another order and a look beforehand do as well."""
    moves = other_order(scene.sandbox.task, scene.solution)
    if moves == scene.solution:
        raise NotApplicable("no two moves may swap, and the budget leaves no look")
    with scene.copy() as take:
        take.play(moves)
        ending = take.ending()
    return ending.shortfall and f"{ending}; played {[_words(move) for move in moves]}"


def the_right_decision_alone_succeeds(scene: Scene) -> str:
    """The solution and then waiting succeeds; with a commit instead it does not, and consumers see what they saw."""
    if not scene.hold:
        raise NotApplicable("what is right is to publish")
    with scene.copy() as take:
        told, score = _told(take, to_the_end(take.sandbox.task, scene.solution)), take.sandbox.grade().score
        if not told["success"] or told["collateral_cells"] or score < RECOVERED:
            return f"holding back ends in {told['done_reason']}, score {score:.4f}"
    with scene.copy() as take:
        before = take.sandbox.release()
        told = _told(take, (*scene.solution, Action(COMMIT)))
        if told["success"] or take.sandbox.release() != before:
            return f"a commit ends in {told['done_reason']}"
    return ""


def _told(take: Take, moves: Sequence[Action]) -> Mapping[str, Any]:
    """What is told of an episode in which these moves were played."""
    episode = Episode(take.sandbox)
    for move in moves:
        episode.step(move)
    return episode.summary()


def the_truth_commits_at_one(scene: Scene) -> str:
    """The reference tables put in place by hand score 1.0 and are published, or refused where one is missing."""
    with scene.copy() as take:
        sandbox = take.sandbox
        wrong = _drain(sandbox) or _put_truth(sandbox)
        if wrong:
            return wrong
        result = sandbox.commit(TAGS)
        score = sandbox.grade().score
        if result.ok is scene.hold:
            return f"the truth is {'published' if result.ok else 'refused'}: {result.message}"
        return "" if abs(score - 1.0) < 1e-9 else f"the truth scores {score}"


def _drain(sandbox: Sandbox) -> str:
    """Load every batch that is there, with as many workers as that takes, and leave as many as are needed."""
    if sandbox.task.pool:
        sandbox.set_workers(3)
        while len(sandbox.backlog().pending) > len(_absent(sandbox)):
            result = sandbox.replay(TAGS)
            if not result.ok:
                return f"a replay with all workers failed: {result.message}"
        sandbox.set_workers(sandbox.signals().required_resource_level)
    return ""


def _absent(sandbox: Sandbox) -> tuple[str, ...]:
    return absent_batches(sandbox.workspace, sandbox.task, sandbox.truth_store, sandbox.backlog())


def _put_truth(sandbox: Sandbox) -> str:
    """Write the reference's tables; what is derived is computed from them, by the right release."""
    absent = _absent(sandbox)
    sandbox.workspace.set_deploys({})
    for table in sandbox.task.tables:
        reference = sandbox.truth_store.reference(table.name, absent)
        if not table.derived:
            _write(sandbox, table.name, reference)
            continue
        sandbox.workspace.lake.write(table_name(sandbox.task, table.name), reference, Provenance())
        if not sandbox.refresh(TAGS).ok:
            return f"{table.name} cannot be computed from the truth"
        try:
            pd.testing.assert_frame_equal(sandbox.table(table.name), reference)
        except AssertionError:
            return f"{table.name} computed from the truth is not the reference's"
    return ""


def _write(sandbox: Sandbox, table: str, frame: pd.DataFrame) -> None:
    """Put a frame in a table's place, as though it were what its run had made of the same batches."""
    lake, name = sandbox.workspace.lake, table_name(sandbox.task, table)
    provenance = lake.provenance(name)
    kept = Provenance(run_id=provenance.run_id, loaded=provenance.loaded, data_version=content_hash(frame))
    lake.write(name, frame, kept)


def _words(move: Action) -> str:
    named = [name for name in (move.target_column, move.new_name) if name]
    return f"{move.name}({' -> '.join(named)})" if named else move.name


# That the clean history ran green is proven by a sandbox being there at all: its creation raises otherwise.
HISTORY = "the_clean_history_is_green"
PROPERTIES: Mapping[str, Property] = {
    each.__name__: each
    for each in (
        what_landed_is_the_compiled_damage,
        a_blocking_check_fails,
        doing_nothing_publishes_nothing,
        the_solution_recovers_it,
        every_gold_repair_is_needed,
        an_emptied_table_is_never_published,
        another_order_recovers_it,
        the_right_decision_alone_succeeds,
        the_truth_commits_at_one,
    )
}
# Proven once a profile and split: what it looks at hardly changes with the seed.
ONCE = frozenset({"the_truth_commits_at_one"})
