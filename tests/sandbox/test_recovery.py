"""What a step that did not come to its end leaves: nothing. And what damaged files do: harm one sandbox, and say so."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from mario_dagster.core.action import Action
from mario_dagster.core.errors import Damaged, Unavailable
from mario_dagster.env.episode import Episode
from mario_dagster.env.errors import EpisodeDamaged, NoEpisode
from mario_dagster.env.options import reset_options
from mario_dagster.sandbox.home import Home
from mario_dagster.sandbox.sandbox import Sandbox
from mario_dagster.sandbox.verification import damage
from mario_dagster.signals.failures import FailureLog

INCIDENT = {"task": "temporal", "seed": 11}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path_factory.mktemp("home"))


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def start(home: Home, id: str, **options: Any) -> Episode:
    return Episode.start(reset_options({**INCIDENT, **options, "episode_id": id}), home=home)


def plain(value: Mapping[str, Any]) -> str:
    return json.dumps({name: each for name, each in value.items() if name != "episode_id"}, sort_keys=True)


def solution(episode: Episode) -> list[Action]:
    return [Action.from_dict(each) for each in episode.sandbox.truth_store.solution]


# --- a step that does not end -----------------------------------------------------------------------------------------


class _Cut(Exception):
    """What ends a step half-way."""


ACTS: dict[str, Callable[[Sandbox], Any]] = {
    "repair": lambda sandbox: sandbox.repair("source_orders", _repair()),
    "replay": lambda sandbox: (sandbox.set_workers(3), sandbox.replay()),
    "two replays": lambda sandbox: (sandbox.set_workers(3), sandbox.replay(), sandbox.replay()),
    "refresh": lambda sandbox: sandbox.refresh(),
    "commit": lambda sandbox: sandbox.commit(),
    "look": lambda sandbox: (sandbox.set_workers(3), sandbox.replay(), sandbox.signals(), sandbox.grade()),
}


def _repair() -> Any:

    return Action.named("remove_duplicates")


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("cut", [_Cut, KeyboardInterrupt, OSError])
def test_an_error_inside_a_step_leaves_no_trace(shared: Home, act: str, cut: type[BaseException]) -> None:
    name = f"{act.replace(' ', '-')}-{cut.__name__.strip('_')}"
    disturbed, calm = start(shared, f"disturbed-{name}"), start(shared, f"calm-{name}")
    before, files = plain(disturbed.reply().observation), _tables(disturbed.sandbox)
    with pytest.raises(cut), disturbed.sandbox.step():
        ACTS[act](disturbed.sandbox)
        raise cut
    assert plain(disturbed.reply().observation) == before
    assert _tables(disturbed.sandbox) == files
    for move in solution(calm)[:4]:
        assert plain(disturbed.step(move).observation) == plain(calm.step(move).observation)
    assert damage(shared, disturbed.id) == []
    disturbed.close(), calm.close()


def _tables(sandbox: Sandbox) -> list[str]:
    """Every file of the tables, by its place."""
    folders = (sandbox.root / "lake", sandbox.root / "published")
    return sorted(str(path.relative_to(sandbox.root)) for folder in folders for path in folder.rglob("*"))


KILLED = """
import os, sys
from pathlib import Path
from mario_dagster.sandbox.home import Home
from mario_dagster.sandbox.sandbox import Sandbox
sandbox = Sandbox.open(sys.argv[2], Home(Path(sys.argv[1])))
with sandbox.step():
    sandbox.set_workers(3)
    assert sandbox.replay().ok
    os._exit(9)
