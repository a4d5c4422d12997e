"""OpenEnv, imported without its web interface: the one file that imports it.

OpenEnv's package imports its web interface whether anybody wants it or not, and with it Gradio and pandas: more than
half of what starting a server or a client costs. It also says how it goes without: where that one module cannot be
found, it leaves the interface out. So, while OpenEnv is imported here, that module cannot be found; right after, it can
again. `create_app` imports it by itself where `ENABLE_WEB_INTERFACE` is set, so that a server with the interface has
it, and a server without never loads Gradio. In a process that imported OpenEnv before, nothing is done.

What is left of OpenEnv's own weight, fastmcp and openai, it imports with no way round.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

WEB_INTERFACE = "openenv.core.env_server.web_interface"


@contextmanager
def _not_found(module: str) -> Iterator[None]:
    """While the block runs, importing the module raises `ModuleNotFoundError`, unless it was imported before."""
    if module in sys.modules:
        yield
        return
    # Python's own word for it: a name under which None stands is not looked for.
    sys.modules[module] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        sys.modules.pop(module, None)


with _not_found(WEB_INTERFACE):
    from openenv.core.client_types import StepResult
    from openenv.core.env_client import EnvClient
    from openenv.core.env_server.http_server import create_app
    from openenv.core.env_server.interfaces import Environment
    from openenv.core.env_server.mcp_types import JsonRpcErrorCode, JsonRpcRequest
    from openenv.core.env_server.serialization import serialize_observation
    from openenv.core.env_server.types import Action, EnvironmentMetadata, Observation, ServerMode, State

__all__ = [
    "Action",
    "EnvClient",
    "Environment",
    "EnvironmentMetadata",
    "JsonRpcErrorCode",
    "JsonRpcRequest",
    "Observation",
    "ServerMode",
    "State",
    "StepResult",
    "create_app",
    "serialize_observation",
]
