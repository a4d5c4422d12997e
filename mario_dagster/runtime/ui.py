"""The Dagster UI of one sandbox as an ASGI app: Dagster's own webserver, in this process, on an instance that is open.

In: a repository, an instance, the path that it is served under. Out: an app with pages, GraphQL and its subscriptions.
What sandboxes have in common is made once a process: the GraphQL schema, the repository's snapshots, and a few threads
that answer for all of them, so that many UIs that are open do not crowd out whoever plays.
"""

from __future__ import annotations

import asyncio
import contextvars
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from typing import Any

from dagster import RepositoryDefinition
from dagster_graphql.schema import create_schema
from dagster_webserver.webserver import DagsterWebserver
from graphql import GraphQLError, OperationType, get_operation_ast, parse
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from mario_dagster.core.errors import Refused, StorageError

from .instance import SandboxInstance
from .served import NO_REPAIR, Launching, ServedRequest, ServedWorkspace

# GraphQL is CPU-bound: more threads would only take more of the one interpreter from everybody else.
THREADS = 3


class SandboxUI:
    """One sandbox's UI: an ASGI app.

    Args:
        repository: what it shows: the sandbox's own pipeline.
        instance: open, and open until the app is closed.
        prefix: the path that it is served under, as "/ui/some-id"; "" is the root. It is built into the app's routes.
        read_only: why nothing may be launched, in words that the UI shows; None where everything may that repairs.
        launching: what the caller has a say in.
    """

    def __init__(
        self,
        repository: RepositoryDefinition,
        instance: SandboxInstance,
        *,
        prefix: str = "",
        read_only: str | None = None,
        launching: Launching | None = None,
    ):
        self.workspace = ServedWorkspace(instance, repository, read_only, launching or Launching())
        self._app = _Webserver(self.workspace, app_path_prefix=prefix).create_asgi_app()
        if read_only is None:
            # What a process that died left in progress.
            self.workspace.end_backfills()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)


class _Webserver(DagsterWebserver[ServedWorkspace, ServedRequest]):
    """Dagster's webserver, whose mutations are transactions."""

    def build_graphql_schema(self) -> Any:
        return _schema()

    async def _no_reports(self, request: Request) -> JSONResponse:
        """What happened in an episode is what its runs did. Older releases ask for no permission here."""
        return JSONResponse({"error": NO_REPAIR}, status_code=401)

    report_asset_materialization_endpoint = _no_reports
    report_asset_check_endpoint = _no_reports
    report_asset_observation_endpoint = _no_reports

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
            return super().graphql_execution_thread(request, query, variables, operation_name)
        try:
            with self._process_context.acting():
                response = super().graphql_execution_thread(request, query, variables, operation_name)
        except (Refused, StorageError) as error:
            return JSONResponse({"data": None, "errors": [{"message": str(error)}]})
        self._process_context.end_backfills()
        return response


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
