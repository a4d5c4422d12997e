"""Requests that nobody would write: `mario bench fuzz --cases 5000`.

In: the server's own OpenAPI description, from which Schemathesis makes requests that fit it and requests that do not.
Out: how they were answered, and all that is wrong: an answer of 500 or above, an answer that the description does not
have, a request that does not fit and was served, a WebSocket session that died, an episode that changed without having
been asked to. The server is a real one, on a port of its own, over a home that is thrown away. Needs the `dev` extra.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from schemathesis import BaseSchema, Case
    from schemathesis.engine.recorder import ScenarioRecorder

# Played by whatever request names an episode; looked at by the witnesses only.
FUZZED, KEPT, SESSION = "fuzzed", "kept", "session"
# One that is over: its events come to an end.
OVER = "over"
ID = re.compile("[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
INCIDENT = {"task": "ingestion", "seed": 0}
SEEDS = 3
# A policy that no package provides.
NOBODY = "nobody"
# Incidents that are started; after so many, a reset goes on with the episode that is there.
RESETS = 25
NAME, KEYS = "mario_dagster", ("Idempotency-Key", "request_id", "idempotency_key")
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "unsupported_method",
)
# What does not fit JSON-RPC is answered in JSON-RPC, with 200.
EXEMPT = {("POST /mcp", "negative_data_rejection")}


@dataclass
class Report:
    """How requests were answered, and what is wrong with it."""

    requests: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    operations: set[str] = field(default_factory=set)
    failures: list[str] = field(default_factory=list)
    harm: list[str] = field(default_factory=list)
    logged: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def server_errors(self) -> int:
        return sum(count for status, count in self.statuses.items() if status >= "500")

    @property
    def holds(self) -> bool:
        return not (self.server_errors or self.failures or self.harm or self.logged)


class Witnesses:
    """An episode and a WebSocket session that no request has to do with, and whether they are as they were."""

    def __init__(self, url: str, home: Path):
        from websockets.sync.client import connect

        self._home = home
        for id in (FUZZED, KEPT, OVER):
            _post(f"{url}/reset", {**INCIDENT, "episode_id": id})
        _post(f"{url}/step", {"episode_id": OVER, "action": {"action_id": 15}})
        _post(f"{url}/step", {"episode_id": KEPT, "action": {"action_id": 10}})
        self._socket = connect(f"{url.replace('http', 'ws', 1)}/ws", proxy=None)
        self._ask({"type": "reset", "data": {**INCIDENT, "episode_id": SESSION}})
        self._before = self._seen()

    def harm(self) -> list[str]:
        """What has happened to them; nothing should have."""
        try:
            now = self._seen()
        except Exception as error:
            return [f"the session died: {type(error).__name__}: {error}"]
        return [f"{name} changed" for name, seen in now.items() if seen != self._before[name]]

    def close(self) -> None:
        self._socket.close()

    def _seen(self) -> dict[str, str]:
        kept = (self._home / KEPT / "trajectory.jsonl").read_bytes()
        return {KEPT: hashlib.sha256(kept).hexdigest(), SESSION: json.dumps(self._ask({"type": "state"}))}

    def _ask(self, message: dict[str, Any]) -> Any:
        self._socket.send(json.dumps(message))
        reply = json.loads(self._socket.recv(timeout=60))
        if reply["type"] == "error":
            raise RuntimeError(reply["data"]["message"])
        return reply


def fuzz(
    cases: int,
    examples: int = 40,
    phases: tuple[str, ...] = ("examples", "coverage", "fuzzing"),
    progress: Callable[[int], None] = lambda requests: None,
) -> Report:
    """Make at least so many requests, in rounds that differ in what is drawn.

    Args:
        examples: drawn at the most for each operation and round.
        phases: Schemathesis's; those that draw nothing are gone through in the first round only.
        progress: told after each operation how many requests there have been.
    """
    report, begun = Report(), time.monotonic()
    with serving() as (url, home), _errors_logged() as logged, _bounded():
        witnesses = Witnesses(url, home)
        try:
            for seed in range(1_000):
                for _ in _round(_schema(url, seed, examples, phases), report, witnesses):
                    progress(report.requests)
                phases = ("fuzzing",)
                if report.requests >= cases:
                    break
        finally:
            witnesses.close()
    report.logged = [each.getMessage() for each in logged]
    report.seconds = round(time.monotonic() - begun, 1)
    return report


@contextmanager
def _bounded() -> Iterator[None]:
    """Cheap requests, that play: few incidents, no baselines, and an episode that is there."""
    import schemathesis

    resets, turns = 0, count()

    def before_call(context: Any, case: Case, kwargs: dict[str, Any]) -> None:
        for given in (case.body, case.query):
            if isinstance(given, dict):
                _bound(case.path, given, resets < RESETS)
        _name_in_path(case)
        turn = next(turns)
        if turn % 2:
            _agree(case, f"key {turn // 4}")

    def after_call(context: Any, case: Case, response: Any) -> None:
        nonlocal resets
        resets += case.path == "/reset" and response.status_code == 200

    schemathesis.hook(before_call)
    schemathesis.hook(after_call)
    try:
        yield
    finally:
        for each in (before_call, after_call):
            schemathesis.hooks.unregister(each)


def _bound(path: str, given: dict[str, Any], may_start: bool) -> None:
    """Change what a request gives where it would be dear, and leave it as wrong as it was."""
    if path == "/reset":
        if isinstance(given.get("seed"), int) and given["seed"] >= 0 and given["seed"] is not True:
            given["seed"] %= SEEDS
        if isinstance(given.get("scale"), int) and given["scale"] in range(2, 1_001):
            given["scale"] = 1
        if not may_start:
            given |= {"episode_id": FUZZED, "resume": True}
    elif isinstance(given.get("episode_id"), str) and given["episode_id"]:
        given["episode_id"] = FUZZED
    if path == "/baseline":
        given.setdefault("policy_mode", NOBODY)
    for name in ("policy_mode", "baseline"):
        if name in given and (given[name] is None or isinstance(given[name], str)):
            given[name] = NOBODY


def _name_in_path(case: Case) -> None:
    """Have a path that may name an episode name one that is there; for events one that is over, or they would go on."""
    named = case.path_parameters.get("episode_id")
    if isinstance(named, str) and ID.fullmatch(named):
        case.path_parameters["episode_id"] = OVER if case.path.endswith("/events") else FUZZED


def _agree(case: Case, key: str) -> None:
    """Have a request's parts go together that would hardly ever do so by themselves."""
    body: Any = case.body if isinstance(case.body, dict) else {}
    agreed = {"env_name": NAME, "task": INCIDENT["task"], **dict.fromkeys(KEYS, key)}
    if "{env_name}" in case.path:
        agreed["split"] = "train"
    for given in (case.path_parameters, case.headers, body):
        given.update({name: agreed[name] for name in given if name in agreed and isinstance(given[name], str)})
    if isinstance(body.get("index"), int) and case.path == "/reset":
        body.update({name: None for name in ("task", "task_id", "seed", "profile") if name in body})


