"""Nothing of the truth is anywhere a player, or an engineer in the Dagster UI, can look before the episode is done."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from mario_dagster.core.action import Action
from mario_dagster.core.registry import tasks
from mario_dagster.env.episode import Episode
from mario_dagster.env.options import reset_options
from mario_dagster.env.spectator import listed, told
from mario_dagster.incidents.faults import faults
from mario_dagster.incidents.profiles import profiles
from mario_dagster.postmortem.gather import postmortem_of
from mario_dagster.postmortem.render import to_html, to_markdown
from mario_dagster.sandbox.home import Home


def everything_said(episode: Episode, heard: list[str]) -> dict[str, str]:
    """All text that leaves the engine: replies, state, files of the sandbox, and every cell of Dagster's database."""
    root = episode.sandbox.root
    said = {"replies": "\n".join(heard), "state": json.dumps(episode.state()), "summary": json.dumps(episode.summary())}
    said |= what_spectators_see(episode)
    for path in root.rglob("*"):
        said[f"path {path}"] = str(path.relative_to(root))
        if path.suffix in (".json", ".jsonl", ".yaml"):
            said[str(path)] = path.read_text(errors="replace")
    with sqlite3.connect(root / "dagster" / "event_log.db") as database:
        for (table,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            rows = database.execute(f'SELECT * FROM "{table}"').fetchall()
            said[f"table {table}"] = "\n".join(str(cell) for row in rows for cell in row)
    return said


def what_spectators_see(episode: Episode) -> dict[str, str]:
    """What the list of episodes, the stream of events and the postmortem say of an episode."""
    found = postmortem_of(episode)
    events = [told(number, line) for number, line in enumerate(episode.sandbox.steps)]
    return {
        "list": json.dumps(listed(episode.sandbox.home, 50)),
        "events": json.dumps(events),
        "postmortem": to_markdown(found) + to_html(found),
    }


HELD_OUT = [next(each for each in reversed(profiles(task.slug, "eval")) if each.held_out) for task in tasks()]
WAITING = [each for each in profiles(by_name_only=True) if each.name.endswith("upstream_down")]


@pytest.mark.parametrize("profile", [*HELD_OUT, *WAITING], ids=lambda each: each.name)
def test_no_label_of_the_incident_is_said_before_done(tmp_path: Path, profile: object) -> None:
    name, slug = profile.name, profile.task  # type: ignore[attr-defined]
    options = {"task": slug, "split": "eval", "profile": name, "seed": 5, "episode_id": "quiet"}
    episode = Episode.start(reset_options(options), home=Home(tmp_path))
    solution = [Action.from_dict(each) for each in episode.sandbox.truth_store.solution]
    # Where it is right to hold back, up to where it shows: all is recovered, and what is left does not load.
    solution = [*solution, Action(18), Action(18)] if profile in WAITING else solution[:4]
    heard = [json.dumps(dict(episode.reply().observation))]
    moves = [
        Action(0),
        Action(1),
        Action(2),
        Action(14),
        Action(3),
        Action(12, target_column="x", new_name="y"),
        *solution,
    ]
    for move in moves[: episode.task.max_steps - 2]:
        reply = episode.step(move)
        assert not reply.done
        heard.append(json.dumps(dict(reply.observation)))
    # Names of faults that are everyday words of the repairs themselves tell nothing.
    told = {"heldout", "held_out", "held-out", "held_back", "unavailable", "upstream_down", "ledger", "twin", ".truth"}
    words = {name, *told, *faults()} - {"late_batches"}
    for place, text in everything_said(episode, heard).items():
        if place == "replies" or place == "state":
            text = text.replace('"heldout_profile_family"', "")
        for word in words:
            assert word not in text, (word, place)
    score = episode.sandbox.grade().score
    assert f"{score:.4f}"[:6] not in heard[-1] or abs(score - episode.sandbox.health()) < 1e-4
    episode.close()


def test_the_vault_is_for_this_user_only_and_outside_the_sandbox(tmp_path: Path) -> None:
    episode = Episode.start(reset_options({"task": "temporal", "seed": 5, "episode_id": "shut"}), home=Home(tmp_path))
    truth_store = episode.sandbox.truth_store.root
    assert truth_store.stat().st_mode & 0o777 == 0o700
    assert episode.sandbox.root not in truth_store.parents
    assert (tmp_path / ".templates").exists()
    for template in (tmp_path / ".templates").iterdir():
        assert template.stat().st_mode & 0o077 == 0
    episode.close()
