"""The HTTP protocol that the server speaks: uvicorn's on h11, except that only a GET can become a WebSocket.

In: bytes of connections, from uvicorn. Out: requests for the app. A request of another method with the header
`Upgrade: websocket` is handed by uvicorn 0.54 to a WebSocket protocol that neither answers nor closes; RFC 9110 lets a
server ignore the header, and so a POST with it is a POST. On httptools, uvicorn's first choice, a request with any
`Upgrade` (Java's client and `curl --http2` send one) would also lose its body.
"""

from __future__ import annotations

from uvicorn.protocols.http.h11_impl import H11Protocol


class HttpProtocol(H11Protocol):
    """What `mario serve` runs on, and `uvicorn --http mario_dagster.env.transport:HttpProtocol` takes."""

    def _should_upgrade(self) -> bool:
        return self.scope["method"] == "GET" and super()._should_upgrade()
