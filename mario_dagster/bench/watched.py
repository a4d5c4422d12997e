"""What it costs a player when people watch: steps a second while Dagster UIs are open in the server, over none.

In: a home. Out: rows of `mario bench speed`. The player is a client over HTTP; of the UIs, each has answered a page and
its queries, and one is watched: it is asked what a page that lies open asks, once a second.
"""

from __future__ import annotations

import json
import statistics
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

UIS, STEPS, ROUNDS = 50, 16, 3
TASK = "temporal"
PAGE_QUERY = """{ assetNodes { id assetKey { path } assetMaterializations(limit: 1) { timestamp }
  assetChecksOrError { ... on AssetChecks { checks { name executionForLatestMaterialization { status } } } } }
  runsOrError(limit: 20) { ... on Runs { results { id status jobName tags { key value } } } } }"""


def loss(url: str) -> tuple[float, float]:
    """Steps a second with 50 UIs open, over those with none; and the milliseconds until a UI first answered."""
    watched = [_started(url, f"watched-{number}") for number in range(UIS)]
    alone = _steps_a_second(url, "alone")
    opened = [_opened(url, id) for id in watched]
    with _watching(url, watched[0]):
        beside = _steps_a_second(url, "beside")
    return beside / alone, statistics.median(opened)


def _steps_a_second(url: str, name: str) -> float:
    """Of a player who renames a column to and fro, in a few episodes."""
    rates = []
    for number in range(ROUNDS):
        id = f"{name}-{number}"
        _started(url, id)
        columns = post(url, "/step", {"episode_id": id, "action_id": 0})["observation"]["observed_columns"]
        names = (str(columns[0]), "swapped")
        begun = time.perf_counter()
        for step in range(STEPS):
            old, new = names[step % 2], names[1 - step % 2]
            post(url, "/step", {"episode_id": id, "action_id": 12, "target_column": old, "new_name": new})
        rates.append(STEPS / (time.perf_counter() - begun))
    return statistics.median(rates)


def _started(url: str, id: str) -> str:
    post(url, "/reset", {"task": TASK, "seed": 1, "episode_id": id})
    return id


def _opened(url: str, id: str) -> float:
    """Milliseconds until a UI that nobody had open answers a page; its queries are asked too."""
    begun = time.perf_counter()
    urllib.request.urlopen(f"{url}/ui/{id}/", timeout=60).read()
    taken = (time.perf_counter() - begun) * 1000
    _ask(url, id)
    return taken


@contextmanager
def _watching(url: str, id: str) -> Iterator[None]:
    done = threading.Event()

    def watch() -> None:
        while not done.wait(1.0):
            _ask(url, id)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    yield
    done.set()
    watcher.join()


def _ask(url: str, id: str) -> None:
    post(url, f"/ui/{id}/graphql", {"query": PAGE_QUERY})


def post(url: str, path: str, body: dict[str, Any]) -> Any:
    """What a server answers to a JSON body."""
    request = urllib.request.Request(f"{url}{path}", json.dumps(body).encode(), method="POST")
    request.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(request, timeout=120) as reply:
        return json.loads(reply.read())