"""


@pytest.mark.parametrize("next_act", ["step", "state"])
def test_what_another_process_left_is_taken_back_by_whoever_comes_next(shared: Home, next_act: str) -> None:
    held, calm = start(shared, f"held-{next_act}"), start(shared, f"calm-beside-{next_act}")
    before = plain(held.state())
    ended = subprocess.run([sys.executable, "-W", "ignore", "-c", KILLED, str(shared.root), held.id], check=False)
    assert ended.returncode == 9
    lease = held.sandbox.lease
    assert lease is not None and lease.pid != os.getpid() and lease.step == 1
    if next_act == "state":
        assert plain(held.state()) == before
    for move in solution(calm):
        assert plain(held.step(move).observation) == plain(calm.step(move).observation)
    for table in held.task.table_names:
        assert held.sandbox.table(table).equals(calm.sandbox.table(table))
    assert damage(shared, held.id) == []
    lease = held.sandbox.lease
    assert lease is not None and lease.pid == os.getpid()
    held.close(), calm.close()


def test_a_check_that_is_only_planned_clears_no_failure(shared: Home) -> None:
    with start(shared, "planned").sandbox as sandbox:
        before = sandbox.run_errors(20)
        assert any("check" in each for each in before)
        # As a run leaves them that dies before it evaluates anything.
        with sandbox.instance.database.transaction() as connection:
            connection.exec_driver_sql(
                "INSERT INTO asset_check_executions (asset_key, check_name, run_id, execution_status, "
                "evaluation_event_storage_id) SELECT asset_key, check_name, 'dead', 'PLANNED', "
                "(SELECT MAX(id) FROM event_logs) FROM asset_check_executions WHERE execution_status = 'FAILED'"
            )
        fresh = FailureLog(sandbox.instance)
        fresh.update()
        assert sandbox.run_errors(20) == fresh.newest(20) == before


# --- files ------------------------------------------------------------------------------------------------------------


def test_a_sandbox_shares_no_file_with_its_template_or_its_siblings(home: Home) -> None:
    for id in ("a", "b"):
        start(home, id).close()
    files = [path for path in home.root.rglob("*") if path.is_file()]
    assert len(files) > 100 and all(path.stat().st_nlink == 1 for path in files)


@pytest.mark.parametrize("harm", ["flipped", "gone", "cut"])
@pytest.mark.parametrize("kind", ["*.parquet", "*.json", "*.db", "incident.json", "checksums.json", "opening.json"])
def test_a_damaged_template_is_lived_anew(shared: Home, kind: str, harm: str) -> None:
    first = start(shared, f"first-{harm}-{kind.strip('*.').replace('.', '-')}")
    template = next(path for path in (shared.root / ".templates").iterdir() if not path.name.startswith("."))
    spoil(next(path for path in sorted(template.rglob(kind)) if path.is_file()), harm)
    second = start(shared, f"second-{harm}-{kind.strip('*.').replace('.', '-')}")
    assert plain(second.reply().observation) == plain(first.reply().observation)
    assert damage(shared, second.id) == []
    first.close(), second.close()


def spoil(path: Path, harm: str) -> None:
    data = path.read_bytes()
    if harm == "gone":
        path.unlink()
    elif harm == "cut":
        path.write_bytes(data[: len(data) // 2])
    else:
        middle = data.index(b"data_version") + 20 if harm == "note flipped" else len(data) // 2
        path.write_bytes(data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :])


@pytest.fixture
def played(home: Home) -> Iterator[tuple[Home, str]]:
    """Two episodes of one incident, closed; the second is to stay as it is."""
    for id in ("one", "two"):
        episode = start(home, id)
        for move in solution(episode)[:3]:
            episode.step(move)
        episode.close()
    expected = _answers(home, "two")
    yield home, expected
    assert not home.exists("two") or _answers(home, "two") == expected


def _answers(home: Home, id: str) -> str:
    episode = Episode.resume(id, home)
    try:
        return plain(episode.reply().observation) + plain(episode.state())
    finally:
        episode.close()


COPIES = {
    "sandbox.json gone": ("sandbox.json", "gone"),
    "sandbox.json cut": ("sandbox.json", "cut"),
    "sandbox.json flipped": ("sandbox.json", "flipped"),
    "trajectory gone": ("trajectory.jsonl", "gone"),
    "trajectory cut": ("trajectory.jsonl", "cut"),
    "lease gone": ("lease.json", "gone"),
    "lease cut": ("lease.json", "cut"),
}


@pytest.mark.parametrize("case", COPIES)
def test_a_damaged_copy_is_written_anew_from_its_original(played: tuple[Home, str], case: str) -> None:
    home, expected = played
    file, harm = COPIES[case]
    whole = (home.root / "one" / file).read_bytes()
    spoil(home.root / "one" / file, harm)
    assert {info.id: info.status for info in home.sandboxes()} == {"one": "open", "two": "open"}
    assert _answers(home, "one") == expected
    if file == "trajectory.jsonl":
        assert (home.root / "one" / file).read_bytes() == whole
    assert next(info for info in home.sandboxes() if info.id == "one").steps == 3
    assert damage(home, "one") == []


def test_a_trajectory_that_is_no_text_is_written_anew_by_the_next_step(played: tuple[Home, str]) -> None:
    home, _ = played
    episode = Episode.resume("one", home)
    (home.root / "one" / "trajectory.jsonl").write_bytes(b"\xff\xfe\x00")
    episode.step(Action(1))
    lines = (home.root / "one" / "trajectory.jsonl").read_text().splitlines()
    assert [json.loads(line).get("step", 0) for line in lines] == [0, 1, 2, 3, 4]
    episode.close()


ORIGINALS = {
    "database gone": ("dagster/event_log.db", "gone"),
    "database cut": ("dagster/event_log.db", "cut"),
    "log entry cut": ("lake/temporal/source_orders/_delta_log/{newest}.json", "cut"),
    "log entry flipped": ("lake/temporal/source_orders/_delta_log/{newest}.json", "note flipped"),
    "log entry gone": ("lake/temporal/source_orders/_delta_log/{newest}.json", "gone"),
    "manifest gone": ("landing/manifest.json", "gone"),
    "manifest flipped": ("landing/manifest.json", "flipped"),
    "truth gone": ("../.truth/one/incident.json", "gone"),
    "truth flipped": ("../.truth/one/incident.json", "flipped"),
}


@pytest.mark.parametrize("case", ORIGINALS)
def test_a_damaged_original_sets_its_episode_aside_and_no_other(played: tuple[Home, str], case: str) -> None:
    home, expected = played
    name, harm = ORIGINALS[case]
    newest = max((home.root / "one/lake/temporal/source_orders/_delta_log").glob("*.json")).stem
    file = home.root / "one" / name.format(newest=newest)
    whole = file.read_bytes()
    spoil(file, harm)
    assert damage(home, "one") and not damage(home, "two")
    with pytest.raises(EpisodeDamaged) as refusal:
        _answers(home, "one")
    assert "'one' is damaged" in str(refusal.value) and str(home.root) not in str(refusal.value)
    assert _answers(home, "two") == expected
    listed = {info.id: info.damaged for info in home.sandboxes()}
    assert listed.keys() == {"one", "two"} and not listed["two"]
    file.write_bytes(whole)
    assert _answers(home, "one") == expected


def test_a_database_deleted_under_an_open_episode_loses_no_step_silently(played: tuple[Home, str]) -> None:
    home, _ = played
    episode = Episode.resume("one", home)
    for file in (home.root / "one" / "dagster").glob("event_log.db*"):
        file.unlink()
    with pytest.raises(EpisodeDamaged, match=r"event_log\.db"):
        episode.step(Action(1))
    assert next(info for info in home.sandboxes() if info.id == "one").damaged
    assert home.prune(keep=0) and not home.exists("one")


BESIDE = """
import sys
from pathlib import Path
from mario_dagster.core.action import Action
from mario_dagster.env.episode import Episode
from mario_dagster.sandbox.home import Home
episode = Episode.resume(sys.argv[2], Home(Path(sys.argv[1])))
episode.step(Action(1))
print(len(episode.sandbox.steps))
episode.close()
"""


def test_a_short_look_at_a_sandbox_that_is_open_takes_no_lock_of_its_owner_s(home: Home) -> None:
    """Whoever leaves last deletes the write-ahead log: who is still there must not be taken for gone."""
    episode = start(home, "looked-at")
    episode.step(Action(0))
    assert not home.sandboxes()[0].damaged
    seen = []
    for _ in range(2):
        command = [sys.executable, "-W", "ignore", "-c", BESIDE, str(home.root), "looked-at"]
        seen.append(int(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
        assert (episode.sandbox.root / "dagster" / "event_log.db-wal").exists()
        episode.step(Action(0))
        seen.append(len(episode.sandbox.steps))
    assert seen == [3, 4, 5, 6]
    episode.close()


# --- whole or absent --------------------------------------------------------------------------------------------------

HALF = """
import os, sys
from pathlib import Path
from mario_dagster.sandbox import template_cache as templates
from mario_dagster.env.episode import Episode
from mario_dagster.env.options import reset_options
from mario_dagster.sandbox.home import Home
setattr(templates, sys.argv[3], lambda *_: os._exit(9))
Episode.start(reset_options({"task": "temporal", "seed": 11, "episode_id": sys.argv[2]}), home=Home(Path(sys.argv[1])))
"""


@pytest.mark.parametrize("where", ["with_checksums", "_begin"])
def test_a_reset_that_is_killed_is_absent_and_swept(home: Home, where: str) -> None:
    command = [sys.executable, "-W", "ignore", "-c", HALF, str(home.root), "half", where]
    assert subprocess.run(command, check=False).returncode == 9
    assert home.sandboxes() == [] and not home.exists("half")
    with pytest.raises(NoEpisode):
        Episode.resume("half", home)
    assert home.sweep() and not home.sweep()
    assert not [path for path in home.root.rglob(".*.????????") if path.is_dir()]
    start(home, "half").close()


def test_nothing_is_swept_while_somebody_makes_a_sandbox(home: Home) -> None:
    (home.root / ".half.0123abcd").mkdir(parents=True)
    with home.making():
        assert home.sweep() == []
    assert home.sweep() == [".half.0123abcd"]


def test_a_home_says_what_is_wrong_with_it(home: Home, tmp_path: Path) -> None:
    assert home.trouble() == {}
    (tmp_path / "file").write_text("")
    assert "home" in Home(tmp_path / "file").trouble()


def test_a_clone_goes_by_its_own_name(home: Home) -> None:
    episode = start(home, "original")
    episode.step(Action(1))
    with episode.sandbox.clone("copy") as copy:
        assert [line.get("episode_id") for line in copy.steps] == ["copy", None]
        assert plain(Episode(copy).reply().observation) == plain(episode.reply().observation)
    episode.close()


def test_errors_of_the_disk_name_no_path(home: Home) -> None:
    episode = start(home, "gone")
    shutil.rmtree(home.root / "gone" / "lake" / "temporal" / "catalog")
    with pytest.raises(EpisodeDamaged) as refusal:
        episode.state()
    assert str(home.root) not in str(refusal.value) and "lake/temporal/catalog" in str(refusal.value)
    assert issubclass(Damaged, RuntimeError) and issubclass(Unavailable, RuntimeError)
    episode.close()
