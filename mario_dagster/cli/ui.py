"""`mario ui`: the Dagster UI on one sandbox, served by this process.

In: a sandbox. Out: Dagster's webserver on its own pipeline, until interrupted. It reads what episodes write; where
repairs are allowed, what is launched in it is executed here, and changes the next observation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .console import CommandError, err, out, working
from .processes import free_port, is_free
from .sandboxes import locate

# Pages that are open hold connections, and would have the end wait for them.
ENDING_SECONDS = 2
# The page to begin with.
INCIDENT = "/assets/{}/incident"


def run_ui(reference: str, host: str, port: int, allow_repair: bool) -> int:
    """Serve the UI until interrupted; its exit status, 0 after an interrupt.

    Raises:
        CommandError, UnknownName: there is no such sandbox, or nothing can listen on the host.
    """
    info, _ = locate(reference)
    if port and not is_free(host, port):
        err().print(f"port {port} is taken: another one is used", markup=False)
        port = 0
    port = port or free_port(host)
    with working("Opening the Dagster UI"):
        from mario_dagster.env.episode import Episode
        from mario_dagster.sandbox.ui import OpenUI

        episode = Episode.resume(info.id)
        # Each run that a person launches becomes a step of the episode as soon as it has ended.
        episode.show()
        ui = OpenUI(info.id, allow_repair=allow_repair, on_run_finished=lambda _: episode.take_up())

    def say() -> None:
        out().print(
            f"Dagster UI of {info.id} ({info.task}, seed {info.seed}): http://{host}:{port}{INCIDENT.format(info.task)}"
        )
        said = ui.read_only or "Runs that you launch are part of the episode."
        err().print(f"{said} Ctrl-C ends it.", markup=False, soft_wrap=True)

    try:
        _serve(ui, host, port, say)
    except KeyboardInterrupt:
        pass
    except SystemExit:
        raise CommandError(f"{host}:{port} cannot be listened on") from None
    finally:
        ui.close()
        episode.close()
    return 0


def _serve(app: Any, host: str, port: int, listening: Callable[[], None]) -> None:
    """Serve an app until interrupted; `listening` is called once it can be reached."""
    import uvicorn

    class Server(uvicorn.Server):
        async def startup(self, sockets: Any = None) -> None:
            await super().startup(sockets)
            listening()

    config = uvicorn.Config(
        app, host, port, log_level="warning", lifespan="off", timeout_graceful_shutdown=ENDING_SECONDS
    )
    Server(config).run()
