"""One sandbox being played: start it, step it, leave it, pick it up again in any process.

In: a sandbox and moves. Out: `Reply`: an observation's fields with reward and done. An episode keeps nothing in memory
that matters: how it stands is folded from the lines its sandbox recorded, how the world looks is read from the world,
so that a reply after a restart is the reply before it, byte for byte. A step and its line are one transaction.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from mario_dagster.catalog import Task, UnknownName

from . import reward
from .actions import COMMIT, Move, Outcome, perform
from .errors import BadRequest, EpisodeExists, NoEpisode
from .observation import View, observe, state_fields
from .options import ResetOptions, episode_id
from .standing import SUCCESSES, DoneReason, Standing, after, standing

if TYPE_CHECKING:
    from mario_dagster.sandbox.grader import Grade
    from mario_dagster.sandbox.home import Home
    from mario_dagster.sandbox.sandbox import Sandbox
    from mario_dagster.sandbox.signals import Signals

ACTOR = "agent"


@dataclass(frozen=True)
class Reply:
    """What a reset or a step is answered with. `observation` holds `done` and `reward` too."""

    observation: Mapping[str, Any]

    @property
    def reward(self) -> float | None:
        value: float | None = self.observation["reward"]
        return value

    @property
    def done(self) -> bool:
        return bool(self.observation["done"])


class Episode:
    """A sandbox as a game: moves in, observations out."""

    def __init__(self, sandbox: Sandbox):
        self.sandbox = sandbox

    @classmethod
    def start(cls, options: ResetOptions, *, via: str = "local", home: Home | None = None) -> Episode:
        """Break a fresh sandbox's pipeline and stand at its first observation.

        Args:
            via: the way it is played (`ws`, `http`, `local`); a request without an id can only mean an `http` one.

        Raises:
            EpisodeExists: the id has been played, or is being played.
            BadRequest: no such profile in this task and split, or one composed of faults that do not go together.
        """
        from mario_dagster.incidents.damage import FaultError
        from mario_dagster.sandbox.home import SandboxExists
        from mario_dagster.sandbox.sandbox import Sandbox

        try:
            sandbox = Sandbox.create(
                options.task,
                profile=options.profile,
                split=options.split,
                seed=options.seed,
                scale=options.scale,
                feedback=options.feedback,
                id=options.episode_id,
                home=home,
            )
        except SandboxExists:
            raise EpisodeExists(f"episode '{options.episode_id}' exists; choose another episode_id, or none") from None
        except (UnknownName, FaultError) as error:
            raise BadRequest(str(error)) from None
        return cls.of(sandbox, via)

    @classmethod
    def resume(cls, id: str, home: Home | None = None) -> Episode:
        """An episode where its last completed step left it, in this process or another.

        Raises:
            NoEpisode: there is none of that id.
        """
        from mario_dagster.sandbox.home import Home
        from mario_dagster.sandbox.sandbox import Sandbox

        home = home or Home.default()
        # Asked here, since the sandbox's own refusal names other sandboxes, which are other players'.
        if not home.exists(episode_id(id)):
            raise NoEpisode(f"no episode '{id}'; POST /reset starts one")
        return cls.of(Sandbox.open(id, home))

    @classmethod
    def of(cls, sandbox: Sandbox, via: str = "local") -> Episode:
        """The episode that is played in a sandbox, begun now where it was never played; on an error it is closed."""
        episode = cls(sandbox)
        try:
            if not sandbox.steps:
                with sandbox.step() as step:
                    step.record(episode._first_line(via))
        except BaseException:
            sandbox.close()
            raise
        return episode

    @property
    def id(self) -> str:
        return self.sandbox.id

    @property
    def task(self) -> Task:
        return self.sandbox.task

    @property
    def exists(self) -> bool:
        """Whether the sandbox is still on disk: another process may have pruned it."""
        from mario_dagster.assets.world import SANDBOX_FILE

        return (self.sandbox.root / SANDBOX_FILE).exists()

    def standing(self) -> Standing:
        """How the episode stands by its recorded lines."""
        return standing(self.sandbox.steps)

    def reply(self) -> Reply:
        """The newest observation, made again from what is recorded and how the world looks now."""
        return Reply(observe(self._view(self.standing())))

    def state(self) -> dict[str, Any]:
        """The fields of the episode's state."""
        return state_fields(self._view(self.standing()))

    def step(self, move: Move) -> Reply:
        """Play one move. Once the episode is done, nothing happens, nothing is recorded and the reward is 0."""
        before = self.standing()
        if not before.done:
            try:
                with self.sandbox.step() as step:
                    before = self.standing()
                    # Another process may have ended it while this one waited for its turn.
                    if before.done:
                        raise _Over
                    line = self._play(move, before)
                    step.record(line, status=line["done_reason"] or "open")
                return Reply(observe(self._view(after(before, line))))
            except _Over:
                pass
        over = f"invalid: the episode is over ({before.done_reason}); reset to start another"
        unpaid = {name: 0.0 for name in before.parts}
        return Reply(observe(self._view(replace(before, reward=0.0, parts=unpaid, result=over))))

    def summary(self) -> dict[str, Any]:
        """What a grader may say: the true score once done, before that what the player sees."""
        now = self.standing()
        return {
            "episode_id": now.episode_id,
            "task_id": self.task.id,
            "task": self.task.slug,
            "split": now.split,
            "seed": now.seed,
            "score": reward.shown(now.score),
            "reward": reward.shown(now.score),
            "return": round(now.total_reward, 6),
            "finished": now.done,
            "feedback": "truth" if now.done else now.feedback,
            "success": now.success,
            "threshold": self.task.threshold,
            "steps": now.steps,
            "truncated": now.truncated,
            "done_reason": now.done_reason,
            "initial_score": reward.shown(now.initial_score),
            "best_score": reward.shown(now.best_score),
            "parts": {name: round(value, 6) for name, value in sorted(self._objectives(now).items())},
            "table_scores": {name: round(value, 6) for name, value in sorted(now.table_scores.items())},
            "minutes_to_recover": round(now.minutes, 1),
            "exposed_row_minutes": round(now.exposure, 1),
            "collateral_cells": now.collateral,
        }

    def close(self) -> None:
        """Let go of the sandbox, which stays on disk."""
        self.sandbox.close()

    # --- one step -----------------------------------------------------------------------------------------------------

    def _first_line(self, via: str) -> dict[str, Any]:
        from mario_dagster.sandbox.collateral import versions

        sandbox = self.sandbox
        return {
            "kind": "reset",
            "episode_id": sandbox.id,
            "task": self.task.slug,
            "seed": sandbox.seed,
            "split": sandbox.split,
            "scale": sandbox.scale,
            "feedback": sandbox.feedback,
            "via": via,
            "started_at": sandbox.world.landing.manifest().now.isoformat(),
            "active_table": self.task.main_table.name,
            "score": self._score(),
            "result": f"incident open: {self.task.card.incident_summary}",
            "failing_checks": list(sandbox.signals().blocking_failures),
            "versions": dict(versions(sandbox.world, self.task)),
        }

    def _play(self, move: Move, now: Standing) -> dict[str, Any]:
        """Do a move and write down what came of it."""
        number, score = now.steps + 1, self._score()
        exposed = rows_at_fault(self.sandbox.signals())
        tags = {
            "mario/episode": self.id,
            "mario/step": str(number),
            "mario/action": move.action.name,
            "mario/actor": ACTOR,
        }
        outcome = perform(self.sandbox, move, now.active_table, tags)
        scored = self._score()
        reason = self._verdict(move, outcome, score, scored, number)
        return {
            "kind": "step",
            "step": number,
            "action": move.to_dict(),
            "name": move.action.name,
            "table": now.active_table,
            "active_table": outcome.active_table,
            "status": outcome.status,
            "result": outcome.text,
            "minutes": move.action.minutes,
            "rows_at_fault": exposed,
            "failing_checks": list(self.sandbox.signals().blocking_failures),
            **self._paid(move, outcome, now, score, scored, reason),
        }

    def _verdict(self, move: Move, outcome: Outcome, before: float, scored: float, number: int) -> DoneReason:
        """Why the episode is over after this step; empty when it goes on."""
        if move.action_id == COMMIT and outcome.status != "invalid":
            won = outcome.status == "done" and self._truth().score >= self.task.threshold
            return "commit_success" if won else "commit_failure"
        if reward.collapsed(before, scored):
            return "quality_collapse"
        if number < self.task.max_steps:
            return ""
        return "held_back" if self._rightly_held_back() else "step_budget_exhausted"

    def _rightly_held_back(self) -> bool:
        """Whether something to be published is not there, nobody published, and all that is there is right."""
        from mario_dagster.sandbox.holding import unpublished

        sandbox = self.sandbox
        if not self._absent() or not unpublished(sandbox.world, sandbox.instance, self.task):
            return False
        return self._truth().score >= self.task.threshold and self._collateral() == 0

    def _paid(
        self, move: Move, outcome: Outcome, now: Standing, before: float, scored: float, reason: DoneReason
    ) -> dict[str, Any]:
        """The reward and the score of a step, and with the last one the truth."""
        ended, success = bool(reason), reason in SUCCESSES
        grade = self._truth() if ended else None
        terms = reward.parts(
            reward.Step(
                before=before,
                after=scored,
                invalid=outcome.status == "invalid",
                premature_commit=reason == "commit_failure" and grade is not None and grade.score < self.task.threshold,
                streak=now.streak_of(move),
                waited=now.waited if reason == "held_back" else 0.0,
                ended=ended,
                success=success,
            )
        )
        paid: dict[str, Any] = {
            "reward": reward.total(terms),
            "parts": terms,
            "score": grade.score if grade else scored,
            "done": ended,
            "truncated": reason in ("step_budget_exhausted", "held_back"),
            "success": success if ended else None,
            "done_reason": reason,
        }
        if grade:
            paid |= {"grade": dict(grade.parts), "table_scores": dict(grade.tables)}
            paid["collateral_cells"] = self._collateral()
        return paid

    # --- scores -------------------------------------------------------------------------------------------------------

    def _truth(self) -> Grade:
        return self.sandbox.grade()

    def _collateral(self) -> int:
        """Cells that were right when the incident struck, and are wrong or gone now."""
        from mario_dagster.sandbox.collateral import collateral_since

        sandbox, since = self.sandbox, self.sandbox.steps[0].get("versions", {})
        return collateral_since(sandbox.world, self.task, sandbox.vault, since, self._absent())

    def _absent(self) -> tuple[str, ...]:
        """Batches that nobody could have loaded: they are announced, and not there."""
        from mario_dagster.sandbox.holding import absent_batches

        sandbox = self.sandbox
        return absent_batches(sandbox.world, self.task, sandbox.vault, sandbox.backlog())

    def _score(self) -> float:
        """The score that shapes the reward: the truth, or where that must stay unknown, health by the checks."""
        return self._truth().score if self.sandbox.feedback == "truth" else self.sandbox.health()

    def _objectives(self, now: Standing) -> Mapping[str, float]:
        """Parts of the score that may be seen now."""
        if now.done:
            return now.grade
        return self._truth().parts if now.feedback == "truth" else {"health": self.sandbox.health()}

    def _view(self, now: Standing) -> View:
        from mario_dagster.incidents.profiles import profile

        sandbox = self.sandbox
        return View(self.task, sandbox.signals(), now, profile(sandbox.profile), self._objectives(now))


class _Over(Exception):
    """The episode ended while a step waited for its turn."""


def rows_at_fault(signals: Signals) -> int:
    """Rows that consumers would be wrong to use, or that they lack: those at fault in each table, and those not loaded.

    Of a table whose schema broke, every row is at fault.
    """
    found = signals.backlog_rows
    for report in signals.reports.values():
        worst = max((report.rows if breach.reason in _WHOLE else breach.count for breach in report.breaches), default=0)
        found += min(report.rows, worst)
    return int(found)


_WHOLE = ("missing_column", "wrong_type")
