"""The Dagster UI of one sandbox as an ASGI app: Dagster's own webserver, in this process, on an instance that is open.

In: a repository, an instance, the path that it is served under. Out: an app with pages, GraphQL and its subscriptions.
What sandboxes have in common is made once a process: the GraphQL schema, the repository's snapshots, and a few threads
that answer for all of them, so that many UIs that are open do not crowd out whoever plays.
"""

from __future__ import annotations

import asyncio
import contextvars
import json
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from typing import Any

from dagster import RepositoryDefinition
from dagster_graphql.schema import create_schema
from dagster_webserver.webserver import DagsterWebserver
from graphql import FieldNode, GraphQLError, OperationType, get_operation_ast, parse
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from mario_dagster.core.errors import Refused, StorageError

from .instance import SandboxInstance
from .served import NO_REPAIR, Launching, ServedRequest, ServedWorkspace

# GraphQL is CPU-bound: more threads would only take more of the one interpreter from everybody else.
THREADS = 3
# How a link of a text into this very UI begins, in Markdown; whoever writes one does not know where it is served.
LINK = b"](/"
NOTHING_LIVE: Mapping[str, Callable[[], str]] = {}


class SandboxUI:
    """One sandbox's UI: an ASGI app.

    Args:
        repository: what it shows: the sandbox's own pipeline.
        instance: open, and open until the app is closed.
        prefix: the path that it is served under, as "/ui/some-id"; "" is the root. It is built into the app's routes.
        read_only: why nothing may be launched, in words that the UI shows; None where everything may that repairs.
        launching: what the caller has a say in.
        live: text in definitions -> what to put in its place whenever a page is asked for: what stands there now.
    """

    def __init__(
        self,
        repository: RepositoryDefinition,
        instance: SandboxInstance,
        *,
        prefix: str = "",
        read_only: str | None = None,
        launching: Launching | None = None,
        live: Mapping[str, Callable[[], str]] = NOTHING_LIVE,
    ):
        self.workspace = ServedWorkspace(instance, repository, read_only, launching or Launching())
        webserver = _Webserver(self.workspace, app_path_prefix=prefix)
        webserver.live = live
        self._app = webserver.create_asgi_app()
        if read_only is None:
            # What a process that died left in progress.
            self.workspace.end_backfills()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)


class _Webserver(DagsterWebserver[ServedWorkspace, ServedRequest]):
    """Dagster's webserver, whose mutations are transactions, and whose texts may be of now.

    Attributes:
        live: as `SandboxUI` has it.
    """

    live: Mapping[str, Callable[[], str]] = NOTHING_LIVE

    def build_graphql_schema(self) -> Any:
        return _schema()

    async def _no_reports(self, request: Request) -> JSONResponse:
        """What happened in an episode is what its runs did. Older releases ask for no permission here."""
        return JSONResponse({"error": NO_REPAIR}, status_code=401)

    report_asset_materialization_endpoint = _no_reports
    report_asset_check_endpoint = _no_reports
    report_asset_observation_endpoint = _no_reports

    def _of_now(self, response: JSONResponse) -> JSONResponse:
        """An answer with what is live put into it, its links under the path that this is served under."""
        body = bytes(response.body)
        for text, now in self.live.items():
            if (marked := _in_json(text)) in body:
                body = body.replace(marked, _in_json(now()))
        if self._app_path_prefix:
            body = body.replace(LINK, LINK[:2] + self._app_path_prefix.encode() + LINK[2:])
        if body != response.body:
            response.body = body
            response.headers["content-length"] = str(len(body))
        return response

    async def execute_graphql_request(
        self, request: Request, query: str, variables: dict[str, Any] | None, operation_name: str | None
    ) -> JSONResponse:
        answer = partial(self.graphql_execution_thread, request, query, variables, operation_name)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(_threads(), contextvars.copy_context().run, answer)

    def graphql_execution_thread(
        self, request: Request, query: str, variables: dict[str, Any] | None, operation_name: str | None
    ) -> JSONResponse:
        if self._process_context.read_only is not None or not _is_mutation(query, operation_name):
            return self._of_now(super().graphql_execution_thread(request, query, variables, operation_name))
        try:
            with self._process_context.acting():
                response = super().graphql_execution_thread(request, query, variables, operation_name)
        except (Refused, StorageError) as error:
            return JSONResponse(_refusal(query, operation_name, str(error)))
        self._process_context.end_backfills()
        return response


def _in_json(text: str) -> bytes:
    """A text as it stands inside a JSON string."""
    return json.dumps(text, ensure_ascii=False, separators=(",", ":"))[1:-1].encode()


def _refusal(query: str, operation_name: str | None, why: str) -> dict[str, Any]:
    """The answer to a mutation that was refused: of a launch, what its page shows in a dialog; else a plain error."""
    operation = get_operation_ast(parse(query), operation_name)
    fields = (
        [field for field in operation.selection_set.selections if isinstance(field, FieldNode)] if operation else []
    )
    if not fields or not all(field.name.value.startswith("launch") for field in fields):
        return {"data": None, "errors": [{"message": why}]}
    error = {"__typename": "PythonError", "message": why, "stack": [], "errorChain": []}
    return {"data": {(field.alias or field.name).value: error for field in fields}}


@cache
def _schema() -> Any:
    return create_schema()


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(THREADS, thread_name_prefix="mario-ui")


def _is_mutation(query: str, operation_name: str | None) -> bool:
    """Whether a GraphQL request would change anything; one that cannot be read is answered by whoever answers it."""
    try:
        operation = get_operation_ast(parse(query), operation_name)
    except GraphQLError:
        return False
    return operation is not None and operation.operation is OperationType.MUTATION
