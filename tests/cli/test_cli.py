"""The `mario` command as a person or a script uses it: what it prints, what it leaves, and its exit status."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from typer.testing import CliRunner, Result

from mario_dagster.cli.app import app
from mario_dagster.cli.console import CommandError
from mario_dagster.cli.processes import running
from mario_dagster.incidents.profiles import profiles

REPO = Path(__file__).resolve().parents[2]
MARIO = [sys.executable, "-m", "mario_dagster.cli"]
HEAVY = ("dagster", "openenv", "great_expectations", "pandas", "pyarrow", "numpy", "fastapi", "deltalake", "textual")


def mario(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


# --- what needs no sandbox --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["tasks"], ["tasks", "--json"], ["demo", "--help"], ["bench", "fuzz", "--help"], ["--version"]],
)
def test_quick_commands_load_no_engine(arguments: list[str]) -> None:
    probe = (
        "import sys\n"
        "from mario_dagster.cli.app import app\n"
        f"try: app({arguments!r})\n"
        "except SystemExit as end: status = end.code\n"
        f"heavy = [name for name in {HEAVY!r} if name in sys.modules]\n"
        "sys.exit(f'loaded {heavy}' if heavy else status)\n"
    )
    done = subprocess.run([sys.executable, "-c", probe], cwd=REPO, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_tasks_are_listed_for_people_and_for_scripts() -> None:
    assert "temporal" in mario("tasks").stdout
    listed = json.loads(mario("tasks", "--json").stdout)
    assert {"id": 5, "slug": "temporal", "threshold": 0.82}.items() <= {task["slug"]: task for task in listed}[
        "temporal"
    ].items()


def test_families_of_incidents_are_listed_with_how_each_is_asked_for() -> None:
    rows = json.loads(mario("tasks", "--profiles", "--json").stdout)
    asked = {(row["task"], row["profile"]): row["asked for"] for row in rows}
    for each in profiles():
        assert asked[each.task, each.name] == "by seed"
    for each in profiles(by_name_only=True):
        assert asked[each.task, each.name] == "by name"
    assert asked["temporal", "composed:hard"] == "by name"
    assert "judgement_temporal_upstream_down" in mario("tasks", "--profiles").stdout
    assert "tasks --profiles" in mario("tasks").stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["grade", "nobody"], "no sandbox 'nobody'"),
        (["trace", "../../etc"], "is no id"),
        (["postmortem", "nobody", "--format", "html"], "no sandbox 'nobody'"),
        (["sandboxes", "show", "a/b"], "is no id"),
        (["sandboxes", "prune"], "--keep"),
        (["demo", "--task", "tempral"], "did you mean 'temporal'"),
        (["bench", "variety", "--task", "tempral"], "did you mean 'temporal'"),
        (["bench", "evaluate", "--policy", "huristic"], "did you mean 'heuristic'"),
        (["bench", "evaluate", "--json", "--markdown"], "choose one of --json and --markdown"),
        (["bench", "chaos", "--part", "crash"], "did you mean 'crashes'"),
        (["demo", "--split", "test"], "no split 'test'"),
        (["demo", "--policy", "oracle-of-delphi"], "no policy 'oracle-of-delphi'"),
        (["serve", "--log-level", "loud"], "no log level 'loud'"),
    ],
)
def test_a_refusal_is_one_line_and_status_1(arguments: list[str], said: str) -> None:
    done = mario(*arguments)
    assert done.exit_code == 1, done.output
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("mario: ")]
    assert said in line
    assert "Traceback" not in done.output


@pytest.mark.parametrize("arguments", [["grade"], ["trace"], ["ui"], ["sandboxes", "show"]])
def test_a_home_without_sandboxes_says_what_makes_one(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MARIO_HOME", str(tmp_path / "none"))
    done = mario(*arguments)
    assert done.exit_code == 1
    assert "mario demo" in done.stderr
    assert json.loads(mario("sandboxes", "list", "--json").stdout) == []


def test_a_wrong_command_is_status_2() -> None:
    assert mario("task").exit_code == 2
    assert mario("serve", "--port", "70000").exit_code == 2


def test_serve_refuses_a_port_that_is_taken() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = mario("serve", "--port", str(taken.getsockname()[1]))
    assert done.exit_code == 1
    assert "--port 0" in done.stderr


def test_what_is_measured_can_be_read_by_a_script() -> None:
    rows = json.loads(mario("bench", "variety", "--task", "events", "--seeds", "2", "--json").stdout)
    assert {row["profile"] for row in rows} == {profile.name for profile in profiles("events")}
    done = mario("bench", "diversity", "--task", "events", "--count", "60", "--sample", "0", "--json")
    counted = json.loads(done.stdout)
    assert counted["census"]["compiled"] == 60 and counted["played"] == 0
    assert "Compiling: 60 of 60" in done.stderr


def test_the_former_name_of_an_option_is_taken_with_a_word_about_the_new_one() -> None:
    wanted = ("check", "--task", "ingestion", "--profile", "ingestion_null_burst", "--seeds", "1", "--json")
    former, new = mario(*wanted, "--gold-only"), mario(*wanted, "--solution-only")
    assert former.exit_code == new.exit_code == 0
    assert "--gold-only is --solution-only now" in former.stderr and "--gold-only" not in new.stderr
    (old_case,), (new_case,) = json.loads(former.stdout), json.loads(new.stdout)
    assert old_case["properties"] == new_case["properties"] and len(new_case["properties"]) == 2
    assert "--gold-only" not in mario("check", "--help").stdout


# --- processes of its own ---------------------------------------------------------------------------------------------


def test_a_server_that_dies_at_once_is_told_with_its_last_words() -> None:
    command = [sys.executable, "-c", "import sys; sys.exit('no lake in reach')"]
    with (
        pytest.raises(CommandError, match=r"status 1.*\n.*no lake in reach"),
        running(command, "http://127.0.0.1:9/", saying="Starting"),
    ):
        pytest.fail("it never answered")


def test_a_server_is_ended_with_the_block_that_started_it(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1", "--directory", str(tmp_path)]
    address = f"http://127.0.0.1:{port}/"
    with pytest.raises(ZeroDivisionError), running(command, address, saying="Starting") as server:
        assert server.poll() is None
        raise ZeroDivisionError
    assert server.poll() is not None


# --- a demo, and what it leaves ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    root = tmp_path_factory.mktemp("demo-home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MARIO_HOME", str(root))
        yield root


@pytest.fixture(scope="module")
def demo(home: Path) -> str:
    """What `mario demo` printed, in a process of its own with a server of its own."""
    done = subprocess.run([*MARIO, "demo"], cwd=REPO, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def played(demo: str) -> str:
    """The id of the sandbox that the demo played in."""
    found = re.search(r"^sandbox +(\S+)$", demo, re.MULTILINE)
    assert found, demo
    return found.group(1)


def test_demo_shows_every_step_and_how_to_look_inside(demo: str) -> None:
    steps = re.findall(r"^ *(\d+)  \S.* (\d+) red (\d+) green", demo, re.MULTILINE)
    assert [int(number) for number, _, _ in steps] == list(range(len(steps)))
    assert int(steps[0][1]) > 0
    assert int(steps[-1][1]) == 0
    assert re.search(r"^published +score 0\.\d+", demo, re.MULTILINE)
    assert re.search(r"source_orders \(\d+ rows\), catalog \(\d+ rows\), hourly_rollup \(\d+ rows\)", demo)
    assert demo.rstrip().endswith("ui latest")


def test_demo_plays_a_held_out_incident_and_does_not_say_so_before_it_is_over(home: Path, demo: str) -> None:
    begun, _, over = demo.partition("commit_changes")
    assert "heldout_" not in begun
    assert "heldout_" in over


def test_the_sandbox_is_listed_shown_and_graded(home: Path, played: str) -> None:
    (listed,) = json.loads(mario("sandboxes", "list", "--json").stdout)
    assert (listed["id"], listed["status"], listed["split"]) == (played, "commit_success", "eval")
    assert played in mario("sandboxes", "list").stdout
    shown = json.loads(mario("sandboxes", "show", "--json").stdout)
    assert shown["commit_ready"]
    assert shown["failing_checks"] == []
    done = mario("grade", played, "--json")
    grade = json.loads(done.stdout)
    assert done.exit_code == 0
    assert grade["success"]
    assert grade["score"] >= grade["threshold"]
    assert set(grade["tables"]) == {"source_orders", "catalog", "hourly_rollup"}


def test_the_trace_is_the_play(home: Path, demo: str, played: str) -> None:
    lines = json.loads(mario("trace", "latest", "--json").stdout)
    assert lines[0]["kind"] == "reset"
    assert [line["step"] for line in lines[1:]] == list(range(1, len(lines)))
    assert lines[-1]["name"] == "commit_changes"
    table = mario("trace", played).stdout
    assert all(line["name"] in table for line in lines[1:])


def test_the_postmortem_is_printed_or_written(home: Path, played: str, tmp_path: Path) -> None:
    printed = mario("postmortem", "latest").stdout
    assert printed.startswith(f"# Postmortem: {played}\n") and "## Cause" in printed
    page = tmp_path / "page.html"
    done = mario("postmortem", played, "--format", "html", "--output", str(page))
    assert (done.exit_code, done.stdout) == (0, "") and page.read_text().startswith("<!doctype html>")
    assert "is in" in done.stderr
    refused = mario("postmortem", played, "-o", str(tmp_path / "nowhere" / "page.html"))
    assert refused.exit_code == 1 and "cannot be written" in refused.stderr
    assert mario("postmortem", played, "--format", "pdf").exit_code == 2


def test_an_incident_nobody_repaired_grades_below_and_is_status_1(home: Path) -> None:
    from mario_dagster.sandbox.home import Home
    from mario_dagster.sandbox.sandbox import Sandbox

    with Sandbox.create("temporal", split="train", seed=1, home=Home(home)) as sandbox:
        broken = sandbox.id
    done = mario("grade", broken, "--json")
    assert done.exit_code == 1
    assert not json.loads(done.stdout)["success"]
    shown = mario("sandboxes", "show", broken)
    assert shown.exit_code == 0
    assert "every_batch_is_loaded" in shown.stdout
    assert mario("sandboxes", "prune", "--keep", "0", "--older-than", "1").exit_code == 1
    assert json.loads(mario("sandboxes", "prune", "--keep", "5", "--yes", "--json").stdout) == {"deleted": []}
    Home(home).remove(broken)


def test_ui_opens_dagster_on_the_sandbox_and_leaves_nothing_running(home: Path, played: str) -> None:
    command = [*MARIO, "ui", "latest", "--port", "0"]
    process = subprocess.Popen(command, cwd=REPO, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout
        line = process.stdout.readline()
        address = re.search(r"http://\S+?(?=/assets/)", line)
        assert address, line
        assert played in line
        asked = "{ runsOrError { ... on Runs { results { tags { key value } } } } }"
        runs = graphql(address.group(), asked)["runsOrError"]["results"]
        tags = [{tag["key"]: tag["value"] for tag in run["tags"]} for run in runs]
        assert {"mario/action": "commit_changes", "mario/episode": played}.items() <= tags[0].items()
        permissions = graphql(address.group(), "{ permissions { value disabledReason } }")["permissions"]
        assert not any(each["value"] for each in permissions)
        assert all(each["disabledReason"].startswith("The episode is over") for each in permissions)
        # One process, with no code server beside it that would outlive it.
        assert not psutil.Process(process.pid).children(recursive=True)
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0


def test_dev_serves_healthy_pipelines_and_leaves_nothing_running(tmp_path: Path) -> None:
    environment = {**os.environ, "MARIO_HOME": str(tmp_path)}
    process = subprocess.Popen(
        [*MARIO, "dev", "--port", "0"],
        cwd=REPO,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout and process.stderr
        address = re.search(r"http://[^/]+", process.stdout.readline())
        assert address
        asked = """{ sensorsOrError(repositorySelector: {
          repositoryName: "__repository__", repositoryLocationName: "mario_dagster.definitions"}) {
          ... on Sensors { results { name sensorState { status } } } } }"""
        sensors = graphql(address.group(), asked)["sensorsOrError"]["results"]
        assert {each["sensorState"]["status"] for each in sensors} == {"RUNNING"} and len(sensors) >= 5
        children = psutil.Process(process.pid).children(recursive=True)
        assert children
    finally:
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=60)[1]
    assert process.returncode == 0 and "Warning" not in said and "delete it to begin anew" in said
    _, alive = psutil.wait_procs(children, timeout=20)
    assert not alive
    assert (tmp_path / ".dev" / "dagster.yaml").exists()
    command = [*MARIO, "sandboxes", "list", "--json"]
    listed = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert json.loads(listed.stdout) == []


def graphql(address: str, query: str) -> dict[str, Any]:
    body = json.dumps({"query": query}).encode()
    request = urllib.request.Request(f"{address}/graphql", body, {"Content-Type": "application/json"})
    for _ in range(50):
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as reply:
            answer: dict[str, Any] = json.load(reply)
        if answer.get("data"):
            return answer["data"]
        time.sleep(0.2)
    raise AssertionError(answer)


def test_pruning_takes_the_sandbox_and_its_truth(home: Path, played: str) -> None:
    assert json.loads(mario("sandboxes", "prune", "--keep", "0", "--yes", "--json").stdout)["deleted"] == [played]
    assert not (home / played).exists()
    assert not list(home.rglob(f"*{played}*"))
    assert mario("grade", played).exit_code == 1


def test_faults_are_listed_with_where_they_fit_and_why_not() -> None:
    listed = {(each["task"], each["fault"]): each for each in json.loads(mario("tasks", "--faults", "--json").stdout)}
    assert listed["temporal", "late_batches"]["ways"] == 2 and not listed["temporal", "late_batches"]["refusals"]
    refused = listed["events", "late_batches"]
    assert refused["ways"] == 0 and "it needs a feed that comes in batches" in refused["refusals"][0]