def _schema(url: str, seed: int, examples: int, phases: tuple[str, ...]) -> BaseSchema:
    import schemathesis

    schema = schemathesis.openapi.from_url(f"{url}/openapi.json", config=schemathesis.Config(seed=seed))
    schema.config.update(continue_on_failure=True, request_timeout=120)
    schema.config.generation.update(max_examples=examples, database="none", no_shrink=True)
    schema.config.checks.update(included_check_names=list(CHECKS))
    schema.config.phases.update(phases=list(phases))
    return schema


def _round(schema: BaseSchema, report: Report, witnesses: Witnesses) -> Iterator[None]:
    """One round's requests, an operation at a time."""
    from schemathesis.engine import events, from_schema

    for event in from_schema(schema).execute():
        if isinstance(event, events.ScenarioFinished):
            _add(event.recorder, report)
            report.harm += [f"after {event.recorder.label}: {what}" for what in witnesses.harm()]
            yield
        elif isinstance(event, events.NonFatalError):
            report.failures.append(f"{event.label}: {event.value}")
        elif isinstance(event, events.FatalError):
            raise event.exception


def _add(recorder: ScenarioRecorder, report: Report) -> None:
    """What one operation's requests came to."""
    report.operations.add(recorder.label)
    report.requests += len(recorder.interactions)
    for each in recorder.interactions.values():
        report.statuses[str(each.response.status_code) if each.response else "no answer"] += 1
    for checks in recorder.checks.values():
        for check in checks:
            found = check.failure_info
            if found is not None and (recorder.label, check.name) not in EXEMPT:
                report.failures.append(f"{check.name}: {found.failure.message}\n  {found.code_sample}")


@contextmanager
def serving() -> Iterator[tuple[str, Path]]:
    """A server as `mario serve` runs it, in a thread of this process: its address, and its home."""
    import uvicorn

    with tempfile.TemporaryDirectory(prefix="mario-fuzz-", ignore_cleanup_errors=True) as folder:
        before = {name: os.environ.get(name) for name in ("MARIO_HOME", "MARIO_TRUTH")}
        os.environ.pop("MARIO_TRUTH", None)
        os.environ["MARIO_HOME"] = folder
        from mario_dagster.env.transport import HttpProtocol
        from mario_dagster.server.app import MAX_MESSAGE_BYTES, build_app

        config = uvicorn.Config(
            build_app(), port=0, log_level="error", http=HttpProtocol, ws_max_size=MAX_MESSAGE_BYTES
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, name="fuzzed-server", daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}", Path(folder)
        finally:
            server.should_exit = True
            thread.join(timeout=20)
            for name, value in before.items():
                os.environ.pop(name, None)
                if value is not None:
                    os.environ[name] = value


@contextmanager
def _errors_logged() -> Iterator[list[logging.LogRecord]]:
    """What the server logs as an error: something that nobody foresaw."""
    seen: list[logging.LogRecord] = []
    handler = logging.Handler(logging.ERROR)
    handler.emit = seen.append  # type: ignore[method-assign, assignment]
    watched = [logging.getLogger(name) for name in ("mario_dagster", "uvicorn.error")]
    for logger in watched:
        logger.addHandler(handler)
    try:
        yield seen
    finally:
        for logger in watched:
            logger.removeHandler(handler)


def _post(url: str, body: dict[str, Any]) -> None:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=300) as reply:
        reply.read()
