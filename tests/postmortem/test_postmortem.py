"""What a postmortem says: of a finished episode all, of another what its player knows; of people's acts in either."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest

from mario_dagster.core.action import Action, ActionId
from mario_dagster.env.episode import Episode
from mario_dagster.env.errors import EpisodeDamaged
from mario_dagster.env.options import reset_options
from mario_dagster.postmortem.gather import postmortem_of
from mario_dagster.postmortem.model import Postmortem
from mario_dagster.postmortem.render import to_html, to_markdown
from mario_dagster.sandbox.home import Home
from tests.env.test_engineer import Engineer, solution

TRUTH_SECTIONS = ("Cause", "Propagation", "Solution", "Published and reference", "Left and reference", "Score")


def start(home: Home, id: str, **options: object) -> Episode:
    return Episode.start(reset_options({"seed": 7, "episode_id": id, **options}), home=home)


def play_the_solution(episode: Episode) -> None:
    for fields in episode.sandbox.truth_store.solution:
        episode.step(Action.from_dict(fields))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def recovered(home: Home) -> Iterator[Episode]:
    """The temporal task, eval, played as it should be."""
    episode = start(home, "recovered", task="temporal", split="eval")
    play_the_solution(episode)
    assert episode.state()["success"]
    yield episode
    episode.close()


@pytest.fixture(scope="module")
def found(recovered: Episode) -> Postmortem:
    return postmortem_of(recovered)


# --- a finished episode -----------------------------------------------------------------------------------------------


def test_the_summary_is_the_episode_s(recovered: Episode, found: Postmortem) -> None:
    state, summary = recovered.episode_state(), found.summary
    assert (summary.profile, summary.split, summary.seed) == (recovered.sandbox.profile, "eval", 7)
    assert (summary.steps, summary.minutes) == (state.steps, state.minutes)
    assert summary.score == recovered.summary()["score"] and summary.success and summary.published
    assert found.downtime.released == summary.minutes and found.downtime.green is not None


def test_every_line_of_the_journal_is_in_the_timeline_after_the_runs_of_the_schedule(
    recovered: Episode, found: Postmortem
) -> None:
    lines = recovered.sandbox.steps
    told = [entry for entry in found.timeline if entry.line is not None]
    assert [entry.line for entry in told] == list(range(len(lines)))
    assert {entry.actor for entry in told[1:]} == {"agent"} and told[0].actor == "scheduler"
    assert [entry.reward for entry in told[1:]] == [line["reward"] for line in lines[1:]]
    before = found.timeline[: -len(lines)]
    assert {entry.actor for entry in before} == {"scheduler"}
    assert [entry.words for entry in before if entry.status == "failed"] == ["temporal_hourly", "temporal_replay"]


def test_symptoms_are_the_checks_that_failed_with_what_was_found(recovered: Episode, found: Postmortem) -> None:
    assert [each.check for each in found.symptoms] == recovered.sandbox.steps[0]["failing_checks"]
    assert all(each.must for each in found.symptoms)
    assert any(re.search("[0-9]+ ", each.found) for each in found.symptoms)


def test_the_cause_is_the_manifest_of_damage_counted(recovered: Episode, found: Postmortem) -> None:
    store, truth = recovered.sandbox.truth_store, found.truth
    assert truth is not None
    manifest = store.damage_manifest()
    assert sum(each.cells for each in truth.struck) == len(manifest.cells)
    assert sum(each.lost for each in truth.struck) == int(manifest.cells["lost"].astype(bool).sum())
    assert sum(each.rows for each in truth.struck) == len(manifest.rows_added)
    named = {name for each in truth.struck for name in each.fault.split("+")}
    assert (
        set(manifest.cells["fault"]) | set(manifest.repairs["fault"]) <= named == {each.name for each in truth.faults}
    )
    assert all(each.about for each in truth.faults)
    assert any(each.fault == "late_batches" and store.pending[0] in each.what for each in truth.struck)


def test_damage_went_along_the_lineage(recovered: Episode, found: Postmortem) -> None:
    assert found.truth is not None and found.truth.shielded
    reached = {each.asset: each for each in found.truth.reached}
    struck = {each.table for each in found.truth.struck}
    downstream = {table.name for table in recovered.task.derived_tables if struck.intersection(table.upstream)}
    assert struck | downstream <= reached.keys()
    assert {f"published_{name}" for name in recovered.task.table_names} <= reached.keys()
    for each in reached.values():
        assert each.path[-1] == each.asset
        if each.asset in struck:
            assert each.at_strike is not None and not each.at_strike.right


def test_repairs_have_the_rows_before_and_after(recovered: Episode, found: Postmortem) -> None:
    assert {each.actor for each in found.changes} == {"agent"}
    lines = recovered.sandbox.steps
    for table in recovered.task.table_names:
        versions = [each for each in found.changes if each.table == table]
        for one, next_one in pairwise(versions):
            assert one.after == next_one.before
        if versions:
            assert versions[-1].after == len(recovered.sandbox.table(table))
    for each in found.changes:
        assert lines[each.line]["name"] == each.words
        if (told := re.search(r": (\d+) -> (\d+) rows", lines[each.line]["result"])) is not None:
            assert (each.before, each.after) == tuple(map(int, told.groups()))


def test_checks_and_lag_over_time(recovered: Episode, found: Postmortem) -> None:
    lines, moments = recovered.sandbox.steps, found.moments
    assert [list(moment.failing) for moment in moments] == [line["failing_checks"] for line in lines]
    assert moments[0].lag is not None and moments[0].lag > 0 and moments[-1].lag == 0
    assert moments[-1].lag == recovered.sandbox.signals().freshness_lag_minutes


def test_the_solution_stands_beside_what_was_done(home: Home, found: Postmortem) -> None:
    assert found.truth is not None
    assert all(each.line is not None for each in found.truth.solution) and not found.truth.beside
    episode = start(home, "clumsy", task="ingestion")
    first = next(each for each in solution(episode) if each.table == episode.task.main_table.name)
    episode.step(Action(ActionId.DROP_NULLS, target_column=episode.task.main_table.key))
    episode.step(first)
    while not episode.state()["done"]:
        episode.step(Action(ActionId.COMMIT_CHANGES))
    truth = postmortem_of(episode).truth
    episode.close()
    assert truth is not None
    done = {each.words: each.line for each in truth.solution}
    assert done[str(first)] == 2 and None in done.values()
    assert 2 not in truth.beside


def test_what_was_published_is_right_where_the_score_is(recovered: Episode, found: Postmortem) -> None:
    assert found.truth is not None
    assert {each.table: each.right for each in found.truth.compared} == dict.fromkeys(recovered.task.table_names, True)
    fed = [each for each in found.truth.compared if not recovered.task.table(each.table).derived]
    assert sum(each.lost for each in fed) == sum(map(len, recovered.sandbox.truth_store.lost.values()))
    assert sum(each.guessed for each in found.truth.compared) == found.truth.guessed


def test_what_was_left_broken_is_told(home: Home) -> None:
    episode = start(home, "left", task="ingestion")
    episode.step(Action(ActionId.COMMIT_CHANGES))
    found = postmortem_of(episode)
    episode.close()
    assert found.summary.done and not found.summary.published and found.downtime.released is None
    assert found.truth is not None and not all(each.right for each in found.truth.compared)
    text = to_markdown(found)
    assert "not recovered: commit failure" in text and "## Left and reference" in text and "not done" in text


@pytest.mark.parametrize("task", ["ingestion", "events", "referential", "incremental"])
def test_every_task_has_postmortems(home: Home, task: str) -> None:
    episode = start(home, f"of-{task}", task=task)
    play_the_solution(episode)
    found = postmortem_of(episode)
    episode.close()
    assert found.truth is not None and all(each.line is not None for each in found.truth.solution)
    assert all(each.right for each in found.truth.compared)


def test_holding_back_is_told_as_right(home: Home) -> None:
    options = {"task": "temporal", "profile": "judgement_temporal_upstream_down", "split": "eval"}
    episode = start(home, "held", **options)
    play_the_solution(episode)
    while not episode.state()["done"]:
        episode.step(Action(ActionId.VIEW_ERROR_LOG))
    assert episode.state()["done_reason"] == "held_back"
    found = postmortem_of(episode)
    episode.close()
    assert found.truth is not None and found.truth.hold and not found.summary.published
    assert all(each.right for each in found.truth.compared)
    assert "It was right to publish nothing" in to_markdown(found)


# --- an unfinished one, and people ------------------------------------------------------------------------------------


def test_of_an_unfinished_episode_nothing_is_told_that_its_player_does_not_know(home: Home) -> None:
    episode = start(home, "open", task="temporal", split="eval")
    for fields in episode.sandbox.truth_store.solution[:3]:
        episode.step(Action.from_dict(fields))
    found, profile = postmortem_of(episode), episode.sandbox.profile
    score = episode.state()["current_score"]
    episode.close()
    assert found.truth is None and found.summary.profile == "undisclosed"
    assert (found.summary.score, found.summary.feedback) == (score, "checks")
    for text in (to_markdown(found), to_html(found)):
        assert profile not in text
        for title in TRUTH_SECTIONS:
            assert f"## {title}\n" not in text and f">{title}<" not in text
        assert "not over" in text
    assert len(found.changes) == 3 and found.symptoms


def test_what_people_did_is_in_it(home: Home) -> None:
    episode = start(home, "by-hand", task="temporal")
    acts = solution(episode)
    episode.step(Action(ActionId.INSPECT_SCHEMA))
    engineer = Engineer(episode)
    for act in acts[:2]:
        # Nobody looks in between: both acts are written down at once.
        engineer.does(episode, act)
    found = postmortem_of(episode)
    assert found.truth is None
    assert [(each.actor, each.words) for each in found.timeline[-2:]] == [("engineer", str(act)) for act in acts[:2]]
    assert [(each.line, each.actor, each.words) for each in found.changes] == [
        (2, "engineer", acts[0].name),
        (3, "engineer", acts[1].name),
    ]
    assert (found.downtime.steps, found.downtime.interventions) == (1, 2)
    for act in acts[2:]:
        engineer.does(episode, act)
        episode.take_up()
    ended = postmortem_of(episode)
    episode.close()
    assert ended.summary.success and ended.truth is not None
    assert {each.line is not None for each in ended.truth.solution} == {True}
    assert [each.actor for each in ended.timeline if each.line].count("engineer") == len(acts)
    assert "by engineers" in to_markdown(ended)


# --- documents --------------------------------------------------------------------------------------------------------


class Page(HTMLParser):
    """Every start tag with its attributes, and whether each is closed."""

    VOID = frozenset({"meta", "link", "br", "hr", "img"})

    def __init__(self, text: str):
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_needs_nothing_beside_it(found: Postmortem) -> None:
    text = to_html(found)
    page = Page(text)
    assert not page.open and "://" not in text and "url(" not in text
    assert not {tag for tag, _ in page.tags} & {"script", "link", "img", "iframe"}
    assert all(href.startswith("#") for _, attributes in page.tags if (href := attributes.get("href")) is not None)
    assert "prefers-color-scheme: dark" in text


def test_the_same_episode_gives_the_same_bytes(recovered: Episode, found: Postmortem) -> None:
    again = postmortem_of(Episode.resume("recovered", recovered.sandbox.home))
    assert to_html(again) == to_html(found) and to_markdown(again) == to_markdown(found)


def test_another_play_of_the_same_gives_the_same_but_for_its_name(recovered: Episode, found: Postmortem) -> None:
    twin = start(recovered.sandbox.home, "twin", task="temporal", split="eval")
    play_the_solution(twin)
    other = to_markdown(postmortem_of(twin))
    twin.close()
    assert other.replace("twin", "recovered") == to_markdown(found)
    run_ids = [run.run_id for run in recovered.sandbox.instance.get_runs()]
    assert not any(run_id in to_html(found) or run_id[:8] in to_html(found) for run_id in run_ids)


def test_what_a_table_holds_is_text_in_either_format(found: Postmortem) -> None:
    nasty = "<script>alert('x')</script> | a_b **bold** [x](y)\nsecond line"
    entries = (replace(found.timeline[0], result=nasty), *found.timeline[1:])
    told = replace(found, timeline=entries)
    assert "<script" not in to_html(told) and "&lt;script&gt;" in to_html(told)
    (row,) = [line for line in to_markdown(told).splitlines() if "alert" in line]
    assert r"\<script>" in row and r"\|" in row and r"\*\*bold\*\*" in row and r"\[x\]" in row and "a_b" in row


def test_a_damaged_episode_has_none(home: Home, tmp_path: Path) -> None:
    apart = Home(tmp_path)
    episode = start(apart, "broken", task="ingestion")
    episode.step(Action(ActionId.COMMIT_CHANGES))
    (episode.sandbox.truth_store.root / "damage.json").unlink()
    with pytest.raises(EpisodeDamaged, match="damage"):
        postmortem_of(episode)
    episode.close()
